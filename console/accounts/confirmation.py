"""Asking again for the password, before something that a person who found the screen unlocked must not see."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import urlsplit

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from django_htmx.middleware import HtmxDetails

from console.accounts.access import CONFIRMED_FOR, confirm
from console.accounts.models import User
from console.accounts.sign_in import ASKED_THERE, IN_VAIN, has_second_factor, is_confirmed
from console.web.pages import dialog_form, fragment_or_page, is_file_download, posted


class PasswordForm(forms.Form):
    """The password of whoever is signed in."""

    password = forms.CharField(
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
        error_messages={"required": gettext_lazy("Enter your password.")},
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data)
        self.user = user

    def clean_password(self) -> str:
        """Return the password, if it is the right one; too many wrong ones are refused unseen."""
        if not get_adapter().reauthenticate(self.user, self.cleaned_data["password"]):
            raise forms.ValidationError(gettext("This is not your password."))
        return str(self.cleaned_data["password"])


@require_http_methods(["GET", "POST"])
@login_required
def confirm_password(request: HttpRequest) -> HttpResponse:
    """Ask for the password, then go on to ?next=."""
    given = request.POST.get("next") or request.GET.get("next", "")
    onwards = given if url_has_allowed_host_and_scheme(given, {request.get_host()}) else "/"
    user = cast(User, request.user)
    if not user.has_usable_password():  # they come by their company's identity provider
        if not has_second_factor(user):
            asked = request.session.setdefault(ASKED_THERE, "asked")
            context = {"next": onwards, "in_vain": asked == IN_VAIN}
            return fragment_or_page(request, "accounts/confirm.html", "dialog", context)
        url = redirect_to_login(onwards, reverse("mfa_reauthenticate")).url
        return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)  # type: ignore[attr-defined]
    if request.method == "GET" and is_file_download(onwards) and is_confirmed(request, CONFIRMED_FOR):
        response = fragment_or_page(request, "accounts/confirm.html", "dialog", {"file": onwards})
        response["Refresh"] = f"0; url={iri_to_uri(onwards)}"  # the browser saves the file, and the page stays
        return response
    form = PasswordForm(posted(request), user=user)
    if form.is_bound and form.is_valid():
        confirm(request)
        reauthenticate_by_password(request)
        return _go_on(request, onwards)
    return dialog_form(request, "accounts/confirm.html", {"form": form, "next": onwards})


def _go_on(request: HttpRequest, onwards: str) -> HttpResponse:
    """Lead to what was asked for, as if the password had not come between: in the dialog, as a page, or as a file."""
    here = reverse("confirm")
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    if htmx and urlsplit(htmx.current_url or "").path != here:
        if is_file_download(onwards):
            return trigger_client_event(HttpResponseClientRedirect(onwards), "dialog-close")
        # The page below the dialog keeps its address.
        where = {"path": onwards, "target": "#dialog", "swap": "innerHTML", "push": "false"}
        return HttpResponse(headers={"HX-Location": json.dumps(where)})
    if is_file_download(onwards):  # a page is left behind, so it should be one that says what happens
        onwards = redirect_to_login(onwards, here).url
    # redirect() would also take the name of a view, and fail at others
    return HttpResponseClientRedirect(onwards) if htmx else HttpResponseRedirect(onwards)
