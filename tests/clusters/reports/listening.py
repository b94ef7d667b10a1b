"""A console that keeps what nodes send it, and a node whose files are in a folder of the test."""

from __future__ import annotations

import json
import os
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from clusters.handover.report_script import report_script
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout
from console.clouds.contract import RepositoryOptions

TOKEN = "Token-of_the-node"
OPTIONS = RepositoryOptions((("type", "s3"),))


@dataclass(frozen=True)
class Here(Layout):
    """A layout whose folders are below one of the test's."""

    below: str = ""

    @property
    def folder(self):
        return f"{self.below}/etc"

    @property
    def spool(self):
        return f"{self.below}/spool"

    @property
    def pgbackrest(self):
        return f"pgbackrest --config={self.configuration}"


class Listener:
    """A server that answers every report with `status` and `answer`, and keeps it."""

    def __init__(self, certificate=None):
        self.status, self.answer, self.received = 200, b"kept\n", []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append((self.path, dict(self.headers), body))
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(outer.answer)))
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.address = f"{scheme}://localhost:{self.server.server_address[1]}/clusters/1/nodes/n1/applied/"
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def last(self):
        """The last report, as JSON."""
        return json.loads(self.received[-1][2])


@contextmanager
def listening(certificate=None):
    listener = Listener(certificate)
    try:
        yield listener
    finally:
        listener.server.shutdown()
        listener.server.server_close()


def place(folder: Path, owner, stanzas=(), address="", ca_file=""):
    """Put a node's configuration and its report script below the folder; return its layout and the script's path."""
    layout = Here(below=str(folder))
    options = RepositoryOptions((("type", "s3"),))
    targets = [
        Target(number, "store", "/c-a/n1", options, "pass", "time", 14, None, layout.folder) for number in (1, 3)
    ]
    found = [StanzaConfiguration(name, 15, str(directory), port) for name, directory, port in stanzas]
    configuration = Configuration("orders", "n1", BY_NUMBER["2.45"], targets, found, layout=layout)
    script = report_script(configuration, address, TOKEN, ca_file)
    for path, content in ((layout.configuration, configuration.render(secrets=True)), (script.path, script.content)):
        Path(path).parent.mkdir(exist_ok=True, parents=True)
        Path(path).write_text(content)
    Path(script.path).chmod(0o755)
    Path(layout.runs).mkdir(parents=True, exist_ok=True)
    for above, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(above, name), owner.pw_uid, owner.pw_gid)
    return configuration, Path(script.path)
