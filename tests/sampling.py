"""What `make test` tries of the longest matrices: a fixed part of each, well spread. `make thorough` tries all of them.

A matrix that is walked by one test asks the fixture `sample` for its cells; of tests that are made from a table, those
with the mark `thorough` are left out (`thorough_but`); and of what runs on both databases, PostgreSQL has two cases of
each test. `make check` has one case of each test with a database, and none of the tests in tests/long.txt. The run says
what it has left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

THOROUGH = bool(os.environ.get("THOROUGH"))
QUICK = bool(os.environ.get("QUICK"))  # `make check`
LONG = Path(__file__).parent / "long.txt"
Cell = TypeVar("Cell")


def spread(cells: Iterable[Cell], by: Callable[[Cell], Any], of_each: int = 1, whole: bool = THOROUGH) -> list[Cell]:
    """Return, in their order, so many cells of each kind: `by` says of what kind one is.

    Of the first kind it is the first cell, of the second kind the second one, and so on, so that what kinds have in
    common (a fault at a call, the bucket that it is about) is met in all its forms. Nothing is left to chance.
    """
    there = list(cells)
    kinds: dict[Any, list[int]] = {}
    for place, cell in enumerate(there):
        kinds.setdefault(by(cell), []).append(place)
    chosen = set()
    for turn, places in enumerate(kinds.values()):
        apart = [number * len(places) // of_each for number in range(min(of_each, len(places)))]
        chosen.update(places[(turn + further) % len(places)] for further in apart)
    return [cell for place, cell in enumerate(there) if whole or place in chosen]


def turned(cells: Iterable[Cell], by: int) -> list[Cell]:
    """Return the same cells, beginning with another one: the one of that number, counted on from the first again."""
    there = list(cells)
    first = by % len(there)
    return there[first:] + there[:first]


def thorough_but(cells: Iterable[Cell], by: Callable[[Cell], Any], of_each: int = 1) -> list[Any]:
    """Return all cells as parameters of a test, a tuple as several; those not in the part are for `make thorough`."""
    there = list(cells)
    chosen = spread(there, by, of_each)
    marks = [() if cell in chosen else (pytest.mark.thorough,) for cell in there]
    return [
        pytest.param(*(cell if isinstance(cell, tuple) else (cell,)), marks=mark)
        for cell, mark in zip(there, marks, strict=True)
    ]


def _listed(name: str) -> tuple[str, ...]:
    """Return the test files of a list in the Makefile."""
    text = (Path(__file__).parent.parent / "Makefile").read_text().replace("\\\n", " ")
    lines = [line.partition("=")[2] for line in text.splitlines() if re.match(rf"{name} [:+]=", line)]
    return tuple(" ".join(lines).split())


# What runs on PostgreSQL alone has all its cases there; what was found of strange requests has them on both, since its
# cases are values.
ALONE = _listed("ON_POSTGRESQL")
WHOLE = (*ALONE, "tests/fuzz/")


def on_postgresql_alone(item: Any) -> bool:
    """Return whether a test has no other run than the one on PostgreSQL, also if it asks for no database."""
    return bool(item.nodeid.startswith(ALONE))


def _cases(items: Iterable[Any]) -> Iterable[list[Any]]:
    """Return the cases of each test that has several."""
    cases: dict[str, list[Any]] = {}
    for item in items:
        if "[" in item.nodeid:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return cases.values()


def too_long(items: Iterable[Any]) -> list[Any]:
    """Return what `make check` leaves out: tests that take long, and of those with a database all cases but the first.

    Which take long has been measured (tests/timing.py): each, but for what it shares with others, over a tenth of a
    second of a core. They are a twelfth of the tests, and take two thirds of the time.
    """
    there = list(items)
    long = {line for line in LONG.read_text().splitlines() if not line.startswith("#")}
    left = [item for item in there if item.nodeid.partition("[")[0] in long]
    rest = [item for item in there if item.nodeid.partition("[")[0] not in long and item.get_closest_marker("database")]
    return [*left, *(item for cases in _cases(rest) for item in cases[1:])]


def on_sqlite_alone(items: Iterable[Any], url: str | None = None) -> list[Any]:
    """Return the cases that `make test` tries on SQLite and not again on PostgreSQL: of each test all but two.

    What the database may decide otherwise is in the statements, which are the same in all cases of a test but for
    their values: the first case and the last one send them.
    """
    if not (os.environ["DATABASE_URL"] if url is None else url).startswith("postgres"):
        return []
    among = (item for item in items if not item.nodeid.startswith(WHOLE) and not item.get_closest_marker("thorough"))
    return [item for cases in _cases(among) for item in cases[1:-1]]
