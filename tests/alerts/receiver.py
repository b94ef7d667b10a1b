"""What alerts are sent to in tests: a web server that keeps what it gets, a mail server, and conditions to order."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from console.alerts import conditions
from console.alerts.conditions import Condition, Rule


class Receiver:
    """Listens on 127.0.0.1 until it is stopped; answers with `status`, `said` and `headers`."""

    def __init__(self):
        self.got, self.status, self.said, self.headers = [], 200, "ok", {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.got.append((self.path, {name.lower(): one for name, one in self.headers.items()}, body))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.said)))
                self.end_headers()
                with suppress(ConnectionError):  # who has read enough goes
                    self.wfile.write(outer.said.encode())

            def do_GET(self):
                self.do_POST()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def bodies(self):
        return [json.loads(body) for _, _, body in self.got]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class MailServer:
    """Speaks as much of SMTP as is needed; refuses whom it does not know."""

    def __init__(self, refuses=()):
        self.mails, self.refuses = [], refuses
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with suppress(OSError), sock, sock.makefile("rwb") as file:

            def say(text):
                file.write(text.encode() + b"\r\n")
                file.flush()

            say("220 here")
            while line := file.readline().decode().strip():
                verb = line.upper()
                if verb.startswith("RCPT") and any(one in line for one in self.refuses):
                    say("550 Nobody of that name")
                elif verb == "DATA":
                    say("354 go on")
                    lines = []
                    while (part := file.readline()) != b".\r\n":
                        lines.append(part.decode())
                    self.mails.append(message_from_string("".join(lines), policy=policy.default))
                    say("250 taken")
                elif verb == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 yes")

    def stop(self):
        self.listener.close()


class Holding:
    """Conditions that hold, as a rule of tests finds them."""

    def __init__(self, monkeypatch):
        self.now, self.fails = {}, False
        monkeypatch.setattr(conditions, "_rules", {})
        conditions.register(Rule("verdict", "A database got worse", self._find))

    def _find(self, organisations):
        if self.fails:
            raise RuntimeError("the rule fails")
        return [one for one in self.now.values() if organisations is None or one.organisation in organisations]

    def add(self, organisation, key="a", **values):
        title = values.pop("title", f"orders on {key} is at risk")
        self.now[organisation.pk, key] = Condition(
            organisation=organisation.pk, key=key, rule="verdict", title=title, **values
        )

    def drop(self, organisation, key="a"):
        del self.now[organisation.pk, key]
