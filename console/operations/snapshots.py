"""What is read of a cloud now and then and kept: a page shows the last known and how old it is, and never waits for it.

All times are the database's, because two workers' clocks may differ.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models, transaction
from django.db.models import Case, Count, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from console.clouds import streams
from console.clouds.steps import Failed, NotReady, StepError
from console.operations.heartbeats import no_worker

log = logging.getLogger(__name__)

HELD = timedelta(minutes=2)  # a snapshot that has told nothing for so long has lost its worker
AGAIN = timedelta(minutes=15)  # after a failed try, if it is not due before anyway
SOON = timedelta(minutes=1)  # after one that may succeed by itself
AT_ONCE = 4  # snapshots of one kind with one rate key, such as a cloud account
WAIT = timedelta(seconds=10)  # in which a worker takes what was asked for, if there is one at all
SECONDS = 600.0  # for all that one reads of a cloud
SIZE_AT_MOST = 4 * 1024 * 1024  # characters of one's content: the backups of 10,000 days, say
SWEEP_AT_MOST = 200  # snapshots in one sweep; the next one follows in seconds


class SnapshotQuerySet(models.QuerySet):  # type: ignore[type-arg]
    def due(self) -> Self:
        """Return what nobody has read for a while, or somebody has asked for, and nobody is reading now."""
        # Nothing is held for longer than HELD: such a time was written before the database's clock was set back.
        free = Q(held_until=None) | Q(held_until__lte=Now()) | Q(held_until__gt=Now() + 2 * HELD)
        return self.filter(free, due_at__lte=Now())

    def held(self) -> Self:
        """Return what is being read now."""
        return self.filter(held_until__gt=Now(), held_until__lte=Now() + 2 * HELD)

    def wanted(self) -> None:
        """Note that somebody wants to see these anew; send them to the workers after the commit."""
        self.update(wanted_at=Now(), due_at=Now())

    def soon(self, delay: timedelta) -> None:
        """Have these read anew after so long, unless that is due earlier anyway."""
        self.filter(due_at__gt=Now() + delay).update(due_at=Now() + delay)


class Snapshot(models.Model):
    """What was last read of something, and how the last try went. A model for each kind, one row for each subject."""

    LABEL: ClassVar[str]  # what the workers' messages call this kind

    content: Any = models.JSONField(default=list)
    read_at = models.DateTimeField(null=True)  # of the content
    error = models.TextField(blank=True)  # of the last try, if it failed
    details: Any = models.JSONField(default=dict)  # of the error: such as the statement that would allow it
    tried_at = models.DateTimeField(null=True)
    wanted_at = models.DateTimeField(null=True)  # when somebody asked for it
    due_at = models.DateTimeField(db_default=Now(), null=True, db_index=True)  # nobody reads before; null: never
    held_until = models.DateTimeField(null=True)  # a worker is at it
    progress = models.CharField(max_length=100, blank=True)  # how far it is, for who waits

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def is_awaited(self) -> bool:
        """Return whether somebody has asked for it and has not got it yet."""
        return self.wanted_at is not None and (self.tried_at is None or self.tried_at < self.wanted_at)

    @property
    def nobody_works(self) -> str:
        """Return in words that no worker is there for it; nothing while nobody waits, or has only just asked."""
        overdue = self.is_awaited and self.wanted_at is not None and self.wanted_at < timezone.now() - WAIT
        return no_worker() if overdue else ""

    def tell(self, progress: str) -> None:
        """Say how far the snapshot is, and that its worker is alive."""
        type(self)._default_manager.filter(pk=self.pk).update(progress=progress, held_until=Now() + HELD)


@dataclass(frozen=True)
class SnapshotSource:
    """How one kind of snapshot is done: registered by the app's plans.py.

    `read` gets the row and returns its new content, or raises a StepError; it may `tell` how far it is. `kept`
    changes what else follows, in the transaction that keeps the content. `every` says how long that lasts, of the
    row with its new content, if there is any; None until somebody asks. `rows` are those that may be read by
    themselves, `rate_key` names the cloud account, whose readings share a budget. `places` are those at which an
    organisation waits for a cloud, `queue` is where the workers find it. `organisation` is how the row names whose it
    is, where its rate key has none.
    """

    model: type[Snapshot]
    read: Callable[[Any], Any]
    every: Callable[[Any], timedelta] | None
    rows: Callable[[], SnapshotQuerySet]
    rate_key: str
    related: tuple[str, ...] = ()  # what `read` needs beside the row
    kept: Callable[[Any], None] = lambda snapshot: None
    places: str = "reads"
    queue: str = "snapshots"
    organisation: str = ""


def daily(key: UUID | str) -> timedelta:
    """Return how long until the next daily snapshot: at the key's own time of day, so that all are spread over it."""
    day, now = timedelta(days=1), timezone.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    own = midnight + timedelta(seconds=UUID(str(key)).int % 86_400)
    while own - now < day / 2:
        own += day
    return own - now


