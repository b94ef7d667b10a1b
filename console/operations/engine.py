"""Carries out operations: the loop over rounds, under a lease. Knows no cloud and no store."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from console.accounts import activity
from console.clouds.steps import (
    Conflict,
    Denied,
    Failed,
    LeaseLost,
    NotReady,
    Plan,
    RateLimited,
    Refused,
    Stage,
    Step,
    StepError,
    StepResult,
    TooLate,
    in_turn,
    is_held,
)
from console.operations import registry
from console.operations.models import ManagedResource, Operation, RateSlot, Record
from console.operations.registry import Workflow
from console.web.logs import Origin, origin

log = logging.getLogger(__name__)

# Set when this process has been asked to end: what it works on goes to another after the steps that are running.
ending = threading.Event()

SHORT_WAIT = 2.0  # seconds that a step waits for its turn where it is; for longer ones the operation is put off

# The lanes of the rounds: they wait for clouds and touch no database, so one pool serves the whole process.
_lanes = ThreadPoolExecutor(max_workers=64, thread_name_prefix="step")


class Ending(Exception):
    """This process ends; another one goes on with what remains."""


class Cancelled(Exception):
    """Somebody wants it undone: whoever takes the operation next begins with that."""


def run(pk: UUID) -> float | None:
    """Carry out what remains of an operation, if it is due; safe to call again after any failure, by anybody.

    Returns the seconds after which to call again, or None when there is nothing more to do here.
    """
    if ending.is_set():
        return 0.0  # a message that came to the wrong one
    operation = Operation.objects.claim(pk, _me())
    return _work_on(operation) if operation else None


def run_next(sent_for: UUID) -> list[tuple[UUID, float]]:
    """Carry out what remains of the operation whose turn it is; of its organisation's, that is the named one, if due.

    Safe to call at any time, by anybody. Returns for which operations to call again, and after how many seconds.
    """
    if ending.is_set():
        return [(sent_for, 0.0)]  # a message that came to the wrong one
    operation = Operation.objects.claim_next(_me(), sent_for=sent_for)
    if operation is None:
        return []
    again = _work_on(operation)
    calls = [] if again is None else [(operation.pk, again)]
    return calls + [(pk, 0.0) for pk in Operation.objects.throttled()]


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def _work_on(operation: Operation) -> float | None:
    """Carry out what this worker has claimed; returns the seconds after which somebody should take it again."""
    token = origin.set(Origin(operation_id=str(operation.pk), organisation_id=str(operation.organisation_id)))
    try:
        return _run(operation)
    finally:
        origin.reset(token)


def _run(operation: Operation) -> float | None:
    work = registry.find(operation.subject_kind, operation.verb)
    subject: ManagedResource = work.model.objects.get(pk=operation.subject_id)
    try:
        return _carry_out(operation, work, subject)
    except LeaseLost:
        log.warning("operation %s: the lease was lost, another worker goes on", operation.pk)
    except (Cancelled, Ending):
        return 0.0 if operation.hand_back() else None
    return None


def _carry_out(operation: Operation, work: Workflow, subject: ManagedResource) -> float | None:
    """Bring the operation to its end, whatever that is; returns the seconds after which to try again."""
    again: float | None = None
    try:
        if operation.is_being_cancelled and _is_undone(operation, work, subject):
            _finish(operation, subject, Operation.State.CANCELLED)
        else:
            _run_rounds(operation, work, subject, work.plan)
            _finish(operation, subject, Operation.State.DONE)
    except RateLimited as error:
        again = error.seconds
        if not operation.postpone(again, error.message, trouble=False):
            raise _why_not(operation) from error
    except NotReady as error:
        again = _again(operation, subject, error)
    except Refused as error:
        _finish(operation, subject, Operation.State.REFUSED, error)
    except StepError as error:
        if isinstance(error, Denied) and _failed_before(operation, error.details.get("code")):
            again = _again(operation, subject, NotReady(error.message, patience=error.SETTLES, **error.details))
        else:
            _finish(operation, subject, Operation.State.FAILED, error)
    except (LeaseLost, Cancelled, Ending):
        raise
    except DatabaseError:
        raise  # nothing can be written now; the lease runs out and the sweep sends the operation again
    except Exception as error:
        log.exception("operation %s: unexpected error", operation.pk)
        name = type(error).__name__
        message = f"The console met an unexpected error ({name}); its log has the details."
        again = _again(operation, subject, NotReady(message, patience=600, code=name))
    return again


def _is_undone(operation: Operation, work: Workflow, subject: ManagedResource) -> bool:
    """Undo what was done; False when it is too late for that, so that the work has to go on."""
    if work.undo is None:
        raise Failed("This cannot be cancelled.")
    try:
        _run_rounds(operation, work, subject, work.undo, undo=True)
    except TooLate:
        _held(operation.go_on())
        return False
    return True


def record_of(plan: Plan) -> list[Record]:
    """Return the record of a plan of which nothing has run."""
    return [
        {"round": number, "title": step.title, "state": "waiting", "started": None, "finished": None, "note": ""}
        for number, round_ in enumerate(plan)
        for step in round_
    ]


def _run_rounds(
    operation: Operation,
    work: Workflow,
    subject: ManagedResource,
    planned: Callable[[Any], Plan],
    *,
    undo: bool = False,
) -> None:
    """Run what remains of the plan, or of the one that undoes it, whose steps are recorded behind the others."""
    plan = planned(subject)
    fresh = record_of(plan)
    steps, others = ([step for step in operation.steps if step.get("undo", False) is side] for side in (undo, not undo))
    if [step["title"] for step in steps] != [step["title"] for step in fresh]:
        # A new release has another plan: its steps are idempotent, so all are run.
        steps = [{**step, "undo": True} for step in fresh] if undo else fresh
    operation.steps = [*others, *steps] if undo else [*steps, *others]
    try:
        spec = work.spec(subject)
        for number, round_ in enumerate(plan):
            records = [step for step in steps if step["round"] == number]
            if any(step["state"] != "done" for step in records):
                if ending.is_set():
                    raise Ending
                _run_round(operation, round_, records, spec, lambda kept: work.keep(subject, kept))
        return
    except Conflict as conflict:
        with transaction.atomic():
            _held(operation.renew())
            resolved = not undo and work.resolve(subject, conflict)
            operation.steps = record_of(plan) if resolved else operation.steps
            _held(operation.record(operation.steps))
        if not resolved:
            raise
    _run_rounds(operation, work, subject, planned)


def _run_round(
    operation: Operation, round_: Stage, records: list[Record], spec: Any, keep: Callable[[Any], None]
) -> None:
    """Run the unfinished steps of a round at once; raises the error that weighs most when some fail."""
    todo = [(step, record) for step, record in zip(round_, records, strict=True) if record["state"] != "done"]
    before = [dict(record) for _, record in todo]
    for _, record in todo:
        record.update(state="running", started=_now(), finished=None, note="")
    if not operation.record(operation.steps, unless_cancelled=True):
        for (_, record), was in zip(todo, before, strict=True):
            record.update(was)
        raise _why_not(operation)
    turns = Turns()
    running: dict[Future[tuple[datetime, StepResult]], Record] = {
        _lanes.submit(copy_context().run, _timed, operation, step, spec, turns, record): record for step, record in todo
    }
    errors: list[StepError] = []
    try:
        _see_through(operation, running, turns, errors, keep)
    finally:
        turns.close()
    if errors:
        raise max(errors, key=_weight)
    operation.retries, operation.retrying_since, operation.retry_note = 0, None, ""


def _see_through(
    operation: Operation,
    running: dict[Future[tuple[datetime, StepResult]], Record],
    turns: Turns,
    errors: list[StepError],
    keep: Callable[[Any], None],
) -> None:
    """Wait for the steps that are running, write down how each of them ended, and keep the lease meanwhile."""
    while running:
        waited: list[Future[Any]] = [*running, turns.bell]
        rung, _ = wait(waited, timeout=settings.LEASE_SECONDS / 4, return_when=FIRST_COMPLETED)
        if not rung:
            _held(operation.renew())
        turns.answer()
        ended = [future for future in running if future in rung]
        for future in ended:
            record = running.pop(future)
            try:
                finished, made = future.result()
                record.update(state="done", finished=finished.isoformat(), note=made.note)
                if made.keep is not None:
                    with transaction.atomic():
                        _held(operation.record(operation.steps))
                        keep(made.keep)
            except StepError as error:
                state = "waiting" if isinstance(error, NotReady) else "failed"
                record.update(state=state, finished=_now(), note=error.message)
                errors.append(error)
        if ended and running:
            _held(operation.record(operation.steps))


@dataclass
class Ask:
    """A step that wants its turn; the answer is for how many seconds it has to wait."""

    record: Record
    rate_key: str
    seconds: float
    answer: Future[float] = field(default_factory=Future)


class Turns:
    """What the steps of a round ask for their turns with: they touch no database, so the worker's thread looks it up.

    A turn that is far off is written into the step's record, and is still the step's when the operation comes back.
    """

    def __init__(self) -> None:
        self.bell: Future[None] = Future()
        self._asked: SimpleQueue[Ask] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def wait(self, record: Record, rate_key: str, seconds: float, rule: str) -> None:
        """Wait for the lane's next turn, or raise NotItsTurn when that is far off; for the step's own thread."""
        ask = Ask(record, rate_key, seconds)
        with self._lock:
            if self._closed:
                raise LeaseLost
            self._asked.put(ask)
            if not self.bell.done():
                self.bell.set_result(None)
        away = ask.answer.result()
        if away > SHORT_WAIT:
            words = f"{rule}; it is this one's turn in {away:.0f} seconds."
            raise RateLimited(words, seconds=away)
        time.sleep(max(0.0, away))

    def answer(self) -> None:
        """Answer all that have asked; for the thread of the worker, which has a database."""
        with self._lock:
            if self.bell.done():
                self.bell = Future()
        for ask in self._waiting():
            try:
                ask.answer.set_result(_until_turn(ask))
            except BaseException as error:
                ask.answer.set_exception(error)
                raise

    def close(self) -> None:
        """Let nobody wait any more, since nobody answers: what goes on without its worker has lost the lease."""
        with self._lock:
            self._closed = True
        for ask in self._waiting():
            ask.answer.set_exception(LeaseLost())

    def _waiting(self) -> Iterator[Ask]:
        with suppress(Empty):
            while True:
                yield self._asked.get_nowait()


def _until_turn(ask: Ask) -> float:
    """Return for how many seconds the step has to wait, until the turn that it has or now takes."""
    kept = ask.record.pop("turn", None)
    if kept and kept["lane"] == ask.rate_key:
        turn, now = datetime.fromisoformat(kept["at"]), RateSlot.objects.clock(ask.rate_key)
    else:
        turn, now = RateSlot.objects.take(ask.rate_key, ask.seconds)
    away = (turn - now).total_seconds()
    if away > SHORT_WAIT:
        ask.record["turn"] = {"lane": ask.rate_key, "at": turn.isoformat()}
    return away


def _timed(operation: Operation, step: Step, spec: Any, turns: Turns, record: Record) -> tuple[datetime, StepResult]:
    is_held.set(operation.is_held)  # of this lane, until its next step
    in_turn.set(lambda rate_key, seconds, rule: turns.wait(record, rate_key, seconds, rule))
    made = step.run(spec)
    return timezone.now(), made or StepResult()


def _weight(error: StepError) -> tuple[int, float]:
    """Return how final an error is: a lane that must wait does not hide one that has failed.

    Of two that wait for their turns, the one whose turn comes first.
    """
    kinds = (RateLimited, NotReady, Conflict, Refused)  # whatever else there is, is final
    weight = next((weight for weight, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))
    return weight, -error.seconds if isinstance(error, RateLimited) else 0.0


def _failed_before(operation: Operation, code: str | None) -> bool:
    """Return whether the subject's last operation failed of the same: then somebody may just have mended the cause."""
    earlier = Operation.objects.filter(subject_id=operation.subject_id, created_at__lt=operation.created_at)
    last = earlier.order_by("-created_at").first()
    return last is not None and last.state == last.State.FAILED and last.details.get("code") == code


