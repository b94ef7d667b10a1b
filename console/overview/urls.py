from django.urls import path

from console.overview import views

app_name = "overview"
urlpatterns = [
    path("databases/", views.databases, name="databases"),
    path("map/", views.fleet_page, name="fleet"),
    path("map.js", views.fleet_map, name="fleet_map"),
]
