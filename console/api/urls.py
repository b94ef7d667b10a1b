from django.urls import path

from console.api import views

app_name = "tokens"
urlpatterns = [
    path("", views.token_list, name="list"),
    path("create/", views.token_create, name="create"),
    path("<uuid:pk>/revoke/", views.token_revoke, name="revoke"),
]
