"""The timelines of an archive: which of them a node writes, and which something else does. Pure.

A restore follows the newest timeline that it finds unless it is told which one (recovery_target_timeline, "latest"), so
a copy of a database that archives into its repository takes the rows away from the next restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# The stores' clock says when something arrived, the console's when a node reported.
CLOCKS = timedelta(minutes=5)
AT_WORK = timedelta(days=1)  # since its newest segment: a timeline that was left is no longer written by anyone


@dataclass(frozen=True)
class Timeline:
    """The WAL of one timeline of one database, as it lies in the archive."""

    archive: str  # the folder, such as 15-1: PostgreSQL's version and the database's number in the history
    number: int
    first: str  # names of the segments
    last: str
    last_at: str  # ISO 8601, when the newest segment came
    segments: int
    bytes: int
    newest: str = ""  # the segment that came then: the last one, unless another server writes beside
    began: str = ""  # the first segment that was ever seen: there it left its parent
    began_at: str = ""  # ISO 8601, when its history file came, or its first segment

    @property
    def arrived(self) -> datetime:
        """Return when the newest segment came."""
        return datetime.fromisoformat(self.last_at)


def live(timelines: Iterable[Timeline], archive: str, reported: int | None) -> Timeline | None:
    """Return the timeline that the database is on: the reported one, or else that with the newest arrival.

    `archive` is the folder of the current database; where it holds nothing yet, all count.
    """
    timelines = list(timelines)
    there = [one for one in timelines if one.archive == archive] or timelines
    told = [one for one in there if one.number == reported]
    return max(told or there, key=lambda one: (one.arrived, one.number), default=None)


def strays(timelines: Iterable[Timeline], own: Timeline, reported_at: datetime | None, now: datetime) -> list[Timeline]:
    """Return the timelines beside the database's own one that something else writes.

    What an older timeline got counts for a day: a former primary that went on for a while after a failover, and was
    stopped, takes no restore away from the node. `reported_at` is when the node said that it is on its own one; None
    when it never did. After a promotion or a restore of the node itself nothing more is written to the timeline that
    it has left.
    """
    beside = [one for one in timelines if one.archive == own.archive and one.number != own.number]
    return [
        one
        for one in beside
        if (
            (one.number > own.number or now - one.arrived < AT_WORK)
            and _both_at_work(*sorted((own, one), key=lambda each: each.number))
        )
        or (one.number > own.number and reported_at and _began_at(one) < reported_at - CLOCKS)
    ]


def unreported(timelines: Iterable[Timeline], own: Timeline, reported_at: datetime | None) -> list[Timeline]:
    """Return the newer timelines that began after the node's last report: its own, or a copy's."""
    return [
        one
        for one in timelines
        if (one.archive, True) == (own.archive, one.number > own.number)
        and reported_at
        and _began_at(one) >= reported_at - CLOCKS
    ]


def strangers(archives: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the archives of databases that are not in the stanza's history, which is read."""
    return sorted({*archives} - {*known}) if known else []


def _both_at_work(older: Timeline, newer: Timeline) -> bool:
    """Return whether the older timeline went on, beyond where the newer one left it, after that had begun.

    What a node still had to push when it was promoted comes later too, and ends before that segment.
    """
    return older.arrived > _began_at(newer) and older.newest[8:] >= newer.began[8:]


def _began_at(timeline: Timeline) -> datetime:
    return datetime.fromisoformat(timeline.began_at or timeline.last_at)
