from django.urls import path

from console.help import views

app_name = "help"
urlpatterns = [
    path("", views.index, name="index"),
    path("<path:chapter>/", views.chapter, name="chapter"),
]
