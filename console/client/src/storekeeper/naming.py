"""Names in place of IDs: `stores get orders-paris`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from .arguments import flag, is_id, metavar
from .core import Core
from .errors import NotFound, WrongUse
from .operations import Argument, Operation, operations

LOOKED_AT = 1000  # rows, where the list cannot be searched
OFFERED = 5


def with_ids(client: Core, operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with an ID where a name was given; raises NotFound, which offers what there is."""
    found = dict(given)
    for argument in operation.arguments:
        value = found.get(argument.name)
        if argument.resolves and isinstance(value, str) and value:
            found[argument.name] = _id(client, operation, argument, value, found)
        elif argument.resolves and isinstance(value, list):
            found[argument.name] = [_id(client, operation, argument, one, found) for one in value]
        elif argument.format == "uuid" and argument.is_required and isinstance(value, str) and not is_id(value):
            what = metavar(operation, argument) if argument.place == "path" else flag(operation, argument)
            raise WrongUse(f"{what} is an ID, such as 0d9f4a5e-6c1b-4f43-9d0e-3a5c7d1e2f60, not {value!r}.")
    return found


def _id(client: Core, operation: Operation, argument: Argument, name: Any, given: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or is_id(name):
        return name
    listing = operations()[argument.resolves]
    asked: dict[str, Any] = {}
    for one in listing.arguments:
        if one.place == "path":
            mine = operation.argument("path", one.sent)
            if mine is None:
                return name
            asked[one.name] = given[mine.name]
    search = listing.argument("query", "q")
    if search is not None:
        asked[search.name] = name
    rows = list(islice(client.rows(listing.id, asked), LOOKED_AT))
    same = [row for row in rows if row.get("name") == name]
    if len(same) == 1:
        return same[0]["id"]
    what = listing.group.replace("-", " ")
    if same:
        raise NotFound(
            404,
            f"{len(same)} {what} are called {name!r}. Give the ID: {', '.join(row['id'] for row in same[:OFFERED])}.",
        )
    near = [str(row.get("name")) for row in rows if name.lower() in str(row.get("name")).lower()]
    offered = f" Did you mean {', '.join(near[:OFFERED])}{' …' if len(near) > OFFERED else ''}?" if near else ""
    raise NotFound(404, f"None of the {what} is called {name!r}.{offered}")
