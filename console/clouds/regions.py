"""The one table of the clouds' regions, with coordinates. Knows no app."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
# Named in botocore's partitions.json, but without an S3 endpoint or LocationConstraint (botocore 1.44.5).
NOT_OPEN = {"me-west-1", "sa-west-1"}


@dataclass(frozen=True)
class Region:
    """A cloud's region; `account_namespace` is AWS's account regional namespace for bucket names."""

    provider: str
    code: str
    name: str
    city: str
    country: str
    lat: float
    lon: float
    partition: str
    account_namespace: bool
    is_signing: bool = False  # the code is what requests are signed for, and the name of no place

    @property
    def words(self) -> str:
        """Return its code and its place, such as "eu-west-1 · Dublin, Ireland"."""
        return f"{self.place} · signs as {self.code}" if self.is_signing else f"{self.code} · {self.place}"

    @property
    def place(self) -> str:
        """Return the place in words, such as "Dublin, Ireland"."""
        return f"{self.city}, {self.country}" if self.city != self.country else self.city


@cache
def table() -> dict[tuple[str, str], Region]:
    """Return every region that can be offered, by cloud and code."""
    return _clouds() | {(place.provider, place.code): place for place in places()}


@cache
def places() -> tuple[Region, ...]:
    """Return the places where a cloud has a region, each once: what a server that is in no cloud can be near to."""
    found: dict[str, Region] = {}
    for region in _clouds().values():
        code = _slug(region.city)
        place = replace(region, provider="s3", code=code, name=region.place, partition="", account_namespace=False)
        found.setdefault(code, place)
    return tuple(found[code] for code in sorted(found))


def find_places(text: str) -> list[Region]:
    """Return the places of this code, city or country, or beginning of one: "sao-paulo", "São Paulo, Brazil"."""
    return meant(text, places())


def nearest_first(offered: Sequence[Region], near: Sequence[Region]) -> list[Region]:
    """Return the regions by their distance to the nearest of `near`; without any of these, in the order given."""
    if not near:
        return list(offered)
    return sorted(offered, key=lambda one: (min(distance_km(one, other) for other in near), one.code))


def matching(text: str, among: Sequence[Region]) -> list[Region]:
    """Return the regions that this text names: the one of the code, else those of the city, else of the country.

    As people write it: in any case, with or without accents, also as "Dublin, Ireland", and by the cloud's own name.
    """
    wanted = _slug(text)
    for names in (_codes, _cities, _wider):
        if found := [region for region in among if wanted and wanted in names(region)]:
            return found
    return []


def meant(text: str, among: Sequence[Region]) -> list[Region]:
    """Return the regions that this text names, else those of which a name begins with it, in three letters or more."""
    if found := matching(text, among):
        return found
    begun = _slug(text)
    if len(begun) < 3:
        return []
    return [
        region
        for region in among
        if any(name.startswith(begun) for name in _codes(region) | _cities(region) | _wider(region))
    ]


def mentions(region: Region, text: str) -> bool:
    """Return whether the text is a part of the region's code, name or place, with or without accents and capitals.

    One letter is a part of nearly all of them, and names none.
    """
    wanted = _slug(text)
    return len(wanted) > 1 and any(wanted in one for one in _searched(region))


@cache
def _searched(region: Region) -> frozenset[str]:
    return _codes(region) | frozenset(map(_slug, (region.name, region.place)))


@cache
def _codes(region: Region) -> frozenset[str]:
    return frozenset({_slug(region.code)})


@cache
def _cities(region: Region) -> frozenset[str]:
    return frozenset({_slug(region.city), _slug(region.place)})


@cache
def _wider(region: Region) -> frozenset[str]:
    bracketed = re.findall(r"\((.+)\)", region.name)  # Amazon's "Europe (Ireland)"
    return frozenset(map(_slug, (region.country, region.name, *bracketed)))


def _slug(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")


@cache
def _clouds() -> dict[tuple[str, str], Region]:
    """Return the regions of the clouds (sources stand in regions.json)."""
    rows = json.loads((Path(__file__).parent / "regions.json").read_text())
    return {
        (row["provider"], row["code"]): Region(
            provider=row["provider"],
            code=row["code"],
            name=row["name"],
            city=row["city"],
            country=row["country"],
            lat=row["lat"],
            lon=row["lon"],
            partition=row.get("partition") or "",
            account_namespace=bool(row.get("account_regional_namespace")),
        )
        for row in rows
        if row["code"] not in NOT_OPEN
    }


@lru_cache(maxsize=8)  # bounded: the key may be whatever a form sent
def regions(provider: str) -> tuple[Region, ...]:
    """Return a cloud's regions in the order of their codes."""
    return tuple(sorted((r for (key, _), r in table().items() if key == provider), key=lambda r: r.code))


def find(provider: str, code: str) -> Region | None:
    """Return the region, or None when the cloud has none of that code."""
    return table().get((provider, code))


def distance_km(a: Region, b: Region) -> float:
    """Return the great-circle distance in kilometres (haversine formula)."""
    phi_a, phi_b = radians(a.lat), radians(b.lat)
    h = sin((phi_b - phi_a) / 2) ** 2 + cos(phi_a) * cos(phi_b) * sin(radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(h))
