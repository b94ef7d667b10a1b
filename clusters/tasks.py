"""What the workers run for clusters: fetch and call, nothing more."""

from __future__ import annotations

from celery import shared_task

from clusters import inventory

SWEEP_EXPIRES = 25.0  # seconds: without workers, looks must not fill the broker


@shared_task
def look_into(pk: int) -> None:
    """Look into a repository."""
    inventory.look(pk)


@shared_task
def look_into_due() -> int:
    """Have each repository looked into that nobody has looked into for a while."""
    keys = inventory.due()
    for pk in keys:
        look_into.apply_async((pk,), expires=SWEEP_EXPIRES)
    return len(keys)
