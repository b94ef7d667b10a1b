"""A real database node on this machine for the end-to-end tests: PostgreSQL, as Debian's pgBackRest finds it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.demo.servers import free_port
from tests.postgres import binaries

SOCKETS = Path("/var/run/postgresql")  # where Debian's psql and pgBackRest look for a server
FOLDERS = ("/etc/pgbackrest", "/var/log/pgbackrest", "/var/spool/pgbackrest")
SCHEDULES = ("/etc/cron.d", "/etc/logrotate.d")


def installed() -> Path:
    """Return the folder of the one cluster whose set-up script has run here."""
    [found] = Path("/etc/pgbackrest").glob("*/installed")
    return found.parent


def crontab() -> Path:
    """Return its schedule for cron."""
    return Path(f"/etc/cron.d/pgbackrest-{installed().name}")


def _scheduled() -> set[Path]:
    return {one for folder in SCHEDULES for one in Path(folder).glob("pgbackrest-*")}


class Node:
    """One PostgreSQL cluster in a folder of its own, run as the user postgres; needs root."""

    def __init__(self, below: Path | None = None) -> None:
        """Make the cluster, in a new folder below the given one; it is not started yet."""
        self.owner = pwd.getpwnam("postgres")
        self.folder = Path(tempfile.mkdtemp(prefix="node-", dir=below))
        self.data = self.folder / "data"
        self.port = free_port()
        os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        SOCKETS.mkdir(exist_ok=True)
        os.chown(SOCKETS, self.owner.pw_uid, self.owner.pw_gid)
        self.run(binaries() / "initdb", "-D", self.data, "-A", "trust", "--no-sync", "--locale=C.UTF-8")
        (self.data / "postgresql.auto.conf").write_text(
            f"port = {self.port}\nunix_socket_directories = '{SOCKETS}'\nlisten_addresses = ''\nfsync = off\n"
        )

    def run(self, *command: object, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command as postgres and return what it said; raises with all of it when it fails."""
        owner: dict[str, Any] = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}
        ran = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"},
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            **owner,
        )
        if check and ran.returncode:
            raise RuntimeError(f"{command} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
        return ran

    def pgbackrest(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run pgBackRest with the configuration that the node was handed."""
        return self.run("pgbackrest", f"--config={installed()}/pgbackrest.conf", *arguments, **options)

    def shell(self, line: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a line that the console shows, which begins with `sudo -u postgres`, as postgres."""
        return self.run("sh", "-c", line.replace("sudo -u postgres ", ""), **options)

    def start(self, data: Path | None = None, *options: str) -> None:
        """Start a server on the data directory, the node's own if none is given."""
        where = data or self.data
        log = self.folder / f"{where.name}.log"
        self.run(binaries() / "pg_ctl", "-D", where, "-l", log, "-w", "-o", " ".join(options), "start")

    def stop(self, data: Path | None = None, how: str = "fast") -> None:
        """Stop that server."""
        self.run(binaries() / "pg_ctl", "-D", data or self.data, "-m", how, "-w", "stop", check=False)

    def sql(self, text: str, port: int | None = None) -> str:
        """Return what psql prints for the statement."""
        found = self.run("psql", "-XAtq", "-p", port or self.port, "-d", "postgres", "-c", text)
        return found.stdout.strip()

    def remove(self, *others: Path) -> None:
        """Stop everything and delete it."""
        for data in (*others, self.data):
            self.stop(data, "immediate")  # it would wait for its archive, which may be gone
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def fresh_node(aside: Path, below: Path | None = None) -> Iterator[Node]:
    """Lend a node whose places for pgBackRest are empty; what stood there waits in the folder, and comes back."""
    moved = [(Path(place), aside / str(number)) for number, place in enumerate(FOLDERS)]
    others = _scheduled()
    for place, kept in moved:
        if place.exists():
            shutil.move(place, kept)
    node = Node(below)
    try:
        yield node
    finally:
        node.remove()
        for place in _scheduled() - others:
            place.unlink()
        for place, kept in moved:
            shutil.rmtree(place, ignore_errors=True)
            if kept.exists():
                shutil.move(kept, place)
