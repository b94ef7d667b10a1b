"""What an account's permissions have to name beside the console's own buckets: told by the apps, which know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from console.clouds.specs import Place

_finders: list[Callable[[Any], Iterable[Place]]] = []  # of a CloudAccount, whose module knows this one


def register(find: Callable[[Any], Iterable[Place]]) -> None:
    """Make known what finds such places of an account: told by the apps' plans.py."""
    _finders.append(find)


def of(account: Any) -> tuple[Place, ...]:
    """Return the places of the account, one for each bucket, in the order of their names."""
    existing: dict[str, bool] = {}
    paths: dict[str, set[str]] = {}
    for find in _finders:
        for one in find(account):
            existing[one.bucket] = existing.get(one.bucket, False) or one.is_existing
            paths.setdefault(one.bucket, set()).update(one.repositories)
    return tuple(Place(name, existing[name], tuple(sorted(paths[name]))) for name in sorted(existing))
