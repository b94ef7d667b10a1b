from django.urls import path

from console.restoration import views

app_name = "restoration"
urlpatterns = [
    path("", views.restoration_detail, name="detail"),
    path("look/", views.look, name="look"),
    path("settle/", views.settle, name="settle"),
    path("tasks/<uuid:pk>/go-on/", views.go_on, name="go_on"),
    path("tasks/<uuid:pk>/give-up/", views.give_up, name="give_up"),
    path("node-file/", views.node_file, name="node_file"),
    path("end/", views.end, name="end"),
]
