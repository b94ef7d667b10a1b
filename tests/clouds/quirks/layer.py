"""A proxy in front of a real S3 server, over TLS, that answers some calls as other servers are documented to.

What a row of the table does not answer goes through to the server, byte by byte, with the Host that the client signed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from console.demo.servers import HOST

# What a query says of a bucket, and the operation that it makes of a method.
SUBRESOURCES = {
    "tagging": "BucketTagging",
    "policy": "BucketPolicy",
    "lifecycle": "BucketLifecycleConfiguration",
    "versioning": "BucketVersioning",
    "logging": "BucketLogging",
    "ownershipControls": "BucketOwnershipControls",
    "publicAccessBlock": "PublicAccessBlock",
    "object-lock": "ObjectLockConfiguration",
    "encryption": "BucketEncryption",
}
VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}
LISTS = {"versions": "ListObjectVersions", "uploads": "ListMultipartUploads", "list-type": "ListObjectsV2"}
ON_BUCKET = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
ON_OBJECT = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST": "Multipart",
}
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Request:
    """A request as it came: `operation` in the words of the S3 API reference, IAM for all of IAM's."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes
    holds_anything: Callable[[str], bool]

    def holds(self):
        """Return whether its bucket holds anything, as the server knows."""
        return self.holds_anything(self.bucket)

    @property
    def bucket(self):
        return self.path.split("/")[1]

    @property
    def operation(self):
        _, bucket, *key = self.path.split("/", 2)
        if not bucket:
            return "IAM" if self.method == "POST" else "ListBuckets"
        if key and key[0]:
            return ON_OBJECT[self.method]
        for name, what in SUBRESOURCES.items():
            if name in self.query and self.method in VERBS:
                return f"{VERBS[self.method]}{what}"
        if self.method == "GET":
            return next((what for name, what in LISTS.items() if name in self.query), "ListObjects")
        return "DeleteObjects" if self.method == "POST" else ON_BUCKET[self.method]


@dataclass(frozen=True)
class Answer:
    """What the layer says itself; with a code it is S3's XML, else the body as it stands."""

    status: int
    code: str = ""
    body: str = ""

    def __call__(self, request: Request) -> Answer:
        return self

    @property
    def data(self):
        if not self.code:
            return self.body.encode()
        code, message = escape(self.code), escape(self.body or f"{self.code}, as documented")
        return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


class Layer:
    """The proxy; `row` is what it makes of the server; `holds_anything` tells of a bucket whether it is empty."""

    def __init__(self, server, holds_anything):
        self.server, self.row, self.seen, self.holds_anything = server, None, [], holds_anything
        self._trust = ssl.create_default_context(cafile=str(server.ca_file))
        layer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 20

            def setup(self):
                self.upstream = HTTPSConnection("localhost", layer.server.port, timeout=20, context=layer._trust)
                super().setup()

            def finish(self):
                self.upstream.close()
                super().finish()

            def handle_one(self):
                layer._handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815, http.server's names

            def log_message(self, *_):
                pass

        self.listener = ThreadingHTTPServer((HOST, 0), Handler)
        self.listener.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.folder / "server.pem", server.folder / "server.key")
        self.listener.socket = context.wrap_socket(
            self.listener.socket, server_side=True, do_handshake_on_connect=False
        )
        self.endpoint = f"https://localhost:{self.listener.server_address[1]}"

    @contextmanager
    def running(self):
        thread = Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.listener.shutdown()
            self.listener.server_close()
            thread.join(5)

    def _handle(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, url.path, parse_qs(url.query, keep_blank_values=True), headers, body,
                          self.holds_anything)  # fmt: skip
        self.seen.append(request.operation)
        rule: Callable[[Request], Answer | None] | None = self.row and self.row.answer(request)
        answer = rule(request) if rule else None
        if answer:
            return self._say(handler, answer.status, {"Content-Type": "application/xml"}, answer.data)
        status, found, data = self._forward(handler, body)
        if self.row:
            data = self.row.changed(request.operation, data)
        return self._say(handler, status, found, data)

    def _forward(self, handler, body):
        connection = handler.upstream
        connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()

    @staticmethod
    def _say(handler, status, headers, data):
        handler.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                handler.send_header(name, value)
        length = len(data)
        if handler.command == "HEAD":
            length, data = headers.get("Content-Length", 0), b""
        if status != 204:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(data)
