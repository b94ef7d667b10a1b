"""Which moments a stanza can be restored to, where WAL is missing between them. Pure.

A backup needs the WAL from its first segment to its last one, and reaches on from there as far as the archive goes on
without a hole, over the timelines that the database has taken. What lies in a hole, and beyond it up to the end of the
next backup, is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from clusters.pgbackrest.archive import TIMELINES_AT_MOST
from clusters.pgbackrest.holes import USUAL
from clusters.pgbackrest.repository import Backup, Gap, StanzaState, Timeline
from clusters.pgbackrest.window import SEGMENT, ended, is_prior, with_files

LATE = timedelta(minutes=10)  # several processes push WAL, so that a segment may come after the one that follows it


@dataclass(frozen=True)
class Hole:
    """WAL that is missing after a backup, and which moments that costs; `end` is None where no backup came since."""

    gap: Gap
    begin: datetime
    end: datetime | None


@dataclass(frozen=True)
class Reach:
    """What a stanza's backups and WAL are good for; times are the store's and the node's."""

    usable: Sequence[Backup] = ()  # of the database itself, with the WAL that makes them consistent; the oldest first
    broken: Sequence[Backup] = ()  # of it too, but some of that WAL is missing
    others: int = 0  # backups of other databases, or of earlier ones
    oldest: datetime | None = None
    newest: datetime | None = None
    holes: Sequence[Hole] = ()  # the oldest first
    awaited: Gap | None = None  # after the newest backup: what is missing there may still be on its way
    gone: Sequence[Backup] = ()  # of it too, but their files are gone, or those of what they were built on

    @property
    def ends_in(self) -> Hole | None:
        """Return the hole that no backup has followed: what came after it is good for nothing yet."""
        return next((one for one in reversed(self.holes) if one.end is None), None)


def reach(state: StanzaState, read_at: datetime, own: Collection[str] = ()) -> Reach:
    """Return what the stanza can be restored to, as it was read then.

    `own` are the system identifiers of the node's database and those before it; backups of others count for nothing.
    """
    ours = [one for one in state.backups if not is_prior(state, one) and (not own or one.system_id in own)]
    ours.sort(key=lambda one: one.stopped)
    others = len(state.backups) - len(ours)
    gone: list[Backup] = []
    if state.without_files:
        there = {one.label for one in with_files(state)}
        gone = [one for one in ours if one.label not in there]
        ours = [one for one in ours if one.label in there]
    gaps = certain(state, read_at)
    awaited = _awaited(state, ours, gaps)
    lacking = [one for one in ours if _lacks(state, one)]
    if not gaps and not lacking and ours:  # as nearly always
        newest = max(ended(ours[-1]), moment(state.last_wal_at) or ended(ours[-1]))
        return Reach(ours, (), others, ended(ours[0]), newest, awaited=awaited, gone=gone)
    # The list of backups is read after the archive: a backup that was just complete may have WAL that was not listed.
    old = [one for one in lacking if read_at - ended(one) > LATE]
    broken = [one for one in ours if one in old or _is_broken(state, one, gaps)]
    usable = [one for one in ours if one not in broken]
    if not usable:
        return Reach((), broken, others, gone=gone)
    holes: list[Hole] = []
    tip = ended(usable[-1])
    for backup, following in zip(usable, [*usable[1:], None], strict=True):
        gap = _first_after(state, backup, gaps)
        if gap and (following is None or not _is_behind(state, gap, following)):
            begin = max(ended(backup), moment(gap.after_at) or ended(backup))
            end = ended(following) if following else None
            if not holes or holes[-1].gap != gap:
                holes.append(Hole(gap, min(begin, end) if end else begin, end))
            tip = begin
        elif following is None and backup not in lacking:
            tip = max(tip, moment(state.last_wal_at) or tip)
    return Reach(usable, broken, others, ended(usable[0]), tip, holes, awaited, gone)


def certain(state: StanzaState, read_at: datetime) -> list[Gap]:
    """Return the gaps of the present database's archive, without what may still have been on its way at the look."""
    return [one for one in _found(state) if (came := moment(one.before_at)) is None or read_at - came > LATE]


def _found(state: StanzaState) -> list[Gap]:
    return [one for one in (*state.wal_gaps, *_between(state)) if one.archive == (state.archive or one.archive)]


def _awaited(state: StanzaState, ours: Sequence[Backup], gaps: Sequence[Gap]) -> Gap | None:
    """Return the first gap after the newest backup that is not a certain one."""
    not_yet = [one for one in _found(state) if one not in gaps]
    return _first_after(state, ours[-1], not_yet) if ours and not_yet else None


