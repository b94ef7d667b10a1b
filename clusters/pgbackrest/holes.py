"""Which segments of an archive are missing between those that are there, by the folders that were listed. Pure.

A folder that was counted full has no hole, and what was found in others that are not listed now is as it was found.
Before the first segment of a timeline is no hole, since `expire` takes the oldest: gaps.py says which backups need what
is gone there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

USUAL = 256  # segments of a folder, with segments of 16 MB, PostgreSQL's own size
WHOLE = 2**32  # bytes that a folder holds
SIZES = (2**20, 2**30)  # of a segment, from and to: wal_segment_size
GAPS_AT_MOST = 100  # that are kept of an archive, the newest


@dataclass(frozen=True)
class Gap:
    """Segments that are missing between two that are there, on one timeline."""

    archive: str
    timeline: int
    after: str  # the last segment before the gap
    before: str  # the first one after it
    segments: int  # that are missing
    after_at: str = ""  # ISO 8601, when these two came, as far as that is known
    before_at: str = ""


Arrival = tuple[str, datetime | None]  # a segment, and when it came


def per_folder(segment: int | None, lasts: Sequence[str], before: int) -> int:
    """Return how many segments a whole folder has.

    `segment` is the size in bytes that the node has reported, `lasts` are the last segments of listed folders that are
    not the newest of their timeline. Without the size, folders have the usual number, or as many as were seen; fewer
    only where several of them all end alike.
    """
    if segment and SIZES[0] <= segment <= SIZES[1]:
        return WHOLE // segment
    ends = {int(name[16:], 16) + 1 for name in lasts}
    if before and before >= max(ends, default=0):
        return before
    if not ends:
        return USUAL
    most = max(ends)
    if len(ends) == 1 and len(lasts) > 2 and most & (most - 1) == 0 and most >= WHOLE // SIZES[1]:
        return most
    return max(USUAL, 1 << (most - 1).bit_length()) if most <= WHOLE // SIZES[0] else USUAL


def gaps(
    group: Sequence[str],
    listed: Mapping[str, Sequence[Arrival] | None],
    counted: Mapping[str, int],
    before: Iterable[Gap],
    full: int,
) -> Iterator[Gap]:
    """Yield the gaps of one timeline, oldest first.

    `group` are its folders, such as 15-1/0000000100000000, in order; `listed` what each held that was listed now,
    `counted` how many segments each has that was ever listed; `before` the gaps that were found at the last look.
    """
    then = [one for one in before if group and (one.archive, one.timeline) == _line(group[0])]
    last: Arrival | None = None
    for place in group:
        if place in listed:
            runs = _runs(listed[place] or (), full)
        elif place in counted:
            runs = _remembered(place, counted[place], then, full)
        else:
            last = None  # nobody knows yet what is in it
            continue
        for first, end in runs:
            if last and (missing := _number(first[0], full) - _number(last[0], full) - 1) > 0:
                yield Gap(*_line(place), last[0], first[0], missing, _said(last), _said(first))
            last = end


def _runs(arrivals: Sequence[Arrival], full: int) -> Iterator[tuple[Arrival, Arrival]]:
    """Yield the first and the last of each row of segments that follow one upon the other."""
    found = sorted(arrivals, key=lambda one: one[0])
    begin = 0
    for at in range(1, len(found) + 1):
        if at == len(found) or _number(found[at][0], full) - _number(found[at - 1][0], full) > 1:
            yield found[begin], found[at - 1]
            begin = at


def _remembered(place: str, segments: int, then: Sequence[Gap], full: int) -> Iterator[tuple[Arrival, Arrival]]:
    """Yield the same of a folder by the holes that were found in it, and at its edges, when it was listed."""
    folder = place.rpartition("/")[2]
    times = {gap.after: gap.after_at for gap in then} | {gap.before: gap.before_at for gap in then}
    start, end = (f"{folder}{number:08X}" for number in (0, full - 1))
    first: Arrival | None = (start, _time(times.get(start, "")))
    for gap in then if segments < full else ():
        if gap.after[:16] == folder and first:
            yield first, (gap.after, _time(gap.after_at))
        if gap.before[:16] == folder:
            first = (gap.before, _time(gap.before_at))
        elif gap.after[:16] == folder:
            first = None
    if first:
        yield first, (end, _time(times.get(end, "")))


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _line(place: str) -> tuple[str, int]:
    archive, _, folder = place.partition("/")
    return archive, int(folder[:8], 16)


def _number(segment: str, full: int) -> int:
    """Return which segment of its timeline it is, counted from the first."""
    return int(segment[8:16], 16) * full + int(segment[16:24], 16)


def _said(one: Arrival) -> str:
    return one[1].isoformat() if one[1] else ""
