"""What the overview tells beside the verdicts, whoever knows it: each app appends what finds its own. Knows no app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN = 5  # subjects by name; the others are counted


@dataclass(frozen=True)
class Subject:
    """What a notice is about, with the page that shows it."""

    name: str
    url: str


@dataclass(frozen=True)
class Notice:
    """Something that somebody should do, in a sentence, with where it is done."""

    key: str  # tells it from the others of the page
    level: str  # "bad", "warn" or "info"
    title: str  # "2 stores have drifted"
    words: str = ""  # what that means, and what to do
    url: str = ""  # where that is done, if it is not on the subjects' own pages
    action: str = ""  # what the link to it is called
    subjects: Sequence[Subject] = ()  # of which SHOWN are named: who has many need not make more
    total: int = 0  # how many there are, where that is more

    @property
    def shown(self) -> Sequence[Subject]:
        """Return the subjects that are named."""
        return self.subjects[:SHOWN]

    @property
    def more(self) -> int:
        """Return how many are not."""
        return max(self.total, len(self.subjects)) - len(self.shown)


# Each is given a membership, and returns what it finds in that organisation: with one query at most, since the overview
# is looked at all day. Appended by the apps' plans.py, or when they are ready.
notice_finders: list[Callable[[Any], Iterable[Notice]]] = []


def notices(membership: Any) -> list[Notice]:
    """Return what all apps have found, the worst first."""
    return sorted((notice for find in notice_finders for notice in find(membership)), key=by_level)


def by_level(notice: Notice) -> int:
    """Return where a notice stands among others: the worst first."""
    return ("bad", "warn", "info").index(notice.level)
