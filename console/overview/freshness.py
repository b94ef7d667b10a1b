"""The freshness matrix: for each node and store, how old the newest moment is that can be restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from django.db.models import Min
from django.urls import reverse
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.health.words import age_words
from clusters.models import Cluster, Health
from console.accounts.models import Membership

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

    cluster: Cluster
    stores: Sequence[tuple[str, str]]  # name, address ("" of one that is gone)
    lines: Sequence[Line]
    verdict: Verdict


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
    found = (
        Health.objects.filter(cluster__in=chosen)
        .select_related("cluster", "repository")
        .defer("cluster__keys", "cluster__former_keys", "repository__secrets", "gaps", "missed")
        .order_by("cluster", "node", "database")
    )
    made = [_matrix(list(rows)) for _, rows in groupby(found, key=lambda one: one.cluster_id)]
    made.sort(key=lambda one: (one.verdict.rank, one.cluster.name, one.cluster.pk))
    return made[:CLUSTERS], len(made) > CLUSTERS


def _matrix(found: Sequence[Health]) -> Matrix:
    repositories = sorted({one.repository.number: one.repository for one in found}.items())
    stores = [
        (one.store_name, reverse("stores:detail", args=[one.store_id]) if one.store_id else "")
        for _, one in repositories
    ]
    lines = []
    for node, rows in groupby(found, key=lambda one: one.node):
        there = list(rows)
        cells = [_cell([one for one in there if one.repository.number == number]) for number, _ in repositories]
        lines.append(Line(node, reverse("clusters:node", args=[there[0].cluster_id, node]), cells))
    lines.sort(key=lambda line: (len(line.node), line.node))  # n2 before n10
    return Matrix(found[0].cluster, stores, lines, min((one.word for one in found), key=lambda one: one.rank))


def _cell(there: Sequence[Health]) -> Cell | None:
    """Return the cell of a node's databases in one store."""
    if not there:
        return None
    worst = min(there, key=lambda one: one.rank)
    now = timezone.now()
    ages = [None if one.newest is None else max(timedelta(), now - one.newest) for one in there]
    # One that cannot be restored to any moment is older than all that can.
    oldest = None if None in ages else max(age for age in ages if age is not None)
    text = age_words(oldest) if worst.word is not Verdict.NOT_SET_UP or oldest is not None else "not yet"
    said = [worst.word.label]
    if len(there) > 1 and worst.word is not Verdict.RECOVERABLE:
        said[0] += f": {worst.database}"
    if worst.reason:
        said.append(worst.reason)
    return Cell(worst.word, text, ". ".join(one.rstrip(".") for one in said) + ".")
