"""Asking again for the password, before something that a person who found the screen unlocked must not see."""

from __future__ import annotations

import json
from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from console.accounts.access import confirm
from console.accounts.models import User
from console.accounts.sign_in import has_second_factor
from console.web.pages import dialog_form, fragment_or_page


class PasswordForm(forms.Form):
    """The password of whoever is signed in."""

    password = forms.CharField(
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data)
        self.user = user

    def clean_password(self) -> str:
        """Return the password, if it is the right one; too many wrong ones are refused unseen."""
        if not get_adapter().reauthenticate(self.user, self.cleaned_data["password"]):
            raise forms.ValidationError("This is not your password.")
        return str(self.cleaned_data["password"])


@require_http_methods(["GET", "POST"])
@login_required
def confirm_password(request: HttpRequest) -> HttpResponse:
    """Ask for the password, then go on to ?next=, in the dialog if that is where it was asked."""
    given = request.POST.get("next") or request.GET.get("next", "")
    onwards = given if url_has_allowed_host_and_scheme(given, {request.get_host()}) else "/"
    user = cast(User, request.user)
    if not user.has_usable_password():  # they come by their company's identity provider
        if not has_second_factor(user):
            return fragment_or_page(request, "accounts/confirm.html", "dialog", {"next": onwards})
        url = redirect_to_login(onwards, reverse("mfa_reauthenticate")).url
        return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)  # type: ignore[attr-defined]
    form = PasswordForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_bound and form.is_valid():
        confirm(request)
        reauthenticate_by_password(request)
        if request.htmx:  # type: ignore[attr-defined]
            # Into the dialog, as if the password had not come between; the page below keeps its address.
            where = {"path": onwards, "target": "#dialog", "swap": "innerHTML", "push": "false"}
            return HttpResponse(headers={"HX-Location": json.dumps(where)})
        return HttpResponseRedirect(onwards)  # redirect() would also take the name of a view, and fail at others
    return dialog_form(request, "accounts/confirm.html", {"form": form, "next": onwards})
