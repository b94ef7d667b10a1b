"""Signing in, and the end of support's look at an organisation."""

from __future__ import annotations

import json
from typing import Any

from allauth.account.views import LoginView
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.accounts import impersonation


class SignIn(LoginView):  # type: ignore[misc]
    """The sign-in page; in the demo, and only there, it says who may sign in."""

    template_name = "accounts/login.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        """Give allauth's form what our field `username` says."""
        given: dict[str, Any] = super().get_form_kwargs()
        if "data" in given:
            given["data"] = given["data"].copy()
            given["data"]["login"] = given["data"].get("username", "")
        return given

    def get_context_data(self, **kwargs: object) -> dict[str, object]:
        """Add the demo's sign-in hint, empty everywhere else."""
        return dict(super().get_context_data(**kwargs)) | {"demo_sign_in": demo_sign_in()}


def demo_sign_in() -> list[dict[str, str]]:
    """Return who may sign in to the demo and with what; nothing in a real deployment."""
    if not settings.DEMO_FILE:
        return []
    try:
        with open(settings.DEMO_FILE) as file:
            demo = json.load(file)
    except (OSError, ValueError):  # not written yet
        return []
    people = ((who, demo.get(key)) for key, who in DEMO_PEOPLE.items())
    return [{"who": who, **{name: one[name] for name in ("username", "password")}} for who, one in people if one]


DEMO_PEOPLE = {  # as the demo's file has them
    "owner": "Owner",
    "admin": "Admin",
    "auditor": "Auditor",
    "viewer": "Viewer",
    "stranger": "Another organisation's admin",
    "developer": "Owner, Developer edition",
    "support": "Support (Django admin)",
}


@require_POST
@login_required
def stop_seeing(request: HttpRequest) -> HttpResponse:
    """Go back from an organisation's console, which support has looked at, to its page in the admin."""
    organisation = impersonation.stop(request, by=request.user)  # type: ignore[arg-type]
    return redirect("admin:accounts_organisation_change", organisation.pk) if organisation else redirect("home")
