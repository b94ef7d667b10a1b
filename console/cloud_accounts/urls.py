from django.urls import path

from console.cloud_accounts import views

app_name = "cloud_accounts"
urlpatterns = [
    path("", views.account_list, name="list"),
    path("link/", views.account_link, name="link"),
    path("link/<slug:provider>/<str:filename>/", views.account_link_document, name="link_document"),
    path("<uuid:pk>/", views.account_detail, name="detail"),
    path("<uuid:pk>/documents/<str:filename>/", views.account_document, name="document"),
    path("<uuid:pk>/verify/", views.account_verify, name="verify"),
    path("<uuid:pk>/looking/", views.account_looking, name="looking"),
    path("<uuid:pk>/change/", views.account_change, name="change"),
    path("<uuid:pk>/unlink/", views.account_unlink, name="unlink"),
]
