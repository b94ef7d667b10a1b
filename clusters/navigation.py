"""What the navigation pane shows of clusters: their names, with a dot for the worst verdict on their databases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Subquery
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from clusters.models import Cluster
from clusters.models.cluster import ClusterQuerySet
from console.accounts.models import Membership
from console.web.natural import natural_key
from console.web.prepared import ANOTHER_KEY, KEY, Prepared

SHOWN = 12
OPENED = re.compile(r"^/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")  # as Django reads a UUID


@dataclass(frozen=True)
class Pane:
    """The clusters that are shown, by name, and how many more there are."""

    clusters: list[Cluster]
    more: int = 0


def pane(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: clusters of the open organisation, asked for only when they are drawn."""
    return {"navigation": SimpleLazyObject(lambda: clusters(request, request.path))}


def clusters(request: HttpRequest, path: str) -> Pane:
    """Return the newest clusters of the open organisation, and the one whose page `path` is; in one query."""
    membership = getattr(request, "membership", None)
    if not membership or not membership.organisation.is_enterprise:
        return Pane([])
    mine, opened = membership.organisation_id, OPENED.match(path)
    rows = _with_opened.all(mine, UUID(opened[1])) if opened else _newest.all(mine)
    found = sorted(rows, key=lambda one: natural_key(one.name))
    return Pane(found, found[0].every - len(found) if found else 0)  # type: ignore[attr-defined]


def _rows(organisation: UUID, opened: UUID | None = None) -> ClusterQuerySet:
    mine = Cluster.objects.visible_to(Membership(organisation_id=organisation))
    wanted = Q(pk__in=mine.order_by("-created_at", "-pk").values("pk")[:SHOWN])
    if opened:
        wanted |= Q(pk=opened)
    count = mine.order_by().values("organisation").annotate(found=Count("pk")).values("found")
    rows = mine.filter(wanted).with_loss().with_verdict().annotate(every=Subquery(count))
    found: ClusterQuerySet = rows.only("id", "name", "state")
    return found


# Each page asks for it.
_newest: Prepared[Cluster] = Prepared(_rows, KEY)
_with_opened: Prepared[Cluster] = Prepared(_rows, KEY, ANOTHER_KEY)
