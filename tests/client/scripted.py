"""A server that answers as it is told, one answer for each request, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Script:
    """`answers` are (status, body, headers), or functions that get the handler; the last one is given for ever."""

    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    url: str = ""

    def say(self, *answers):
        self.answers, self.asked = list(answers), []


def problem(status, detail, **more):
    """An answer as the console refuses."""
    told = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "request_id": "r-1", **more}
    return status, told, {"Content-Type": "application/problem+json"}


def task(state, progress=50, **more):
    """A task as the console shows it."""
    ended = state not in {"waiting", "running"}
    return {"id": "t-1", "name": "Create Backup Store", "state": state, "is_finished": ended, "progress": progress,
            "subject": "orders", "steps": [], "error": "", "note": "", **more}  # fmt: skip


@contextmanager
def scripted(context=None):
    """Give a Script that is served; with a context by TLS."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append(Asked(self.command, self.path, headers, body))
            given = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if callable(given):
                given(self)
                return
            status, content, *more = given
            said = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(more[0] if more else {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *args):  # of clients that go away
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    script.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
