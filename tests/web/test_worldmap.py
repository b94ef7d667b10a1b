"""The map's module: the same with every call, closed to foreign code, and small."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from console.clouds import regions
from console.web import worldmap
from console.web.worldmap import Node, Pin

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
PINS = [Pin("eu-west-1", 53.35, -6.26), Pin("us-east-1", 39.04, -77.49)]
NODES = [
    Node("n1", 53.35, -6.26, "Dublin, Ireland"),
    Node("n2", 53.35, -6.26, "Dublin, Ireland"),
    Node("n3", 35.68, 139.69, "Tokyo, Japan"),
]
TILES = ("https://tiles.example/{z}/{x}/{y}.png", "&copy; <a href='https://tiles.example/'>Tiles</a>")
PAYLOADS = ["${alert(1)}", "</script><script>alert(1)</script>", "`${alert(1)}`", '");alert(1)//', "\\", "\u2028'"]


def test_folium_is_loaded_by_who_shows_maps_alone():
    """It takes a fifth of the time in which a worker, or any command, starts."""
    folium, layers = set(), set()
    for path in (path for top in ("console", "stores", "clusters") for path in (STATIC.parent / top).rglob("*.py")):
        name, text = path.relative_to(STATIC.parent).as_posix(), path.read_text()
        if re.search(r"^(?:from|import) (?:folium|branca)\b", text, re.MULTILINE):
            folium.add(name)
        if re.search(r"\bmap_layers\b", text):
            layers.add(name)
    assert folium == {"console/web/map_layers.py"}
    assert layers == {"console/rsgi.py", "console/web/worldmap.py"}
    assert not re.search(r"^(?:from|import) .*map_layers", Path(worldmap.__file__).read_text(), re.MULTILINE)


def test_module_is_the_same_with_every_call():
    assert worldmap.module(PINS, NODES, tiles=TILES) == worldmap.module(PINS, NODES, tiles=TILES)


def test_module_names_its_files_in_the_order_in_which_they_need_each_other():
    head = worldmap.module(PINS, NODES).splitlines()[0]
    js, css = (json.loads(text) for text in re.fullmatch(r"export const js = (\[.*]), css = (\[.*]);", head).groups())
    names = ["leaflet.js", "leaflet.markercluster.js", "leaflet.css", "MarkerCluster.css", "map.css"]
    assert [url.rsplit("/", 1)[1] for url in js + css] == names


@pytest.mark.parametrize("nodes", [[], NODES])
@pytest.mark.parametrize("pins", [[], PINS])
def test_module_holds_nothing_foreign_and_nothing_inline(pins, nodes):
    text = worldmap.module(pins, nodes)
    for unwanted in ("http:", "https:", "//cdn", "<script", "<style", "data:", "eval(", "jquery", "bootstrap"):
        assert unwanted not in text.lower()


def test_module_asks_a_tile_server_only_when_told_to():
    assert "tileLayer" not in worldmap.module(PINS)
    text = worldmap.module(PINS, tiles=TILES)
    assert TILES[0] in text
    assert '"referrerPolicy": "origin"' in text
    assert set(re.findall(r"https?://[^/]*", text)) == {"https://tiles.example"}
    assert "<a" not in text  # the attribution is a JavaScript string without a tag's brackets


@pytest.mark.parametrize("payload", PAYLOADS)
def test_module_keeps_what_it_is_given_inside_of_strings(payload):
    text = worldmap.module([Pin(payload, 0, 0)], [Node(payload, 0, 0, payload)])
    assert "<" not in text.replace("i < data.length", "")  # Folium's own loop
    # With its strings taken out, nothing of the payload is left: the code is the one of a harmless map.
    harmless = worldmap.module([Pin("x", 0, 0)], [Node("x", 0, 0, "x")])
    strings = r'"(?:[^"\\]|\\.)*"'
    assert re.sub(strings, '""', text) == re.sub(strings, '""', harmless)
    assert payload in [json.loads(found) for found in re.findall(strings, text)]


def test_module_stacks_the_nodes_of_one_place():
    text = worldmap.module(PINS, NODES)
    assert '["n1", "n2"], "Dublin, Ireland"' in text
    assert text.count("world.nodes(") == 2


def test_module_keeps_two_maps_of_one_page_apart():
    assert 'world.container("map-stores")' in worldmap.module(PINS, key="stores")
    assert 'world.container("map-regions")' in worldmap.module(PINS, key="regions")


@pytest.mark.parametrize("key", ["a b", "a-b", 'a"', "a;b", "</script>"])
def test_module_refuses_a_key_that_is_no_name(key):
    with pytest.raises(ValueError, match="JavaScript name"):
        worldmap.module(PINS, key=key)


def test_module_of_a_thousand_pins_is_small():
    places = regions.regions("aws")
    pins = [
        Pin(hashlib.md5(bytes([i % 256, i // 256])).hexdigest(), *_spot(places[i % len(places)])) for i in range(1000)
    ]
    nodes = [Node(f"n{i}", *_spot(places[i]), places[i].place) for i in range(5)]
    assert len(gzip.compress(worldmap.module(pins, nodes).encode())) < 60_000


def _spot(region):
    return region.lat, region.lon


def test_vendored_files_are_those_that_the_list_names():
    rows = re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "vendor/README.md").read_text(), re.MULTILINE)
    listed = dict(rows)
    present = {str(path.relative_to(STATIC / "vendor")) for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    assert set(listed) == {name for name in present if not name.endswith(("README.md", "LICENSE"))}
    for name, digest in listed.items():
        data = (STATIC / "vendor" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, name
        assert b"sourceMappingURL" not in data  # collectstatic fails on a map that is not there


@pytest.mark.slow
def test_outline_is_the_one_that_the_list_describes():
    digest = hashlib.sha256((STATIC / "world.json").read_bytes()).hexdigest()
    assert digest in (STATIC / "vendor/README.md").read_text()
