"""Azure, emulated as strict as Azure is: signing in, Azure Resource Manager, and blobs, which Azurite keeps.

One server over TLS plays all three hosts, told apart by the path: /<tenant>/oauth2/…, /subscriptions/…, and
/<storage account>/…. The demo and the tests share it. What is there is plain data, and kept in a file if one is named.
"""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from console.demo.certificates import NAME, certify
from console.demo.credentials import AZURE, AZURE_IDENTITY
from console.demo.emulators.azure import rights
from console.demo.emulators.azure.azurite import Azurite
from console.demo.emulators.azure.data import BlobProblem, Blobs, Request
from console.demo.emulators.azure.protocol import Asked, Problem
from console.demo.emulators.azure.resources import Resources
from console.demo.emulators.azure.tenant import Tenant, fresh_state, refused
from console.demo.files import write_private
from console.demo.servers import HOST

FAULTS = ("denied", "busy", "broken", "reset before", "reset after")


class Call(NamedTuple):
    """A request that was served, for tests."""

    method: str
    about: str  # the type of resource and its name, or the container and the blob
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.about}"


class Emulator(Tenant):
    """Azure with one tenant and one subscription; `start()` returns when it answers."""

    def __init__(self, folder: Path | None = None, *, keep: bool = False, latency: float = 0.0) -> None:
        """Prepare an Azure that keeps certificates and blobs in the folder, and with `keep` everything."""
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="azure-")
        self.folder = (folder or Path(self._temporary.name if self._temporary else "")).resolve()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.file = self.folder / "azure.json" if keep else None
        self.latency = latency
        self.ca_file, self._certificate, self._key = certify(self.folder)
        self.azurite = Azurite(self.folder / "azurite")
        self.blobs = Blobs(self, self.azurite)
        self.resources = Resources(self, self.blobs)
        self._server: ThreadingHTTPServer | None = None
        self.calls: list[Call] = []
        self.faults: list[tuple[str, int]] = []
        self.faults_met = 0
        super().__init__()
        if self.file and self.file.exists():
            kept = json.loads(self.file.read_text())
            self._token_key = bytes.fromhex(kept.pop("token_key"))
            self.state = {**fresh_state(), **kept}

    def reset(self) -> None:
        """Forget everything but the application that the console signs in as, and the resource group."""
        for key in list(self.state["containers"]):
            self.blobs.drop(key)
        self.clear()
        self.calls.clear()
        self.faults.clear()

    # Serving

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"https://{NAME}:{self._server.server_address[1]}" if self._server else ""

    def start(self, port: int = 0) -> Self:
        """Serve in the background, on a free port unless one is named; Azurite ends with the thread that calls this."""
        self.azurite.start()
        handler = type("Handler", (_Handler,), {"emulator": self})
        server = _Server((HOST, port), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        # The handshake belongs into the thread of its connection, or one slow client would hold up all.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and end Azurite."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
        self.azurite.stop()
        if self._temporary:
            self._temporary.cleanup()

    def save(self) -> None:
        """Write down what is there, if that is to be kept."""
        if self.file:
            write_private(self.file, json.dumps({**self.state, "token_key": self._token_key.hex()}))

    def fault(self, name: str, nth: int = 1) -> None:
        """Spoil the nth call from now on, counted from 1, once."""
        with self.lock:
            self.faults.append((name, nth))

    def next_fault(self) -> str:
        """Return the fault of the call that has just come, if there is one."""
        with self.lock:
            found = next((name for name, nth in self.faults if nth == 1), "")
            self.faults = [(name, nth - 1) for name, nth in self.faults if nth > 1]
            self.faults_met += bool(found)
            return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were broken off."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    emulator: Emulator
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> None:
        where = urlsplit(self.path)
        query = {key.replace("%24", "$"): value for key, value in parse_qsl(where.query, keep_blank_values=True)}
        body = self._body()
        parts = unquote(where.path).strip("/").split("/")
        emulator = self.emulator
        if emulator.latency:
            time.sleep(emulator.latency)
        if "oauth2" in parts and self.command == "POST":
            status, said = emulator.sign_in(parts[0].lower(), dict(parse_qsl(body.decode())))
            self._json(status, said)
        elif parts[-1] == "openid-configuration":
            self._discovery(parts[0].lower())
        elif parts == [""]:
            self._json(200, {})
        else:
            is_resource = parts[0].lower() in {"subscriptions", "providers"}
            serve = self._resource if is_resource else self._blob
            self._with_faults(serve, where.path, parts, query, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _discovery(self, tenant: str) -> None:
        if tenant != self.emulator.tenant_id:
            return self._json(*refused("invalid_tenant", "AADSTS90002", f"Tenant '{tenant}' not found."))
        base = f"{self.emulator.url}/{tenant}"
        return self._json(
            200,
            {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            },
        )

    def _with_faults(self, serve: Any, path: str, parts: list[str], query: dict[str, str], body: bytes) -> None:
        fault = self.emulator.next_fault()
        is_resource = serve == self._resource
        about = _about(parts, query)
        if fault == "reset before":
            self._log(about, 0)
            self.close_connection = True
            return None
        if fault in {"denied", "busy", "broken"}:
            status, code = {"denied": (403, "AuthorizationFailed"), "busy": (429, "TooManyRequests")}.get(
                fault, (500, "InternalError")
            )
            self._log(about, status)
            if is_resource:
                action, scope = rights.action_of(self.command, f"/{'/'.join(parts)}")
                denied = self.emulator.resources.denied("spoilt", action, scope).message
                said = denied if fault == "denied" else "Spoilt."
                return self._json(status, {"error": {"code": code, "message": said}}, {"Retry-After": "0"})
            code = {"denied": "AuthorizationPermissionMismatch", "busy": "ServerBusy"}.get(fault, code)
            return self._problem(BlobProblem(503 if fault == "busy" else status, code, "Spoilt."))
        if fault == "reset after":
            self.muted = True
        serve(path, parts, query, body, about)
        self.emulator.save()
        return None

    muted = False

    def _resource(self, path: str, parts: list[str], query: dict[str, str], body: bytes, about: str) -> None:
        emulator = self.emulator
        try:
            principal = emulator.principal_of(
                self.headers.get("Authorization", "").removeprefix("Bearer "), "https://management.azure.com"
            )
            if principal is None:
                raise Problem(401, "InvalidAuthenticationToken", "The access token is invalid.")
            lower = [part.lower() for part in parts]
            with emulator.lock:
                asked = Asked(
                    self.command, "/" + "/".join(parts), query, json.loads(body) if body else None, principal, lower
                )
                answer = emulator.resources.serve(asked)
        except Problem as problem:
            said = {"code": problem.code, "message": problem.message, **problem.more}
            self._log(about, problem.status)
            return self._json(problem.status, {"error": said})
        self._log(about, answer.status)
        headers = {}
        if answer.status == 202:
            headers = {"Location": f"{emulator.url}{path}?api-version={query['api-version']}", "Retry-After": "1"}
        return self._json(answer.status, answer.body, headers)

    def _blob(self, path: str, parts: list[str], query: dict[str, str], body: bytes, about: str) -> None:
        emulator = self.emulator
        try:
            account = emulator.state["accounts"].get(parts[0])
            if account is None:  # its host has no address any more, which a path cannot show
                raise BlobProblem(404, "ResourceNotFound", "The specified resource does not exist.")
            request = Request(
                method=self.command,
                raw_path=path,
                account=account,
                container=parts[1] if len(parts) > 1 else "",
                blob="/".join(parts[2:]),
                query=query,
                headers={key.lower(): value for key, value in self.headers.items()},
                body=body,
            )
            reply = emulator.blobs.serve(request)
        except BlobProblem as problem:
            self._log(about, problem.status)
            return self._problem(problem)
        self._log(about, reply.status)
        skipped = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
        headers = {key: value for key, value in reply.headers if key.lower() not in skipped}
        length = next((value for key, value in reply.headers if key.lower() == "content-length"), None)
        return self._send(reply.status, reply.body, headers, length if self.command == "HEAD" else None)

    def _log(self, about: str, status: int) -> None:
        self.emulator.calls.append(Call(self.command, about, status))

    def _problem(self, problem: BlobProblem) -> None:
        error = f"<Error><Code>{problem.code}</Code><Message>{problem.message}</Message></Error>"
        body = f'<?xml version="1.0" encoding="utf-8"?>{error}'
        headers = {"x-ms-error-code": problem.code, "Content-Type": "application/xml"}
        self._send(problem.status, body.encode(), headers)

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self._send(status, data, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str], length: str | None = None) -> None:
        if self.muted:  # it was done, and nobody is told
            self.close_connection = True
            return
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "x-ms-request-id" not in {key.lower() for key in headers}:
            self.send_header("x-ms-request-id", str(uuid4()))
        self.send_header("Content-Length", length if length is not None else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _about(parts: list[str], query: dict[str, str]) -> str:
    """Return what a request is about, in short: types and names of a resource, or container and blob."""
    if parts[0].lower() == "subscriptions":
        return "/".join(parts[4:]) or "/".join(parts[:4])
    more = query.get("comp") or query.get("restype") or ""
    return "/".join(parts) + (f"?{more}" if more else "")


def prepare(emulator: Emulator) -> None:
    """Have the console's application trust the console's own token, too, and an administrator who may do everything."""
    emulator.state["apps"][emulator.client_id]["federated"] = dict(AZURE_IDENTITY)
    if AZURE["administrator_id"] not in emulator.state["apps"]:
        administrator = emulator.add_app(AZURE["administrator_id"], AZURE["administrator_secret"])
        emulator.assign(administrator, rights.OWNER, f"/subscriptions/{emulator.subscription}")


def main(arguments: Iterable[str] | None = None) -> None:
    """Serve until a signal says to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds that each call takes")
    parser.add_argument("--roles", type=Path, required=True, help="the roles that an administrator gives the console")
    options = parser.parse_args(None if arguments is None else list(arguments))
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    emulator = Emulator(options.folder, keep=True, latency=options.latency / 1000)
    if not emulator.state["roles"]:
        emulator.let_console_in(*json.loads(options.roles.read_text()))
    prepare(emulator)
    emulator.save()
    emulator.start(options.port)
    ending.wait()
    emulator.stop()


if __name__ == "__main__":
    main()
