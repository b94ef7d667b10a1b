"""The addresses of allauth's flows that we use, below /account/."""

from allauth.account import views
from django.urls import include, path

from console.accounts.language_views import own_language
from console.accounts.security_views import Sessions, own_data, password_change, password_strength, session_end

urlpatterns = [
    path("password/change/", password_change, name="account_change_password"),
    path("password/strength/", password_strength, name="password_strength"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("second-factor/", include("allauth.mfa.urls")),
    path("own-data.json", own_data, name="own_data"),
    path("language/", own_language, name="own_language"),
    path("sessions/", Sessions.as_view(), name="usersessions_list"),
    path("connections/", include("allauth.socialaccount.urls")),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("sessions/<int:pk>/end/", session_end, name="session_end"),
]
