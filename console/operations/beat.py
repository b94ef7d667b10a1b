"""What `celery beat` runs: sends what is due, and says that it is there.

When something is due stands in the database, and goes by its clock alone: this machine's may jump, two beats send
nothing twice, and there is no file that could be from the future. While no worker takes what was sent before, nothing
more is sent.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import beat
from django.db import Error as DatabaseError

from console.operations import messages
from console.operations.chores import Chore
from console.operations.heartbeats import EVERY, Heartbeat, Pulse, leave_connections, leave_old_connections
from console.web.database import checkpoint

log = logging.getLogger(__name__)

SHORTEST = 0.2  # seconds between two looks
UNTAKEN = 30.0  # seconds that what was sent may wait for a worker before that is called trouble
QUEUES = (messages.BEAT, messages.PEOPLE, messages.BACKGROUND)


class Scheduler(beat.Scheduler):  # type: ignore[misc]
    """Celery's own, but for what `tick` does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what Celery gives; of `schedule_filename` nothing is read or written."""
        self.pulse, self.trouble, self.told_at = Pulse(Heartbeat.Kind.BEAT), "", -EVERY
        self.begins, self.full_since = True, 0.0
        super().__init__(*arguments, **options)

    def install_default_entries(self, data: Any) -> None:
        """Add nothing: no result is kept that would have to be cleared up."""

    @property
    def info(self) -> str:
        """Return the line that beat prints at its start."""
        return "    . db -> the console's database"

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due; returns after how many seconds to look again. Raises nothing that passes by itself."""
        tells = time.monotonic() - self.told_at >= EVERY
        try:
            leave_old_connections()
            pause = self.send_due()
            if tells:
                checkpoint()
        except DatabaseError as error:
            leave_connections()
            self.note(f"The database does not answer: {error}")
            pause = 1.0
        if tells:
            self.tell()
        return max(SHORTEST, min(pause, EVERY))

    def send_due(self) -> float:
        """Send what is due, if all that was sent before has been taken; returns the seconds until something is due."""
        entries: dict[str, Any] = self.schedule
        periods = {name: float(entry.schedule.seconds) for name, entry in entries.items()}
        left = Chore.objects.seconds_until_due(periods)
        due = [name for name in left if not left[name]]
        if due:
            try:
                if messages.waiting(messages.BEAT):
                    self.full_since = self.full_since or time.monotonic()
                    if time.monotonic() - self.full_since > UNTAKEN:
                        self.note("No worker takes what is sent.")
                    return 1.0
                self.full_since = 0.0
                for name in due:
                    self.send(name, periods[name])
            except Exception as error:  # kombu and redis have a dozen for a broker that is away, full or not let in
                self.note(f"The broker takes no messages: {error}")
                return 1.0
            self.note("")
        return min((left[name] or periods[name] for name in periods), default=EVERY)

    def send(self, name: str, period: float) -> None:
        """Send it if no other beat did; what could not be sent is due again."""
        if not Chore.objects.take(name, period):
            return
        try:
            entry: Any = self.schedule[name]
            self.app.send_task(entry.task, entry.args, entry.kwargs, **{"queue": messages.BEAT, **entry.options})
        except Exception:
            Chore.objects.give_back(name)
            raise

    def note(self, trouble: str) -> None:
        """Log trouble once, and its end."""
        if trouble and not self.trouble:
            log.warning("beat: %s It is tried again every second.", trouble)
        if self.trouble and not trouble:
            log.warning("beat: goes on.")
        self.trouble = trouble

    def tell(self) -> None:
        """Say that this process is there, how many messages wait, and forget those that have been silent for a day."""
        self.told_at = time.monotonic()
        try:
            waiting = {queue: messages.waiting(queue) for queue in QUEUES}
        except Exception as error:
            self.note(f"The broker does not answer: {error}")
            waiting = {}
        if self.pulse.beat(begins=self.begins, trouble=self.trouble, waiting=waiting):
            self.begins = False
            Heartbeat.objects.forget()
