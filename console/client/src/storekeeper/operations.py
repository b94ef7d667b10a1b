"""The calls that there are, as the maker has read them from the OpenAPI file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Place = Literal["path", "query", "header", "body"]
Answers = Literal["page", "row", "begun", "file", "nothing"]


@dataclass(frozen=True)
class Argument:
    """One thing that a call can be given.

    `name` is Python's, `sent` the document's. `type` is string, integer, number, boolean, array, object or any;
    `items` an array's. `resolves` is the call that finds an ID by a name, or empty.
    """

    name: str
    sent: str
    place: Place
    type: str
    is_required: bool
    description: str = ""
    format: str = ""
    items: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None
    is_nullable: bool = False
    is_secret: bool = False
    resolves: str = ""


@dataclass(frozen=True)
class Operation:
    """One call. `takes` is the body's media type, or empty; `whole_body` that it is one argument, not its fields."""

    id: str
    method: str
    path: str
    group: str
    command: str
    description: str
    permission: str
    answers: Answers
    takes: str
    whole_body: bool
    arguments: tuple[Argument, ...]
    columns: tuple[str, ...]

    def argument(self, place: Place, sent: str) -> Argument | None:
        """Return the argument that is sent there by this name."""
        return next((one for one in self.arguments if (one.place, one.sent) == (place, sent)), None)


def load(text: str) -> dict[str, Operation]:
    """Return the operations in a table that the maker has written, by their IDs."""
    found = {}
    for row in json.loads(text):
        arguments = tuple(Argument(**{**one, "choices": tuple(one.get("choices", ()))}) for one in row.pop("arguments"))
        found[row["id"]] = Operation(**{**row, "arguments": arguments, "columns": tuple(row["columns"])})
    return found


@cache
def operations() -> dict[str, Operation]:
    """Return this version's operations by their IDs."""
    return load((files(__package__ or "storekeeper") / "operations.json").read_text(encoding="utf-8"))
