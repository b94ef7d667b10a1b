"""What systemd is told of a process: that it is ready, and every so often that it still does something (sd_notify(3)).

A container has no systemd: there, a file's time says the same, and its health check looks at that (ALIVE_FILE).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from celery import Celery, bootsteps, signals

MISSED = 3  # turns of a worker's loop that may fail to come before it counts as stuck


def seconds() -> float:
    """Return how often somebody wants to hear of this process, in seconds; 0 where nobody does."""
    with suppress(ValueError):
        return int(os.environ.get("WATCHDOG_USEC", "")) / 4_000_000
    return 15.0 if os.environ.get("ALIVE_FILE") else 0.0


def tell(state: str) -> None:
    """Tell `READY=1` or `WATCHDOG=1`; a listener that is gone is nobody's trouble."""
    with suppress(OSError):
        if path := os.environ.get("ALIVE_FILE"):
            Path(path).touch()
        if address := os.environ.get("NOTIFY_SOCKET"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as listener:
                listener.setblocking(False)  # no process waits for one that does not listen
                listener.connect(f"\0{address[1:]}" if address.startswith("@") else address)
                listener.sendall(state.encode())


async def tell_on() -> None:
    """Tell that this process is ready, then, as long as the event loop turns, that it does."""
    tell("READY=1")
    while every := seconds():
        tell("WATCHDOG=1")
        await asyncio.sleep(every)


class Loop(bootsteps.StartStopStep):  # type: ignore[misc]
    """Notes when the loop of a worker last turned that takes its messages.

    Without a broker there is no loop, and a worker that looks for its broker is not stuck: `turned` is None then.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    turned: float | None = None

    def start(self, consumer: Any) -> None:
        """Begin, each time that the broker was found."""
        self.turn()
        if every := seconds():
            consumer.timer.call_repeatedly(every, self.turn)

    @classmethod
    def turn(cls) -> None:
        """Note that it does."""
        cls.turned = time.monotonic()

    def stop(self, consumer: Any) -> None:
        """Stop looking: the broker has gone, and with it the timer."""
        Loop.turned = None

    @classmethod
    def is_stuck(cls, every: float) -> bool:
        """Return whether it takes messages, but has not turned for too long."""
        turned = cls.turned
        return turned is not None and time.monotonic() - turned > MISSED * every


def watch(app: Celery) -> None:
    """Have workers and beat of this application tell how they do."""
    app.steps["consumer"].add(Loop)
    signals.worker_init.connect(_worker_begins)
    signals.beat_init.connect(_beat_begins)


def _worker_begins(**_: Any) -> None:
    """Tell that it is ready before it has found its broker: without one it waits, and a new start would not help."""
    tell("READY=1")
    if every := seconds():
        Thread(target=_tell_of_worker, args=(every,), name="watchdog", daemon=True).start()


def _tell_of_worker(every: float) -> None:
    while True:
        if not Loop.is_stuck(every):
            tell("WATCHDOG=1")
        time.sleep(every)


def _beat_begins(sender: Any, **_: Any) -> None:
    """Have each of its turns told, whichever scheduler it has."""
    tick = sender.scheduler.tick

    def tell_and_tick(*args: Any, **options: Any) -> Any:
        tell("WATCHDOG=1")
        return tick(*args, **options)

    sender.scheduler.tick = tell_and_tick
    tell("READY=1")
