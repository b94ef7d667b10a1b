"""What the workers run: fetch and call, nothing more.

No message expires: that would go by the clock of whoever takes it. Instead, nothing is sent again while it waits.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down

from console.operations import engine, messages, snapshots
from console.operations.heartbeats import Pulse
from console.operations.models import Heartbeat, Operation, RateSlot

SWEEP_GRACE = 3.0  # seconds: what was sent just now is on its way and need not be sent again
MESSAGES_AT_MOST = 200  # of readings that no worker has taken; the next sweep follows in seconds
TRIES = 20  # for a place, one a second: the next sweep follows
AT_ONCE = 3  # snapshots of one organisation: with its operations, fewer than a worker has threads

pulse = Pulse(Heartbeat.Kind.WORKER)


@worker_ready.connect
def say_what_this_is(sender: Any, **_: object) -> None:
    """Have this worker say every few seconds that it works."""
    pulse.threads = sender.controller.concurrency
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
    for again, seconds in engine.execute_next(UUID(pk)):
        run_operation.apply_async((str(again),), countdown=seconds)


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


@shared_task
def read(label: str, pk: int, tries: int = 0) -> None:
    """Take a snapshot, then the next one with its rate key.

    A cloud that hardly answers holds no more threads than an organisation has places: the rest comes back in a second,
    and after a while is left to the sweep, since it stays due.
    """
    place = RateSlot.objects.hold(snapshots.places_of(label, pk), AT_ONCE, snapshots.SECONDS)
    if not place:
        if tries < TRIES:
            send_reading(label, pk, tries + 1, countdown=1)
        return
    try:
        snapshots.read(label, pk)
    finally:
        RateSlot.objects.give_back(place)
    if following := snapshots.follower(label, pk):
        send_reading(label, following)


def send_reading(label: str, pk: int, *tries: int, **options: Any) -> None:
    """Have a worker take the snapshot: of those that wait, what somebody has opened a dialog for goes first."""
    read.apply_async((label, pk, *tries), queue=snapshots.queue_of(label), **options)


@shared_task
def read_due() -> int:
    """Have each snapshot done that is due; as many messages as may wait, with those that do already."""
    due = snapshots.due()
    room = MESSAGES_AT_MOST - messages.waiting(messages.BACKGROUND) if due else 0
    for label, pk in due[: max(0, room)]:
        send_reading(label, pk)
    return len(due)
