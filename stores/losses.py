"""Backups that were in a store and are gone, as pages tell of them. The apps that know of backups find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

KINDS = {"full": "full backup", "diff": "differential backup", "incr": "incremental backup"}


@dataclass(frozen=True)
class Kind:
    """So many of one kind of backups, and what they took in the store."""

    number: int
    name: str  # such as full backup
    bytes: int


@dataclass(frozen=True)
class Elsewhere:
    """Another store that still holds backups of the same database."""

    name: str
    url: str
    newest: datetime  # when its newest backup was complete


@dataclass(frozen=True)
class Loss:
    """Backups of one database that were seen in a store, are gone and had not expired."""

    what: str  # whose they are, such as "orders on n1"
    node: str
    store: str
    rows: Sequence[Mapping[str, Any]]  # as KnownStanza.lost has them
    versions: Mapping[str, Any]  # as KnownStanza.versions has them
    versions_days: int  # how long the store keeps what was deleted; 0: not at all
    elsewhere: Sequence[Elsewhere]
    repository: int  # its key
    way_back: str  # the address of the page that brings it back; "" without one
    others: int = 0  # further databases of which something is gone, and nothing is said

    @property
    def dom_id(self) -> str:
        """Return how the notice is named in a page."""
        return f"loss-{self.repository}-{self.what.replace(' ', '-')}"

    @property
    def number(self) -> int:
        """Return how many backups are gone."""
        return len(self.rows)

    @property
    def they(self) -> str:
        """Return the word for them as a subject."""
        return "it" if self.number == 1 else "they"

    @property
    def them(self) -> str:
        """Return the word for them as an object."""
        return "it" if self.number == 1 else "them"

    @property
    def kinds(self) -> list[Kind]:
        """Return how many of each kind, those that others are built on first."""
        found = []
        for kind, name in KINDS.items():
            sizes = [row["backup"]["stored"] for row in self.rows if row["backup"]["kind"] == kind]
            if sizes:
                found.append(Kind(len(sizes), name, sum(sizes)))
        return found

    @property
    def seen_at(self) -> datetime:
        """Return when they were last seen; the newest, where they were taken one after the other."""
        return max(datetime.fromisoformat(row["seen_at"]) for row in self.rows)

    @property
    def missed_at(self) -> datetime:
        """Return when the last of them was missed."""
        return max(datetime.fromisoformat(row["missed_at"]) for row in self.rows)

    @property
    def labels(self) -> list[str]:
        """Return their labels, newest first."""
        return sorted((row["backup"]["label"] for row in self.rows), reverse=True)

    @property
    def deleted_at(self) -> datetime | None:
        """Return when the first of what the versions hold was deleted."""
        return parse_datetime(self.versions.get("first", ""))

    @property
    def until(self) -> datetime | None:
        """Return until when all of it can come back."""
        at = self.deleted_at
        return at + timedelta(days=self.versions_days) if at and self.versions_days else None
