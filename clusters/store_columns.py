"""What clusters know of stores, as columns of a list of stores."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum, UUIDField

from clusters.models import Attachment, Health
from stores.listing import StoreColumns


def _judged() -> QuerySet[Health, dict[str, Any]]:
    return Health.objects.filter(repository__store=OuterRef("pk")).order_by().values("repository__store")


def newest_backup() -> Subquery:
    """Return when the newest backup in a store was complete; NULL without one."""
    return Subquery(_judged().annotate(found=Max("backup_at")).values("found"))


def size() -> Subquery:
    """Return how many bytes all databases take in a store; NULL where none is judged."""
    return Subquery(_judged().annotate(found=Sum("bytes")).values("found"))


def _attached() -> QuerySet[Attachment]:
    return Attachment.objects.filter(store=OuterRef("pk")).order_by()


def is_used() -> Exists:
    """Return whether a cluster has a store."""
    return Exists(_attached())


def users() -> Subquery:
    """Return how many clusters have a store; NULL for none."""
    return Subquery(_attached().values("store").annotate(found=Count("pk")).values("found"))


def user() -> Subquery:
    """Return the name of the first cluster that has a store, by name."""
    return Subquery(_attached().order_by("cluster__name", "pk").values("cluster__name")[:1])


def user_id() -> Subquery:
    """Return the key of that cluster."""
    return Subquery(_attached().order_by("cluster__name", "pk").values("cluster")[:1], output_field=UUIDField())


def search(text: str) -> Q:
    """Return whether the name of a cluster that has a store holds a text."""
    return Q(Exists(_attached().filter(cluster__name__icontains=text)))


COLUMNS = StoreColumns(newest_backup, size, is_used, users, user, user_id, search)
