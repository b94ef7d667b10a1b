"""The backups of a period, made and missed, of each database in each store, and by which settings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import timezone

from clusters.models import Attachment, Cluster, Health, KnownStanza
from clusters.node_setup import policy_of, written_by, zone_of
from clusters.pgbackrest import clocks, schedules
from clusters.replication import groups
from console.accounts.models import Membership

STANZAS_AT_MOST = 200  # on a page
RUNS_AT_MOST = 5000  # of a schedule that are compared
PAGE_AT_MOST = 200_000  # of all schedules of a page, so that it comes in seconds
MISSED_SHOWN = 10
NEXT_WITHIN = timedelta(days=40)  # of a backup that is made each month
EARLY = timedelta(minutes=5)  # a node's clock may be ahead
SUFFICES = {"full": ("full",), "diff": ("full", "diff"), "incr": ("full", "diff", "incr")}
KIND = {"F": "full", "D": "diff", "I": "incr"}  # how a label ends


@dataclass(frozen=True)
class Made:
    """A backup that was seen: when it was complete, seconds that it took, bytes that it added, what became of it."""

    label: str
    stopped: datetime
    seconds: int
    stored: int
    state: str  # kept, lost, or expired

    @property
    def kind(self) -> str:
        """Return full, diff or incr; a label that ends otherwise is of none."""
        return KIND.get(self.label[-1:], "")

    @property
    def started(self) -> datetime:
        """Return when it began."""
        return self.stopped - timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Schedule:
    """By what a stanza's backups are made now, and since when."""

    expressions: dict[str, str]
    zone: ZoneInfo | None
    since: datetime


@dataclass(frozen=True)
class Kept:
    """Whether a schedule was kept."""

    scheduled: int = 0
    missed: Sequence[tuple[str, datetime]] = ()
    is_cut: bool = False

    @property
    def shown(self) -> Sequence[tuple[str, datetime]]:
        """Return the last of those that were missed, in words."""
        return [(schedules.KINDS[kind], at) for kind, at in self.missed[-MISSED_SHOWN:]]


@dataclass(frozen=True)
class Row:
    """What is to be said of one database in one store."""

    known: KnownStanza
    made: Sequence[Made]
    health: Health | None
    schedule: Schedule | None  # None where nothing backs it up there any more
    kept: Kept = field(default_factory=Kept)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Return how many of each type were made."""
        return [(words, sum(one.kind == kind for one in self.made)) for kind, words in schedules.KINDS.items()]

    @property
    def lost(self) -> int:
        """Return how many of them are gone and had not expired."""
        return sum(one.state == "lost" for one in self.made)

    @property
    def stored(self) -> int:
        """Return the bytes that they added to the store."""
        return sum(one.stored for one in self.made)

    @property
    def first(self) -> Made | None:
        """Return the first of them."""
        return self.made[0] if self.made else None

    @property
    def last(self) -> Made | None:
        """Return the last of them."""
        return self.made[-1] if self.made else None

    @property
    def retention(self) -> str:
        """Return how long its backups are kept, in words."""
        if not self.known.retentions:
            return "not known"
        last = self.known.retentions[-1]
        unit = "day" if last["by_time"] else "full backup"
        return f"{last['full']} {unit}{'' if last['full'] == 1 else 's'}"


def stanzas(membership: Membership, cluster: Cluster | None) -> QuerySet[KnownStanza]:
    """Return the stanzas of the member's organisation, or of one cluster, with their repositories and stores."""
    found = KnownStanza.objects.filter(repository__organisation=membership.organisation_id)
    found = found.filter(repository__cluster=cluster) if cluster else found
    return found.select_related("repository__store").order_by(
        "repository__cluster_name", "node", "name", "repository__number", "pk"
    )


def rows(found: Iterable[KnownStanza], membership: Membership, since: datetime, until: datetime) -> Iterator[Row]:
    """Yield what is to be said of these; their backups (`made`) are at hand."""
    found = list(found)
    of = Health.objects.visible_to(membership).filter(repository__in={one.repository_id for one in found})
    judged = {(one.repository_id, one.node, one.database): one for one in of}
    now, counted = timezone.now(), Counted()
    planned = _planned({one.repository.cluster_id for one in found if one.repository.cluster_id}, membership)
    for one in found:
        key = (one.repository_id, one.node, one.name)
        there = [made for made in backups(one) if since <= made.stopped < until]
        schedule = planned.get(key)
        kept = kept_schedule(schedule, backups(one), since, until, now, counted=counted) if schedule else Kept()
        yield Row(one, there, judged.get(key), schedule, kept)


