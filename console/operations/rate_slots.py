"""Turns and places by the database's clock: when the next call of a kind may be made, and who may read at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# A turn that is further off was given before the database's clock was set back: nobody has waited for so many.
LONGEST_LINE = timedelta(minutes=30)


class RateSlotQuerySet(models.QuerySet["RateSlot"]):
    def take(self, rate_key: str, seconds: float) -> tuple[datetime, datetime]:
        """Return the rate key's next turn, which nobody else gets, and the time now, both by the database's clock.

        A turn that is far off is taken, too: whoever asked first is first, however often others ask.
        """
        self.get_or_create(rate_key=rate_key, defaults={"free_at": LONG_AGO})
        while True:
            free_at, now = self.filter(rate_key=rate_key).values_list("free_at", Now()).get()
            turn = free_at if now < free_at < now + LONGEST_LINE else now
            # Nobody waits for a lock here: who was slower than another looks again.
            if self.filter(rate_key=rate_key, free_at=free_at).update(free_at=turn + timedelta(seconds=seconds)):
                return turn, now

    def hold(self, key: str, places: int, seconds: float) -> str:
        """Take one of so many places, until it is given back or so long has passed; returns its name, "" for none."""
        free = Q(free_at__lte=Now()) | Q(free_at__gt=Now() + 2 * timedelta(seconds=seconds))
        for number in range(places):
            name = f"{key} {number}"
            held = {"free_at": Now() + timedelta(seconds=seconds)}
            if self.filter(free, rate_key=name).update(**held):
                return name
            # The first row of its name is made only when there is none: mostly one query is enough.
            _, is_new = self.get_or_create(rate_key=name, defaults={"free_at": LONG_AGO})
            if is_new and self.filter(free, rate_key=name).update(**held):
                return name
        return ""

    def give_back(self, name: str) -> None:
        """Let another have the place."""
        self.filter(rate_key=name).update(free_at=Now())

    def clock(self, rate_key: str) -> datetime:
        """Return what time it is by the database's clock."""
        return cast("datetime", self.filter(rate_key=rate_key).values_list(Now(), flat=True).get())


class RateSlot(models.Model):
    """When the next call of a kind may be made, of which a cloud takes only one in a while; or when a place is free."""

    rate_key = models.CharField(max_length=100, unique=True)
    free_at = models.DateTimeField()

    objects = RateSlotQuerySet.as_manager()

    def __str__(self) -> str:
        return self.rate_key
