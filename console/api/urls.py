from django.urls import path

from console.api import views

app_name = "tokens"
urlpatterns = [
    path("", views.token_list, name="list"),
    path("create/", views.token_create, name="create"),
    path("<uuid:pk>/revoke/", views.token_revoke, name="revoke"),
    path("service-accounts/create/", views.service_create, name="service_create"),
    path("service-accounts/<uuid:pk>/remove/", views.service_remove, name="service_remove"),
    path("service-accounts/<uuid:pk>/token/", views.service_token_create, name="service_token_create"),
]
