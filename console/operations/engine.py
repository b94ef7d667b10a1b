"""Carries out operations: stage by stage, under a lease. Knows no cloud and no store.

The way from a message to a cloud: execute_next, execute, apply_plan, run_stage, call_step, and the step's own function.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from console.accounts import activity
from console.clouds import streams
from console.clouds.steps import (
    Conflict,
    Denied,
    Failed,
    LeaseLost,
    NotReady,
    Pace,
    Plan,
    RateLimited,
    Refused,
    Stage,
    Step,
    StepError,
    StepResult,
    TooLate,
    is_held,
)
from console.operations import registry
from console.operations.models import ManagedResource, Operation, RateSlot, Record
from console.operations.registry import Workflow
from console.release import VERSION, ordered
from console.web import database, tracing
from console.web.logs import Origin, origin

log = logging.getLogger(__name__)

# Set when this process has been asked to end: what it works on goes to another after the steps that are running.
ending = threading.Event()

STEP_SECONDS = 600.0  # for all calls of one step
LEFT_SECONDS = 5.0  # for which a worker leaves alone what only one of a newer release can do
TOGETHER = 0.02  # seconds in which the steps of a stage that begin together often end: one record for all of them
SHORT_WAIT = 2.0  # seconds that a step waits for its turn where it is; for longer ones the operation is put off

# The threads of the steps: they wait for clouds and touch no database, so one pool serves the whole process.
_pool = ThreadPoolExecutor(max_workers=64, thread_name_prefix="step")


class Ending(Exception):
    """This process ends; another one goes on with what remains."""


class OlderRelease(Exception):
    """Steps of a newer release are recorded, which this one does not know: a worker of that one goes on."""


class Cancelled(Exception):
    """Somebody wants it undone: whoever takes the operation next begins with that."""


def execute_next(sent_for: UUID) -> list[tuple[UUID, float]]:
    """Carry out what remains of the operation whose turn it is; of its organisation's, that is the named one, if due.

    Safe to call at any time, by anybody. Returns for which operations to call again, and after how many seconds.
    """
    if ending.is_set():
        return [(sent_for, 0.0)]  # a message that came to the wrong one
    worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    operation = Operation.objects.claim_next(worker, sent_for=sent_for, knows=registry.knows)
    if operation is None:
        return []
    attributes = {
        "storekeeper.operation_id": str(operation.pk),
        "storekeeper.verb": operation.verb,
        "storekeeper.subject": operation.subject_kind,
    }
    # Whose turn it is may be another than the message's: that one's trace is not this one's.
    name, is_root = f"{operation.verb} {operation.subject_kind}", operation.pk != sent_for
    with tracing.span(name, attributes, is_root=is_root):
        again = copy_context().run(execute, operation)
    calls = [] if again is None else [(operation.pk, again)]
    return calls + [(pk, 0.0) for pk in Operation.objects.throttled()]


def execute(operation: Operation) -> float | None:
    """Bring what this worker has claimed to its end, whatever that is, or put it off.

    Returns the seconds after which somebody should take it again. Runs in a context of its own, which the steps share.
    """
    origin.set(Origin(operation_id=str(operation.pk), organisation_id=str(operation.organisation_id)))
    is_held.set(operation.is_held)
    work = registry.find(operation.subject_kind, operation.verb)
    subject: ManagedResource | None = work.subjects.first(operation.subject_id)
    if subject is None:
        raise work.model.DoesNotExist
    try:
        try:
            if operation.is_being_cancelled and _is_undone(operation, work, subject):
                _finish(operation, subject, Operation.State.CANCELLED)
            else:
                apply_plan(operation, work, subject, work.plan(subject))
                _finish(operation, subject, Operation.State.DONE)
        except StepError as error:
            return _settle(operation, subject, error)
        except (LeaseLost, Cancelled, Ending, OlderRelease, DatabaseError):
            raise  # without a database nothing can be written: the lease runs out, and the sweep sends it again
        except Exception as error:
            return _settle(operation, subject, _unexpected(error))
    except LeaseLost:
        log.warning("operation %s: the lease was lost, another worker goes on", operation.pk)
    except OlderRelease:
        log.warning("operation %s: left to a worker of release %s", operation.pk, operation.release)
        operation.postpone(LEFT_SECONDS, f"Waits for a worker of release {operation.release}.", trouble=False)
    except (Cancelled, Ending):
        return 0.0 if operation.hand_back() else None
    return None


def _is_undone(operation: Operation, work: Workflow, subject: ManagedResource) -> bool:
    """Undo what was done; False when it is too late for that, so that the work has to go on."""
    if work.undo is None:
        raise Failed("This cannot be cancelled.")
    try:
        apply_plan(operation, work, subject, work.undo(subject), undo=True)
    except TooLate:
        _held(operation.go_on())
        return False
    return True


def apply_plan(
    operation: Operation, work: Workflow, subject: ManagedResource, plan: Plan, *, undo: bool = False
) -> None:
    """Run what remains of the plan, be it the one that undoes the work; anew when a conflict was resolved."""
    records = iter(_records(operation, plan, undo=undo))
    try:
        spec = work.spec(subject)
        for stage in plan:
            run_stage(operation, stage, list(islice(records, len(stage))), spec, lambda kept: work.keep(subject, kept))
    except Conflict as conflict:
        with transaction.atomic():
            _held(operation.renew())
            resolved = not undo and work.resolve(subject, conflict)
            operation.steps = record_of(plan) if resolved else operation.steps
            _held(operation.record(operation.steps))
        if not resolved:
            raise
        apply_plan(operation, work, subject, work.plan(subject))


def record_of(plan: Plan) -> list[Record]:
    """Return the record of a plan of which nothing has run."""
    return [
        {
            "key": step.key,
            "title": step.title,
            "stage": number,
            "point_of_no_return": step.point_of_no_return,
            "state": "waiting",
            "started": None,
            "finished": None,
            "note": "",
        }
        for number, stage in enumerate(plan)
        for step in stage
    ]


def _records(operation: Operation, plan: Plan, *, undo: bool) -> list[Record]:
    """Return the records of the plan's steps, which are the operation's from now on, and say what was done before.

    A new release may say or group the same steps otherwise. When it has other steps, all of them run: they are
    idempotent. Those that undo are recorded behind the others. Raises OlderRelease where the steps that are recorded
    are those of a newer release, and others than here: what they have made is not known here.
    """
    mine, others = ([was for was in operation.steps if was.get("undo", False) is side] for side in (undo, not undo))
    fresh = [{**record, "undo": True} for record in record_of(plan)] if undo else record_of(plan)
    if [was.get("key") for was in mine] == [record["key"] for record in fresh]:
        planned = ("title", "stage", "point_of_no_return")
        fresh = [{**was, **{name: record[name] for name in planned}} for was, record in zip(mine, fresh, strict=True)]
    elif ordered(operation.release) > ordered(VERSION):
        raise OlderRelease
    else:
        operation.release = VERSION
    operation.steps = [*others, *fresh] if undo else [*fresh, *others]
    return fresh


def run_stage(
    operation: Operation, stage: Stage, records: list[Record], spec: Any, keep: Callable[[Any], None]
) -> None:
    """Run the unfinished steps of a stage at once, and write down how each ends.

    Keeps the lease meanwhile; raises the error that weighs most when some fail.
    """
    todo = [(step, record) for step, record in zip(stage, records, strict=True) if record["state"] != "done"]
    if not todo:
        return
    if ending.is_set():
        raise Ending
    errors: list[StepError] = []
    ready: list[tuple[Step, Record, float]] = []
    for step, record in todo:
        try:
            ready.append((step, record, _take_turn(step.pace, record, spec) if step.pace else 0.0))
        except RateLimited as error:
            errors.append(_failed(record, error))
    _begin(operation, [record for _, record, _ in ready])
    running: dict[Future[tuple[datetime, StepResult]], Record] = {
        _pool.submit(copy_context().run, call_step, step, spec, seconds): record for step, record, seconds in ready
    }
    while running:
        database.give_back()  # nobody needs it while all wait for a cloud
        ended, _ = wait(running, timeout=settings.LEASE_SECONDS / 4, return_when=FIRST_COMPLETED)
        if ended and len(ended) < len(running):
            ended, _ = wait(running, timeout=TOGETHER)
        for future in [future for future in running if future in ended]:
            record = running.pop(future)
            try:
                _done(operation, record, *future.result(), keep)
            except StepError as error:
                errors.append(_failed(record, error))
        if running:
            _held(operation.record(operation.steps) if ended else operation.renew())
    if errors:
        raise max(errors, key=_weight)
    operation.retries, operation.retrying_since, operation.retry_note = 0, None, ""


def call_step(step: Step, spec: Any, seconds: float) -> tuple[datetime, StepResult]:
    """Run a step when its turn has come, in a thread of the pool; returns when it ended, and what it leaves."""
    time.sleep(seconds)
    try:
        with tracing.span(step.key, {"storekeeper.step": step.key}), streams.within(STEP_SECONDS, math.inf):
            made = step.run(spec)
    except (StepError, LeaseLost):
        raise
    except Exception as error:  # of this step alone: the others of its stage go on to their ends
        raise _unexpected(error) from error
    return timezone.now(), made or StepResult()


def _begin(operation: Operation, records: list[Record]) -> None:
    """Write down that the steps run, before they do; raises what keeps them from it, with the records as they were."""
    before = [dict(record) for record in records]
    for record in records:
        record.update(state="running", started=_now(), finished=None, note="")
    if not operation.record(operation.steps, unless_cancelled=True):
        for record, was in zip(records, before, strict=True):
            record.update(was)
        raise _why_not(operation)


def _done(
    operation: Operation, record: Record, finished: datetime, made: StepResult, keep: Callable[[Any], None]
) -> None:
    was = dict(record)
    record.update(state="done", finished=finished.isoformat(), note=made.note)
    if made.keep is not None:
        try:
            with transaction.atomic():
                _held(operation.record(operation.steps))
                keep(made.keep)
        except Exception:
            record.update(was)  # what was not kept is not done
            raise


def _failed(record: Record, error: StepError) -> StepError:
    state = "waiting" if isinstance(error, NotReady) else "failed"
    record.update(state=state, finished=_now(), note=error.message)
    return error


def _take_turn(pace: Pace, record: Record, spec: Any) -> float:
    """Return for how many seconds the step has to wait for its turn; raises RateLimited when that is far off.

    Such a turn is kept in the record, and is still the step's when the operation comes back.
    """
    key, kept = pace.key(spec), record.pop("turn", None)
    if kept and kept["rate_key"] == key:
        turn, now = datetime.fromisoformat(kept["at"]), RateSlot.objects.clock(key)
    else:
        turn, now = RateSlot.objects.take(key, pace.seconds)
    seconds = (turn - now).total_seconds()
    if seconds > SHORT_WAIT:
        record["turn"] = {"rate_key": key, "at": turn.isoformat()}
        raise RateLimited(f"{pace.rule}; it is this one's turn in {seconds:.0f} seconds.", seconds=seconds)
    return max(0.0, seconds)


def _unexpected(error: Exception) -> NotReady:
    """Return what people read of an error that nobody has foreseen; must be called while it is handled."""
    log.exception("operation %s: unexpected error", origin.get().operation_id)
    name = type(error).__name__
    message = gettext("The console met an unexpected error ({name}); its log has the details.").format(name=name)
    return NotReady(message, patience=600, code=name)


def _weight(error: StepError) -> tuple[int, float]:
    """Return how final an error is: a step that must wait does not hide one that has failed.

    Of two that wait for their turns, the one whose turn comes first.
    """
    kinds = (RateLimited, NotReady, Conflict, Refused)  # whatever else there is, is final
    weight = next((weight for weight, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))
    return weight, -error.seconds if isinstance(error, RateLimited) else 0.0


def _settle(operation: Operation, subject: ManagedResource, error: StepError) -> float | None:
    """Put the operation off or end it, as the error asks; returns the seconds after which to try again."""
    if isinstance(error, RateLimited):
        if not operation.postpone(error.seconds, error.message, trouble=False):
            raise _why_not(operation) from error
        return error.seconds
    if isinstance(error, Denied) and _failed_before(operation, error.details.get("code")):
        error = NotReady(error.message, patience=error.SETTLES, **error.details)
    if isinstance(error, NotReady):
        return _again(operation, subject, error)
    refused = isinstance(error, Refused)
    _finish(operation, subject, Operation.State.REFUSED if refused else Operation.State.FAILED, error)
    return None


def _failed_before(operation: Operation, code: str | None) -> bool:
    """Return whether the subject's last operation failed of the same: then somebody may just have removed the cause."""
    earlier = Operation.objects.filter(subject_id=operation.subject_id, created_at__lt=operation.created_at)
    last = earlier.order_by("-created_at").first()
    return last is not None and last.state == last.State.FAILED and last.details.get("code") == code


