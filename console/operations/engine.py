"""Carries out operations: the loop over rounds, under a lease. Knows no cloud and no store."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from console.accounts import audit
from console.accounts.models import AuditEvent
from console.logs import Origin, origin
from console.operations import registry
from console.operations.models import Operation, Record, Subject
from console.operations.plan import (
    Conflict,
    Denied,
    Failed,
    LeaseLost,
    Made,
    NotReady,
    Plan,
    Refused,
    Round,
    Step,
    StepError,
    TooLate,
    Work,
    is_held,
)

log = logging.getLogger(__name__)

# Set when this process has been asked to end: what it works on goes to another after the steps that are running.
ending = threading.Event()

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
    return calls + [(pk, 0.0) for pk in Operation.objects.put_off()]


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
    subject: Subject = work.model.objects.get(pk=operation.subject_id)
    try:
        return _carry_out(operation, work, subject)
    except LeaseLost:
        log.warning("operation %s: the lease was lost, another worker goes on", operation.pk)
    except (Cancelled, Ending):
        return 0.0 if operation.hand_back() else None
    return None


def _carry_out(operation: Operation, work: Work, subject: Subject) -> float | None:
    """Bring the operation to its end, whatever that is; returns the seconds after which to try again."""
    again: float | None = None
    try:
        if operation.is_being_cancelled and _is_undone(operation, work, subject):
            _finish(operation, subject, Operation.State.CANCELLED)
        else:
            _run_rounds(operation, work, subject, work.plan)
            _finish(operation, subject, Operation.State.DONE)
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


def _is_undone(operation: Operation, work: Work, subject: Subject) -> bool:
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
    operation: Operation, work: Work, subject: Subject, planned: Callable[[Any], Plan], *, undo: bool = False
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
    operation: Operation, round_: Round, records: list[Record], spec: Any, keep: Callable[[Any], None]
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
    running: dict[Future[tuple[datetime, Made]], Record] = {
        _lanes.submit(copy_context().run, _timed, operation, step, spec): record for step, record in todo
    }
    errors: list[StepError] = []
    while running:
        ended, _ = wait(running, timeout=settings.LEASE_SECONDS / 4, return_when=FIRST_COMPLETED)
        if not ended:
            _held(operation.renew())
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
    if errors:
        raise max(errors, key=_weight)
    operation.retries, operation.retrying_since, operation.retry_note = 0, None, ""


def _timed(operation: Operation, step: Step, spec: Any) -> tuple[datetime, Made]:
    is_held.set(operation.is_held)  # of this lane, until its next step
    made = step.run(spec)
    return timezone.now(), made or Made()


def _weight(error: StepError) -> int:
    """Return how final an error is: a lane that must wait does not hide one that has failed."""
    kinds = (NotReady, Conflict, Refused)  # whatever else there is, is final
    return next((weight for weight, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))


def _failed_before(operation: Operation, code: str | None) -> bool:
    """Return whether the subject's last operation failed of the same: then somebody may just have mended the cause."""
    earlier = Operation.objects.filter(subject_id=operation.subject_id, created_at__lt=operation.created_at)
    last = earlier.order_by("-created_at").first()
    return last is not None and last.state == last.State.FAILED and last.details.get("code") == code


def _again(operation: Operation, subject: Subject, error: NotReady) -> float | None:
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


def _finish(operation: Operation, subject: Subject, state: str, error: StepError | None = None) -> None:
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
    Operation.State.DONE: AuditEvent.Outcome.DONE,
    Operation.State.FAILED: AuditEvent.Outcome.FAILED,
    Operation.State.REFUSED: AuditEvent.Outcome.REFUSED,
    Operation.State.CANCELLED: AuditEvent.Outcome.DONE,
}


def _note_end(operation: Operation, subject: Subject, state: str) -> None:
    found = {name: value for name, value in operation.details.items() if name in {"code", "operation", "request_id"}}
    cancelled = state == Operation.State.CANCELLED
    audit.note(
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
