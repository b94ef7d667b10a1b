"""What the workers run: fetch and call, nothing more.

No message expires: that would go by the clock of whoever takes it. Instead, nothing is sent again while it waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_init, worker_ready, worker_shutting_down

from console.clouds.calls import told_of_calls
from console.operations import compiled, engine, messages, snapshots
from console.operations.background import GO_ON, PATIENCE, threads
from console.operations.heartbeats import Pulse
from console.operations.models import Heartbeat, Operation, RateSlot
from console.web import tracing

SWEEP_GRACE = 3.0  # seconds: what was sent just now is on its way and need not be sent again
MESSAGES_AT_MOST = 200  # of readings that no worker has taken; the next sweep follows in seconds
TRIES = 20  # for a place, one a second: the next sweep follows
AT_ONCE = 3  # snapshots of one organisation: with its operations, fewer than a worker has threads
pulse = Pulse(Heartbeat.Kind.WORKER)


@worker_ready.connect
def say_what_this_is(sender: Any, **_: object) -> None:
    """Have this worker say every few seconds that it works."""
    pulse.threads = threads.number = sender.controller.concurrency
    pulse.queues = sorted(sender.app.amqp.queues.consume_from)
    pulse.go_on()


@worker_shutting_down.connect
def hand_over(**_: object) -> None:
    """Have this worker, which was asked to end, give what it works on to another."""
    engine.ending.set()
    pulse.end()


@shared_task
def run_operation(pk: str) -> None:
    """Carry out the operation whose turn it is, and come back when it asks for it.

    The message names the operation for which it was sent, but says little more than that there is work: else the one of
    a tenant would wait in the broker behind the hundreds of another.
    """
    until, following = monotonic() + GO_ON, [UUID(pk)]
    while following:
        with threads.operation():
            calls = engine.execute_next(following.pop())
        for again, seconds in calls:
            # A message for each would cost as much as all else that is done for it.
            if not seconds and not following and monotonic() < until and not engine.ending.is_set():
                following.append(again)
            else:
                run_operation.apply_async((str(again),), countdown=seconds)


@worker_init.connect
def trace(**_: object) -> None:
    """Have this worker's operations, steps and calls be traced, where the operator wants it."""
    tracing.start(told_of_calls)


@shared_task
def resume_stalled() -> int:
    """Send again each operation that nobody works on: its message was lost, its worker died, the broker was down.

    Whoever takes a message takes the operation whose turn it is, so those that wait already count.
    """
    stalled = Operation.objects.in_turn(grace=SWEEP_GRACE)
    lost = stalled[messages.waiting(messages.PEOPLE) :] if stalled else []
    for pk in lost:
        run_operation.apply_async((str(pk),))
    return len(lost)


@shared_task(bind=True)
def read(self: Any, label: str, pk: int, tries: int = 0) -> None:
    """Take a snapshot that somebody waits for; or in the background, and then the next ones with its rate key.

    A cloud that hardly answers holds no more threads than an organisation has places: what somebody waits for comes
    back in a second. The rest is left to the sweep, since it stays due.
    """
    if (self.request.delivery_info or {}).get("routing_key") == messages.BACKGROUND:
        with threads.reading() as free:
            if free:
                _read_on(label, pk)
        return
    with _place(label, pk) as place:
        if place:
            snapshots.read(label, pk)
    if not place and tries < TRIES:
        send_reading(label, pk, tries + 1, queue=messages.PEOPLE, countdown=1)


def _read_on(label: str, pk: int) -> None:
    """Read what is due with one rate key, the longest first, until operations wait or others may want the thread."""
    until = monotonic() + GO_ON
    following: int | None = pk
    with _place(label, pk) as place:
        while place and following is not None and monotonic() < until and not engine.ending.is_set():
            if _others_wait() and not snapshots.is_overdue(label, following, PATIENCE):
                return
            snapshots.read(label, following)
            following = snapshots.follower(label, following)
    if place and following is not None:
        send_reading(label, following)


def _others_wait() -> bool:
    return threads.is_busy or bool(compiled.DUE.first())


@contextmanager
def _place(label: str, pk: int) -> Iterator[str]:
    """Take one of the organisation's places; gives "" when there is none."""
    place = RateSlot.objects.hold(snapshots.places_of(label, pk), AT_ONCE, snapshots.SECONDS + GO_ON)
    try:
        yield place
    finally:
        if place:
            RateSlot.objects.give_back(place)


def send_reading(label: str, pk: int, *tries: int, queue: str = "", **options: Any) -> None:
    """Have a worker take the snapshot, in the background unless it is of a kind that somebody waits for."""
    read.apply_async((label, pk, *tries), queue=queue or snapshots.queue_of(label), **options)


@shared_task
def read_due() -> int:
    """Have each snapshot done that is due; as many messages as may wait, with those that do already."""
    due = snapshots.due()
    room = MESSAGES_AT_MOST - messages.waiting(messages.BACKGROUND) if due else 0
    for label, pk in due[: max(0, room)]:
        send_reading(label, pk)
    return len(due)
