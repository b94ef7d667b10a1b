"""What costs something for as long as it is there ends after the last test that asks for it.

pytest keeps what is made for a session until its process has no test left; a demo sweeps and polls as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

NAMES = ("plain_demo", "demo")
_LEFT: Counter[Any] = Counter()  # tests that will ask for a fixture, by its definition


def _used_by(item: Any) -> list[Any]:
    known = item._fixtureinfo.name2fixturedefs
    found = (known[name][-1] for name in NAMES if name in known)
    return [one for one in found if one.scope == "session"]


def count(items: Iterable[Any]) -> None:
    """Note which tests are run."""
    _LEFT.clear()
    _LEFT.update(one for item in items for one in _used_by(item))


def is_over(item: Any) -> None:
    """Note that a test is over, and end what no other one will ask for; what asks for that ends before.

    A process that runs some of those tests only (all of them go to one: tests/turns.py) ends it with the session.
    """
    for one in _used_by(item):
        _LEFT[one] -= 1
        if not _LEFT[one]:
            one.finish(item._request)
