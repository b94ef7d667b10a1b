"""How large repositories are, and how they grew: from what was seen of each stanza, a row a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from clusters.models import KnownStanza

SHOWN = 14  # rows of the table, spread over the time


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
