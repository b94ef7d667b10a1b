from django.urls import path

from clusters import views

app_name = "clusters"
urlpatterns = [
    path("", views.cluster_list, name="list"),
    path("create/", views.cluster_create, name="create"),
    path("navigation/", views.cluster_navigation, name="navigation"),
    path("proximity/", views.cluster_proximity, name="proximity"),
    path("regions.js", views.region_map, name="region_map"),
    path("stores.js", views.store_map, name="store_map"),
    path("<uuid:pk>/", views.cluster_detail, name="detail"),
    path("<uuid:pk>/backup-stores/", views.cluster_stores, name="stores"),
    path("<uuid:pk>/nodes/add/", views.node_add, name="node_add"),
    path("<uuid:pk>/nodes/remove/", views.node_remove, name="node_remove"),
    path("<uuid:pk>/databases/add/", views.database_add, name="database_add"),
    path("<uuid:pk>/databases/<slug:name>/remove/", views.database_remove, name="database_remove"),
    path("<uuid:pk>/delete/", views.cluster_delete, name="delete"),
    path("<uuid:pk>/retry/", views.cluster_retry, name="retry"),
]
