from django.urls import path

from stores import preflight_views, views

app_name = "stores"
urlpatterns = [
    path("", views.store_list, name="list"),
    path("create/", views.store_create, name="create"),
    path("preflight/", preflight_views.preflight_notice, name="preflight_notice"),
    path("preflight/<uuid:pk>/", preflight_views.preflight_table, name="preflight_table"),
    path("preflight/<uuid:pk>/check/", preflight_views.preflight_check, name="preflight_check"),
    path("<uuid:pk>/", views.store_detail, name="detail"),
    path("<uuid:pk>/delete/", views.store_delete, name="delete"),
    path("<uuid:pk>/retry/", views.store_retry, name="retry"),
]
