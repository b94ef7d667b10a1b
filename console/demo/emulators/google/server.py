"""The emulated Google's server: HTTP over TLS, with connections that are kept."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from console.demo.emulators.google.routes import Request

Reply = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    """Serves each connection from a thread of its own, which also makes the handshake."""

    daemon_threads = True
    context: ssl.SSLContext

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that clients end."""


def handler(answer: Callable[[Request], Reply | None]) -> type[BaseHTTPRequestHandler]:
    """Return what reads requests, and answers them so; None ends the connection without an answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def setup(self) -> None:
            server = self.server
            assert isinstance(server, Server)
            self.request = server.context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()
            with suppress(OSError):
                self.request.close()

        def log_message(self, *args: Any) -> None:
            pass

        def respond(self) -> None:
            parts, lists = urlsplit(self.path), parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            request = Request(
                self.command,
                tuple(unquote(part) for part in parts.path.strip("/").split("/")),
                {name: values[0] for name, values in lists.items()},
                lists,
                {name.lower(): value for name, value in self.headers.items()},
                self._read(),
            )
            reply = answer(request)
            if reply is None:
                self.close_connection = True
                with suppress(OSError):
                    self.request.close()
                return
            status, headers, body = reply
            lines = [f"HTTP/1.1 {status} Emulated", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if "X-GUploader-UploadID" not in headers:
                lines.append(f"X-GUploader-UploadID: {id(request):x}{time.time_ns():x}")
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)

        def _read(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815, http.server's names

    return Handler