_sources: dict[str, SnapshotSource] = {}


def register(source: SnapshotSource) -> None:
    """Make a kind of snapshot known."""
    _sources[source.model.LABEL] = source


def due() -> list[tuple[str, int]]:
    """Return the snapshots that are due, as label and key, the longest first; no more than a rate key can take."""
    return [(label, pk) for label, source in _sources.items() for pk in _due(source)]


def _due(source: SnapshotSource) -> list[int]:
    rows, rate_key = source.rows(), source.rate_key
    busy = dict(source.model._default_manager.all().held().values_list(rate_key).annotate(Count("pk")).order_by())
    found: list[int] = []
    for pk, key in rows.due().order_by("due_at").values_list("pk", rate_key)[: 10 * SWEEP_AT_MOST]:
        busy[key] = busy.get(key, 0) + 1
        if busy[key] <= AT_ONCE and len(found) < SWEEP_AT_MOST:
            found.append(pk)
    return found


def follower(label: str, pk: int) -> int | None:
    """Return the snapshot that is due next with the same rate key, so that a worker that has done one can go on."""
    source = _sources[label]
    rate_key = source.model._default_manager.filter(pk=pk).values(source.rate_key)[:1]
    return (
        source.rows()
        .filter(**{source.rate_key: rate_key})
        .due()
        .order_by("due_at")
        .values_list("pk", flat=True)
        .first()
    )


def is_overdue(label: str, pk: int, patience: timedelta) -> bool:
    """Return whether the snapshot has been due for so long."""
    rows = _sources[label].model._default_manager
    return rows.filter(pk=pk, due_at__lte=Now() - patience).exists()


def organisation_of(label: str, pk: int) -> UUID | None:
    """Return the key of the organisation whose account the snapshot is of; None when there is no such snapshot."""
    source = _sources[label]
    rows = source.model._default_manager.filter(pk=pk)
    found: UUID | None = rows.values_list(source.organisation or f"{source.rate_key}__organisation", flat=True).first()
    return found


def places_of(label: str, pk: int) -> str:
    """Return the name of the places at which the snapshot's organisation waits for this kind."""
    return f"{_sources[label].places} {organisation_of(label, pk)}"


def queue_of(label: str) -> str:
    """Return the name of the queue in which the workers find snapshots of this kind."""
    return _sources[label].queue


def read(label: str, pk: int) -> None:
    """Read anew what is due, and keep that; or else why it could not be read. Changes nothing when it is not due."""
    source = _sources[label]
    rows = source.model._default_manager.filter(pk=pk)
    # Whoever holds it has the work: a message that comes twice changes nothing.
    readable = source.rows().due().filter(pk=pk).values("pk")
    if not rows.filter(pk__in=readable).update(held_until=Now() + HELD, progress=""):
        return
    snapshot = rows.select_related(*source.related).annotate(begun=Now()).get()
    again: timedelta | None = None
    values: dict[str, Any] = {"error": "", "details": {}}
    try:
        with streams.within(SECONDS, math.inf):
            values |= {"content": _bounded(source.read(snapshot)), "read_at": snapshot.begun}
            snapshot.content, snapshot.read_at = values["content"], snapshot.begun
    except StepError as error:
        values = {"error": error.message, "details": error.details}
        again = SOON if isinstance(error, NotReady) else AGAIN
    except Exception as error:
        log.exception("%s %s: unexpected error", label, pk)
        name = type(error).__name__
        values["error"] = f"Unexpected error ({name}); the console's log has the details."
        again = AGAIN
    # Asked for again meanwhile, it stays due; what was to be read soon, as soon as that.
    following = _next(source, snapshot, again)
    soon = Q(due_at__gt=snapshot.begun) & Q(due_at__lt=following)
    due_at = Case(When(Q(wanted_at__gt=snapshot.begun) | soon, then=F("due_at")), default=following)
    with transaction.atomic():
        kept = rows.update(**values, tried_at=snapshot.begun, held_until=None, progress="", due_at=due_at)
        if kept and not again:  # its subject may be gone by now, and the row with it
            source.kept(snapshot)


def _bounded(content: Any) -> Any:
    """Return the content; raises Failed when the row would be too large, since others have written what is in it."""
    if (size := len(json.dumps(content))) > SIZE_AT_MOST:
        raise Failed(f"What was read is {size / 1e6:.0f} MB, more than the console keeps. The last known stays.")
    return content


def _next(source: SnapshotSource, snapshot: Snapshot, again: timedelta | None) -> Any:
    if not source.every:
        return Value(None, models.DateTimeField())
    every = source.every(snapshot)
    return Now() + (min(every, again) if again else every)
