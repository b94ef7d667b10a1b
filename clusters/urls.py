from django.urls import path

from clusters import backup_views, node_views, views

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
    path("<uuid:pk>/", views.cluster_detail, name="detail"),
    path("<uuid:pk>/backup-stores/", views.cluster_stores, name="stores"),
    path("<uuid:pk>/nodes/add/", views.node_add, name="node_add"),
    path("<uuid:pk>/nodes/remove/", views.node_remove, name="node_remove"),
    path("<uuid:pk>/nodes/<slug:name>/", node_views.node_detail, name="node"),
    path("<uuid:pk>/nodes/<slug:name>/edit/", node_views.node_edit, name="node_edit"),
    path("<uuid:pk>/nodes/<slug:name>/backup-stores/", node_views.node_stores, name="node_stores"),
    path("<uuid:pk>/nodes/<slug:name>/policy/", node_views.policy, name="node_policy"),
    path("<uuid:pk>/nodes/<slug:name>/pgbackrest.conf", node_views.node_configuration, name="node_configuration"),
    path("<uuid:pk>/nodes/<slug:name>/setup.sh", node_views.node_setup, name="node_setup"),
    path("<uuid:pk>/nodes/<slug:name>/crontab", node_views.node_schedule, {"kind": "crontab"}, name="node_crontab"),
    path("<uuid:pk>/nodes/<slug:name>/timers.sh", node_views.node_schedule, {"kind": "timers"}, name="node_timers"),
    path("<uuid:pk>/nodes/<slug:name>/files/", node_views.node_files, name="node_files"),
    path("<uuid:pk>/nodes/<slug:name>/token/", node_views.node_token, name="node_token"),
    path("<uuid:pk>/nodes/<slug:name>/applied/", node_views.node_applied, name="node_applied"),
    path("<uuid:pk>/removed-nodes/<slug:name>/forget/", node_views.removed_node_forget, name="removed_node_forget"),
    path("<uuid:pk>/key/", node_views.cluster_key, name="key"),
    path("<uuid:pk>/policy/", node_views.policy, name="policy"),
    path("<uuid:pk>/backups/refresh/", backup_views.backups_refresh, name="backups_refresh"),
    path("<uuid:pk>/databases/add/", views.database_add, name="database_add"),
    path("<uuid:pk>/databases/<slug:name>/remove/", views.database_remove, name="database_remove"),
    path("<uuid:pk>/delete/", views.cluster_delete, name="delete"),
    path("<uuid:pk>/repair/", views.cluster_repair, name="repair"),
    path("<uuid:pk>/retry/", views.cluster_retry, name="retry"),
]
