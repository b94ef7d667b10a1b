"""Writes down what is announced (console.accounts.activity), in the transaction of what is done."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone
from prometheus_client import Counter

from console.accounts.activity import Event, happened, name_of
from console.accounts.personal_data import KEPT, Kept
from console.audit.models import AuditEvent
from console.web.logs import origin

log = logging.getLogger("storekeeper.audit")

# Without what was done to what, which is the organisation's and not the person's.
KEPT.append(
    Kept(
        "events",
        "audit.AuditEvent",
        "actor",
        ("created_at", "action", "outcome", "actor_name", "address", "request_id", "organisation_id"),
    )
)
EVENTS = Counter("storekeeper_audit_events", "Audit events written.", ["action", "outcome"])


@receiver(happened)
def write_down(event: Event, **_: Any) -> None:
    """Write the event down; the line in the log follows the commit."""
    if event.hourly_limit and _is_over_limit(event):
        return
    where = origin.get()
    row = AuditEvent.objects.create(
        organisation=event.organisation,
        actor=event.by,
        actor_name=name_of(event.by),
        action=event.action,
        subject=str(event.subject)[:200],
        subject_kind=event.subject_kind,
        subject_id=event.subject_id,
        outcome=event.outcome,
        before=event.before,
        after=event.after,
        address=where.address,
        request_id=where.request_id,
        token=where.token or None,
    )

    def tell() -> None:
        EVENTS.labels(row.action, row.outcome).inc()
        log.info("%s: %s", row.action, row.subject, extra={"data": row.as_json()})

    transaction.on_commit(tell)


def _is_over_limit(event: Event) -> bool:
    since = timezone.now() - timedelta(hours=1)
    lately = AuditEvent.objects.filter(organisation=event.organisation, actor=event.by, created_at__gt=since)
    if event.by is None:  # each service account by itself: what one is refused hides nothing of another
        lately = lately.filter(actor_name=origin.get().actor)
    return lately.filter(outcome=event.outcome)[: event.hourly_limit].count() >= event.hourly_limit