def _again(operation: Operation, subject: ManagedResource, error: NotReady) -> float | None:
    """Put the operation off, growing from 1 s to 30 s; give up when its patience has run out."""
    since = operation.retrying_since or operation.claimed_at
    if (operation.claimed_at - since).total_seconds() > error.patience:
        message = gettext(
            "{message} It stayed so for {patience} seconds, so this was given up. Try again when that has changed."
        ).format(message=error.message, patience=f"{error.patience:g}")
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
    ends = subject.VERBS[operation.verb]
    targets = {Operation.State.DONE.value: ends.done, Operation.State.FAILED.value: ends.failed}
    target = targets.get(str(state), operation.subject_state_before)
    with transaction.atomic():
        if not operation.finish(state, error.message if error else "", error.details if error else None):
            raise _why_not(operation)
        _note_end(operation, subject, state)  # here it is fenced: exactly one worker comes so far, once
        work = registry.find(operation.subject_kind, operation.verb)
        if state == Operation.State.DONE:
            work.done(subject)
        if target is None:
            subject.delete()
        else:
            work.move(subject.pk, state=target)


def _note_end(operation: Operation, subject: ManagedResource, state: str) -> None:
    call = {name: value for name, value in operation.details.items() if name in {"code", "operation", "request_id"}}
    cancelled = state == Operation.State.CANCELLED  # which is what was to be done
    activity.record(
        f"Cancelled: {operation.title}" if cancelled else operation.title,
        subject,
        organisation=operation.organisation,
        by=operation.cancelled_by if cancelled else operation.requested_by,
        outcome=activity.Outcome.DONE if cancelled else activity.Outcome(str(state)),
        after={"operation": str(operation.pk), **({"call": call} if call else {})},
    )


def _held(answer: bool) -> None:
    if not answer:
        raise LeaseLost


def _why_not(operation: Operation) -> LeaseLost | Cancelled:
    """Return why nothing was written: somebody has cancelled, or the operation is another worker's."""
    return Cancelled() if operation.renew() else LeaseLost()


def _now() -> str:
    return timezone.now().isoformat()
