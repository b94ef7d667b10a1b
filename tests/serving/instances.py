"""Web servers of the console that are started and ended in the middle of a test, and a visitor who does not stop."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from console.demo.servers import HOST, end_with_parent
from tests.demo_process import ROOT

OPTIONS = ("--respawn-failed-workers", "--workers-kill-timeout", "20")


class Instance:
    """One granian, with as many processes as are asked for; several may share a port."""

    def __init__(self, folder: Path, port: int, environment: dict[str, str], *options: str) -> None:
        self.folder, self.port = folder, port
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(folder / "notices"))
        self.notices.settimeout(1)
        command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--http", "1", "--no-ws", "--host", HOST]
        with (folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), *OPTIONS, *options, "console.rsgi:application"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.serving.plain",
                    **environment,
                    "NOTIFY_SOCKET": str(folder / "notices"),
                },
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509, one call into the kernel
            )

    def wait_until_ready(self, processes: int = 1) -> None:
        """Wait until so many of its processes take requests."""
        waited = 0
        while processes:
            try:
                assert self.notices.recv(100) == b"READY=1"
                processes -= 1
            except TimeoutError:
                waited += 1
                assert waited < 150, f"see {self.folder}/server.log"
                assert self.process.poll() is None, f"see {self.folder}/server.log"

    def children(self) -> list[int]:
        """Return the processes that answer."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()]

    def stop(self) -> int:
        """Have it end, and return its exit status."""
        self.process.terminate()
        status = self.process.wait(40)
        self.notices.close()
        return status


def ask(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by small names, and body of one request."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@contextmanager
def visiting(visit: Callable[[], object], per_second: int) -> Iterator[list[object]]:
    """Visit so often while the block runs; gives what each visit returned, or raised, as it comes."""
    answers: list[object] = []
    over = threading.Event()

    def once() -> None:
        try:
            answers.append(visit())
        except Exception as error:
            answers.append(error)

    def go_on() -> None:
        visits = []
        while not over.wait(1 / per_second):
            visits.append(threading.Thread(target=once))
            visits[-1].start()
        for one in visits:
            one.join()

    visitor = threading.Thread(target=go_on)
    visitor.start()
    try:
        yield answers
    finally:
        over.set()
        visitor.join()


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it is so."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
