"""The map on which stores and regions are chosen: Folium's script as a JavaScript module. Knows no app and no request.

Folium escapes no text that a marker carries, so none of a user's goes through it: the module holds identifiers and
places, and static/map*.js take every label from the page. Nothing inline is made either, so the page's policy stays
`script-src 'self'; style-src 'self'`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pin:
    """Something to choose: a store by its UUID, or a region by its code."""

    id: str
    lat: float
    lon: float


@dataclass(frozen=True)
class Node:
    """A cluster's node, such as "n1", and its region's place."""

    name: str
    lat: float
    lon: float
    place: str


def module(
    pins: Iterable[Pin], nodes: Iterable[Node] = (), *, key: str = "world", tiles: tuple[str, str] | None = None
) -> str:
    """Return the JavaScript module of a map: Leaflet's files, and a function that draws it with a WorldMap of map.js.

    `key` tells the maps of one page apart; `tiles` is a tile server's URL template and its attribution (HTML).
    """
    if not f"map_{key}".isidentifier():
        raise ValueError(f"A map's key becomes part of a JavaScript name: {key!r} cannot")
    from console.web import map_layers  # noqa: PLC0415 - Folium, which only a web server needs

    return map_layers.draw(list(pins), list(nodes), key, tiles)
