"""The freshness matrix: for each node and store, how old the newest moment is that can be restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db.models import Min
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from clusters.health.verdicts import Verdict
from clusters.health.words import BY_RANK, age_words
from clusters.models import Health
from console.accounts.models import Membership
from console.web.retold import retold

CLUSTERS = 12  # on a page; as many are all shown, of more only those with trouble until somebody asks for all


@dataclass(frozen=True)
class Cell:
    """What a node has in a store: of several databases the worst, and the oldest."""

    verdict: Verdict
    text: str  # the age, such as "4 min"
    words: str  # what a screen reader and a pointer are told


@dataclass(frozen=True)
class Line:
    """A node, with a cell for each store of its cluster; None where it writes nothing."""

    node: str
    url: str
    cells: Sequence[Cell | None]


@dataclass(frozen=True)
class Matrix:
    """The nodes and the stores of one cluster."""

    key: UUID  # of the cluster
    cluster: str
    stores: Sequence[tuple[str, str]]  # name, address ("" of one that is gone)
    lines: Sequence[Line]
    verdict: Verdict

    @property
    def url(self) -> str:
        """Return the address of the cluster's page."""
        return reverse("clusters:detail", args=[self.key])


class Pair(NamedTuple):
    """What a cell is made of: one database in one store. Rows of a query, for models would take twice as long."""

    cluster: UUID
    cluster_name: str
    number: int
    store: UUID | None
    store_name: str
    node: str
    database: str
    rank: int
    newest: datetime | None
    problems: list[dict[str, str]]


COLUMNS = ("cluster", "cluster__name", "repository__number", "repository__store", "repository__store_name")


def matrices(membership: Membership, *, query: str = "", everything: bool, page: int) -> tuple[list[Matrix], bool]:
    """Return the matrices of that page of clusters, the worst first, and whether there are more, in one query."""
    judged = Health.objects.visible_to(membership)
    if query:
        judged = judged.filter(cluster__name__icontains=query)
    order = judged.order_by().values("cluster").annotate(least=Min("rank"), name=Min("cluster__name"))
    if not everything:
        order = order.filter(least__lt=Verdict.RECOVERABLE.rank)
    first = page * CLUSTERS
    chosen = order.order_by("least", "name", "cluster").values("cluster")[first : first + CLUSTERS + 1]
    rows = Health.objects.filter(cluster__in=chosen).order_by("cluster", "node", "database")
    found = rows.values_list(*COLUMNS, "node", "database", "rank", "newest", "problems")
    made = [_matrix(list(there)) for _, there in groupby((Pair(*one) for one in found), key=lambda one: one.cluster)]
    made.sort(key=lambda one: (one.verdict.rank, one.cluster, one.key))
    return made[:CLUSTERS], len(made) > CLUSTERS


def _matrix(found: Sequence[Pair]) -> Matrix:
    stores = sorted({one.number: (one.store_name, _store_url(one)) for one in found}.items())
    lines = []
    for node, rows in groupby(found, key=lambda one: one.node):
        there = list(rows)
        cells = [_cell([one for one in there if one.number == number]) for number, _ in stores]
        lines.append(Line(node, reverse("clusters:node", args=[there[0].cluster, node]), cells))
    lines.sort(key=lambda line: (len(line.node), line.node))  # n2 before n10
    verdict = BY_RANK[min(one.rank for one in found)]
    return Matrix(found[0].cluster, found[0].cluster_name, [store for _, store in stores], lines, verdict)


def _store_url(pair: Pair) -> str:
    return reverse("stores:detail", args=[pair.store]) if pair.store else ""


def _cell(there: Sequence[Pair]) -> Cell | None:
    """Return the cell of a node's databases in one store."""
    if not there:
        return None
    worst = min(there, key=lambda one: one.rank)
    verdict, now = BY_RANK[worst.rank], timezone.now()
    ages = [None if one.newest is None else max(timedelta(), now - one.newest) for one in there]
    # One that cannot be restored to any moment is older than all that can.
    oldest = None if None in ages else max(age for age in ages if age is not None)
    text = age_words(oldest) if verdict is not Verdict.NOT_SET_UP or oldest is not None else gettext("not yet")
    said = [str(verdict.label)]
    if len(there) > 1 and verdict is not Verdict.RECOVERABLE:
        said[0] += f": {worst.database}"
    said += [retold(one["words"]).rstrip(".") for one in worst.problems[:1]]
    return Cell(verdict, text, ". ".join(said) + ".")
