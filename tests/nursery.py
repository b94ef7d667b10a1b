"""Workers and beats in a tenth of the time: forked from a process that has everything loaded, and nothing read.

To load all modules takes two seconds of a core, which is nearly all that the start of a worker takes. `Nursery` starts
`python -m tests.nursery`, which forks for each line that it reads: what is forked has the environment and the settings
of its own start, a session of its own, and this process as its parent. `celery -A console worker` itself is started by
tests/deploy and the demo's tests.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: whoever has lost its parent gets this process instead of the first one
# What each process would load by itself, beside all that Django's settings name.
MODULES = """
console.celery celery.__main__ celery.bin.celery celery.bin.worker celery.bin.beat celery.beat celery.app.amqp
celery.app.control celery.app.events celery.app.log celery.app.trace celery.apps.worker celery.apps.beat
celery.concurrency.thread celery.events.dispatcher celery.events.receiver celery.worker.autoscale
celery.worker.components celery.worker.consumer celery.worker.pidbox celery.worker.strategy billiard.pool
kombu.transport.redis psycopg django.db.backends.sqlite3.base django.db.backends.postgresql.base
"""


class Forked:
    """A process of the nursery, as `subprocess.Popen` would have it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status when it has ended; raises TimeoutExpired after so many seconds."""
        until = time.monotonic() + (timeout or 600)
        while (ended := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 600)
            time.sleep(0.02)
        return ended

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks the others."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._process.kill)

    def start(self, command: list[str], environment: dict[str, str], log: Path) -> Forked:
        """Run `celery` with these words."""
        assert self._process.stdin
        assert self._process.stdout
        prctl = ctypes.CDLL(None).prctl
        prctl(SUBREAPER, 1)
        try:
            self._process.stdin.write(json.dumps([command, environment, str(log)]) + "\n")
            self._process.stdin.flush()
            return Forked(int(self._process.stdout.readline()))
        finally:
            prctl(SUBREAPER, 0)


@cache
def nursery() -> Nursery:
    """Return this process's own, which is started when the first test asks for it."""
    return Nursery()


def load() -> None:
    """Load all modules; nothing of the settings' values may remain anywhere."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django
    from django.apps import apps

    django.setup()
    for name in [*MODULES.split(), *(f"{one.name}.tasks" for one in apps.get_app_configs())]:
        if not name.endswith(".tasks") or util.find_spec(name):
            import_module(name)
    from console.clouds.s3api.clients import session

    for service in ("s3", "iam"):  # whose descriptions are a megabyte each
        session().client(service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")  # type: ignore[call-overload]


def begin(command: list[str], environment: dict[str, str], log: str) -> None:
    """Be a process of its own, with an environment and settings that it reads itself."""
    os.setsid()
    with suppress(OSError), open(log, "ab", buffering=0) as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(environment)
    from asgiref.local import Local
    from django.conf import settings
    from django.core.cache import caches
    from django.core.files.storage import storages
    from django.db import connections
    from django.utils.functional import empty

    for name in ("console.settings", environment["DJANGO_SETTINGS_MODULE"]):
        sys.modules.pop(name, None)
    settings.__dict__.clear()
    settings._wrapped = empty
    for one in (connections, caches, storages):
        known: dict[str, Any] = one.__dict__
        for name in ("settings", "backends"):
            known.pop(name, None)
    for handler in (connections, caches):
        handler._settings = None
        handler._connections = Local(handler.thread_critical)
    from celery.__main__ import main

    sys.argv = ["celery", *command]
    main()


def fork(command: list[str], environment: dict[str, str], log: str) -> int:
    """Return the ID of a new process, whose parent has ended."""
    reading, writing = os.pipe()
    if not (between := os.fork()):
        if pid := os.fork():
            os.write(writing, f"{pid}\n".encode())
            os._exit(0)
        os.close(reading)
        os.close(writing)
        while os.getppid() == between:  # until the one that asked for it is its parent
            time.sleep(0.001)
        try:
            begin(command, environment, log)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        else:
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    os.waitpid(between, 0)
    os.close(writing)
    with open(reading) as said:
        return int(said.readline())


if __name__ == "__main__":
    load()
    import gc

    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(fork(*json.loads(line)), flush=True)
