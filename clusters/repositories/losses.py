"""What is lost of what was seen in the repositories, for the pages of clusters, nodes and stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from django.db.models import Exists, Max, OuterRef
from django.urls import reverse

from clusters.models import KnownStanza, Repository
from stores.losses import Elsewhere, Loss
from stores.models import Store

SHOWN = 20  # losses on a page


def losses(repositories: Iterable[Repository]) -> list[Loss]:
    """Return what is lost of these repositories, whose stores and known stanzas are at hand.

    Whoever has a node's key may write as many stanzas as he likes: then the last one says how many more there are.
    """
    found = [(one, known) for one in repositories if one.store for known in one.known_stanzas.all() if known.lost_since]
    found.sort(key=lambda row: not row[1].postgresql)  # those that the cluster has, or had, come first
    said = [_loss(*row) for row in found[:SHOWN]]
    return [*said[:-1], replace(said[-1], others=len(found) - len(said))] if said else []


def of_store(store: Store) -> list[Loss]:
    """Return what is lost of all that was seen in the store."""
    rows = Repository.objects.filter(store=store).select_related("store")
    return losses(rows.prefetch_related("known_stanzas").order_by("cluster_name", "number"))


def in_store() -> Exists:
    """Return whether anything is lost in a store, as a condition on stores."""
    return Exists(KnownStanza.objects.filter(repository__store=OuterRef("pk")).exclude(lost_since=None))


def last_seen_at(store: Store) -> datetime | None:
    """Return when there was last anything in the store."""
    found: datetime | None = KnownStanza.objects.filter(repository__store=store).aggregate(at=Max("seen_at"))["at"]
    return found


def _loss(found: Repository, known: KnownStanza) -> Loss:
    store = found.store
    assert store is not None  # losses() has looked
    return Loss(
        what=str(known),
        node=known.node,
        store=store.name,
        rows=known.lost,
        versions=known.versions,
        versions_days=store.versions_days or 0,
        elsewhere=_elsewhere(found, known),
        repository=found.pk,
        way_back=_way_back(found, known),
    )


def _elsewhere(found: Repository, known: KnownStanza) -> list[Elsewhere]:
    """Return the other stores in which the same node's backups of the same database were seen last."""
    rows = KnownStanza.objects.filter(
        repository__organisation=found.organisation_id,
        repository__prefix__startswith=found.cluster_prefix,
        repository__store__isnull=False,
        node=known.node,
        name=known.name,
    ).exclude(repository=found.pk)
    return [
        Elsewhere(store.name, store.get_absolute_url(), datetime.fromtimestamp(newest, UTC))
        for one in rows.select_related("repository__store").order_by("repository__number")
        if (store := one.repository.store)
        and (newest := max((backup["stopped"] for backup in one.backups.values()), default=0))
    ]


def _way_back(found: Repository, known: KnownStanza) -> str:
    """Return the page that recovers what was deleted, where anything can still come back."""
    if not (found.store and (found.store.versions_days or known.versions.get("objects"))):
        return ""
    return reverse("clusters:rescue", args=[found.pk])
