"""Run a command on a throw-away PostgreSQL: `python -m tests.postgres -- pytest -m "not browser"`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from console.demo.servers import free_port

# Nothing here has to survive a power cut, and the tests wait for every write.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"}


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs: the newest of Debian's, or the one on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve())
    if not found:
        raise SystemExit("PostgreSQL is not installed: no initdb on PATH or below /usr/lib/postgresql (make system).")
    return found[-1].parent


class Server:
    """A new PostgreSQL in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        # PostgreSQL refuses to run as root.
        owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._owner: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._folder, self._programs, self._port = folder, binaries(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"
        initdb = [str(self._programs / "initdb"), f"--pgdata={folder / 'data'}", "--username=postgres", "--auth=trust"]
        made = subprocess.run(
            [*initdb, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            **self._owner,
        )
        if made.returncode:
            raise SystemExit(f"initdb failed: {made.stderr}")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder, "port": self._port}
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres",
                    "-D",
                    self._folder / "data",
                    *(f"--{name}={value}" for name, value in {**SETTINGS, **options}.items()),
                ],
                cwd=self._folder,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the command; the server ends after it
                **self._owner,
            )
        ready = [str(self._programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self._port}"]
        for _ in range(300):
            if self._process.poll() is not None:
                raise SystemExit(f"PostgreSQL did not start: {log.read_text()}")
            if subprocess.run([*ready, "--timeout=1"], check=False).returncode == 0:
                break
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """Return its first process, which all others are children of; it has to run."""
        assert self._process
        return self._process.pid

    def has_ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def processes(self) -> list[int]:
        """Return its processes, the first one first."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, listed.split())]

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Break all connections and stop; what was committed is kept, unless `how` is SIGQUIT."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait()


@contextmanager
def hung(pids: list[int]) -> Iterator[None]:
    """Stop processes in the middle of what they do, and let them go on afterwards.

    One that has just ended (a server process whose client has left) is missed by nobody.
    """
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def dump(url: str, file: Path) -> None:
    """Write a database as SQL, without who owns what: whole, or not at all."""
    new = file.with_suffix(f".{os.getpid()}")
    subprocess.run([binaries() / "pg_dump", "--no-owner", f"--file={new}", url], check=True)
    new.replace(file)


def load(url: str, file: Path) -> None:
    """Make a dump's tables and rows in an empty database."""
    command = [binaries() / "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    subprocess.run([*command, f"--file={file}", url], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def cluster() -> Iterator[Server]:
    """Run a new PostgreSQL; nothing of it remains afterwards."""
    folder, server = Path(tempfile.mkdtemp(prefix="postgres-")), None
    try:
        server = Server(folder)
        server.start()
        yield server
    finally:
        if server:
            server.stop(signal.SIGQUIT)  # immediate: there is nothing to save
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run a command with DATABASE_URL set to a new cluster, and return its exit status."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        raise SystemExit("usage: python -m tests.postgres -- COMMAND [ARGUMENT...]")
    # SIGTERM becomes an exception, so that the cluster ends on it as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cluster() as server:
            process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": server.url})
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.terminate()
                process.wait()
                raise
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
