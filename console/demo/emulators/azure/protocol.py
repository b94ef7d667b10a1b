"""Requests to Azure Resource Manager, its answers, and how it words an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Problem(Exception):
    """An error as Azure Resource Manager words it."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.more = status, code, message, more


class Answer(NamedTuple):
    """A status and what stands in the body; None for none."""

    status: int
    body: Any = None


class Asked(NamedTuple):
    """A request to Azure Resource Manager, taken apart."""

    method: str
    path: str  # without its slash at the end
    query: Mapping[str, str]
    body: Any
    principal: str
    parts: list[str]  # between the slashes, in lower case


def not_found(what: str, group: str) -> Problem:
    """Return the answer for a resource that is not there."""
    return Problem(404, "ResourceNotFound", f"The Resource '{what}' under resource group '{group}' was not found.")
