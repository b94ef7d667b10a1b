"""When an operation is due, and until when whoever took it holds it: by the database's clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

HELD_BACK = datetime(9999, 1, 1, tzinfo=UTC)  # see holding.py
# Nothing is put off for so long: such a time was written before the database's clock was set back.
LONGEST_WAIT = timedelta(minutes=30)


def lease() -> timedelta:
    """Return for how long whoever takes an operation holds it."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def lease_end() -> Any:
    """Return until when it is held by whoever takes it now."""
    return Now() + lease()


def is_held() -> Q:
    """Return the condition of the operations that a worker holds."""
    return Q(state="running", due_at__gt=Now(), due_at__lte=Now() + 2 * lease())


def is_due(grace: float = 0) -> Q:
    """Return the condition of the operations that may begin or go on, among the unfinished ones."""
    abandoned = Q(state="running") & (Q(due_at__lte=Now()) | Q(due_at__gt=Now() + 2 * lease()))
    set_back = Q(due_at__gt=Now() + LONGEST_WAIT, due_at__lt=HELD_BACK)
    return abandoned | Q(due_at__lte=Now() - timedelta(seconds=grace)) | set_back
