"""To which moments a stanza can go back, as far as its repository was read, and how much is read for it. Pure.

The oldest moment is the end of the oldest backup of the present database, the newest that when its last WAL came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from clusters.pgbackrest.repository import Backup, PastDatabase, StanzaState

SEGMENT = re.compile(r"[0-9A-F]{24}")  # its timeline, and two numbers
SEGMENTS = 256  # with segments of 16 MB, PostgreSQL's own size, in each of the numbers that a name counts up


@dataclass(frozen=True)
class Window:
    """From when to when; both in UTC."""

    oldest: datetime
    newest: datetime

    def holds(self, moment: datetime) -> bool:
        """Return whether the moment is in it, its ends included."""
        return self.oldest <= moment <= self.newest


def ended(backup: Backup) -> datetime:
    """Return when the backup was complete: nothing before it can be reached with it."""
    return datetime.fromtimestamp(backup.stopped, UTC)


def is_prior(state: StanzaState, backup: Backup) -> bool:
    """Return whether the backup is of a database that the stanza had before its present one, as after pg_upgrade."""
    if backup.db_id and state.db_id:
        return backup.db_id != state.db_id
    return bool(backup.system_id and state.system_id and backup.system_id != state.system_id)


def database_of(state: StanzaState, backup: Backup) -> PastDatabase | None:
    """Return the database that a prior backup is of, if the history names it."""
    return next((one for one in state.history if one.db_id == backup.db_id or one.system_id == backup.system_id), None)


def window(state: StanzaState, backup: Backup | None = None) -> Window | None:
    """Return the recovery window, with that backup or with the best for each moment; None without a backup."""
    usable = [backup] if backup else [one for one in with_files(state) if not is_prior(state, one)]
    if not usable:
        return None
    oldest = min(ended(one) for one in usable)
    newest = max(ended(one) for one in usable)
    if state.last_wal_at and not (backup and is_prior(state, backup)):
        newest = max(newest, datetime.fromisoformat(state.last_wal_at).astimezone(UTC))
    return Window(oldest, newest)


def best(state: StanzaState, moment: datetime | None = None) -> Backup | None:
    """Return the newest backup of the present database that is complete before the moment."""
    found = [one for one in with_files(state) if not is_prior(state, one) and (moment is None or ended(one) <= moment)]
    return max(found, key=lambda one: one.stopped, default=None)


def needed(state: StanzaState, backup: Backup) -> list[Backup]:
    """Return the backups whose files a restore of this one reads: its full one, then what was built on that.

    Labels say it: those of differential and incremental backups begin with their full one's.
    """
    full = backup.label.split("_")[0]
    family = sorted(
        (one for one in state.backups if one.label.split("_")[0] == full and one.stopped <= backup.stopped),
        key=lambda one: one.stopped,
    )
    if backup.kind == "full":
        return [backup]
    last_diff = max((one.stopped for one in family if one.kind == "diff"), default=0)
    return [
        one
        for one in family
        if one.kind == "full" or one == backup or (backup.kind == "incr" and one.stopped >= last_diff)
    ]


def with_files(state: StanzaState) -> list[Backup]:
    """Return the backups whose files are there, as far as was looked, and those of what they were built on.

    The list of backups survives what is deleted behind pgBackRest's back, and is written anew every night.
    """
    if not (gone := {*state.without_files}):  # as nearly always
        return state.backups
    lost: set[str] = set()
    full, chain = {}, {}  # of each full backup: whether it is gone, and whether anything since its last differential is
    for one in sorted(state.backups, key=lambda one: one.stopped):  # as needed() says, and in one go
        family, is_gone = one.label.split("_")[0], one.label in gone
        if one.kind == "full":
            full[family] = is_gone
        elif one.kind == "diff":
            chain[family] = is_gone
        else:
            is_gone = chain[family] = is_gone or chain.get(family, False)
        if is_gone or full.get(family):
            lost.add(one.label)
    return [one for one in state.backups if one.label not in lost]


@dataclass(frozen=True)
class Estimate:
    """How much is read of the repository, in bytes; the WAL is None where its size is not known."""

    backups: int
    wal: int | None

    @property
    def total(self) -> int:
        """Return both together."""
        return self.backups + (self.wal or 0)


def estimate(state: StanzaState, backup: Backup, moment: datetime | None = None) -> Estimate:
    """Return about how much a restore of the backup reads, with the WAL up to the moment, or to the newest."""
    stored = sum(one.stored for one in needed(state, backup))
    reach = window(state, backup)
    named = SEGMENT.fullmatch(state.last_wal) and SEGMENT.fullmatch(backup.first_wal)
    if not (named and state.wal_segments and reach) or is_prior(state, backup):
        return Estimate(stored, None)
    segments = max(0, _position(state.last_wal) - _position(backup.first_wal)) + 1
    if moment and reach.newest > reach.oldest:
        part = (moment - reach.oldest) / (reach.newest - reach.oldest)
        segments = max(1, round(segments * min(1.0, max(0.0, part))))
    segments = min(segments, state.wal_segments)
    return Estimate(stored, round(segments * state.wal_bytes / state.wal_segments))


def _position(segment: str) -> int:
    """Return which segment of its timeline it is, counted from the first."""
    return int(segment[8:16], 16) * SEGMENTS + int(segment[16:24], 16)
