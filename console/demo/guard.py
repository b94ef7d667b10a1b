"""The process that ends the demo's children should their supervisor be killed.

It is this file, run as a program: small, started before anything else, and without anything to import of ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO


class Guard:
    """The guard as the supervisor sees it."""

    def __init__(self, file: Path, lock: IO[str]) -> None:
        """Start it; should it have to act, it deletes the file, and holds the lock until all has ended."""
        self.process = subprocess.Popen(  # noqa: S603, our own command
            [sys.executable, "-S", "-E", __file__, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )

    def watch_over(self, groups: Iterable[int]) -> None:
        """Name to it the process groups that are alive."""
        if self.process.stdin:
            with suppress(BrokenPipeError):
                self.process.stdin.write(f"{' '.join(map(str, groups))}\n".encode())
                self.process.stdin.flush()

    def dismiss(self) -> None:
        """Let it go: nothing is left to end."""
        self.watch_over([])
        self.process.communicate()


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process and all that it started, if any of them is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def main() -> None:
    """Read process groups, a line for each change, until the supervisor is gone; then end those of the last line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        groups = [int(group) for group in line.split()]
    Path(sys.argv[1]).unlink(missing_ok=True)
    for number, pause in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 0.0)):
        for group in groups:
            signal_group(group, number)
        time.sleep(pause if groups else 0.0)


if __name__ == "__main__":
    main()
