"""Restores that were tried, for the evidence of a period: whatever keeps them says so here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Cluster
from console.accounts.models import Organisation


@dataclass(frozen=True)
class Proof:
    """A restore that was tried: of what, when it began, how it ended, and how long it took (None: not known)."""

    cluster: str
    node: str
    database: str
    store: str
    at: datetime
    words: str  # how it ended, such as "Proved"
    succeeded: bool
    seconds: int | None = None


# Of an organisation, or of one of its clusters, from a moment up to another one; each is asked once for a report.
Provider = Callable[[Organisation, Cluster | None, datetime, datetime], Iterable[Proof]]
PROVIDERS: list[Provider] = []


def proofs(organisation: Organisation, cluster: Cluster | None, since: datetime, until: datetime) -> list[Proof]:
    """Return the restores that were tried in the period, oldest first."""
    found = [one for provider in PROVIDERS for one in provider(organisation, cluster, since, until)]
    return sorted(found, key=lambda one: one.at)
