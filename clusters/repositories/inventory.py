"""What the repositories hold, read now and then and kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from clusters import replication
from clusters.models import Attachment, Inventory, Repository
from clusters.pgbackrest import repository
from clusters.pgbackrest.repository import Own, Report
from clusters.reports.report import of_status
from console.cloud_accounts import budget
from console.clouds.contents import Objects
from console.operations.snapshots import SnapshotQuerySet

FULL_EVERY = timedelta(days=1)
ENTRIES_AT_MOST = 20_000  # of others in a folder, until it is not looked into further


def readable() -> SnapshotQuerySet:
    """Return the inventories that workers may read: of all repositories whose store is there, used or not."""
    return within_budget(_of(Repository.objects.all()))


def of(cluster_id: UUID) -> SnapshotQuerySet:
    """Return the inventories of the cluster's repositories."""
    return _of(Repository.objects.filter(cluster=cluster_id))


def within_budget(inventories: SnapshotQuerySet) -> SnapshotQuerySet:
    """Return those whose account has calls left for this part of the day, and those that somebody waits for."""
    awaited = Q(wanted_at__isnull=False) & (Q(tried_at=None) | Q(tried_at__lt=F("wanted_at")))
    return inventories.filter(awaited | ~Q(repository__store__cloud_account__in=budget.exhausted()))


def _of(repositories: QuerySet[Repository]) -> SnapshotQuerySet:
    kept = repositories.exclude(store=None).exclude(attachment__state=Attachment.State.ATTACHING)
    missing = kept.filter(inventory=None).values_list("pk", flat=True)
    Inventory.objects.bulk_create([Inventory(repository_id=pk) for pk in missing], ignore_conflicts=True)
    return Inventory.objects.filter(repository__in=kept)


def look(inventory: Inventory, expected: Collection[tuple[str, str]] = ()) -> Any:
    """Return what the repository holds; raises a StepError. `expected` are stanzas that a node writes there.

    Once a day, and when somebody asks, all of it is looked at; else what changes day by day.
    """
    found = inventory.repository
    if found.store is None:
        return []
    objects = found.store.cloud.storage.objects(found.store.spec())
    said = replication.reports(found.cluster) if found.cluster else {}
    nodes = {one.pk: of_status(one.status) for one in found.cluster.nodes.all()} if said and found.cluster else {}
    reports = {
        key: Report(one.system_id, one.timeline, told.segment if (told := nodes[one.node_id].of(key[1])) else None)
        for key, one in said.items()
    }
    before = repository.from_json(inventory.content)
    begun, states = timezone.now(), None
    own = own_of(found)
    if not _is_full_due(inventory, begun):
        states = repository.news(
            objects, found.prefix, found.passphrase, before, reports=reports, expected=expected, own=own
        )
    if states is None:
        if own:
            states = repository.look_at_own(objects, own, found.passphrase, before, reports)
        else:
            states = repository.look(objects, found.prefix, found.passphrase, before, reports)
        inventory.full_at = begun
    content = repository.as_json(states)
    if found.detached_at:
        is_empty = not content and _is_empty(objects, found)
        Repository.objects.filter(pk=found.pk).update(empty_at=timezone.now() if is_empty else None)
    return content


def own_of(found: Repository) -> Own | None:
    """Return where the stanzas of a repository are that was brought in; None of one in its cluster's folder."""
    if found.brought is None:
        return None
    brought = found.brought
    return Own(brought["path"], brought["node"], tuple(brought["stanzas"]), brought.get("nodes", {}))


def _is_full_due(inventory: Inventory, now: datetime) -> bool:
    last, found = inventory.full_at, inventory.repository
    asked = inventory.is_awaited or found.detached_at is not None
    return asked or last is None or inventory.read_at is None or not timedelta() <= now - last < FULL_EVERY


def _is_empty(objects: Objects, found: Repository) -> bool:
    """Return whether nothing of the repository is there, no older version either; what is not looked at may be its."""
    parts = (look(one) for one in found.folders for look in (objects.entries, objects.deleted))
    there = islice(chain.from_iterable(parts), ENTRIES_AT_MOST)
    return all(not found.holds(entry.key) and number < ENTRIES_AT_MOST for number, entry in enumerate(there, 1))
