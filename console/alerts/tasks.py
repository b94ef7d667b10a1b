"""What the workers run: fetch and call, nothing more."""

from __future__ import annotations

from uuid import UUID

from celery import current_app, shared_task

from console.alerts import deadman, deliveries, evaluation


@shared_task
def evaluate_all() -> int:
    """Bring all alerts up to date; then ask the dead man's switches, since all of it works."""
    return deadman.ping_all(complete=evaluation.evaluate())


@shared_task
def evaluate_one(organisation: str) -> None:
    """Bring the alerts of one organisation up to date, right after something has changed there."""
    evaluation.evaluate([UUID(organisation)])


@shared_task
def deliver(pk: str) -> None:
    """Send one message."""
    deliveries.deliver(UUID(pk))


@shared_task
def deliver_due() -> int:
    """Have what is due sent: what is tried again, and what was lost on its way."""
    due = deliveries.overdue()
    for pk in due:
        current_app.send_task("console.alerts.tasks.deliver", (str(pk),))
    return len(due)


@shared_task
def ping(organisation: str) -> None:
    """Ask an organisation's dead man's switch."""
    deadman.ping(UUID(organisation))


@shared_task
def ping_operators() -> None:
    """Ask the dead man's switch of whoever runs the console."""
    deadman.ping_operators()
