"""What pictures that the server draws share: scales, time axes, paths. Pure; knows no app.

A picture is an SVG as wide as its place, with lengths in per cent, so that its words keep their size on every screen.
What may be stretched, such as a path, stands in an inner <svg> whose viewBox is WIDTH wide (preserveAspectRatio none).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

T = TypeVar("T")

WIDTH = 1000  # of what is stretched
LABELS = 5  # at most on an axis: so many find room on a screen of 390 pixels

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(HOUR * hours for hours in (1, 2, 3, 6, 12)),
    *(DAY * days for days in (1, 2, 5, 7, 14)),
)
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)  # beyond that
BEGIN = datetime(1970, 1, 4, tzinfo=UTC)  # a Sunday


@dataclass(frozen=True)
class Label:
    """A word on an axis: where, in per cent, and how it stands to that place (SVG's text-anchor)."""

    x: float
    words: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Span:
    """From where to where, in per cent."""

    x: float
    width: float


@dataclass(frozen=True)
class TimeScale:
    """Moments between a first and a last one, as places from left to right."""

    first: datetime
    last: datetime

    @property
    def length(self) -> timedelta:
        """Return how long it is; never nothing."""
        return max(self.last - self.first, timedelta(seconds=1))

    def part(self, when: datetime) -> float:
        """Return where a moment is, from 0 to 1; one that is beyond an end is at that end."""
        return min(1.0, max(0.0, (when - self.first) / self.length))

    def at(self, when: datetime) -> float:
        """Return where a moment is, in per cent."""
        return round(100 * self.part(when), 2)

    def span(self, since: datetime, until: datetime, least: float = 0.4) -> Span:
        """Return the place of a time, so wide at least that it is seen."""
        width = max(self.at(until) - self.at(since), least)
        return Span(round(min(self.at(since), 100 - width), 2), round(width, 2))

    def labels(self, zone: tzinfo = UTC) -> list[Label]:
        """Return the words of its axis, at round times."""
        times, form = self._times(zone), "%b %Y"
        if self.length < LABELS * STEPS[-1]:
            form = "%H:%M" if self.length < LABELS * 12 * HOUR else "%-d %b"
        return [Label(self.at(one), one.astimezone(zone).strftime(form), _anchor(self.at(one))) for one in times]

    def _times(self, zone: tzinfo) -> list[datetime]:
        """Return the round times of the axis."""
        for step in STEPS:
            if self.length < LABELS * step:
                begin = BEGIN.replace(tzinfo=zone)
                first = begin - (begin - self.first) // step * step
                return [one for one in (first + step * number for number in range(LABELS)) if one <= self.last]
        first, last = self.first.astimezone(zone), self.last.astimezone(zone)
        since, until = first.year * 12 + first.month, last.year * 12 + last.month - 1  # the first of a month, from 0 on
        months = next((one for one in MONTHS if until - since < LABELS * one), until - since)
        numbers = range(-(-since // months) * months, until + 1, max(1, months))
        return [datetime(number // 12, number % 12 + 1, 1, tzinfo=zone) for number in numbers]


def _anchor(place: float) -> str:
    return "start" if place < 8 else "end" if place > 92 else "middle"


def strokes(places: Iterable[float], top: int, bottom: int) -> str:
    """Return the path of upright lines at these places (from 0 to 1), those that fall together drawn once."""
    xs = sorted({round(WIDTH * one) for one in places})
    return "".join(f"M{min(x, WIDTH - 1)} {top}V{bottom}" for x in xs)


def bars(spans: Iterable[tuple[float, float]], top: int, bottom: int, *, least: int = 3) -> str:
    """Return the path of boxes from place to place (from 0 to 1), those that touch drawn as one."""
    found: list[tuple[int, int]] = []
    for since, until in sorted(spans):
        first = min(round(WIDTH * since), WIDTH - least)
        last = max(round(WIDTH * until), first + least)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return "".join(f"M{first} {top}H{last}V{bottom}H{first}Z" for first, last in found)


def area(points: Sequence[tuple[float, float]], height: int) -> str:
    """Return the path of an area below these points, each from 0 to 1 across and up; "" without a point."""
    if not points:
        return ""
    xs = [(round(WIDTH * x), round(height * (1 - y), 1)) for x, y in points]
    line = "".join(f"L{x} {y:g}" for x, y in xs)
    return f"M{xs[0][0]} {height}{line}L{xs[-1][0]} {height}Z"


def thinned(rows: Sequence[tuple[float, float]], most: int = 200) -> list[tuple[float, float]]:
    """Return so many of the points at most, evenly, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    step = (len(rows) - 1) / (most - 1)
    return [rows[round(number * step)] for number in range(most)]


def overlaps(spans: Iterable[tuple[datetime, datetime, T]]) -> Iterator[tuple[T, T, datetime]]:
    """Yield which of these begin while one before them has not ended, and when; each with the one that ends last."""
    open_until: tuple[datetime, T] | None = None
    for since, until, one in sorted(spans, key=lambda row: row[:2]):
        if open_until and since < open_until[0]:
            yield open_until[1], one, since
        if open_until is None or until > open_until[0]:
            open_until = (until, one)