def backups(known: KnownStanza) -> list[Made]:
    """Return all backups of a stanza that were ever seen, oldest first."""
    lost = {one["backup"]["label"] for one in known.lost}
    made = known.made
    if made is None:  # since none came after the release that remembers them
        seen: list[dict[str, Any]] = [*known.backups.values(), *(one["backup"] for one in known.lost)]
        made = [[one["label"], one["stopped"], max(0, one["stopped"] - one["started"]), one["stored"]] for one in seen]
    found = [
        Made(
            label,
            datetime.fromtimestamp(stopped, UTC),
            seconds,
            stored,
            "lost" if label in lost else "kept" if label in known.backups else "expired",
        )
        for label, stopped, seconds, stored in made
    ]
    return sorted(found, key=lambda one: (one.stopped, one.label))


def _planned(clusters: set[Any], membership: Membership) -> dict[tuple[int, str, str], Schedule]:
    """Return by which schedule what is backed up now, by repository, folder and database."""
    found = {}
    for cluster in Cluster.objects.visible_to(membership).filter(pk__in=clusters).with_node_setup():
        attached = {one.repository_id: one for one in cluster.attachments.all()}
        for folder, hosts in groups(cluster).items():
            policy, zone = policy_of(cluster, hosts[0]), zone_of(hosts)
            for one in written_by(cluster, hosts[0]):
                attachment: Attachment = attached[one.repository_id]
                since = max(attachment.attached_at, hosts[0].created_at)
                for database in cluster.databases_in(folder):
                    key = (one.repository_id, folder, database.name)
                    found[key] = Schedule(policy.schedules, zone, since)
    return found


class Counted:
    """When schedules come, each worked out once for a page, and no more of all of them than a page may ask for."""

    def __init__(self, at_most: int = PAGE_AT_MOST) -> None:
        self.left = at_most
        self._known: dict[tuple[str, ZoneInfo | None, datetime, datetime], tuple[Sequence[datetime], bool]] = {}

    def moments(
        self, expression: str, zone: ZoneInfo | None, here: datetime, horizon: datetime
    ) -> tuple[Sequence[datetime], bool]:
        """Return when it comes from a time on, which the node's clock showed; and whether there are more."""
        key = (expression, zone, here, horizon)
        if key not in self._known:
            most = min(RUNS_AT_MOST, self.left)
            coming = clocks.cron_runs(schedules.runs(expression, here), zone, wild=schedules.is_wild(expression))
            moments = (one.replace(tzinfo=zone or UTC).astimezone(UTC) for one in coming)
            there = list(islice(takewhile(lambda one: one < horizon, moments), most + 1))
            self._known[key] = (there[:most], len(there) > most)
        found, is_cut = self._known[key]
        if len(found) > self.left:
            found, is_cut = found[: self.left], True
        self.left -= len(found)  # also of those that are known: each is compared with the backups
        return found, is_cut


def kept_schedule(
    schedule: Schedule,
    made: Sequence[Made],
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    counted: Counted | None = None,
) -> Kept:
    """Return which backups the schedule of now would have had in the period, and which of them were not made.

    One was made when a backup of its type, or of one that holds more, began before the next one was due.
    """
    begin, clock = max(since, schedule.since), schedule.zone or UTC
    if begin >= until:
        return Kept()
    # Beyond its end, too, for when the next one was due; up to now, since what runs still may be going on.
    horizon = min(until + NEXT_WITHIN, now)
    due, is_cut = _due(schedule, begin.astimezone(clock).replace(tzinfo=None), horizon, counted or Counted())
    times = sorted({at for at, _ in due})
    following = dict(zip(times, [*times[1:], None], strict=True)) if times else {}
    began = sorted((one.started, one.kind) for one in made)
    missed, scheduled = [], 0
    for at, kind in due:
        before = following[at]
        there = takewhile(lambda row: before is None or row[0] < before, began[bisect_left(began, (at - EARLY, "")) :])  # noqa: B023 - consumed here
        was_made = any(one in SUFFICES[kind] for _, one in there)
        if at < until and (was_made or before):
            scheduled += 1
            missed += [] if was_made else [(kind, at)]
    return Kept(scheduled, missed, is_cut)


def _due(
    schedule: Schedule, here: datetime, horizon: datetime, counted: Counted
) -> tuple[list[tuple[datetime, str]], bool]:
    """Return when backups were due from a time on, which the node's clock showed; and whether there are more."""
    due: list[tuple[datetime, str]] = []
    is_cut = False
    for kind, expression in schedule.expressions.items():
        there, more = counted.moments(expression, schedule.zone, here, horizon)
        is_cut = is_cut or more
        due += [(at, kind) for at in there]
    return sorted(due), is_cut
