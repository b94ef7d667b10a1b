"""What the navigation pane shows of clusters: their names, with a dot for the worst verdict on their databases."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from clusters.models import Cluster

SHOWN = 12


def pane(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: the newest clusters of the open organisation, asked for only when they are drawn."""
    return {"navigation": SimpleLazyObject(lambda: clusters(request))}


def clusters(request: HttpRequest) -> list[Cluster]:
    """Return the newest clusters of the open organisation, by name."""
    membership = getattr(request, "membership", None)
    if not membership or not membership.organisation.is_enterprise:
        return []
    rows = Cluster.objects.visible_to(membership).with_loss().with_verdict()
    newest = rows.only("id", "name", "state").order_by("-created_at", "-pk")[:SHOWN]
    return sorted(newest, key=lambda one: one.name.lower())
