"""The recovery window of a database in a store: by what was seen there, and by what its node says since. Pure.

It promises no moment that it cannot keep: of the newest, whatever is known of is put off rather than assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from clusters.health.facts import Facts
from clusters.pgbackrest.gaps import LATE, Reach, moment, reach
from clusters.pgbackrest.repository import Backup
from clusters.pgbackrest.window import SEGMENT, ended
from clusters.reports.primaries import SILENT

QUEUE = 16  # segments that wait on the node, from which on when one arrived says little about when it was written
CLOCK_OFF = timedelta(minutes=5)  # less is the way of the report, and how it was spread
NONE = timedelta()
RETRIED = 300  # seconds: what was archived so soon after a failure, or before one, had to wait
WAS_SILENT = {"silent", "lost"}  # problems
TAKES = timedelta(minutes=1)  # to make a report and send it, at least


@dataclass(frozen=True)
class Window:
    """From when to when, and why to then."""

    reach: Reach = field(default_factory=Reach)
    newest: datetime | None = None
    is_idle: bool = False  # the node has just said that nothing waits: all WAL that is closed is in the store

    @property
    def oldest(self) -> datetime | None:
        """Return the oldest moment that can be restored."""
        return self.reach.oldest


def window(facts: Facts) -> Window:
    """Return what can be restored."""
    state, read_at = facts.state, facts.look.read_at
    if state is None or read_at is None:
        return Window()
    seen = reach(state, read_at, facts.own)
    if not seen.usable or seen.newest is None:
        return Window(seen)
    if seen.ends_in:
        return Window(seen, min(seen.newest, read_at))
    # A backup was complete by the node's clock, which may be ahead; WAL came by the store's, before that was read.
    last_backup = min(datetime.fromtimestamp(seen.usable[-1].stopped, UTC) - max(host_ahead(facts), NONE), read_at)
    arrived = moment(state.last_wal_at)
    arrived = min(arrived, read_at) if arrived else None
    newest = max(last_backup, arrived or last_backup)
    then = facts.before.newest if facts.before else None
    # What had to wait was written long before it came: nothing is known of but what was known before.
    has_waited = _has_waited(facts, arrived)
    if has_waited:
        newest = max(last_backup, then or last_backup)
    if seen.awaited:
        # Beyond what is not there yet nothing can be restored, whatever has come, and whatever the node says.
        last_before = moment(seen.awaited.after_at) or then or last_backup
        return Window(seen, max(last_backup, min(newest, last_before)))
    word = _word(facts) if _takes_part(facts, seen.usable) else _Word()
    if word.all_archived_at and not has_waited:
        newest = max(newest, word.all_archived_at)
    if word.all_closed_at:
        newest = max(newest, word.all_closed_at)
    return Window(seen, newest, is_idle=word.all_archived_at is not None)


def host_ahead(facts: Facts) -> timedelta:
    """Return how far the node's clock is ahead; nothing where that may be the way of its report."""
    return facts.host.ahead if abs(facts.host.ahead) > CLOCK_OFF else NONE


def _has_waited(facts: Facts, arrived: datetime | None) -> bool:
    """Return whether WAL waits on the node, or has, so that when it came says little about when it was written.

    What came while nothing was heard of the node may have waited, too: after an outage of node and site, the first
    segment is of when that began.
    """
    said, reported_at = facts.said, facts.host.reported_at
    if reported_at and arrived and arrived > reported_at + SILENT:
        return True
    if said is None:
        return False
    if said.waiting and facts.before and any(one["code"] in WAS_SILENT for one in facts.before.problems):
        return True  # it is back, and has not sent all of it
    archiver = said.archiver
    failed_at, last_at = (archiver.failed_at, archiver.last_at) if archiver else (None, None)
    retried = failed_at and last_at and last_at - failed_at < RETRIED
    return bool((said.waiting or 0) > QUEUE or retried)


def not_arrived(facts: Facts) -> str:
    """Return the segment that the node says was archived well before the store was read, and that is not there."""
    said, state, read_at = facts.said, facts.state, facts.look.read_at
    archiver = said.archiver if said else None
    if not (archiver and archiver.last_at and state and read_at and facts.host.has_store):
        return ""
    if said and (said.role == "standby" or said.is_archived_here is not True):
        return ""
    last, archived_at = archiver.last_wal[:24], datetime.fromtimestamp(archiver.last_at, UTC) - facts.host.ahead
    if not SEGMENT.fullmatch(last) or archiver.last_wal[24:] or archived_at > read_at - LATE:
        return ""
    if state.wal_more or not state.archive or not _takes_part(facts, state.backups):
        return ""
    there = [one.last for one in state.timelines if one.archive == state.archive and one.number == int(last[:8], 16)]
    return last if max(there, default="") < last else ""


def _takes_part(facts: Facts, backups: Iterable[Backup]) -> bool:
    """Return whether WAL or a backup has come since the store was attached: what a node archived before is not there.

    In a store that is attached again lie backups and WAL of the time before it was detached.
    """
    arrived = moment(facts.state.last_wal_at) if facts.state else None
    since = facts.since
    return since is None or bool(arrived and arrived > since) or any(ended(one) > since for one in backups)


@dataclass(frozen=True)
class _Word:
    """What the node says is in the store, beside what was seen there."""

    all_archived_at: datetime | None = None  # then PostgreSQL had its last segment archived, and none waits
    all_closed_at: datetime | None = None  # whatever was written until then is in a segment that is archived


def _word(facts: Facts) -> _Word:
    """Return up to when the node says that all is in the store; nothing where it does not say so now.

    pgBackRest answers archive_command with success once all stores have the segment, unless it was told to drop some.
    What is in the segment that the server still writes is in none. With archive_timeout it is closed after so long.
    """
    host, said = facts.host, facts.said
    if host.reported_at is None or facts.now - host.reported_at > SILENT or not host.has_store or facts.may_drop:
        return _Word()
    if said is None or said.server != "up" or said.role == "standby" or said.is_archived_here is False:
        return _Word()
    if said.archive_mode == "off":  # then nothing waits, however much is written
        return _Word()
    archiver = said.archiver
    if archiver is None or archiver.last_at is None or said.waiting != 0 or said.spool_errors:
        return _Word()
    if not_arrived(facts) or (archiver.failed_at and archiver.failed_at > archiver.last_at):
        return _Word()
    # A node stamps its report before it asks its servers. By how much that seems to be behind is how long that took, or
    # its clock is: what it says is taken for no younger than either makes it.
    ahead = max(host.ahead, host_ahead(facts))
    archived_at = min(datetime.fromtimestamp(archiver.last_at, UTC) - ahead, host.reported_at)
    took = max(TAKES, min(-host.ahead, CLOCK_OFF))
    closed_at = host.reported_at - timedelta(seconds=said.archive_timeout) - took if said.archive_timeout else None
    return _Word(archived_at, closed_at)
