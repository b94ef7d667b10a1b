from django.urls import path

from clusters import machine_views, node_views, replication_views, views
from clusters.recovery import kit_views, rescue_views, restore_views
from clusters.reports import views as report_views
from clusters.repositories import backup_views, retained_views

app_name = "clusters"
urlpatterns = [
    path("", views.cluster_list, name="list"),
    path("create/", views.cluster_create, name="create"),
    path("navigation/", views.cluster_navigation, name="navigation"),
    path("proximity/", views.cluster_proximity, name="proximity"),
    path("regions.js", views.region_map, name="region_map"),
    path("stores.js", views.store_map, name="store_map"),
    path("stores/<uuid:pk>/backups/", backup_views.store_backups, name="store_backups"),
    path("repositories/<int:pk>/lost/forget/", backup_views.lost_forget, name="lost_forget"),
    path("retained/", retained_views.retained_list, name="retained"),
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
    path("<uuid:pk>/nodes/<slug:name>/token/", node_views.node_token, name="node_token"),
    path("<uuid:pk>/nodes/<slug:name>/applied/", report_views.node_applied, name="node_applied"),
    path("<uuid:pk>/removed-nodes/<slug:name>/forget/", node_views.removed_node_forget, name="removed_node_forget"),
    path("<uuid:pk>/key/", node_views.cluster_key, name="key"),
    path("<uuid:pk>/archiving/", replication_views.archiving, name="archiving"),
    path("<uuid:pk>/policy/", node_views.policy, name="policy"),
    path("<uuid:pk>/backups/refresh/", backup_views.backups_refresh, name="backups_refresh"),
    path("<uuid:pk>/restore/", restore_views.restore, name="restore"),
    path("<uuid:pk>/restore.sh", restore_views.restore_download, name="restore_script"),
    path("repositories/<int:pk>/restore/", restore_views.repository_restore, name="repository_restore"),
    path(
        "repositories/<int:pk>/restore.sh", restore_views.repository_restore_download, name="repository_restore_script"
    ),
    path("<uuid:pk>/databases/add/", views.database_add, name="database_add"),
    path("<uuid:pk>/databases/<slug:name>/remove/", views.database_remove, name="database_remove"),
    path("<uuid:pk>/delete/", views.cluster_delete, name="delete"),
    path("<uuid:pk>/repair/", views.cluster_repair, name="repair"),
    path("<uuid:pk>/retry/", views.cluster_retry, name="retry"),
]
