"""Places for what is read in the background, in the threads of one worker: what people wait for goes before it.

All threads of a process share one interpreter, so a hundred readings slow fifty creations down, whatever queue they
came from. So they hold at most half of the threads, and none begins while an operation waits, or many are at work
here; but what has been due for a minute is read in any case.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

PATIENCE = timedelta(minutes=1)  # for which a reading is put off
GO_ON = 30.0  # seconds for which whoever has a place goes on with what else is due, before others get it


class Threads:
    """What the threads of this process do."""

    def __init__(self, number: int = 16) -> None:
        """Begin with all of them free."""
        self._lock, self.operations, self.readings = threading.Lock(), 0, 0
        self.number = number

    @property
    def is_busy(self) -> bool:
        """Return whether so many operations are at work here that a reading would slow them down."""
        return self.operations > self.number // 4

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Count what somebody waits for."""
        with self._lock:
            self.operations += 1
        try:
            yield
        finally:
            with self._lock:
                self.operations -= 1

    @contextmanager
    def reading(self) -> Iterator[bool]:
        """Take a place of those for readings; gives whether there was one."""
        with self._lock:
            free = self.readings < max(1, self.number // 2)
            self.readings += free
        try:
            yield free
        finally:
            with self._lock:
                self.readings -= free


threads = Threads()
