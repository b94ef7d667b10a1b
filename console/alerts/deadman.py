"""The dead man's switch: an address that is asked while all of it works, so that whoever is behind it hears silence.

It is asked by a worker, because beat has sent a message that the worker took, after all rules were asked and no message
is stuck: when any of that ends, so does the asking. Each organisation may have one, and the operator another.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from console.alerts import deliveries, sending
from console.alerts.models import NEWS, AlertSettings, Delivery
from console.alerts.sending import Answer
from console.operations.heartbeats import Heartbeat

log = logging.getLogger(__name__)

STUCK = timedelta(minutes=10)  # that a message waits for its first try


def trouble(*, complete: bool) -> str:
    """Return what keeps the console from telling of alerts, in words; "" where nothing does.

    `complete` says whether all rules could be asked just now. That a worker works is proven by this being asked.
    """
    if not complete:
        return "Not all alert rules could be asked; the log says which, and why."
    if not Heartbeat.objects.alive(Heartbeat.Kind.BEAT).exists():
        return "Beat says nothing."
    if _stuck().exists() and not _tried().exists():
        return "Messages wait that no worker sends."
    return ""


def _stuck() -> QuerySet[Delivery]:
    """Return the messages that should have been tried long ago, and do not wait for another one of their channel.

    Tests and news tell nobody of an alert, and anybody may make many: those that wait silence nobody's switch.
    """
    untried = Delivery.objects.filter(deliveries.in_turn(), state=Delivery.State.WAITING, tries=0)
    return untried.filter(due_at__lte=Now() - STUCK).exclude(kind__in=["test", *NEWS.values()])


def _tried() -> QuerySet[Delivery]:
    """Return the messages that workers have tried in that time, whatever their channels have said."""
    return Delivery.objects.filter(tried_at__gt=Now() - STUCK)


def _waiting_in_vain() -> set[UUID]:
    """Return the organisations of which messages wait and none was tried: those of others go, and theirs do not.

    Whose channel is slow or broken has messages that were tried. That silences nobody's switch, not even its own.
    """
    of_its_own = _tried().filter(organisation=OuterRef("organisation"))
    return set(_stuck().exclude(Exists(of_its_own)).values_list("organisation", flat=True))


def ping_all(*, complete: bool) -> int:
    """Have each address asked that is due, if all works; return how many. What does not work is logged."""
    due = list(AlertSettings.objects.filter(_due()).values_list("organisation", flat=True))
    if not due and not settings.DEADMAN_URL:
        return 0
    if why := trouble(complete=complete):
        log.warning("Dead man's switches are not asked: %s", why)
        return 0
    if silent := _waiting_in_vain() & set(due):
        log.warning("Dead man's switches of %d organisations are not asked: their messages are not sent.", len(silent))
    asked = [pk for pk in due if pk not in silent]
    for pk in asked:
        current_app.send_task("console.alerts.tasks.ping", (str(pk),))
    if settings.DEADMAN_URL:
        current_app.send_task("console.alerts.tasks.ping_operators")
    return len(asked)


def _due() -> Q:
    late = Q(ping_due_at=None) | Q(ping_due_at__lte=Now()) | Q(ping_due_at__gt=Now() + timedelta(days=1))
    return ~Q(deadman_shown="") & late


def ping(organisation: UUID) -> bool:
    """Ask the organisation's address, if that is due and nobody else does, and keep the answer."""
    row = AlertSettings.objects.filter(_due(), organisation=organisation).first()
    # A few seconds less than the interval: else each second pass would come just too early.
    again = timedelta(minutes=row.deadman_minutes, seconds=-10) if row else timedelta()
    taken = {"pinged_at": Now(), "ping_due_at": Now() + again}
    if row is None or not AlertSettings.objects.filter(_due(), pk=row.pk).update(**taken):
        return False
    answer = sending.ping(str(row.secrets.get("url", "")))
    AlertSettings.objects.filter(pk=row.pk).update(ping_status=answer.status, ping_answer=answer.text[:300])
    return answer.is_good


def ping_operators() -> Answer:
    """Ask the address of whoever runs the console; an answer that is none is logged."""
    answer = sending.ping(settings.DEADMAN_URL, anywhere=True)
    if not answer.is_good:
        log.warning("DEADMAN_URL gave no good answer: %s %s", answer.status or "", answer.text)
    return answer