def _again(operation: Operation, subject: ManagedResource, error: NotReady) -> float | None:
    """Put the operation off, growing from 1 s to 30 s; give up when its patience has run out."""
    since = operation.retrying_since or operation.claimed_at
    if (operation.claimed_at - since).total_seconds() > error.patience:
        message = (
            f"{error.message} It stayed so for {error.patience:g} seconds, so this was given up. Try again when that "
            "has changed."
        )
        _finish(operation, subject, Operation.State.FAILED, Failed(message, **error.details))
        return None
    for step in operation.steps:
        step["state"] = "waiting" if step["state"] == "failed" else step["state"]
    seconds = min(30.0, 2.0**operation.retries)
    if not operation.postpone(seconds, error.message):
        raise _why_not(operation)
    return seconds


def _finish(operation: Operation, subject: ManagedResource, state: str, error: StepError | None = None) -> None:
    """End the operation and move its subject, together or not at all."""
    transition = subject.VERBS[operation.verb]
    target = {
        Operation.State.DONE.value: transition.done,
        Operation.State.FAILED.value: transition.failed,
        Operation.State.REFUSED.value: operation.subject_state_before,
        Operation.State.CANCELLED.value: operation.subject_state_before,
    }[str(state)]
    with transaction.atomic():
        if not operation.finish(state, error.message if error else "", error.details if error else None):
            raise _why_not(operation)
        _note_end(operation, subject, state)  # here it is fenced: exactly one worker comes so far, once
        if state == Operation.State.DONE:
            registry.find(operation.subject_kind, operation.verb).done(subject)
        if target is None:
            subject.delete()
        else:
            type(subject)._default_manager.filter(pk=subject.pk).update(state=target)


ENDS = {
    Operation.State.DONE: activity.Outcome.DONE,
    Operation.State.FAILED: activity.Outcome.FAILED,
    Operation.State.REFUSED: activity.Outcome.REFUSED,
    Operation.State.CANCELLED: activity.Outcome.DONE,
}


def _note_end(operation: Operation, subject: ManagedResource, state: str) -> None:
    found = {name: value for name, value in operation.details.items() if name in {"code", "operation", "request_id"}}
    cancelled = state == Operation.State.CANCELLED
    activity.record(
        f"Cancelled: {operation.title}" if cancelled else operation.title,
        subject,
        organisation=operation.organisation,
        by=operation.cancelled_by if cancelled else operation.requested_by,
        outcome=ENDS[Operation.State(state)],
        after={"operation": str(operation.pk), **({"call": found} if found else {})},
    )


def _held(answer: bool) -> None:
    if not answer:
        raise LeaseLost


def _why_not(operation: Operation) -> LeaseLost | Cancelled:
    """Return why nothing was written: somebody has cancelled, or the operation is another worker's."""
    return Cancelled() if operation.renew() else LeaseLost()


def _now() -> str:
    return timezone.now().isoformat()
