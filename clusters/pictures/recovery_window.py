"""To which moments each database can go back, drawn on a line for each repository, and as a table. Asks nothing.

A line has the backups, the band of moments that can be restored, what is missing in it, what is lost, where the band
begins once the next backups have expired, and what Object Lock holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.utils.dateparse import parse_datetime

from clusters.models import Health, KnownStanza, Repository
from clusters.pgbackrest.repository import Backup, StanzaState
from clusters.pgbackrest.retention import DAY, Retention, expired
from clusters.pgbackrest.schedules import KINDS
from clusters.pgbackrest.window import Window, ended, is_prior, window
from clusters.repositories.backups import RepositoryView
from console.web.drawing import Label, TimeScale, bars, strokes

EVENTS_AT_MOST = 40  # lines of a table
DATABASES_AT_MOST = 12  # of a cluster, each with a line for each store
FAR = 3  # when the end of all windows is so much longer ago than they are long, the line ends there, and not now
# Where each part of a line is, on a ground that is 36 high: from the top, and to it.
HEIGHTS = {"full": (4, 27), "diff": (8, 27), "incr": (13, 27), "band": (16, 27), "lock": (30, 34)}
NEXT_FULL = "99991231-235959F"  # a label that comes after all others


@dataclass(frozen=True)
class Seen:
    """A stanza of a node in one repository, with what is known of it; the repository has its store at hand."""

    repository: Repository
    state: StanzaState
    known: KnownStanza | None = None
    health: Health | None = None
    is_attached: bool = True

    @cached_property
    def window(self) -> Window | None:
        """Return to which moments the present database can go back: as judged, or else as its repository has it."""
        judged = self.health
        if judged and judged.oldest and judged.newest:
            return Window(judged.oldest, judged.newest)
        return window(self.state)

    @cached_property
    def backups(self) -> list[Backup]:
        """Return the backups of the present database, oldest first."""
        return sorted((one for one in self.state.backups if not is_prior(self.state, one)), key=lambda one: one.stopped)

    @cached_property
    def gaps(self) -> list[Gap]:
        """Return where WAL is missing."""
        found = (Gap.of(row) for row in (self.health.gaps if self.health else []))
        return [one for one in found if one]

    @cached_property
    def lost(self) -> list[tuple[str, datetime]]:
        """Return the backups that are gone and had not expired: label, and when each was complete."""
        rows = self.known.lost if self.known else []
        return [(row["backup"]["label"], datetime.fromtimestamp(row["backup"]["stopped"], UTC)) for row in rows]

    @cached_property
    def expiry(self) -> Expiry | None:
        """Return what expires next; None where nothing does, or no retention is known."""
        rows = self.known.retentions if self.known else []
        if not rows:
            return None
        retention = Retention(rows[-1]["by_time"], rows[-1]["full"], rows[-1]["diff"])
        return next_expiry(self.backups, retention)


@dataclass(frozen=True)
class Gap:
    """WAL that is missing: no moment in it can be restored, and nothing after it from before it."""

    since: datetime
    until: datetime
    words: str

    @classmethod
    def of(cls, row: dict[str, Any]) -> Gap | None:
        """Return a gap as it is kept (Health.gaps); None where it has no times."""
        since, until = (parse_datetime(str(row.get(name) or "")) for name in ("from", "to"))
        if since is None or until is None:
            return None
        number = row.get("segments")
        much = f"{number} WAL segment{'' if number == 1 else 's'}" if number else "WAL"
        return cls(since, until, f"{much} missing on timeline {row.get('timeline', '?')}")


@dataclass(frozen=True)
class Expiry:
    """What pgBackRest's `expire` takes away next."""

    labels: Sequence[str]
    at: datetime | None  # from when on; None: with the next full backup
    begins: datetime  # of what can be restored afterwards


def next_expiry(backups: Sequence[Backup], retention: Retention) -> Expiry | None:
    """Return which of the backups, oldest first, expire next; None where that needs more backups than there are."""
    stopped: dict[str, float] = {one.label: one.stopped for one in backups}
    fulls = [one for one in backups if one.kind == "full"]
    if retention.by_time and len(fulls) > 1:
        when = fulls[1].stopped + retention.full * DAY
        going, at = expired(stopped, retention, when + 1), datetime.fromtimestamp(when, UTC)
    elif not retention.by_time and fulls:
        going, at = expired({**stopped, NEXT_FULL: 0.0}, retention, 0), None
    else:
        return None
    staying = [one for one in backups if one.label not in going]
    if not going or not staying:
        return None
    return Expiry(sorted(going), at, ended(staying[0]))


@dataclass(frozen=True)
class Event:
    """A line of the table: what was, or will be, and when."""

    at: datetime
    what: str
    words: str
    until: datetime | None = None


