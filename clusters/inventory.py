"""What the repositories hold, read now and then and kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from clusters.models import Attachment, Inventory
from clusters.pgbackrest import repository
from console.operations.snapshots import SnapshotQuerySet


def in_use() -> SnapshotQuerySet:
    """Return the inventories of the repositories that clusters use."""
    return _of(Attachment.objects.all())


def of(cluster_id: UUID) -> SnapshotQuerySet:
    """Return the inventories of the cluster's repositories that are in use."""
    return _of(Attachment.objects.filter(cluster=cluster_id))


def _of(attachments: QuerySet[Attachment]) -> SnapshotQuerySet:
    used = attachments.exclude(state=Attachment.State.ATTACHING).values("repository")
    missing = used.filter(repository__inventory=None)
    Inventory.objects.bulk_create(
        [Inventory(repository_id=one["repository"]) for one in missing], ignore_conflicts=True
    )
    return Inventory.objects.filter(repository__in=used)


def look(inventory: Inventory) -> Any:
    """Return what the repository holds; raises a StepError."""
    found = inventory.repository
    if found.store is None:
        return []
    stanza_states = repository.look(
        found.store.cloud.storage.objects(found.store.spec()),
        found.cluster.prefix,
        found.secrets.get("cipher_pass", ""),
    )
    return repository.as_json(stanza_states)
