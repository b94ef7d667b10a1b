from django.urls import path

from console.operations import views

app_name = "tasks"
urlpatterns = [
    path("", views.task_list, name="list"),
    path("<uuid:pk>/", views.task_detail, name="detail"),
    path("<uuid:pk>/outcome/", views.task_outcome, name="outcome"),
]
