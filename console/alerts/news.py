"""What webhooks are sent beside alerts: tasks as they begin and end, and changes as the audit log has them.

Both are made of the audit log's events, in the transaction that writes them: nothing is sent of what did not happen,
and what happened is not lost with a worker or a broker.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.signals import post_save
from django.dispatch import receiver

from console.alerts.deliveries import send_soon
from console.alerts.messages import News
from console.alerts.models import NEWS, TITLE, Channel, Delivery
from console.audit.models import AuditEvent
from console.clouds import foreign
from console.operations.models import Operation
from console.web.prepared import KEY, Prepared

WAITING_AT_MOST = 1000  # of one channel: what happens while so many wait is not sent
LARGEST = 16 * 1024  # bytes of `before` and `after`: what is larger is left out
BEGUN = "begun"
# The organisation's webhooks that are told more than alerts: asked for with each event, while somebody waits.
TOLD: Prepared[Channel] = Prepared(
    lambda whose: (
        Channel.objects.active()
        .filter(organisation=whose, kind=Channel.Kind.WEBHOOK, events__isnull=False)
        .select_related("organisation")
        .defer("secrets")
    ),
    KEY,
)


@receiver(post_save, sender=AuditEvent)
def tell(instance: AuditEvent, created: bool, raw: bool = False, **_: Any) -> None:
    """Have the organisation's webhooks sent what has happened, as far as they are to be."""
    if not created or raw or instance.organisation_id is None:
        return
    channels = TOLD.all(instance.organisation_id)
    if not channels:
        return
    found = {"changes": _change(instance, channels[0].organisation.name)}
    task = _task(instance) if any("tasks" in one.news for one in channels) else None
    if task:
        found["tasks"] = _about(task, instance, channels[0].organisation.name)
    sent = [
        _delivery(channel, NEWS[name], news, f"task {task.pk}" if task and name == "tasks" else "")
        for channel in channels
        for name, news in found.items()
        if name in channel.news and not _is_full(channel)
    ]
    Delivery.objects.bulk_create(sent)
    send_soon([one.pk for one in sent])


def _is_full(channel: Channel) -> bool:
    waiting = Delivery.objects.filter(channel=channel, state=Delivery.State.WAITING, kind__in=NEWS.values())
    return waiting.order_by()[:WAITING_AT_MOST].count() >= WAITING_AT_MOST


def _delivery(channel: Channel, kind: str, news: News, group: str) -> Delivery:
    return Delivery(
        organisation_id=channel.organisation_id,
        channel=channel,
        kind=kind,
        group=group,
        subject=foreign.text(news.subject, TITLE),
        content=news.as_json(),
    )


def _change(event: AuditEvent, organisation: str) -> News:
    """Return the event as the API's audit log has it, without from where it came."""
    content: dict[str, Any] = {
        "id": str(event.pk),
        "created_at": event.created_at.isoformat(),
        "who": event.actor_name,
        "token": event.token or "",
        "what": event.action,
        "subject_kind": event.subject_kind,
        "subject_id": event.subject_id,
        "subject": event.subject,
        "outcome": str(event.outcome),
        "request_id": event.request_id,
    }
    changed = {"before": event.before, "after": event.after}
    is_cut = len(json.dumps(changed)) > LARGEST
    content |= {"before": {}, "after": {}, "is_cut": True} if is_cut else {**changed, "is_cut": False}
    return News("change.recorded", f"{event.action}: {event.subject}", organisation, "change", content)


def _task(event: AuditEvent) -> Operation | None:
    """Return the task whose beginning or end the event is; None for what is neither, such as the wish to cancel it."""
    key = event.after.get("operation")
    if not key:
        return None
    try:
        task = Operation.objects.filter(organisation=event.organisation_id, pk=key).first()
    except (ValidationError, ValueError):
        return None
    if task is None or event.action not in {task.title, f"Cancelled: {task.title}"}:
        return None
    return task if event.outcome == AuditEvent.Outcome.BEGUN or not task.is_unfinished else None


def _about(task: Operation, event: AuditEvent, organisation: str) -> News:
    """Return how the task is, as the API's tasks have it."""
    state = BEGUN if event.outcome == AuditEvent.Outcome.BEGUN else str(task.state)
    content = {
        "id": str(task.pk),
        "name": task.title,
        "verb": task.verb,
        "state": str(task.state),
        "subject_kind": task.subject_kind,
        "subject_id": str(task.subject_id),
        "subject": task.subject_name,
        "error": foreign.text(task.error, 2000),
        "requested_by": event.actor_name,
        "created_at": task.created_at.isoformat(),
        "finished_at": task.finished_at.isoformat() if task.finished_at else None,
    }
    subject = f"{task.title}: {task.subject_name}, {state}"
    return News(f"task.{state}", subject, organisation, "task", content, task.get_absolute_url())
