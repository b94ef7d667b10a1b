"""URLs of the alerts' pages."""

from django.urls import path

from console.alerts import channel_views, views

app_name = "alerts"

urlpatterns = [
    path("", views.alert_list, name="list"),
    path("settings/", channel_views.settings_page, name="settings"),
    path("deliveries/", channel_views.delivery_list, name="deliveries"),
    path("settings/repeat/", channel_views.repeat, name="repeat"),
    path("settings/dead-mans-switch/", channel_views.deadman, name="deadman"),
    path("windows/create/", channel_views.window_create, name="window_create"),
    path("windows/<uuid:pk>/end/", channel_views.window_end, name="window_end"),
    path("channels/create/<slug:kind>/", channel_views.channel_create, name="channel_create"),
    path("channels/<uuid:pk>/", channel_views.channel_edit, name="channel_edit"),
    path("channels/<uuid:pk>/delete/", channel_views.channel_delete, name="channel_delete"),
    path("channels/<uuid:pk>/secret/", channel_views.channel_secret, name="channel_secret"),
    path("channels/<uuid:pk>/switch/", channel_views.channel_switch, name="channel_switch"),
    path("channels/<uuid:pk>/test/", channel_views.channel_test, name="channel_test"),
    path("channels/<uuid:pk>/link/", channel_views.channel_link, name="channel_link"),
    path("confirm/<str:token>/", channel_views.channel_confirm, name="confirm"),
    path("<uuid:pk>/", views.alert_detail, name="detail"),
    path("<uuid:pk>/acknowledge/", views.alert_acknowledge, name="acknowledge"),
    path("<uuid:pk>/unacknowledge/", views.alert_unacknowledge, name="unacknowledge"),
    path("<uuid:pk>/silence/", views.alert_silence, name="silence"),
    path("<uuid:pk>/unsilence/", views.alert_unsilence, name="unsilence"),
]
