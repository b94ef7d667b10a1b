"""Who is let in: a middleware that finds the member, and the decorators that views wear."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.decorators import login_required
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from console.accounts import activity
from console.accounts.impersonation import Seen
from console.accounts.models import Membership, User
from console.accounts.permissions import ASKS_AGAIN, ENTERPRISE, MINUTES, ROLES, Permission
from console.accounts.sign_in import (
    ASKED_THERE,
    AUTHENTICATED_AT,
    CONFIRMED_AT,
    IN_VAIN,
    has_second_factor,
    is_confirmed,
)
from console.web.logs import origin
from console.web.prepared import NUMBER, Prepared

View = Callable[..., HttpResponseBase]
BY_ITSELF = "X-By-Itself"  # in a request: nobody has asked for it, the page renews itself
SEEN_AT, A_MINUTE = "seen_at", 60.0  # in the session: when something was asked for, to the minute


class MemberRequest(HttpRequest):
    """A request whose sender is a member of an organisation."""

    user: User
    membership: Membership
    memberships: Sequence[Membership]
    impersonation: Seen | None
    htmx: HtmxDetails


def idle(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """End a session in which nothing was asked for too long.

    What a page asks for by itself while something is at work counts as well, for that comes to an end. What it goes on
    asking for as long as it is open says so (BY_ITSELF), and does not count.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        session, now, allowed = request.session, time.time(), settings.SESSION_IDLE_SECONDS
        if allowed and SESSION_KEY in session:
            since = now - float(session.get(SEEN_AT, now - A_MINUTE))
            if since > allowed:
                session.flush()
            elif since >= A_MINUTE and BY_ITSELF not in request.headers:  # not a write for each request
                session[SEEN_AT] = now
        return get_response(request)

    return respond


def membership(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Add request.memberships, and request.membership: the place in the open organisation, or None.

    They are asked for only when read.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        request.memberships = SimpleLazyObject(lambda: _memberships(request))  # type: ignore[attr-defined]
        request.membership = SimpleLazyObject(lambda: _membership(request))  # type: ignore[attr-defined]
        return get_response(request)

    return respond


# What pages are told of a membership without a query of their own, as conditions on it: entered by the apps above.
told_of_memberships: dict[str, Callable[[], Exists]] = {}


def _memberships(request: HttpRequest) -> Sequence[Membership]:
    if not request.user.is_authenticated:
        return ()
    return _OF_USER.all(request.user.pk)


def _of_user(pk: int) -> QuerySet[Membership]:
    told = {name: condition() for name, condition in told_of_memberships.items()}
    mine: QuerySet[Membership] = Membership.objects.filter(user=pk).select_related("organisation").order_by("pk")
    return mine.annotate(**told)


_OF_USER: Prepared[Membership] = Prepared(_of_user, NUMBER, made_of=lambda: tuple(told_of_memberships))


def _membership(request: HttpRequest) -> Membership | None:
    if seen := cast(MemberRequest, request).impersonation:
        return seen.membership
    mine = cast(MemberRequest, request).memberships
    opened = request.session.get(_OPEN, "") if mine else ""
    return next((one for one in mine if str(one.organisation_id) == opened), mine[0] if mine else None)


_OPEN = "organisation"  # in the session; whether one is a member is asked each time


def open_organisation(request: HttpRequest, membership: Membership) -> None:
    """Have the session work in the organisation of the membership from now on."""
    request.session[_OPEN] = str(membership.organisation_id)


def require_permission(permission: Permission, *, second_factor: bool = True) -> Callable[[View], View]:
    """Let in the members whose role has the permission; tell the others why they stay out.

    Who has to show again that it is they (ASKS_AGAIN) is asked for that first, then brought here.

    Who must have a second factor and has none is led to setting one up, unless `second_factor` says otherwise.

    The permission can be read from the view again, as its attribute `permission`.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            membership = cast(MemberRequest, request).membership
            if not membership:
                raise PermissionDenied(
                    gettext("You are not a member of an organisation. Ask one of its owners to add you.")
                )
            user, organisation = cast(User, request.user), membership.organisation
            here = replace(origin.get(), user_id=str(user.pk), organisation_id=str(organisation.pk))
            origin.set(here)  # the middleware puts it back
            if second_factor and organisation.second_factor_required and not has_second_factor(user):
                return _to_second_factor(cast(MemberRequest, request))
            if permission in ENTERPRISE and not membership.organisation.is_enterprise:
                return render(request, "stores/edition.html", status=403)
            if permission not in ROLES[membership.role]:
                activity.refused(request.path, organisation=organisation, by=user, why=permission.value)
                raise PermissionDenied(
                    gettext("Your role here is {role}. Ask {who} of the organisation to do this.").format(
                        role=membership.role, who=_who(permission)
                    )
                )
            return asked_again(view)(request, *args, **kwargs)

        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


def asked_again(view: View) -> View:
    """Let in who has shown lately enough that it is they, where the view is one that asks for it (ASKS_AGAIN)."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        within = ASKS_AGAIN.get(request.resolver_match.view_name, 0) if request.resolver_match else 0
        if isinstance(within, int) and within and not is_confirmed(request, within):
            return redirect_to_login(request.get_full_path(), reverse("confirm"))
        return view(request, *args, **kwargs)

    return checked


def _to_second_factor(request: MemberRequest) -> HttpResponse:
    messages.warning(
        request,
        gettext("{organisation} asks its members for a second factor. Set one up.").format(
            organisation=request.membership.organisation
        ),
    )
    url = reverse("mfa_index")
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)


def _who(permission: Permission) -> str:
    return "an " + " or ".join(role for role in Membership.Role.values if permission in ROLES[role])


CONFIRMED_FOR = MINUTES  # that a password counts as just given


def confirm(request: HttpRequest, *, at: float | None = None) -> None:
    """Note that the person at the keyboard has shown that it is they: just now, or at that time (seconds, Unix)."""
    now = time.time()
    request.session[SEEN_AT], request.session[CONFIRMED_AT] = now, now if at is None else min(at, now)


@receiver(user_logged_in)
def _signed_in(request: HttpRequest | None = None, **_: Any) -> None:
    """Count a sign-in here as such a proof, and one at the company's provider from when it was made there."""
    if request is not None:
        confirm(request, at=getattr(request, AUTHENTICATED_AT, None))
        if getattr(request, ASKED_THERE, "") and not is_confirmed(request, CONFIRMED_FOR):
            request.session[ASKED_THERE] = IN_VAIN
