"""What a piece of work consists of, as plain data: a plan is a list of stages, a stage is steps that run at once.

Knows no Django, no cloud and no store, so that the clouds can import it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from console.clouds import foreign


@dataclass(frozen=True)
class StepResult:
    """What a step leaves beside the state that it ensures.

    `note` is said beside the step, such as what a server lacks. `keep` is written down together with the step's end,
    before anything else happens: a key, say, that is shown only once.
    """

    note: str = ""
    keep: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Pace:
    """How often a cloud takes a step of one kind: once in so many seconds from all whose key is the same.

    `key` gets the spec; `rule` says why there is a pace, as the first half of a sentence.
    """

    key: Callable[[Any], str]
    seconds: float
    rule: str


@dataclass(frozen=True)
class Step:
    """One idempotent call or few, with the sentence that people read while it runs.

    The key is unique within its plan: the record of what was done goes by it, so that the sentence may change. The
    engine waits for the turn of a step with a pace before it runs it. Nothing undoes a point of no return.
    """

    key: str
    title: str
    run: Callable[[Any], StepResult | None]
    pace: Pace | None = None
    point_of_no_return: bool = False


class Stage(tuple[Step, ...]):
    """Steps that touch different things and therefore run at the same time."""

    __slots__ = ()

    def __new__(cls, *steps: Step) -> Stage:
        return super().__new__(cls, steps)


Plan = tuple[Stage, ...]


class StepError(Exception):
    """A step that did not reach its state; the message is for an administrator to act on.

    Both end in rows that nobody may delete, and parts of them were said by the other side: so they are cut and cleaned.
    """

    def __init__(self, message: str, **details: str) -> None:
        self.message = foreign.text(message, foreign.LINES, lines=True)
        super().__init__(self.message)
        self.details = {key: foreign.text(one, foreign.LINES, lines=True) for key, one in details.items() if one}


class NotReady(StepError):
    """Not yet: the same step may succeed later; the engine tries again for `patience` seconds, then gives up."""

    def __init__(self, message: str, *, patience: float = 120, **details: str) -> None:
        super().__init__(message, **details)
        self.patience = patience


class RateLimited(NotReady):
    """Others are before it: the engine comes back after so many seconds, which is no trouble and tries no patience."""

    def __init__(self, message: str, *, seconds: float, **details: str) -> None:
        super().__init__(message, patience=120, **details)
        self.seconds = seconds


class Failed(StepError):
    """Final: trying again without a change by the administrator would fail again."""


class Denied(Failed):
    """Final for want of a permission; one that was given just now may not be in force yet, for so many seconds."""

    SETTLES: ClassVar = 30.0


class Refused(StepError):
    """The work must not be done as things are; nothing was changed, the subject returns to the state it had."""


class Conflict(StepError):
    """The subject itself must change (a new bucket name, say) before the plan is tried again."""


class TooLate(StepError):
    """What was done cannot be undone any more, so the work goes on to its end."""


class LeaseLost(Exception):
    """Another worker has taken the operation, or may have; this one must change nothing more."""


# Whether the work that a step belongs to is still its worker's; what belongs to no operation is always.
is_held: ContextVar[Callable[[], bool]] = ContextVar("is_held", default=lambda: True)


def ensure_lease() -> None:
    """Raise LeaseLost when the lease has run out; to be called right before each call of a cloud.

    A worker that was stopped in the middle of a step, and wakes up late, would else go on with what was true then.
    """
    if not is_held.get()():
        raise LeaseLost
