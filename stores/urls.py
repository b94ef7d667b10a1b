from django.urls import path

from stores import views

app_name = "stores"
urlpatterns = [
    path("", views.store_list, name="list"),
    path("create/", views.store_create, name="create"),
    path("<uuid:pk>/", views.store_detail, name="detail"),
    path("<uuid:pk>/delete/", views.store_delete, name="delete"),
    path("<uuid:pk>/dossier/", views.store_dossier, name="dossier"),
    path("<uuid:pk>/cancel/", views.store_cancel, name="cancel"),
    path("<uuid:pk>/retry/", views.store_retry, name="retry"),
]
