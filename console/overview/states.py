"""How many databases can be restored, and which cannot: from what was judged of each of them in each of its stores.

A database is what one node runs under one name. Two stores are two chances to restore it: so it counts as recoverable
when at least one of its stores can restore it as its schedule promises; each store that cannot is listed all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Health
from clusters.models.health import HealthQuerySet
from console.accounts.models import Membership

WORST = 10  # shown on the overview; the others are a page further


@dataclass(frozen=True)
class Share:
    """How many databases have a verdict, and where that stands in a bar of 100."""

    verdict: Verdict
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class Summary:
    """All databases of an organisation, each by the best of its stores; bytes are what they take in all of them."""

    counts: dict[Verdict, int]
    half: int  # recoverable, from one of their stores and not from another
    troubled_pairs: int  # databases in stores that are not recoverable
    clusters: int  # that have anything that was judged
    judged_at: datetime | None
    bytes: int
    grown: int | None  # bytes in a week, of what is known for so long; None where nothing is

    @property
    def total(self) -> int:
        """Return how many databases there are."""
        return sum(self.counts.values())

    @property
    def recoverable(self) -> int:
        """Return how many of them can be restored as promised."""
        return self.counts[Verdict.RECOVERABLE]

    @property
    def shrunk(self) -> int:
        """Return by how many bytes it is less than a week ago."""
        return max(0, -(self.grown or 0))

    @property
    def shares(self) -> Sequence[Share]:
        """Return the parts of the bar, the best first."""
        shares: list[Share] = []
        for one in reversed(Verdict):
            if self.counts[one]:
                start = shares[-1].start + shares[-1].width if shares else 0.0
                shares.append(
                    Share(one, self.counts[one], round(start, 3), round(100 * self.counts[one] / self.total, 3))
                )
        return shares


def summary(membership: Membership, *, nowhere: int) -> Summary:
    """Return how the organisation's databases are, in one query; `nowhere` are those that no store is there for."""
    known = Q(bytes_before__isnull=False)
    databases = (
        Health.objects.visible_to(membership)
        .order_by()
        .values("cluster", "node", "database")
        .annotate(
            # A store in which a database is not set up yet is no chance to restore it: it hides no other's verdict.
            best=Coalesce(Max("rank", filter=~Q(rank=Verdict.NOT_SET_UP.rank)), Verdict.NOT_SET_UP.rank),
            least=Min("rank"),
            pairs=Count("pk", filter=Q(rank__lt=Verdict.RECOVERABLE.rank)),
            size=Sum("bytes"),
            now=Sum("bytes", filter=known),
            before=Sum("bytes_before"),
            judged=Max("judged_at"),
        )
    )
    best = {one.value: Count("best", filter=Q(best=one.rank)) for one in Verdict}
    found: dict[str, Any] = databases.aggregate(
        **best,
        half=Count("best", filter=Q(best=Verdict.RECOVERABLE.rank, least__lt=Verdict.RECOVERABLE.rank)),
        troubled=Sum("pairs"),
        clusters=Count("cluster", distinct=True),
        stored=Sum("size"),
        stored_now=Sum("now"),
        stored_before=Sum("before"),
        at=Max("judged"),
    )
    counts = {one: found[one.value] for one in Verdict}
    counts[Verdict.NOT_SET_UP] += nowhere
    before = found["stored_before"]
    return Summary(
        counts,
        found["half"],
        found["troubled"] or 0,
        found["clusters"],
        found["at"],
        found["stored"] or 0,
        None if before is None else (found["stored_now"] or 0) - before,
    )


def pairs(membership: Membership) -> HealthQuerySet:
    """Return what was judged of each database in each store, the worst first, with what a row shows, in one query."""
    rows: HealthQuerySet = Health.objects.visible_to(membership).worst_first()
    return rows.select_related("cluster", "repository__store").defer(
        "cluster__keys", "cluster__former_keys", "repository__secrets"
    )


@dataclass(frozen=True)
class Row:
    """One database in one store, as the lists show it."""

    health: Health

    @property
    def node_url(self) -> str:
        """Return the address of its node's page."""
        return self.health.node_url

    @property
    def fix_url(self) -> str:
        """Return where what is wrong is put right."""
        return self.health.told[0].url if self.health.problems else self.node_url

    @property
    def also(self) -> int:
        """Return how many more things are wrong."""
        return len(self.health.problems[1:])

    @property
    def changed_at(self) -> datetime:
        """Return since when it is so; never later than now, whatever another machine's clock says."""
        return min(self.health.since, timezone.now())


def rows(found: HealthQuerySet) -> list[Row]:
    """Return the rows of a list."""
    return [Row(one) for one in found]