def pending(state: StanzaState, read_at: datetime) -> bool:
    """Return whether segments were missing at the look that may have come since."""
    return any((came := moment(one.before_at)) and read_at - came <= LATE for one in state.wal_gaps)


def moment(text: str) -> datetime | None:
    """Return a time as it is kept, in UTC; None of nothing."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def position(segment: str, per_folder: int) -> int:
    """Return which segment of its timeline it is, counted from the first."""
    return int(segment[8:16], 16) * (per_folder or USUAL) + int(segment[16:24], 16)


def _at(state: StanzaState, segment: str) -> int:
    return position(segment, state.wal_per_folder)


def _of_database(state: StanzaState) -> list[Timeline]:
    there = [one for one in state.timelines if one.archive == state.archive] or state.timelines
    return sorted(there, key=lambda one: one.number)


def _between(state: StanzaState) -> Iterator[Gap]:
    """Yield where a timeline ends before the segment in which the next one left it."""
    timelines = _of_database(state)
    for child in timelines:
        parent = _parent(state, timelines, child)
        began = child.began or child.first
        if parent and SEGMENT.fullmatch(began) and _at(state, began) - _at(state, parent.last) > 1:
            lacking = _at(state, began) - _at(state, parent.last) - 1
            yield Gap(child.archive, parent.number, parent.last, began, lacking, parent.last_at, child.began_at)


def _parent(state: StanzaState, timelines: Iterable[Timeline], child: Timeline) -> Timeline | None:
    """Return the timeline that it was most likely begun on: the newest before it that had come as far, or nearest."""
    before = [one for one in timelines if one.number < child.number]
    began = _at(state, child.began or child.first)
    older = [one for one in before if _at(state, one.began or one.first) <= began]
    return older[-1] if older else None


def _line(state: StanzaState, number: int) -> list[Timeline]:
    """Return the timelines from the one with that number to the one that the database is on."""
    timelines = _of_database(state)
    line: list[Timeline] = []
    newest = next((one for one in reversed(timelines) if one.last == state.last_wal), None)
    one = newest or (timelines[-1] if timelines else None)
    while one:
        line.append(one)
        if one.number == number:
            break
        one = _parent(state, timelines, one)
    return line[::-1]


def _is_broken(state: StanzaState, backup: Backup, gaps: Iterable[Gap]) -> bool:
    """Return whether WAL is missing that makes the backup consistent."""
    if not (SEGMENT.fullmatch(backup.first_wal) and SEGMENT.fullmatch(backup.last_wal)):
        return False
    first, last = _at(state, backup.first_wal), _at(state, backup.last_wal)
    number = int(backup.first_wal[:8], 16)
    return any(
        one.timeline == number and _at(state, one.after) < last and _at(state, one.before) > first for one in gaps
    )


def _lacks(state: StanzaState, backup: Backup) -> bool:
    """Return whether what is there of the backup's timeline begins after the backup does, or ends before its end.

    Such WAL lies in no hole, since a hole has something on both sides: so it is where an archive was emptied, or its
    oldest part was deleted.
    """
    if state.wal_more or len(state.timelines) >= TIMELINES_AT_MOST:
        return False  # it may be among what was not counted
    if not (SEGMENT.fullmatch(backup.first_wal) and SEGMENT.fullmatch(backup.last_wal)):
        return False
    number = int(backup.first_wal[:8], 16)
    there = [one for one in state.timelines if one.number == number and one.archive == (state.archive or one.archive)]
    return not any(one.first <= backup.first_wal and backup.last_wal <= one.last for one in there)


def _first_after(state: StanzaState, backup: Backup, gaps: Sequence[Gap]) -> Gap | None:
    """Return the first gap that a restore meets after the backup; None where it comes through to the newest WAL."""
    if not SEGMENT.fullmatch(backup.last_wal):
        return None
    here, number = _at(state, backup.last_wal), int(backup.last_wal[:8], 16)
    line = _line(state, number)
    left_at = {a.number: _at(state, b.began or b.first) for a, b in pairwise(line)}
    found = [
        one
        for one in gaps
        for each in line
        if one.timeline == each.number
        and _at(state, one.before) > here
        and _at(state, one.after) < left_at.get(each.number, _at(state, one.before))
    ]
    return min(found, key=lambda one: (_at(state, one.after), one.timeline), default=None)


def _is_behind(state: StanzaState, gap: Gap, backup: Backup) -> bool:
    """Return whether the gap comes after that backup too, so that it costs nothing before it."""
    return bool(SEGMENT.fullmatch(backup.last_wal)) and _at(state, gap.before) > _at(state, backup.last_wal)
