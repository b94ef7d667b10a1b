"""The audit trail: who did what, to what, from where, with which outcome. Written here, and nowhere else."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from prometheus_client import Counter

from console.accounts.models import Organisation, User
from console.audit.models import AuditEvent
from console.web.logs import Origin, origin

__all__ = ["Origin", "note", "note_of", "origin", "refused"]

log = logging.getLogger("storekeeper.audit")

EVENTS = Counter("storekeeper_audit_events", "Audit events written.", ["action", "outcome"])
REFUSALS_AN_HOUR = 60  # of one person that are written down: a script that runs into a wall must not fill the table


def record(
    action: str,
    subject: object,
    *,
    organisation: Organisation | None,
    by: User | None,
    outcome: str = AuditEvent.Outcome.DONE,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down that this person (None: the console) has done this to, or seen this of, the subject.

    `before` and `after` are what changed. Nothing secret goes in. The line in the log follows the commit.
    """
    where = origin.get()
    event = AuditEvent.objects.create(
        organisation=organisation,
        actor=by,
        actor_name=by.username if by else "",
        action=action,
        subject=str(subject)[:200],
        subject_kind=subject._meta.label_lower if isinstance(subject, Model) else "",
        subject_id=str(subject.pk) if isinstance(subject, Model) else "",
        outcome=outcome,
        before=before or {},
        after=after or {},
        address=where.address,
        request_id=where.request_id,
    )

    def tell() -> None:
        EVENTS.labels(event.action, event.outcome).inc()
        log.info("%s: %s", event.action, event.subject, extra={"data": event.as_json()})

    transaction.on_commit(tell)


def record_of_person(
    person: User | None, action: str, *, by: User | None, subject: object = None, **details: Any
) -> None:
    """Write down what concerns a person's sign-in, in each organisation of theirs: its owners see who comes in."""
    theirs = list(person.organisations.all()) if person else []
    for organisation in theirs or (None,):
        record(action, subject or person, organisation=organisation, by=by, **details)


def refused(path: str, *, organisation: Organisation | None, by: User, why: str) -> None:
    """Write down that this person asked for what they may not have: the first so many of an hour."""
    since = timezone.now() - timedelta(hours=1)
    lately = AuditEvent.objects.filter(organisation=organisation, actor=by, created_at__gt=since)
    if lately.filter(outcome=AuditEvent.Outcome.REFUSED)[:REFUSALS_AN_HOUR].count() < REFUSALS_AN_HOUR:
        after = {"needs": why}
        record("Was refused", path, organisation=organisation, by=by, outcome=AuditEvent.Outcome.REFUSED, after=after)
