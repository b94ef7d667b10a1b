"""What each verb means for each kind of resource, told by the apps' plans.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from console.accounts.permissions import Permission
from console.clouds.steps import Conflict, Plan
from console.web.prepared import KEY, Prepared, PreparedUpdate


@dataclass(frozen=True)
class Following:
    """What people do next with a subject: its words, the address of it, and who may do it."""

    words: str
    address: Callable[[Any], str]
    permission: Permission


@dataclass(frozen=True)
class Workflow:
    """What one verb means for one model of subjects: registered by the subject's app in its plans.py.

    `plan` and `spec` are asked anew at every run, so a deploy never meets an old plan. `resolve` answers a Conflict:
    it changes the subject and says whether the plan may be tried again. `done` changes what else changes when the work
    is done, in the transaction that says so; `ended` are the words for that after the subject's name. `keep` writes
    down what a step gave to be kept. `undo` is the plan that puts everything back as it was when somebody cancels the
    work, or raises TooLate; without one nobody can. `following` is what people do next with what is done. `related`
    are the rows that the plan and the spec need beside the subject's.
    """

    model: Any
    verb: str
    title: str
    plan: Callable[[Any], Plan]
    spec: Callable[[Any], Any]
    resolve: Callable[[Any, Conflict], bool] = field(default=lambda subject, conflict: False)
    done: Callable[[Any], None] = field(default=lambda subject: None)
    keep: Callable[[Any, Any], None] = field(default=lambda subject, kept: None)
    undo: Callable[[Any], Plan] | None = None
    ended: str = ""
    following: Following | None = None
    related: tuple[str, ...] = ()

    @cached_property
    def subjects(self) -> Prepared[Any]:
        """Return the query of the subject with a key, and of what is related to it."""
        rows = self.model.objects
        return Prepared(lambda pk: rows.select_related(*self.related).filter(pk=pk), KEY)

    @cached_property
    def move(self) -> PreparedUpdate:
        """Return the update that gives the subject with a key another state."""
        rows = self.model._default_manager
        return PreparedUpdate(lambda pk: rows.filter(pk=pk), KEY, changes=dict, given=("state",))


_works: dict[tuple[str, str], Workflow] = {}


def register(work: Workflow) -> None:
    """Make a verb known for a kind of subject."""
    _works[work.model.kind(), work.verb] = work


def knows(kind: str, verb: str) -> bool:
    """Return whether this release has a plan for the verb and that kind."""
    return (kind, verb) in _works


def find(kind: str, verb: str) -> Workflow:
    """Return what the verb means for that kind; raises KeyError when no app has said."""
    return _works[kind, verb]


def by_kind() -> dict[str, list[Workflow]]:
    """Return what can be done, by the kind of subject; each in the order of the titles."""
    found: dict[str, list[Workflow]] = {}
    for (kind, _), work in sorted(_works.items(), key=lambda item: (item[0][0], item[1].title)):
        found.setdefault(kind, []).append(work)
    return found
