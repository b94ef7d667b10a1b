"""Which store is near which node: distances, an estimated round trip, and a verdict in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from console.clouds.regions import Region, distance_km

FIBRE_KM_PER_MS = 200.0  # light in glass: two thirds of its speed in vacuum
DETOUR = 1.5  # cables follow coasts and borders, not great circles
EQUIPMENT_MS = 1.0  # routers and the stack at both ends

METHOD = (
    "Distances are great circles between the regions' cities. The round trip is an estimate, not a measurement: light "
    "in fibre (200 km in a millisecond), there and back, on a way half as long again as the great circle, and 1 ms for "
    "the equipment."
)


@dataclass(frozen=True)
class Site:
    """A store, with where it is."""

    id: str
    name: str
    region: Region


@dataclass(frozen=True)
class Reach:
    """A node and the nearest of the chosen stores, if any, with what would be nearer."""

    node: str
    region: Region
    store: Site | None
    km: int
    better: Site | None = None
    better_km: int = 0

    @property
    def is_local(self) -> bool:
        """Return whether the store is in the node's own region."""
        return self.store is not None and self.store.region.code == self.region.code

    @property
    def round_trip(self) -> int:
        """Return the estimated round trip in milliseconds."""
        return round_trip_ms(self.km)


@dataclass(frozen=True)
class Verdict:
    """What is to be said about the choice: one sentence above the map, and a line for each node."""

    sentence: str
    reaches: Sequence[Reach]
    is_good: bool


def round_trip_ms(km: float) -> int:
    """Return the estimated round trip over so many kilometres in milliseconds (METHOD says how)."""
    return round(2 * km * DETOUR / FIBRE_KM_PER_MS + EQUIPMENT_MS)


def nearest(region: Region, nodes: Iterable[tuple[str, Region]]) -> tuple[str, int]:
    """Return the node that is nearest to the region, and its distance in kilometres; ("", 0) without nodes."""
    distances = ((round(distance_km(region, place)), name) for name, place in nodes)
    km, name = min(distances, key=lambda one: one[0], default=(0, ""))
    return name, km


def judge(nodes: Sequence[tuple[str, Region]], chosen: Sequence[Site], offered: Sequence[Site] = ()) -> Verdict:
    """Return, for each node, the nearest chosen store, and what choosing another of those offered would gain."""
    reaches = [_reach(name, region, chosen, offered) for name, region in nodes]
    far = sorted((reach for reach in reaches if not reach.is_local), key=lambda reach: -reach.km)
    return Verdict(_sentence(reaches, far, chosen), reaches, bool(reaches) and bool(chosen) and not far)


def _reach(name: str, region: Region, chosen: Sequence[Site], offered: Sequence[Site]) -> Reach:
    store, km = _nearest(region, chosen)
    better, better_km = _nearest(region, offered)
    if better and store and better_km >= km:
        better = None
    return Reach(name, region, store, km, better, better_km if better else 0)


def _nearest(region: Region, sites: Sequence[Site]) -> tuple[Site | None, int]:
    if not sites:
        return None, 0
    distances: dict[str, float] = {}
    for site in sites:
        if site.region.code not in distances:
            distances[site.region.code] = 0.0 if site.region.code == region.code else distance_km(region, site.region)
    site = min(sites, key=lambda site: distances[site.region.code])
    return site, round(distances[site.region.code])


def _sentence(reaches: Sequence[Reach], far: Sequence[Reach], chosen: Sequence[Site]) -> str:
    if not reaches:
        return "There is no node yet, so nothing can be said about distances."
    if not chosen:
        first = next((reach for reach in reaches if reach.better), None)
        hint = f" The nearest to {first.node} is {_named(first)}." if first else ""
        return f"No backup store is chosen: no node has a place to archive to.{hint}"
    local = len(reaches) - len(far)
    parts = [_count(local, len(reaches))]
    for reach in far[:3]:
        assert reach.store
        text = f"{reach.node} archives over {reach.km:,} km to {reach.store.region.code}"
        if reach.better:
            text += f" (choosing {reach.better.name} would make it {reach.better_km:,} km)"
        parts.append(text)
    if len(far) > 3:
        parts.append(f"{len(far) - 3} more are as far or nearer")
    return "; ".join(parts) + "."


def _count(local: int, nodes: int) -> str:
    if local == nodes:
        return "The node has a store in its region" if nodes == 1 else f"All {nodes} nodes have a store in their region"
    if local == 0:
        return (
            "The node has no store in its region"
            if nodes == 1
            else f"None of the {nodes} nodes has a store in its region"
        )
    return f"{local} of {nodes} nodes {'has a store in its region' if local == 1 else 'have a store in their region'}"


def _named(reach: Reach) -> str:
    assert reach.better
    return f"{reach.better.name} ({reach.better.region.code}, {reach.better_km:,} km)"
