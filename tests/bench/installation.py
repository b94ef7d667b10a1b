"""A console as in production: PostgreSQL, Valkey, an emulated Amazon, the web server, one worker and beat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psycopg

from console.demo import processes
from console.demo.servers import end_with_parent, free_port
from tests import postgres
from tests.demo_process import ROOT
from tests.worker_process import Broker

TICKS = os.sysconf("SC_CLK_TCK")
ROWS = """
from tests import factories
from console.accounts.models import Organisation
acme = factories.organisation()
Organisation.objects.update(stores_at_most=10_000, operations_at_once=16)
factories.user("bench", acme)
print(factories.account(acme).pk)
"""


class Installation:
    """The processes that run, and how to reach them."""

    def __init__(self, folder: Path, database: str, broker: str, latency: int) -> None:
        self.database, self.folder = database, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.servers: dict[str, int] = {}  # the processes of others that it stands on
        amazon = processes.amazon(free_port(), latency)
        self.url, self.amazon = "", amazon.where
        self.environment = {
            **os.environ,
            "DATABASE_URL": database,
            "REDIS_URL": broker,
            "AWS_ENDPOINT_URL": amazon.where,
            "STATIC_ROOT": str(folder / "static"),
            "LOG_LEVEL": "WARNING",
        }
        self.children = {"amazon": amazon, **self.own()}

    def own(self) -> dict[str, processes.Child]:
        """Return the console's own processes, but for the web server."""
        return {"worker": processes.worker(), "beat": processes.scheduler(self.folder)}

    def web(self) -> processes.Child:
        """Return the web server, on a port that is free at this moment."""
        return processes.console(free_port())

    def start(self) -> None:
        """Start all, on an empty database."""
        self.launch("amazon")
        for command in (["migrate", "-v0"], ["collectstatic", "--no-input", "-v0"]):
            self.manage(*command)
        self.fill()
        web = self.children["web"] = self.web()  # not before: others would have the port by now
        self.url = web.where.rstrip("/")
        for name in [one for one in self.children if one != "amazon"]:
            self.launch(name)
        until = time.monotonic() + 180
        while not (self.children["amazon"].answers() and web.answers() and self.works()):
            if time.monotonic() > until:
                raise RuntimeError(f"the console did not start; see {self.folder}")
            time.sleep(0.1)

    def fill(self) -> None:
        """Make what is there before anything else of the console's runs."""
        self.account = self.manage("shell", "-v0", "-c", ROWS).split()[-1]

    def launch(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.children[name].command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509, one call into the kernel
            )

    def manage(self, *command: str) -> str:
        run = [sys.executable, "manage.py", *command]
        return subprocess.run(run, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True).stdout

    def works(self) -> bool:
        """Return whether each worker has said that it works."""
        with psycopg.connect(self.database) as database:
            found = database.execute("SELECT count(*) FROM operations_heartbeat WHERE kind = 'worker'").fetchone()
        return bool(found and found[0] >= sum(name.startswith("worker") for name in self.children))

    def seconds_of_cpu(self) -> dict[str, float]:
        """Return the processor time that each part has taken so far, user and system, with all its processes."""
        groups = {process.pid: name for name, process in self.processes.items()}
        taken = dict.fromkeys(self.processes, 0.0)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                facts = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if name := groups.get(int(facts[2])):
                taken[name] += sum(int(ticks) for ticks in facts[11:15]) / TICKS
        return taken

    def seconds_of_servers(self) -> dict[str, float]:
        """Return the same of what the console stands on: each process that listens, with all that it has started."""
        return {name: seconds_of_tree(pid) for name, pid in self.servers.items()}

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes.values():
                if process.poll() is None:
                    os.killpg(process.pid, number)
            until = time.monotonic() + 5
            while time.monotonic() < until and any(process.poll() is None for process in self.processes.values()):
                time.sleep(0.05)

    def calls(self) -> int:
        """Return how many calls the emulated Amazon has had."""
        with urlopen(f"{self.amazon}/_emulator/calls") as answer:
            return len(json.load(answer))


def seconds_of_tree(pid: int) -> float:
    """Return the processor time of a process and of all that it has started."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended, and is counted by its parent
        return 0.0
    return sum(int(ticks) for ticks in facts[11:15]) / TICKS + sum(seconds_of_tree(int(one)) for one in children)


@contextmanager
def installation(folder: Path, latency: int, kind: type[Installation] = Installation) -> Iterator[Installation]:
    """Run a console whose calls of Amazon take so many milliseconds each."""
    broker = Broker(folder)
    broker.start()
    try:
        with postgres.cluster() as server:
            one = kind(folder, server.url, broker.url, latency)
            one.servers = {"postgresql": server.pid, "valkey": broker.process.pid}
            try:
                one.start()
                yield one
            finally:
                one.end()
    finally:
        broker.kill()
