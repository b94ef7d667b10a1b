"""What is done again and again: when each is due next, by the database's clock, however many beats there are.

The row survives restarts, so what is due once an hour is not put off by them. No file says when anything was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ChoreQuerySet(models.QuerySet["Chore"]):
    def seconds_until_due(self, periods: Mapping[str, float]) -> dict[str, float]:
        """Return for each name, with its period in seconds, how many seconds are left; 0 for what is due now.

        A time that is further off than the period was written before the database's clock was set back: that is due.
        """
        known = {name: due_at - now for name, due_at, now in self.values_list("name", "due_at", Now())}
        if missing := [Chore(name=name) for name in periods if name not in known]:
            self.bulk_create(missing, ignore_conflicts=True)  # another beat may be quicker
        left = {name: known.get(name, timedelta()).total_seconds() for name in periods}
        return {name: 0.0 if left[name] > periods[name] else max(0.0, left[name]) for name in periods}

    def take(self, name: str, seconds: float) -> bool:
        """Say that it is done now, and next in so many seconds; False when it is not due: another beat was quicker."""
        period = timedelta(seconds=seconds)
        due = Q(due_at__lte=Now()) | Q(due_at__gt=Now() + period)
        return bool(self.filter(due, name=name).update(due_at=Now() + period, sent_at=Now()))

    def give_back(self, name: str) -> None:
        """Have what could not be sent due again."""
        self.filter(name=name).update(due_at=Now())


class Chore(models.Model):
    """Something that is done in regular intervals, and when next."""

    name = models.CharField(max_length=100, primary_key=True)
    due_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    objects = ChoreQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
