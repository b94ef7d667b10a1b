"""A server on this machine that answers as nobody should: what the console is to survive, each kind by its name."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

from console.demo.certificates import certify

PAUSE = 0.03  # seconds between two bytes that drip
PIECE = b"A" * 65536
FORGED = "\n2026-01-01 00:00:00,000 INFO root: Signed in\x1b[31m\u202eevil\x00\ud83d\x85"  # what a message may hide
CONTROLS = "A\r\n\x00\x1b[31m\u202e\u2028\u200b\x85B"


def head(status=200, **headers):
    lines = [f"HTTP/1.1 {status} OK", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def error(language, code, message):
    if language == "xml":
        said = re.sub(r"[\x00-\x1f]", "", f"{code}</Code><Message>{message}")
        return f"<Error><Code>{said}</Message><RequestId>{code}</RequestId></Error>".encode(errors="replace")
    errors = [{"reason": code, "message": message}]
    inner = {"code": code, "status": code, "message": message, "errors": errors, "details": []}
    return json.dumps({"error": inner, "error_description": message, "sub": message}).encode()


@cache
def fifty_megabytes(language):
    return error(language, "Broken", "x" * 50_000_000)


@cache
def bomb():
    return gzip.compress(b" " * 64_000_000)


class Peer:
    """Listens until it is closed; `honest` are answers by the end of a path, all else is answered by `behaviour`."""

    def __init__(self, folder=None, language="json"):
        self.language, self.honest, self.behaviour, self.asked = language, {}, "garbage", []
        self.context = None
        if folder:
            ca, certificate, key = certify(folder)
            self.ca_file, self.ca_certificate = str(ca), ca.read_text()
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(certificate, key)
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if folder else 'http'}://{'localhost' if folder else '127.0.0.1'}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.over.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def was_asked(self, end, patience=5.0):
        """Return whether a path with this end was asked for, once the peer has come to it."""
        until = time.monotonic() + patience
        while not (found := any(urlsplit(one.split(" ")[1]).path.endswith(end) for one in list(self.asked))):
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        return found

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with suppress(OSError, ValueError):
            sock.settimeout(20)
            if self.behaviour == "no handshake":
                self.over.wait(20)
            elif self.behaviour == "a handshake that drips":
                self._drip(sock, b"\x16\x03\x03\x00\x7a\x02" + b"\x00" * 200)
            else:
                self._answer(self.context.wrap_socket(sock, server_side=True) if self.context else sock)
        sock.close()

    def _answer(self, sock):
        with sock:
            while asked := self._request(sock):
                method, path = asked
                self.asked.append(f"{method} {path}")
                known = next((say for end, say in self.honest.items() if urlsplit(path).path.endswith(end)), None)
                if known is None:
                    getattr(self, self.behaviour.replace(" ", "_"))(sock, path)
                    return
                body = known(path) if callable(known) else json.dumps(known).encode()
                kind = "application/xml" if body.startswith(b"<") else "application/json"
                sock.sendall(head(Content_Type=kind, Content_Length=len(body)) + body)

    @staticmethod
    def _request(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (part := sock.recv(65536)):
                return None
            data += part
        top, _, body = data.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        size = int(headers.get("content-length", 0))
        while len(body) < size:
            if not (part := sock.recv(65536)):  # else this thread would go round and round to the end of the run
                return None
            body += part
        return lines[0].split(" ")[:2]

    def _drip(self, sock, data):
        for one in data:
            sock.sendall(bytes((one,)))
            if self.over.wait(PAUSE):
                return

    # What it may do

    def silence(self, sock, path):
        self.over.wait(20)

    def head_that_drips(self, sock, path):
        self._drip(sock, b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 4000)

    def body_that_drips(self, sock, path):
        sock.sendall(head(Content_Type=f"application/{self.language}", Content_Length=5000))
        self._drip(sock, b" " * 5000)

    def error_that_drips(self, sock, path):
        sock.sendall(head(403, Content_Type=f"application/{self.language}", Content_Length=5000))
        self._drip(sock, b" " * 5000)

    def chunks_that_drip(self, sock, path):
        sock.sendall(head(Transfer_Encoding="chunked"))
        self._drip(sock, b"1\r\n \r\n" * 2000)

    def endless_body(self, sock, path):
        sock.sendall(head(Content_Type=f"application/{self.language}", Connection="close"))
        while True:
            sock.sendall(PIECE)

    def endless_error(self, sock, path):
        sock.sendall(head(500, Content_Type=f"application/{self.language}", Transfer_Encoding="chunked"))
        while True:
            sock.sendall(b"10000\r\n" + PIECE + b"\r\n")

    def endless_chunk_size(self, sock, path):
        sock.sendall(head(Transfer_Encoding="chunked"))
        while True:
            sock.sendall(b"0" * 65536)

    def endless_headers(self, sock, path):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(10**6):
            sock.sendall(f"X-{number}: ".encode() + b"a" * 60000 + b"\r\n")

    def endless_continue(self, sock, path):
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    def endless_redirects(self, sock, path):
        sock.sendall(head(302, Location=f"{self.url}{path}", Content_Length=0))

    def gzip_bomb(self, sock, path):
        body = bomb()
        sock.sendall(head(Content_Encoding="gzip", Content_Length=len(body), Content_Type="application/json") + body)

    def large_error(self, sock, path):
        said = fifty_megabytes(self.language)
        sock.sendall(head(400, Content_Type=f"application/{self.language}", Content_Length=len(said)))
        sock.sendall(memoryview(said))

    def long_error(self, sock, path):
        said = error(self.language, "C" * 200_000, "x" * 200_000)
        ids = {"x_ms_request_id": "r" * 60_000, "x_amz_request_id": "r" * 60_000, "x_amz_id_2": "r" * 60_000}
        sock.sendall(head(400, Content_Type=f"application/{self.language}", Content_Length=len(said), **ids) + said)

    def error_with_controls(self, sock, path):
        said = error(self.language, CONTROLS, f"You may not{FORGED}")
        ids = {"x_ms_request_id": "\x1b[31m\u0085", "x_ms_error_code": "\x1b[31mB\x08", "x_amz_id_2": "\x1b[31m\x08"}
        top = head(400, Content_Type=f"application/{self.language}", Content_Length=len(said), **ids)
        sock.sendall(top.replace("\u0085".encode(), b"\x85") + said)

    def nested_deeply(self, sock, path):
        body = b"[" * 200_000 if self.language == "json" else b"<a>" * 60_000
        sock.sendall(head(Content_Type=f"application/{self.language}", Content_Length=len(body)) + body)

    def many_small_parts(self, sock, path):
        body = b"[" + b"{}," * 300_000 + b"1]" if self.language == "json" else b"<a>" + b"<b/>" * 240_000 + b"</a>"
        sock.sendall(head(Content_Type=f"application/{self.language}", Content_Length=len(body)) + body)

    def garbage(self, sock, path):
        sock.sendall(b"\x00\xff" * 1000)


BEHAVIOURS = (
    *("silence", "head that drips", "body that drips", "error that drips", "chunks that drip"),
    *("endless body", "endless error", "endless chunk size", "endless headers", "endless continue"),
    *("endless redirects", "gzip bomb", "large error", "long error", "error with controls"),
    *("nested deeply", "many small parts", "garbage"),
)
HANDSHAKES = ("no handshake", "a handshake that drips")
