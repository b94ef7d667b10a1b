"""The fleet on a map: all stores, and the nodes of each region, coloured by their worst verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils.translation import gettext, ngettext

from clusters.health.verdicts import Verdict, worst
from clusters.health.words import of_rank
from clusters.models import Health, Node
from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.clouds.regions import Region
from console.web import worldmap
from console.web.natural import Natural
from stores.models import Store

STORES = 1000  # on the map; more are not drawn


@dataclass(frozen=True)
class Spot:
    """A store on the map, with what its pin says."""

    store: Store
    region: Region
    verdict: Verdict | None

    @property
    def id(self) -> str:
        """Return what the map knows it by."""
        return str(self.store.pk)

    @property
    def label(self) -> str:
        """Return its name and its place."""
        return f"{self.store.name}, {self.region.place}"


@dataclass
class Place:
    """A city with regions in which there are nodes or stores."""

    region: Region  # one of them: they are in the same place
    codes: set[str] = field(default_factory=set)
    counts: dict[Verdict, int] = field(default_factory=dict)  # nodes
    stores: list[Spot] = field(default_factory=list)

    @property
    def nodes(self) -> int:
        """Return how many nodes are there."""
        return sum(self.counts.values())

    @property
    def verdict(self) -> Verdict | None:
        """Return the worst of its nodes' verdicts."""
        return worst(self.counts)

    @property
    def name(self) -> str:
        """Return how many nodes are there, in words."""
        return ngettext("{number} node", "{number} nodes", self.nodes).format(number=self.nodes)

    @property
    def short(self) -> str:
        """Return the same with how the worst of them are, where something is wrong with them."""
        least = self.verdict
        is_bad = least is not None and least.rank < Verdict.UNKNOWN.rank
        return f"{self.name}, {self.counts[least]:,} {least.label.lower()}" if least and is_bad else self.name

    @property
    def spot(self) -> str:
        """Return what tells its mark from the others of the map, as static/choice-field.js makes it."""
        return f"{self.region.lat:.3f},{self.region.lon:.3f}"

    @property
    def tally(self) -> Sequence[tuple[Verdict, int]]:
        """Return the nodes by verdict, the worst first."""
        return sorted(self.counts.items(), key=lambda one: one[0].rank)

    @property
    def label(self) -> str:
        """Return what the mark's tooltip says."""
        told = ", ".join(f"{count:,} {verdict.label.lower()}" for verdict, count in self.tally)
        return gettext("{nodes} in {place}: {told}").format(nodes=self.name, place=self.region.place, told=told)


def places(membership: Membership, stores: QuerySet[Store] | None = None) -> list[Place]:
    """Return where the organisation has nodes or stores, the worst first, in three queries.

    With `stores`, which are the organisation's, only where these are, in one query.
    """
    found: dict[tuple[float, float], Place] = {}

    def at(region: Region, code: str) -> Place:
        place = found.setdefault((region.lat, region.lon), Place(region))
        place.codes |= {code} - {""}
        return place

    for account, code, rank, count in _nodes(membership) if stores is None else ():
        if region := account.region(code):
            place, verdict = at(region, code), of_rank(rank) or Verdict.NOT_SET_UP
            place.counts[verdict] = place.counts.get(verdict, 0) + count
    shown: Any = Store.objects.visible_to(membership) if stores is None else stores
    for store in shown.with_story().order_by(Natural("name"), "pk")[:STORES]:
        if region := store.cloud_account.region(store.region):
            code = "" if store.cloud.storage.one_region else store.region  # what a server signs with is no place
            at(region, code).stores.append(Spot(store, region, store.verdict))
    last = len(Verdict)
    return sorted(found.values(), key=lambda one: (one.verdict.rank if one.verdict else last, one.region.place))


def _nodes(membership: Membership) -> Iterable[tuple[Any, str, int | None, int]]:
    """Yield, by account, region and verdict, how many nodes there are; in two queries."""
    accounts = CloudAccount.objects.visible_to(membership).in_bulk()
    folder = Coalesce(NullIf(F("folder"), Value("")), F("name"))
    judged = (
        Health.objects.filter(cluster=OuterRef("cluster"), node=OuterRef("kept_in")).order_by("rank").values("rank")
    )
    nodes = Node.objects.filter(cluster__organisation=membership.organisation_id).annotate(kept_in=folder)
    ranked = (
        nodes.annotate(least=Subquery(judged[:1])).order_by().values_list("cluster__cloud_account", "region", "least")
    )
    for account, region, rank, count in ranked.annotate(count=Count("pk")):
        yield accounts[account], region, rank, count


def digest(found: Sequence[Place]) -> str:
    """Return what tells this map from one with other stores or nodes: a browser evaluates a module once per address."""
    content = [(place.spot, place.name, [spot.id for spot in place.stores]) for place in found]
    return sha256(repr(content).encode()).hexdigest()[:16]


def module(found: Sequence[Place], tiles: tuple[str, str] | None) -> str:
    """Return the map of these places as an ES module."""
    pins = [worldmap.Pin(spot.id, spot.region.lat, spot.region.lon) for place in found for spot in place.stores]
    nodes = [
        worldmap.Node(place.name, place.region.lat, place.region.lon, place.region.place)
        for place in found
        if place.nodes
    ]
    return worldmap.module(pins, nodes, key="fleet", tiles=tiles)
