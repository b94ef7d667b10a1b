"""Which work each verb means, told by the apps' plans.py."""

from __future__ import annotations

from console.operations.registry import Workflow

_works: dict[tuple[str, str], Workflow] = {}


def register(work: Workflow) -> None:
    """Make a verb known for a kind of subject."""
    _works[work.model.kind(), work.verb] = work


def find(kind: str, verb: str) -> Workflow:
    """Return what the verb means for that kind; raises KeyError when no app has said."""
    return _works[kind, verb]
