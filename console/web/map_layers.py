"""What Folium draws on the map of `worldmap`.

Loaded by the web server, and with the first map elsewhere: it takes a fifth of the time in which a process starts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import folium
from branca.element import CssLink, Figure, JavascriptLink
from django.templatetags.static import static
from folium.map import Layer
from folium.plugins import FastMarkerCluster
from folium.template import Template
from folium.utilities import JsCode

from console.web.worldmap import Node, Pin

WORLD = [[-80, -220], [85, 220]]  # how far the map can be dragged: a little beyond the outline's edges


class _Files:
    """Folium's list of a layer's files, resolved late: the hashed names are known only when the map is asked for."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def __get__(self, instance: object, owner: type) -> list[tuple[str, str]]:
        return [(path, static(path)) for path in self.paths]


class WorldMap(folium.Map):
    """Folium's map without its inline styles and foreign links, in an element that the browser's script makes."""

    default_js = _Files("vendor/leaflet/leaflet.js")
    default_css = _Files("vendor/leaflet/leaflet.css", "map.css")
    _template = Template("""
        {% macro script(this, kwargs) %}
        var {{ this.get_name() }} = L.map(world.container({{ this.container|tojson }}), {
            center: {{ this.location|tojson }}, crs: L.CRS.{{ this.crs }}, ...{{ this.options|tojavascript }}
        });
        {% endmacro %}""")

    def __init__(self, key: str, *, tiled: bool) -> None:
        moves: Any = JsCode("world.moves")  # unless the reader prefers less motion
        drags: Any = JsCode("world.drags")
        super().__init__(
            [25, 5],
            zoom_start=1,
            tiles=None,
            minZoom=0,
            maxZoom=8,  # clusters need an end
            zoomSnap=1 if tiled else 0.25,  # tiles blur between the zooms that they are drawn for
            maxBounds=WORLD,
            maxBoundsViscosity=0.8,
            scrollWheelZoom=False,  # map-input.js allows it while the map has the focus: the wheel belongs to the page
            dragging=drags,
            zoomAnimation=moves,
            fadeAnimation=moves,
            markerZoomAnimation=moves,
            inertia=moves,
            trackResize=False,  # map.js watches the map's own box
        )
        self._id = key
        self.container = f"map-{key}"


class WorldLayer(Layer):
    """Land and borders, one static file that a browser keeps for ever."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        var {{ this.get_name() }} = world.outline({{ this.url|tojson }});
        {% endmacro %}""")

    def __init__(self, key: str) -> None:
        super().__init__(name="World")
        self._name, self._id = "WorldLayer", key
        self.url = static("world.json")


class NodeMarker(Layer):
    """The nodes of one place, drawn side by side."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        var {{ this.get_name() }} =
            world.nodes({{ this.spot|tojson }}, {{ this.names|tojson }}, {{ this.place|tojson }});
        {% endmacro %}""")

    def __init__(self, key: str, spot: tuple[float, float], names: list[str], place: str) -> None:
        super().__init__(name="Node")
        self._name, self._id = "NodeMarker", key
        self.spot, self.names, self.place = spot, names, place


class Pins(FastMarkerCluster):
    """Every pin as a row of data: a thousand of them cost a few milliseconds and kilobytes."""

    default_js = _Files("vendor/leaflet.markercluster/leaflet.markercluster.js")
    default_css = _Files("vendor/leaflet.markercluster/MarkerCluster.css")

    def __init__(self, key: str, pins: Iterable[Pin]) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            [[pin.lat, pin.lon, pin.id] for pin in pins],
            callback="world.pin",
            icon_create_function="world.cluster",
            animate=JsCode("world.moves"),
            maxClusterRadius=42,  # pixels: what can be told apart stands apart
            spiderfyDistanceMultiplier=1.4,
            spiderLegPolylineOptions={"className": "map-leg", "interactive": False},
            showCoverageOnHover=False,
            # map-clusters.js opens a cluster itself, and moves the focus into it.
            zoomToBoundsOnClick=False,
            spiderfyOnMaxZoom=False,
        )
        self._id = key


def draw(pins: list[Pin], nodes: list[Node], key: str, tiles: tuple[str, str] | None) -> str:
    """Return the JavaScript module of a map, as `worldmap.module` has it."""
    world = WorldMap(key, tiled=tiles is not None)
    if spots := [(pin.lat, pin.lon) for pin in pins] + [(node.lat, node.lon) for node in nodes]:
        lats, lons = zip(*spots, strict=True)
        corners = [[min(lats), min(lons)], [max(lats), max(lons)]]
        _add(
            world, folium.FitBounds(corners, padding_top_left=(34, 48), padding_bottom_right=(34, 60), max_zoom=4), key
        )
    _add(world, WorldLayer(key), key)
    if tiles:
        url, attribution = tiles
        # The page's policy sends no Referer; tile servers want to know who asks.
        _add(world, folium.TileLayer(url, attr=attribution, referrerPolicy="origin"), key)
    cluster = Pins(key, pins)
    _add(world, cluster, key)
    places: dict[tuple[float, float], list[Node]] = {}
    for node in nodes:
        places.setdefault((node.lat, node.lon), []).append(node)
    for number, (spot, there) in enumerate(places.items()):
        one = f"{key}_{number}"
        _add(world, NodeMarker(one, spot, [node.name for node in there], there[0].place), one)
    return _as_module(world, cluster)


def _add(world: WorldMap, child: Any, key: str) -> None:
    """Add the child under a name of ours: Folium's own are random, and the module would differ with every call."""
    child._id = key
    child.add_to(world)


def _as_module(world: WorldMap, cluster: Pins) -> str:
    figure = world.get_root()
    assert isinstance(figure, Figure)
    figure.render()  # fills the header with links and the script with parts
    links = figure.header._children.values()
    js = [link.url for link in links if isinstance(link, JavascriptLink)]
    css = [link.url for link in links if isinstance(link, CssLink)]
    # The map's own looks come last, over those of Leaflet and its plugin.
    css.sort(key=static("map.css").__eq__)
    return (
        f"export const js = {json.dumps(js)}, css = {json.dumps(css)};\n"
        "export default function (world) {\n"
        f"{figure.script.render()}\n"
        f"return world.ready({world.get_name()}, {cluster.get_name()});\n"
        "}\n"
    )
