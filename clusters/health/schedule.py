"""Which backups should have been made by now and were not. Pure.

A run is kept by a backup of its kind, or of a stronger one, that was complete after it began. Schedule and backups both
go by the node's clock; when a run is overdue, by the console's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from clusters.pgbackrest import schedules
from clusters.pgbackrest.repository import Backup

STRENGTH = {"incr": 0, "diff": 1, "full": 2}
MARGIN = timedelta(minutes=15)  # beside half of what the backup usually takes
ANY_ZONE = timedelta(hours=14)  # as far from UTC as a node's clock can be
LASTING = 5  # so many backups of a kind say how long the next one takes
LASTS_AT_MOST = timedelta(days=1)
LOOKS_BACK = timedelta(days=62)  # a monthly run is missed twice within that
MISSED_AT_MOST = 10  # that are told, the newest
RUNS_AT_MOST = 400  # of each kind that are looked through


@dataclass(frozen=True)
class Missed:
    """A run that should have been and was not."""

    kind: str
    at: datetime


@dataclass(frozen=True)
class Plan:
    """When backups of a stanza should begin, and by whose clock."""

    schedules: Mapping[str, str] = field(default_factory=dict)  # kind of backup: cron expression
    zone: ZoneInfo | None = None  # of the node's clock; None where that is not known
    since: datetime | None = None  # what was to be before that is not judged by it
    ahead: timedelta = timedelta()  # how far the node's clock is ahead of the console's

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is planned."""
        return not self.schedules

    @property
    def longest(self) -> timedelta | None:
        """Return the longest time from one run to the next, of whichever kinds; None where nothing is planned."""
        return _longest(tuple(self.schedules.values()))

    def runs(self, kind: str, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the runs of a kind from the one moment to the other, both by the node's clock."""
        clock = self.zone or UTC
        for run in schedules.runs(self.schedules[kind], begin.astimezone(clock).replace(tzinfo=None)):
            moment = run.replace(tzinfo=clock).astimezone(UTC)
            if moment > end:
                return
            if moment > begin:  # in the hour that the clock shows twice, cron runs it the first time
                yield moment

    @property
    def unsure(self) -> timedelta:
        """Return how much earlier, or later, than is reckoned here a run may be, since the node's zone is not known."""
        return timedelta() if self.zone else ANY_ZONE

    def patience(self, kind: str, backups: Sequence[Backup]) -> timedelta:
        """Return how long after its run a backup of the kind may be complete, by the console's clock."""
        lasts = usual(kind, backups)
        return lasts + max(MARGIN, lasts / 2) - self.ahead + self.unsure


@lru_cache(maxsize=10_000)  # few are different, and counting one takes tens of milliseconds
def _longest(expressions: Sequence[str]) -> timedelta | None:
    start = datetime(2024, 1, 1)
    each = [islice(schedules.runs(one, start), RUNS_AT_MOST) for one in expressions]
    runs = list(islice(merge(*each), RUNS_AT_MOST))
    return max((b - a for a, b in pairwise(runs)), default=None)


def usual(kind: str, backups: Sequence[Backup]) -> timedelta:
    """Return how long a backup of the kind takes, by the longest of the last ones; by all where there is none."""
    same = [one for one in backups if one.kind == kind] or backups
    seconds = max((one.stopped - one.started for one in same[-LASTING:]), default=0)
    return min(max(timedelta(), timedelta(seconds=seconds)), LASTS_AT_MOST)


def missed(plan: Plan, backups: Sequence[Backup], until: datetime, running: Mapping[str, datetime]) -> list[Missed]:
    """Return the runs that nothing has kept until then, when the store was last read, the newest first.

    `running` has the kinds of backup that the node is at, and since when.
    """
    found: list[Missed] = []
    for kind in plan.schedules:
        begin = _begin(plan, kind, backups, until)
        end = until - plan.patience(kind, backups)
        at_it = [at for one, at in running.items() if STRENGTH.get(one, 0) >= STRENGTH[kind]]
        runs = islice(plan.runs(kind, begin, end), RUNS_AT_MOST) if begin < end else ()
        # While pgBackRest is at one backup, another one does not begin.
        found.extend(Missed(kind, run) for run in runs if not at_it or run < min(at_it) - MARGIN)
    return sorted(found, key=lambda one: one.at, reverse=True)[:MISSED_AT_MOST]


def still_missed(before: Sequence[Missed], plan: Plan, backups: Sequence[Backup]) -> list[Missed]:
    """Return those that were missed before the schedule was changed, and that nothing has kept since."""
    return [
        one
        for one in before
        if plan.since
        and one.at <= plan.since
        and datetime.fromtimestamp(_newest(one.kind, backups), UTC) < one.at - plan.unsure
    ]


def next_run(plan: Plan, now: datetime) -> datetime | None:
    """Return when the next backup begins, by the console's clock."""
    runs = (next(plan.runs(kind, now + plan.ahead, now + timedelta(days=400)), None) for kind in plan.schedules)
    return min((one - plan.ahead for one in runs if one), default=None)


def _begin(plan: Plan, kind: str, backups: Sequence[Backup], until: datetime) -> datetime:
    newest = datetime.fromtimestamp(_newest(kind, backups), UTC)
    since = plan.since + plan.ahead if plan.since else newest
    # East of UTC, where the zone is not known, the run that these belong to seems to be still to come.
    return max(max(newest, since) + plan.unsure, until - LOOKS_BACK)


def _newest(kind: str, backups: Sequence[Backup]) -> int:
    return max((one.stopped for one in backups if STRENGTH.get(one.kind, 0) >= STRENGTH[kind]), default=0)
