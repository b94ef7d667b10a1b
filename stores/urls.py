from django.urls import path

from stores import drift_views, unmanaged_views, views
from stores.existing import views as existing_views

app_name = "stores"
urlpatterns = [
    path("", views.store_list, name="list"),
    path("view/", views.store_list_view, name="view"),
    path("orphans/", unmanaged_views.unmanaged_list, name="unmanaged_list"),
    path("orphans/<uuid:account>/look/", unmanaged_views.unmanaged_scan, name="unmanaged_scan"),
    path("orphans/<uuid:account>/<str:bucket>/adopt/", unmanaged_views.unmanaged_adopt, name="unmanaged_adopt"),
    path("orphans/<uuid:account>/<str:bucket>/forget/", unmanaged_views.unmanaged_ignore, name="unmanaged_ignore"),
    path(
        "orphans/<uuid:account>/<str:bucket>/remember/",
        unmanaged_views.unmanaged_list_again,
        name="unmanaged_list_again",
    ),
    path("existing/", existing_views.existing_list, name="existing_list"),
    path("existing/add/", existing_views.existing_add, name="existing_add"),
    path("existing/add-all/", existing_views.existing_add_all, name="existing_add_all"),
    path("existing/import/", existing_views.existing_import, name="existing_import"),
    path("existing/<uuid:key>/", existing_views.existing, name="existing"),
    path("existing/<uuid:key>/look/", existing_views.existing_look, name="existing_look"),
    path("existing/<uuid:key>/drop/", existing_views.existing_drop, name="existing_drop"),
    path("create/", views.store_create, name="create"),
    path("calculator/", views.store_calculator, name="calculator"),
    path("<uuid:pk>/", views.store_detail, name="detail"),
    path("<uuid:pk>/facts/", views.store_facts, name="facts"),
    path("<uuid:pk>/delete/", views.store_delete, name="delete"),
    path("<uuid:pk>/dossier/", views.store_deletion_preview, name="deletion_preview"),
    path("<uuid:pk>/cancel/", views.store_cancel, name="cancel"),
    path("<uuid:pk>/retry/", views.store_retry, name="retry"),
    path("<uuid:pk>/verify/", drift_views.store_verify, name="verify"),
    path("<uuid:pk>/verified/", drift_views.store_verified, name="verified"),
    path("<uuid:pk>/repair/", drift_views.store_repair, name="repair"),
    path("<uuid:pk>/accept/", drift_views.store_accept, name="accept"),
    path("<uuid:pk>/reconsider/", drift_views.store_reconsider, name="reconsider"),
]
