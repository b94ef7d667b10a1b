"""Steps that tests put into their plans, and the time that passes between two tries."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from console.operations.models import Operation


def failing(error):
    def run(spec):
        raise error

    return run


def due_now(operation):
    Operation.objects.filter(pk=operation.pk).update(due_at=timezone.now() - timedelta(seconds=1))
