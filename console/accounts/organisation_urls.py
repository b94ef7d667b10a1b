from django.urls import path

from console.accounts import member_views as views
from console.accounts.security_views import second_factor

app_name = "organisation"
urlpatterns = [
    path("", views.member_list, name="members"),
    path("switch/", views.organisation_switch, name="switch"),
    path("leave/", views.member_leave, name="leave"),
    path("second-factor/", second_factor, name="second_factor"),
    path("invite/", views.member_invite, name="invite"),
    path("invitations/<uuid:pk>/revoke/", views.invitation_revoke, name="revoke"),
    path("members/<int:pk>/role/", views.member_role, name="role"),
    path("members/<int:pk>/remove/", views.member_remove, name="remove"),
]
