"""The console as console/deploy runs it in production, and its two proxies in front: real ones, on this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from console.demo.certificates import certify
from console.demo.servers import HOST, free_port, start_server, stop_server, takes_connections
from tests.demo_process import ROOT

DEPLOY = ROOT / "console/deploy"
NAME = "console.example.org"  # as its files have it


@contextmanager
def server(command: list[str], folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a server until the end of the block, which begins when it takes connections."""
    process = start_server(
        command[0], command, folder=folder, environment=environment, answers=lambda: takes_connections(port)
    )
    try:
        yield
    finally:
        stop_server(process)


class Console:
    """The console on a database of its own, with one worker process, behind one proxy."""

    def __init__(self, folder: Path, migrated: Path | None = None) -> None:
        self.folder, self.port, self.log = folder, free_port(), folder / "server.log"
        self.migrated = migrated  # a database that has all migrations, of which it takes a copy
        self._logged: dict[str, dict[str, Any]] = {}
        self._read = 0  # bytes of the log
        self.environment = {
            "INSECURE_HTTP": "",
            "DATABASE_URL": f"sqlite:///{folder}/console.sqlite3",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "ALLOWED_HOSTS": NAME,
            "STATIC_ROOT": str(folder / "static"),
            "TRUSTED_PROXY_COUNT": "1",
            "LOG_FORMAT": "json",
            "WEB_THREADS": "4",
            "WEB_PROCESSES": "1",
            "WEB_PORT": str(self.port),
        }

    @contextmanager
    def running(self) -> Iterator[Console]:
        """Prepare it, and run it until the end of the block."""
        if self.migrated:
            shutil.copyfile(self.migrated, self.folder / "console.sqlite3")
        for command in ("collectstatic",) if self.migrated else ("migrate", "collectstatic"):
            manage = [sys.executable, "manage.py", command, "--no-input", "--verbosity", "0"]
            subprocess.run(manage, cwd=ROOT, env={**os.environ, **self.environment}, check=True)
        command = [str(DEPLOY / "run"), "web"]
        with server(command, self.folder, self.environment, self.port):
            yield self

    def requests(self) -> dict[str, dict[str, Any]]:
        """Return what was logged of each request, by its ID."""
        with self.log.open("rb") as log:  # from where the last one has stopped: it grows with each test
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if line.startswith(b"{") and (said := json.loads(line))["logger"] == "storekeeper.requests":
                    self._logged[said["request_id"]] = said
        return self._logged


class Upstream:
    """A server that keeps what a proxy sends it, and answers a request that is whole."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # at the end it is closed
            while True:
                Thread(target=self._answer, args=(self.listener.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            got = b""
            while b"\r\n\r\n" not in got:
                if not (more := connection.recv(65536)):
                    return
                got += more
            self.received.append(got)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def headers(self) -> list[tuple[str, str]]:
        """Return the names and values of the last request."""
        _, *lines = self.received[-1].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


class Proxy:
    """One of the two proxies in front of the console, or of another server: where it listens, how to connect to it."""

    def __init__(self, kind: str, console: Console | Upstream, folder: Path) -> None:
        self.kind, self.console, self.folder = kind, console, folder
        self.port, self.plain_port = free_port(), free_port()

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Run it until the end of the block."""
        program = shutil.which(self.kind, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, f"{self.kind} is not installed (make system)"
        file, options = {"nginx": self._nginx, "caddy": self._caddy}[self.kind]()
        homes = {name: str(self.folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        (self.folder / "configuration").write_text(file)
        with server([program, *options], self.folder, homes, self.port):
            yield self

    def _nginx(self) -> tuple[str, list[str]]:
        _, certificate, key = certify(self.folder)
        text = replaced((DEPLOY / "proxy/nginx.conf").read_text(), {
            "listen 80;": f"listen {HOST}:{self.plain_port};",
            "listen 443 ": f"listen {HOST}:{self.port} ",
            "127.0.0.1:8000": f"{HOST}:{self.console.port}",
            f"/etc/ssl/{NAME}.pem": str(certificate),
            f"/etc/ssl/private/{NAME}.key": str(key),
        })  # fmt: skip
        kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"    {one}_temp_path {self.folder}/{one};\n" for one in kept)
        user = "user root;\n" if os.geteuid() == 0 else ""
        head = f"{user}daemon off;\nworker_processes 1;\npid {self.folder}/pid;\nerror_log {self.folder}/error.log;\n"
        around = f"{head}events {{ worker_connections 1024; }}\nhttp {{\n    access_log off;\n{places}\n{text}}}\n"
        return around, [
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "configuration"),
            "-e",
            str(self.folder / "error.log"),
        ]

    def _caddy(self) -> tuple[str, list[str]]:
        ours = f"\tadmin off\n\tskip_install_trust\n\tdefault_bind {HOST}\n"
        ours += f"\thttp_port {self.plain_port}\n\thttps_port {self.port}\n"
        text = replaced((DEPLOY / "proxy/Caddyfile").read_text(), {
            "{\n\tservers {": f"{{\n{ours}\tservers {{",
            f"{{$HOST_NAME:{NAME}}} {{\n": f"{NAME} {{\n\ttls internal\n",
            "127.0.0.1:8000": f"{HOST}:{self.console.port}",
        })  # fmt: skip
        return text, ["run", "--config", str(self.folder / "configuration"), "--adapter", "caddyfile"]

    def connect(self) -> ssl.SSLSocket:
        """Return a connection to it, over TLS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nobody known has signed it
        return context.wrap_socket(socket.create_connection((HOST, self.port), timeout=30), server_hostname=NAME)


def replaced(text: str, by: dict[str, str]) -> str:
    """Return a file of console/deploy with what is otherwise on this machine; all that is replaced must be there."""
    for old, new in by.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def exchange(connection: socket.socket, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send one request that ends its connection; return the answer's status, headers by small names, and body."""
    with connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return (
        int(first.split()[1]),
        {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)},
        body,
    )


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request that ends its connection."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {NAME}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
