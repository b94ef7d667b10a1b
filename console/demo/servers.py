"""Servers on this machine: free ports, and children that answer before they are used and end with their parent."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
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


def takes_connections(port: int) -> bool:
    """Tell whether a server listens."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
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
        process = subprocess.Popen(  # noqa: S603, our own commands
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
