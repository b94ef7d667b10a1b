"""How large repositories are, and how they grew: from what was seen of each stanza, a row a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from clusters.models import KnownStanza
from console.web.drawing import Label, TimeScale, area, thinned

SHOWN = 14  # rows of the table, spread over the time
HEIGHT = 60  # of the picture's ground


@dataclass(frozen=True)
class Size:
    """What there was on a day; bytes."""

    day: date
    backups: int
    wal: int

    @property
    def total(self) -> int:
        """Return both."""
        return self.backups + self.wal


@dataclass(frozen=True)
class Change:
    """How much more or less there is than on an earlier day; bytes."""

    since: date
    bytes: int

    @property
    def amount(self) -> int:
        """Return it without its sign."""
        return abs(self.bytes)


@dataclass(frozen=True)
class Picture:
    """The sizes as areas on a ground of 1000 by HEIGHT: that of the WAL, and on it that of the backups."""

    total: str
    wal: str
    labels: list[Label]
    top: int  # bytes


@dataclass(frozen=True)
class Growth:
    """The sizes day by day, oldest first; at least one."""

    sizes: list[Size]

    @property
    def now(self) -> Size:
        """Return what there is now."""
        return self.sizes[-1]

    @property
    def change(self) -> Change | None:
        """Return the change since a week ago, or as long as anything is known; nothing after only one day."""
        week = self.now.day - timedelta(days=7)
        before = [one for one in self.sizes if one.day <= week] or self.sizes[:1]
        then = before[-1]
        return Change(then.day, self.now.total - then.total) if then.day < self.now.day else None

    @property
    def rows(self) -> list[Size]:
        """Return the newest day and others before it, newest first, spread evenly."""
        step = -(-len(self.sizes) // SHOWN)
        return self.sizes[::-1][::step]

    @property
    def picture(self) -> Picture:
        """Return how it is drawn, from the first day to now."""
        first, last = (datetime.combine(one.day, time.min, UTC) for one in (self.sizes[0], self.now))
        scale, top = TimeScale(first, last), max(one.total for one in self.sizes) or 1
        rows = [(scale.part(datetime.combine(one.day, time.min, UTC)), one) for one in self.sizes]
        total = thinned([(x, one.total / top) for x, one in rows])
        wal = thinned([(x, one.wal / top) for x, one in rows])
        return Picture(area(total, HEIGHT), area(wal, HEIGHT), scale.labels(), top)


def growth(stanzas: Iterable[KnownStanza]) -> Growth | None:
    """Return how all of these together grew; nothing where nothing was ever seen.

    A day on which a stanza was not looked at counts as the day before it.
    """
    series = [{date.fromisoformat(row[0]): row for row in one.sizes} for one in stanzas]
    latest: dict[int, tuple[int, int]] = {}
    sizes = []
    for day in sorted({day for one in series for day in one}):
        for number, one in enumerate(series):
            if row := one.get(day):
                latest[number] = (row[1], row[2])
        sizes.append(Size(day, sum(one for one, _ in latest.values()), sum(one for _, one in latest.values())))
    return Growth(sizes) if sizes else None
