from django.urls import path

from console.cloud_accounts import preflight_views as views

app_name = "preflight"
urlpatterns = [
    path("", views.preflight_notice, name="notice"),
    path("<uuid:pk>/", views.preflight_table, name="table"),
    path("<uuid:pk>/check/", views.preflight_check, name="check"),
]
