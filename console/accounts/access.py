"""Who is let in: a middleware that finds the member, and the decorators that views wear."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django_htmx.middleware import HtmxDetails

from console.accounts import audit
from console.accounts.models import Membership, User
from console.accounts.permissions import ENTERPRISE, ROLES, Permission

View = Callable[..., HttpResponseBase]


class MemberRequest(HttpRequest):
    """A request whose sender is a member of an organisation."""

    user: User
    membership: Membership
    htmx: HtmxDetails


def membership(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Add request.membership, the member's place in the open organisation, or None; asked for only when read."""

    def respond(request: HttpRequest) -> HttpResponse:
        request.membership = SimpleLazyObject(lambda: _membership(request))  # type: ignore[attr-defined]
        return get_response(request)

    return respond


def _membership(request: HttpRequest) -> Membership | None:
    if not request.user.is_authenticated:
        return None
    mine = Membership.objects.filter(user=request.user).select_related("organisation").order_by("pk")
    return mine.first()


def allowed(permission: Permission) -> Callable[[View], View]:
    """Let in the members whose role has the permission; tell the others why they stay out.

    The permission can be read from the view again, as its attribute `permission`.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            membership = cast(MemberRequest, request).membership
            if not membership:
                raise PermissionDenied("You are not a member of an organisation. Ask one of its owners to add you.")
            user, organisation = cast(User, request.user), membership.organisation
            here = replace(audit.origin.get(), user_id=str(user.pk), organisation_id=str(organisation.pk))
            audit.origin.set(here)  # the middleware puts it back
            if permission in ENTERPRISE and not membership.organisation.is_enterprise:
                return render(request, "stores/edition.html", status=403)
            if permission not in ROLES[membership.role]:
                audit.refused(request.path, organisation=organisation, by=user, why=permission.value)
                who = " or ".join(role for role, permissions in ROLES.items() if permission in permissions)
                raise PermissionDenied(
                    f"Your role here is {membership.role}. Ask an {who} of the organisation to do this."
                )
            return view(request, *args, **kwargs)

        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


CONFIRMED_FOR = 300  # seconds that a password counts as just given


def confirm(request: HttpRequest) -> None:
    """Note that the person at the keyboard has just given the password."""
    request.session["confirmed_at"] = time.time()


@receiver(user_logged_in)
def _signed_in(request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        confirm(request)


def confirmed(view: View) -> View:
    """Let in who has given the password just now; ask others for it first, then bring them here. For secrets."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if time.time() - request.session.get("confirmed_at", 0) > CONFIRMED_FOR:
            return redirect_to_login(request.get_full_path(), reverse("confirm"))
        return view(request, *args, **kwargs)

    return checked
