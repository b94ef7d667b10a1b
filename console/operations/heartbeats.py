"""Which workers and which beat there are: each says so every few seconds. All times are the database's."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import Error as DatabaseError
from django.db import connections, models
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.release import VERSION
from console.web import database

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two heartbeats
SILENT = timedelta(seconds=30)  # who has said nothing for so long does not work
FORGOTTEN = timedelta(days=1)
PAUSE = timedelta(minutes=5)  # between two processes, from which on the console was down
CLOCK_OFF = 2.0  # seconds that a machine's clock may differ from the database's before that is said


def leave_old_connections() -> None:
    """Close this thread's connections that are broken or too old, as Django does around each request."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def leave_connections() -> None:
    """Close this thread's connections: the next query opens one."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def up_since(self) -> datetime | None:
        """Return since when some process has been at work without a pause; None while none is known of.

        Who ends as it should takes its row along, so a restart of all of them at once counts as a pause, too.
        """
        found: datetime | None = None
        for started_at, seen_at in self.order_by("-seen_at").values_list("started_at", "seen_at"):
            if found is None or seen_at > found - PAUSE:
                found = min(found or started_at, started_at)
        return found

    def heard(self) -> Self:
        """Return all with `silent_for`, a timedelta; those that were heard of last come first."""
        return self.annotate(silent_for=Now() - models.F("seen_at")).order_by("kind", "host", "pid")

    def alive(self, kind: str) -> Self:
        """Return the processes of that kind that have said lately that they work."""
        return self.filter(kind=kind, seen_at__gt=Now() - SILENT)

    def last_seen(self, kind: str) -> datetime | None:
        """Return when one of that kind was last heard of; None when none is remembered, for a day or at all."""
        seen: datetime | None = self.filter(kind=kind).aggregate(at=Max("seen_at"))["at"]
        return seen

    def forget(self) -> None:
        """Delete the rows of those that have been silent for a day."""
        self.filter(seen_at__lt=Now() - FORGOTTEN).delete()


class Heartbeat(models.Model):
    """A process that works on what waits, or beat, which sends what is due: what it is, and when it last said so."""

    class Kind(models.TextChoices):
        WORKER = "worker", gettext_lazy("Worker")
        BEAT = "beat", gettext_lazy("Beat")

    kind = models.CharField(max_length=10, choices=Kind)
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    release = models.CharField(max_length=40)
    threads = models.PositiveIntegerField(default=0)
    queues = models.CharField(max_length=200, blank=True)  # those that it takes messages from, by commas
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    host_time = models.DateTimeField()  # by the machine's own clock at seen_at
    trouble = models.CharField(max_length=300, blank=True)  # what keeps it from its work, in words
    waiting = models.JSONField(default=dict)  # of beat: how many messages wait, by queue

    objects = HeartbeatQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "host", "pid"], name="one_heartbeat_per_process")]

    # Of those that heard() returns.
    silent_for: timedelta

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pid} on {self.host}"

    @property
    def is_silent(self) -> bool:
        """Return whether it has said nothing for so long that it does not work."""
        return self.silent_for > SILENT

    @property
    def clock_note(self) -> str:
        """Return by how much the machine's clock differs from the database's, in words; nothing when it hardly does."""
        off = (self.host_time - self.seen_at).total_seconds()
        if abs(off) < CLOCK_OFF:
            return ""
        return f"Its clock is {abs(off):,.0f} seconds {'ahead of' if off > 0 else 'behind'} the database's."


@dataclass
class Pulse:
    """What one process says of itself."""

    kind: str
    threads: int = 0
    queues: Sequence[str] = ()
    told: bool = True  # whether the database took the last one
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def _rows(self) -> HeartbeatQuerySet:
        return Heartbeat.objects.filter(kind=self.kind, host=socket.gethostname()[:100], pid=os.getpid())

    def beat(self, *, begins: bool = False, trouble: str = "", waiting: dict[str, int] | None = None) -> bool:
        """Say that this process works; False when the database does not answer, which is logged once."""
        says: dict[str, Any] = {
            "release": VERSION,
            "threads": self.threads,
            "queues": ",".join(self.queues)[:200],
            "seen_at": Now(),
            "host_time": timezone.now(),
            "trouble": trouble[:300],
            "waiting": waiting or {},
            **({"started_at": Now()} if begins else {}),
        }
        try:
            leave_old_connections()
            if not self._rows.update(**says):
                Heartbeat.objects.create(kind=self.kind, host=socket.gethostname()[:100], pid=os.getpid(), **says)
        except DatabaseError as error:
            leave_connections()
            if self.told:
                log.warning("%s cannot say that it works: the database does not answer: %s", self.kind, error)
            self.told = False
        else:
            self.told = True
        return self.told

    def go_on(self) -> None:
        """Say it again and again in a thread, until `end`."""
        threading.Thread(target=self._repeat, name="heartbeat", daemon=True).start()

    def _repeat(self) -> None:
        begins = True
        while not self._ended.is_set():
            begins = not self.beat(begins=begins) and begins
            database.give_back()
            self._ended.wait(EVERY)
        try:
            self._rows.delete()
        except DatabaseError as error:
            log.warning("The row of this %s stays, and shows as silent: %s", self.kind, error)
        finally:
            leave_connections()

    def end(self) -> None:
        """Take no more work: the process is not listed any more."""
        self._ended.set()


def no_worker() -> str:
    """Return in words that nobody works, for who waits; nothing when somebody does."""
    if Heartbeat.objects.alive(Heartbeat.Kind.WORKER).exists():
        return ""
    last = Heartbeat.objects.last_seen(Heartbeat.Kind.WORKER)
    seen = f"the last one was seen at {last:%H:%M} UTC on {last:%-d %B}" if last else "none has been seen for a day"
    return f"No worker is running: {seen}. Whoever runs this console has to start one; this goes on by itself then."
