from django.urls import path

from clusters import enrolment_views, key_views, machine_views, node_views, replication_views, views
from clusters.bring_in import views as bring_in_views
from clusters.drills import report_views as drill_report_views
from clusters.drills import views as drill_views
from clusters.evidence import views as evidence_views
from clusters.health import views as health_views
from clusters.recovery import kit_views, rescue_views, restore_views
from clusters.reports import views as report_views
from clusters.repositories import backup_views, retained_views

app_name = "clusters"
urlpatterns = [
    path("", views.cluster_list, name="list"),
    path("create/", views.cluster_create, name="create"),
    path("bring-in/", bring_in_views.bring_in, name="bring_in"),
    path("<uuid:pk>/hand-over/", bring_in_views.hand_over, name="hand_over"),
    path("navigation/", views.cluster_navigation, name="navigation"),
    path("proximity/", views.cluster_proximity, name="proximity"),
    path("regions.js", views.region_map, name="region_map"),
    path("stores.js", views.store_map, name="store_map"),
    path("stores/<uuid:pk>/backups/", backup_views.store_backups, name="store_backups"),
    path("repositories/<int:pk>/lost/forget/", backup_views.lost_forget, name="lost_forget"),
    path("evidence/", evidence_views.evidence, name="evidence"),
    path("evidence/backups.csv", evidence_views.evidence_csv, name="evidence_csv"),
    path("retained/", retained_views.retained_list, name="retained"),
    path("repositories/<int:pk>/passphrase/", key_views.passphrase_replace, name="passphrase_replace"),
    path("repositories/<int:pk>/kit/", kit_views.repository_kit, name="repository_kit"),
    path("repositories/<int:pk>/kit.txt", kit_views.repository_kit_text, name="repository_kit_text"),
    path("repositories/<int:pk>/let-go/", retained_views.let_go, name="let_go"),
    path("<uuid:pk>/kit/", kit_views.cluster_kit, name="kit"),
    path("<uuid:pk>/kit.txt", kit_views.cluster_kit_text, name="kit_text"),
    path("repositories/<int:pk>/recover-deleted/", rescue_views.rescue, name="rescue"),
    path("repositories/<int:pk>/recover-deleted/setup.sh", rescue_views.rescue_setup, name="rescue_setup"),
    path("repositories/<int:pk>/recover-deleted/undelete", rescue_views.rescue_undelete, name="rescue_undelete"),
    path("repositories/<int:pk>/recover-deleted/identity/", rescue_views.identity_create, name="rescue_identity"),
    path("repositories/<int:pk>/recover-deleted/identity/end/", rescue_views.identity_end, name="rescue_identity_end"),
    path("enrolment/", enrolment_views.enrolment_list, name="enrolments"),
    path("enrolment/begin/", enrolment_views.enrolment_create, name="enrolment_create"),
    path("enrolment/<int:pk>/", enrolment_views.enrolment_detail, name="enrolment"),
    path("enrolment/<int:pk>/revoke/", enrolment_views.enrolment_revoke, name="enrolment_revoke"),
    path("enrolment/<int:pk>/<int:place>/again/", enrolment_views.enrolment_again, name="enrolment_again"),
    path("<uuid:pk>/", views.cluster_detail, name="detail"),
    path("<uuid:pk>/backup-stores/", views.cluster_stores, name="stores"),
    path("<uuid:pk>/nodes/add/", views.node_add, name="node_add"),
    path("<uuid:pk>/nodes/remove/", views.node_remove, name="node_remove"),
    path("<uuid:pk>/nodes/<slug:name>/", node_views.node_detail, name="node"),
    path("<uuid:pk>/nodes/<slug:name>/edit/", node_views.node_edit, name="node_edit"),
    path("<uuid:pk>/nodes/<slug:name>/machine/", machine_views.node_machine, name="node_machine"),
    path("<uuid:pk>/nodes/<slug:name>/backup-stores/", node_views.node_stores, name="node_stores"),
    path("<uuid:pk>/nodes/<slug:name>/replication/", replication_views.node_replication, name="node_replication"),
    path("<uuid:pk>/nodes/<slug:name>/archiving/", replication_views.archiving, name="node_archiving"),
    path("<uuid:pk>/nodes/<slug:name>/policy/", node_views.policy, name="node_policy"),
    path("<uuid:pk>/nodes/<slug:name>/pgbackrest.conf", node_views.node_configuration, name="node_configuration"),
    path("<uuid:pk>/nodes/<slug:name>/setup.sh", node_views.node_setup, name="node_setup"),
    path("<uuid:pk>/nodes/<slug:name>/crontab", node_views.node_schedule, {"kind": "crontab"}, name="node_crontab"),
    path("<uuid:pk>/nodes/<slug:name>/timers.sh", node_views.node_schedule, {"kind": "timers"}, name="node_timers"),
    path("<uuid:pk>/nodes/<slug:name>/files/", node_views.node_files, name="node_files"),
    path("<uuid:pk>/nodes/<slug:name>/token/", key_views.node_token, name="node_token"),
    path("<uuid:pk>/nodes/<slug:name>/applied/", report_views.node_applied, name="node_applied"),
    path("<uuid:pk>/removed-nodes/<slug:name>/forget/", node_views.removed_node_forget, name="removed_node_forget"),
    path("<uuid:pk>/key/", key_views.cluster_key, name="key"),
    path("<uuid:pk>/key/replace/", key_views.key_replace, name="key_replace"),
    path("<uuid:pk>/key/end/", key_views.key_end, name="key_end"),
    path("<uuid:pk>/key/back/", key_views.key_back, name="key_back"),
    path("<uuid:pk>/archiving/", replication_views.archiving, name="archiving"),
    path("<uuid:pk>/alarm/", health_views.alarm, name="alarm"),
    path("<uuid:pk>/policy/", node_views.policy, name="policy"),
    path("<uuid:pk>/backups/refresh/", backup_views.backups_refresh, name="backups_refresh"),
    path("<uuid:pk>/restore/", restore_views.restore, name="restore"),
    path("<uuid:pk>/restore.sh", restore_views.restore_download, name="restore_script"),
    path("repositories/<int:pk>/restore/", restore_views.repository_restore, name="repository_restore"),
    path(
        "repositories/<int:pk>/restore.sh", restore_views.repository_restore_download, name="repository_restore_script"
    ),
    path("<uuid:pk>/drills/", drill_views.drill_list, name="drill_list"),
    path("<uuid:pk>/drills/add/", drill_views.drill_add, name="drill_add"),
    path("<uuid:pk>/drills/<int:drill>/edit/", drill_views.drill_edit, name="drill_edit"),
    path("<uuid:pk>/drills/<int:drill>/remove/", drill_views.drill_remove, name="drill_remove"),
    path("<uuid:pk>/drills/<int:drill>/setup.sh", drill_views.drill_setup, name="drill_setup"),
    path("<uuid:pk>/drills/<int:drill>/report/", drill_report_views.machine_drill, name="drill_report"),
    path("<uuid:pk>/nodes/<slug:name>/drill/", drill_report_views.node_drill, name="node_drill"),
    path("<uuid:pk>/databases/add/", views.database_add, name="database_add"),
    path("<uuid:pk>/databases/<slug:name>/remove/", views.database_remove, name="database_remove"),
    path("<uuid:pk>/delete/", views.cluster_delete, name="delete"),
    path("<uuid:pk>/repair/", views.cluster_repair, name="repair"),
    path("<uuid:pk>/retry/", views.cluster_retry, name="retry"),
]