@dataclass(frozen=True)
class Line:
    """What is drawn of one stanza in one repository. Places are per cent, or paths on a ground of 1000 by 36."""

    seen: Seen
    band: str = ""
    full: str = ""
    diff: str = ""
    incr: str = ""
    gaps: str = ""
    lost: str = ""
    locked: str = ""
    expiry: float | None = None
    now: float | None = None
    chosen: float | None = None
    labels: Sequence[Label] = ()
    events: Sequence[Event] = ()
    more_events: int = 0
    locked_since: datetime | None = None
    locked_until: datetime | None = None
    missing: Sequence[Gap] = field(default=())

    @property
    def window(self) -> Window | None:
        """Return to which moments it can go back."""
        return self.seen.window

    @property
    def is_drawn(self) -> bool:
        """Return whether there is anything to draw."""
        return bool(self.band or self.lost)

    @property
    def number(self) -> int:
        """Return how many backups there are of the present database."""
        return len(self.seen.backups)

    @property
    def key(self) -> str:
        """Return what tells it from all others of a page."""
        return f"{self.seen.repository.pk}-{self.seen.state.node}-{self.seen.state.stanza}"


def lines(rows: Sequence[Seen], now: datetime, moment: datetime | None = None) -> list[Line]:
    """Return what is drawn of these, all on one scale, with the moment that was chosen."""
    scale = _scale(rows, now)
    return [_line(one, scale, now, moment) if scale else Line(one) for one in rows]


def _scale(rows: Iterable[Seen], now: datetime) -> TimeScale | None:
    begins: list[datetime] = []
    ends: list[datetime] = []
    for one in rows:
        if reach := one.window:
            begins.append(reach.oldest)
            ends.append(reach.newest)
        for _, at in one.lost:
            begins.append(at)
            ends.append(at)
    if not begins:
        return None
    first, last = min(begins), max(ends)
    if now - last <= FAR * max(last - first, timedelta(days=1)):
        last = max(last, now)
    return TimeScale(first, last)


def _line(seen: Seen, scale: TimeScale, now: datetime, moment: datetime | None) -> Line:
    store, reach = seen.repository.store, seen.window
    of_kind = {
        kind: strokes((scale.part(ended(one)) for one in seen.backups if one.kind == kind), *HEIGHTS[kind])
        for kind in KINDS
    }
    lock = timedelta(days=store.lock_days) if store and store.lock_days else None
    since = max(scale.first, now - lock) if lock else None
    events = sorted(_events(seen), key=lambda one: one.at, reverse=True)
    return Line(
        seen,
        **of_kind,
        band=bars(_unbroken(reach, seen.gaps, scale), *HEIGHTS["band"]) if reach else "",
        gaps=bars(((scale.part(one.since), scale.part(one.until)) for one in seen.gaps), *HEIGHTS["band"]),
        lost=strokes((scale.part(at) for _, at in seen.lost), *HEIGHTS["full"]),
        locked=bars([(scale.part(since), scale.part(now))], *HEIGHTS["lock"]) if since and since < scale.last else "",
        expiry=scale.at(seen.expiry.begins) if seen.expiry else None,
        now=scale.at(now) if scale.last >= now else None,
        chosen=scale.at(moment) if moment and reach and reach.holds(moment) else None,
        labels=scale.labels(),
        events=events[:EVENTS_AT_MOST],
        more_events=max(0, len(events) - EVENTS_AT_MOST),
        locked_since=now - lock if lock else None,
        locked_until=now + lock if lock else None,
        missing=seen.gaps,
    )


def _unbroken(reach: Window, gaps: Iterable[Gap], scale: TimeScale) -> list[tuple[float, float]]:
    """Return the parts of the window without what is missing in it."""
    found, begins = [], reach.oldest
    for gap in sorted(gaps, key=lambda one: one.since):
        if gap.since > begins:
            found.append((begins, min(gap.since, reach.newest)))
        begins = max(begins, gap.until)
    if begins < reach.newest or not found:
        found.append((min(begins, reach.newest), reach.newest))
    return [(scale.part(since), scale.part(until)) for since, until in found]


def _events(seen: Seen) -> Iterable[Event]:
    for one in seen.backups:
        yield Event(ended(one), f"{KINDS[one.kind]} backup", one.label)
    for label, at in seen.lost:
        yield Event(at, "lost backup", f"{label} is gone, and had not expired")
    for gap in seen.gaps:
        yield Event(gap.since, "gap", gap.words, gap.until)


@dataclass(frozen=True)
class DatabaseLines:
    """The lines of one database of a node: one for each store."""

    node: str
    stanza: str
    lines: Sequence[Line]


def of_cases(
    cases: Iterable[RepositoryView], health: Iterable[Health], now: datetime, folder: str = ""
) -> tuple[list[DatabaseLines], int]:
    """Return what is drawn of a cluster's databases, or of those of one node's folder; and how many are left out."""
    judged = {(one.repository_id, one.node, one.database): one for one in health}
    found: dict[tuple[str, str], list[Seen]] = {}
    for case in cases:
        for one in case.stanza_views:
            state = one.stanza_state
            if one.is_gone or (folder and state.node != folder):
                continue
            key = (case.repository.pk, state.node, state.stanza)
            seen = Seen(case.repository, state, one.known, judged.get(key))
            found.setdefault((state.node, state.stanza), []).append(seen)
    drawn = [DatabaseLines(*key, lines(rows, now)) for key, rows in sorted(found.items())[:DATABASES_AT_MOST]]
    return drawn, len(found) - len(drawn)
