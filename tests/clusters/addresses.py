"""Every page and file of ours that a GET reaches in the world of a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests import walk


def addresses(given: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[walk.Route, str]]:
    """Return the routes that these values are enough for, each with its address; the longest prefixes come first."""
    for route in walk.routes():
        values = next((found for prefix, found in given.items() if route.pattern.startswith(prefix)), {})
        if not route.is_admin and values.keys() >= route.arguments.keys():
            yield route, route.path(values)
