from django.urls import path

from stores import posture_views, views

app_name = "stores"
urlpatterns = [
    path("", views.store_list, name="list"),
    path("create/", views.store_create, name="create"),
    path("calculator/", views.store_calculator, name="calculator"),
    path("<uuid:pk>/", views.store_detail, name="detail"),
    path("<uuid:pk>/delete/", views.store_delete, name="delete"),
    path("<uuid:pk>/retry/", views.store_retry, name="retry"),
    path("<uuid:pk>/verify/", posture_views.store_verify, name="verify"),
    path("<uuid:pk>/repair/", posture_views.store_repair, name="repair"),
    path("<uuid:pk>/accept/", posture_views.store_accept, name="accept"),
    path("<uuid:pk>/reconsider/", posture_views.store_reconsider, name="reconsider"),
]
