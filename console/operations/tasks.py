"""What the workers run: fetch and call, nothing more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down

from console.operations import engine, snapshots
from console.operations.models import Operation, RateSlot

SWEEP_GRACE = 3.0  # seconds: what was sent just now is on its way and need not be sent again
SWEEP_EXPIRES = 10.0  # seconds: without workers, sweeps must not fill the broker
READINGS_EXPIRE = 25.0
TRIES = 20  # for a place, one a second: the next sweep follows
AT_ONCE = 3  # snapshots of one organisation: with its operations, fewer than a worker has threads


@shared_task
def run_operation(pk: str) -> None:
    """Carry out the operation whose turn it is, and come back when it asks for it.

    The message names the operation for which it was sent, but says little more than that there is work: else the one of
    a tenant would wait in the broker behind the hundreds of another.
    """
    for again, seconds in engine.execute_next(UUID(pk)):
        run_operation.apply_async((str(again),), countdown=seconds)


@worker_shutting_down.connect
def hand_over(**_: object) -> None:
    """Have this worker, which was asked to end, give what it works on to another."""
    engine.ending.set()


@shared_task
def resume_stalled() -> int:
    """Send again each operation that nobody works on: its message was lost, its worker died, the broker was down."""
    stalled = Operation.objects.in_turn(grace=SWEEP_GRACE)
    for pk in stalled:
        run_operation.apply_async((str(pk),), expires=SWEEP_EXPIRES)
    return len(stalled)


@shared_task
def read(label: str, pk: int, tries: int = 0) -> None:
    """Take a snapshot, then the next one with its rate key.

    A cloud that hardly answers holds no more threads than an organisation has places: the rest comes back in a second,
    and after a while is left to the sweep, since it stays due.
    """
    place = RateSlot.objects.hold(snapshots.places_of(label, pk), AT_ONCE, snapshots.SECONDS)
    if not place:
        if tries < TRIES:
            send_reading(label, pk, tries + 1, countdown=1, expires=READINGS_EXPIRE)
        return
    try:
        snapshots.read(label, pk)
    finally:
        RateSlot.objects.give_back(place)
    if following := snapshots.follower(label, pk):
        send_reading(label, following, expires=READINGS_EXPIRE)


def send_reading(label: str, pk: int, *tries: int, **options: Any) -> None:
    """Have a worker take the snapshot: of those that wait, what somebody has opened a dialog for goes first."""
    read.apply_async((label, pk, *tries), queue=snapshots.queue_of(label), **options)


@shared_task
def read_due() -> int:
    """Have each snapshot done that is due."""
    due = snapshots.due()
    for label, pk in due:
        send_reading(label, pk, expires=READINGS_EXPIRE)
    return len(due)
