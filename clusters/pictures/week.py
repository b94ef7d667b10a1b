"""The backups of the next seven days, as the nodes' own clocks make them, drawn day by day; and which of them meet.

pgBackRest makes one backup of a stanza at a time and refuses a second one (error 50), so the script that cron and the
timers run waits for the first one: what is drawn as meeting begins late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from clusters.models import Cluster
from clusters.node_setup import policy_of, written_by, zone_of
from clusters.pgbackrest import clocks, schedules
from clusters.pgbackrest.repository import StanzaState
from clusters.replication import groups
from clusters.repositories.backups import RepositoryView
from clusters.repositories.pace import usual_duration
from console.web.drawing import bars, overlaps

DAYS = 7
DAY = timedelta(days=1)
RUNS_AT_MOST = 1000  # of a kind in a week: one every ten minutes; more are not told apart in a picture anyway
GROUPS_AT_MOST = 6
MEETINGS_AT_MOST = 5
SEEN_AT_LEAST = 8  # of 1000: of a backup that takes no time


@dataclass(frozen=True)
class Planned:
    """A stanza, when its backups are made, and how long each kind of them takes in all its stores together."""

    node: str
    stanza: str
    schedules: Mapping[str, str]  # kind: cron expression
    zone: ZoneInfo | None  # of the node's clock; None where it is not known: then UTC
    lasts: Mapping[str, timedelta]  # kind: how long

    @property
    def name(self) -> str:
        """Return which one it is, for people."""
        return f"{self.stanza} on {self.node}"


@dataclass(frozen=True)
class Run:
    """One backup that will be made: its kind, from when to when by a clock that is never changed, and as shown."""

    kind: str
    since: datetime
    until: datetime
    shown: datetime


@dataclass(frozen=True)
class Day:
    """A day as it is drawn: a path for each kind on a ground of 1000 by 20, and the hours that the clock skips."""

    date: datetime
    full: str
    diff: str
    incr: str
    skipped: str
    now: float | None  # in per cent
    words: Sequence[str]  # the runs, such as "full 01:00"


@dataclass(frozen=True)
class Week:
    """The week of all stanzas that have the same schedule by the same clock."""

    names: Sequence[str]
    zone: str  # "" where it is not known
    days: Sequence[Day]
    meetings: Sequence[str]  # in sentences
    more_meetings: int
    changes: Sequence[str]  # what changes of the clock within the week do to the schedule
    is_cut: bool  # there are more runs than are drawn

    @property
    def is_empty(self) -> bool:
        """Return whether no backup is made in it."""
        return not any(one.words for one in self.days)


def weeks(planned: Iterable[Planned], now: datetime) -> tuple[list[Week], int]:
    """Return the weeks of these, those with the same schedule as one; and how many are left out."""
    found: dict[tuple[tuple[tuple[str, str], ...], str], list[Planned]] = {}
    for one in planned:
        found.setdefault((tuple(one.schedules.items()), str(one.zone or "")), []).append(one)
    return [_week(rows, now) for rows in [*found.values()][:GROUPS_AT_MOST]], max(0, len(found) - GROUPS_AT_MOST)


def _week(rows: Sequence[Planned], now: datetime) -> Week:
    first = rows[0]
    clock = first.zone or UTC
    here = now.astimezone(clock).replace(tzinfo=None)
    begin = here.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = _moments(first, begin)  # the same for all
    runs = {one.name: _runs(moments, one.lasts) for one in rows}
    met = [(name, *both) for name, there in runs.items() for both in _meetings(there, now)]
    longest = _runs(moments, _longest(rows))
    skipped = _skipped(first.zone, begin)
    return Week(
        names=[*runs],
        zone=str(first.zone or ""),
        days=[_day(begin + DAY * number, longest, skipped, here) for number in range(DAYS)],
        meetings=[_said(*one) for one in met[:MEETINGS_AT_MOST]],
        more_meetings=max(0, len(met) - MEETINGS_AT_MOST),
        changes=_changes(first, now, begin),
        is_cut=any(sum(run.kind == kind for run in longest) == RUNS_AT_MOST for kind in schedules.KINDS),
    )


def _longest(rows: Iterable[Planned]) -> dict[str, timedelta]:
    return {kind: max(one.lasts.get(kind, timedelta()) for one in rows) for kind in schedules.KINDS}


def _moments(one: Planned, begin: datetime) -> list[tuple[str, datetime, datetime]]:
    """Return the kind of each backup of the week after a midnight, when it is by UTC, and as the clock shows it."""
    found = []
    for kind, expression in one.schedules.items():
        wild = schedules.is_wild(expression)
        coming = clocks.cron_runs(schedules.runs(expression, begin - timedelta(minutes=1)), one.zone, wild=wild)
        for shown in islice(coming, RUNS_AT_MOST):
            if shown >= begin + DAY * DAYS:
                break
            found.append((kind, shown.replace(tzinfo=one.zone or UTC).astimezone(UTC), shown))
    return sorted(found, key=lambda row: (row[1], [*schedules.KINDS].index(row[0])))


def _runs(moments: Iterable[tuple[str, datetime, datetime]], lasts: Mapping[str, timedelta]) -> list[Run]:
    return [Run(kind, since, since + lasts.get(kind, timedelta()), shown) for kind, since, shown in moments]


def _meetings(runs: Sequence[Run], now: datetime) -> Iterable[tuple[Run, Run]]:
    """Yield which backups of one stanza begin while another one is being made: that one first."""
    at_least = timedelta(minutes=1)  # two that begin in the same minute meet, however short they are
    spans = [(run.since, max(run.until, run.since + at_least), run) for run in runs if run.until >= now]
    for earlier, later, _ in overlaps(spans):
        yield earlier, later


def _said(name: str, earlier: Run, later: Run) -> str:
    return (
        f"{name}: the {schedules.KINDS[later.kind]} backup of {later.shown:%a} {later.shown.day} "
        f"{later.shown:%b %H:%M} meets the {schedules.KINDS[earlier.kind]} one of {earlier.shown:%a %H:%M}, "
        f"which takes about {_much(earlier.until - earlier.since)}."
    )


def _much(length: timedelta) -> str:
    minutes = max(1, round(length / timedelta(minutes=1)))
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def _day(date: datetime, runs: Sequence[Run], skipped: Sequence[clocks.Change], now: datetime) -> Day:
    def parts(kind: str) -> list[tuple[float, float]]:
        spans = [(run.shown, run.shown + (run.until - run.since)) for run in runs if run.kind == kind]
        there = [row for row in spans if row[0] < date + DAY and (row[1] > date or row[0] >= date)]
        return [((max(since, date) - date) / DAY, (min(until, date + DAY) - date) / DAY) for since, until in there]

    kinds = {kind: bars(parts(kind), 2, 18, least=SEEN_AT_LEAST) for kind in schedules.KINDS}
    gaps = [((one.before - date) / DAY, (one.after - date) / DAY) for one in skipped if date <= one.before < date + DAY]
    told = [run for run in runs if run.shown.date() == date.date()]
    return Day(
        date,
        **kinds,
        skipped=bars(gaps, 0, 20),
        now=round(100 * ((now - date) / DAY), 2) if date <= now < date + DAY else None,
        words=[f"{schedules.KINDS[run.kind]} {run.shown:%H:%M}" for run in told[:MEETINGS_AT_MOST]]
        + ([f"{len(told) - MEETINGS_AT_MOST} more"] if len(told) > MEETINGS_AT_MOST else []),
    )


def _skipped(zone: ZoneInfo | None, begin: datetime) -> list[clocks.Change]:
    """Return the changes of the clock within the week that skip a time."""
    if zone is None:
        return []
    found = clocks.changes(zone, begin.replace(tzinfo=zone))
    return [one for one in found if one.before < begin + DAY * DAYS and one.after > one.before]


def _changes(one: Planned, now: datetime, begin: datetime) -> list[str]:
    """Return in sentences what changes of the clock do to the schedule, where one is within the week."""
    if one.zone is None or not any(
        change.before < begin + DAY * DAYS for change in islice(clocks.changes(one.zone, now), 1)
    ):
        return []
    return [words for time in schedules.times(one.schedules, now, one.zone) for words in time.changes[:1]]


def of_cluster(cluster: Cluster, cases: Iterable[RepositoryView], folder: str = "") -> list[Planned]:
    """Return the stanzas of a cluster (with_node_setup()) or of one folder, with how long their backups took lately."""
    states: dict[tuple[int, str, str], StanzaState] = {
        (case.repository.pk, one.stanza_state.node, one.stanza_state.stanza): one.stanza_state
        for case in cases
        for one in case.stanza_views
    }
    found = []
    for name, hosts in groups(cluster).items():
        if folder and name != folder:
            continue
        policy, zone = policy_of(cluster, hosts[0]), zone_of(hosts)
        written = [one.repository_id for one in written_by(cluster, hosts[0])]
        for database in cluster.databases_in(name):
            there = [states.get((pk, name, database.name)) for pk in written]
            lasts = {
                kind: sum((usual_duration(state, kind) for state in there), timedelta()) for kind in schedules.KINDS
            }
            found.append(Planned(name, database.name, policy.schedules, zone, lasts))
    return found
