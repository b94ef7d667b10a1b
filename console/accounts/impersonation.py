"""Support staff who see the console as an organisation does: for a while, for a reason, and changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import Membership, Organisation, User

MAY = "accounts.see_as_organisation"
FOR = timedelta(minutes=30)
_KEY = "impersonation"  # in the session
_SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
_WAYS_OUT = ("stop-seeing", "logout")  # URL names of what may be posted all the same


@dataclass(frozen=True)
class Seen:
    """Whose console is seen, by whom, and until when."""

    organisation: Organisation
    by: User
    until: datetime

    @property
    def membership(self) -> Membership:
        """Return what stands for a membership; it is in no database."""
        return Membership(organisation=self.organisation, user=self.by, role="support")


def start(request: HttpRequest, organisation: Organisation, *, reason: str, by: User) -> None:
    """Have the session see the console as the organisation does, from now on; raises PermissionDenied."""
    if not _may(by):
        raise PermissionDenied
    stop(request, by=by)
    until = timezone.now() + FOR
    request.session[_KEY] = {"organisation": str(organisation.pk), "until": until.isoformat()}
    after = {"reason": reason, "until": until.isoformat(timespec="seconds")}
    activity.record("Support began to look", organisation, organisation=organisation, by=by, after=after)


def stop(request: HttpRequest, *, by: User) -> Organisation | None:
    """End that, if it was so, and return whose console was seen."""
    kept = request.session.pop(_KEY, None)
    organisation = Organisation.objects.filter(pk=kept["organisation"]).first() if kept else None
    if organisation:
        activity.record("Support stopped looking", organisation, organisation=organisation, by=by)
    return organisation


def _may(user: User) -> bool:
    return user.is_staff and user.has_perm(MAY)


def _seen(request: HttpRequest) -> Seen | None:
    """Return whose console the session sees; ends that when its time is over, or the permission is gone."""
    kept = request.session.get(_KEY)
    if not kept or not request.user.is_authenticated:
        return None
    until = datetime.fromisoformat(kept["until"])
    organisation = Organisation.objects.filter(pk=kept["organisation"]).first()
    if organisation is None or until <= timezone.now() or not _may(request.user):
        stop(request, by=request.user)
        return None
    return Seen(organisation, request.user, until)


def read_only(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Add request.impersonation; while it is set, refuse whatever may change something, before any view is asked."""

    def respond(request: HttpRequest) -> HttpResponse:
        request.impersonation = _seen(request)  # type: ignore[attr-defined]
        if request.impersonation and request.method not in _SAFE and request.path not in map(reverse, _WAYS_OUT):  # type: ignore[attr-defined]
            raise PermissionDenied(
                gettext("You are looking as support, so nothing can be changed. Stop looking first.")
            )
        return get_response(request)

    return respond


@receiver(user_logged_out)
def _signed_out(request: HttpRequest | None = None, user: User | None = None, **_: Any) -> None:
    if request is not None and user is not None:
        stop(request, by=user)
