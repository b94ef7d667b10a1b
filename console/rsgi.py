"""The entry point of the web server: `granian --interface rsgi --http 1 console.rsgi:application`.

A request is taken whole before a thread works on it: what comes slowly, or never, holds a socket and some memory for
ten seconds, and nothing that others wait for. WSGI cannot have that, whose applications read the body themselves. Nor
can it tell `X_Forwarded_For` from `X-Forwarded-For`; here the one is dropped.

Only so many requests wait for a thread; one more is told at once to come again, and one that has waited too long is not
worked on: whoever sent it has gone. Static files and the probes have threads of their own, so that they are answered
while all others wait for a database.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from uuid import uuid4

from celery.signals import before_task_publish
from django.conf import settings
from django.urls import get_resolver

from console.api.following import FOLLOW, Follower, Followers
from console.api.middleware import refusal
from console.clouds import streams
from console.starting import settle
from console.web import (
    database,
    map_layers,  # noqa: F401 - loaded here, so that nobody waits for it at the first map
    unavailable,
    watchdog,
)
from console.web.logs import Origin, origin
from console.web.middleware import content_security_policy
from console.wsgi import application as wsgi

log = logging.getLogger("storekeeper.server")

BODY_SECONDS = 10.0  # in which the whole of a body must have come
LARGEST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # bytes of a body
HELD = 32 * LARGEST  # bytes of all bodies together that a process keeps while their rest is on its way
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # of which nothing here reads one


QUEUE_SECONDS = 10.0  # that a request waits for a thread
ALIVE = b"ok\n"  # what /healthz answers, as console.web.health has it for other servers

Answer = tuple[int, list[tuple[str, str]], bytes]


class _Refused(Exception):
    """The request is not taken: a status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(status, why)
        self.status, self.why = status, why


class Lane:
    """Threads for one kind of request, and so many places to wait for one."""

    def __init__(self, name: str, threads: int, places: int) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.most, self.inside = threads + places, 0

    async def run(self, work: Callable[[dict[str, Any]], Answer], environ: dict[str, Any]) -> Answer:
        """Return what the work answers; raises _Refused when all places are taken, or it was not begun in time."""
        if self.inside >= self.most:
            raise _Refused(503, unavailable.BUSY)
        self.inside += 1
        try:
            until = time.monotonic() + QUEUE_SECONDS
            return await asyncio.get_running_loop().run_in_executor(self.threads, self._begin, work, environ, until)
        finally:
            self.inside -= 1

    @staticmethod
    def _begin(work: Callable[[dict[str, Any]], Answer], environ: dict[str, Any], until: float) -> Answer:
        if time.monotonic() > until:
            raise _Refused(503, unavailable.BUSY)
        return work(environ)


class Server:
    """Calls a WSGI application in one of its threads, for each request that has come whole."""

    def __init__(self, wsgi: Callable[..., Any], threads: int, places: int) -> None:
        self.wsgi, self.held = wsgi, 0
        self.pages = Lane("request", threads, places)
        self.files = Lane("file", 2, 256)
        self.probes = Lane("probe", 2, 8)
        self.followers = Followers()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to serve: from now on all threads share this process's connections to the database."""
        get_resolver().url_patterns  # noqa: B018 - loads all views, so that the first request is as fast as the others
        database.limit(database.web())
        streams.before_waiting.append(database.give_back)
        before_task_publish.connect(database.give_back)
        self.watched = loop.create_task(watchdog.tell_on())
        settle()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """End, when all that was taken is answered."""
        database.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer a request, as RSGI has it (granian's specification, 1.5)."""
        if scope.path == "/healthz":
            protocol.response_bytes(200, [("content-type", "text/plain"), ("cache-control", "no-store")], ALIVE)
            return
        try:
            body = b"" if scope.method in WITHOUT_BODY else await self._body(scope, protocol)
            answered = await self._lane(scope.path).run(self._answer, environ(scope, body))
        except _Refused as refused:
            log.info("Refused a request with %s: %s", refused.status, refused.why)
            answered = _refusal(scope, refused)
        status, headers, content = answered
        told = [value for name, value in headers if name == FOLLOW]
        headers = [one for one in headers if one[0] != FOLLOW]
        if told and scope.method == "GET" and (follower := self.followers.admit(told[0])):
            await self._follow(protocol, headers, content, follower)
        else:
            protocol.response_bytes(status, headers, content)

    async def _follow(self, protocol: Any, headers: list[tuple[str, str]], first: bytes, follower: Follower) -> None:
        """Send what there is, and then what comes; whoever has gone is noticed at the next of it."""
        headers = [one for one in headers if one[0].lower() != "content-length"]
        stream = protocol.response_stream(200, headers)
        events = self.followers.events(follower)
        try:
            if first:
                await stream.send_bytes(first)
            async for one in events:
                await stream.send_bytes(one)
        except Exception as error:  # the client has gone: the server raises one of its own
            log.debug("A follower has gone: %s", type(error).__name__)
        finally:
            await events.aclose()

    def _lane(self, path: str) -> Lane:
        if path.startswith(settings.STATIC_URL):
            return self.files
        return self.probes if path == "/readyz" else self.pages

    async def _body(self, scope: Any, protocol: Any) -> bytes:
        """Return the request's body, or refuse one that is too large, too slow, or not whole."""
        if "transfer-encoding" in scope.headers:  # of which the server does not tell whether all of it has come
            raise _Refused(411, "Say how long the request is (Content-Length).")
        told = int(scope.headers.get("content-length", "0"))  # a number that fits 64 bits, or the server has refused it
        if told > LARGEST:
            text = f"The request is larger than {LARGEST // 1024} KiB, the most that the console takes. Send less."
            raise _Refused(413, text)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in protocol:
                    self.held += len(chunk)
                    body += chunk
                    if self.held > HELD:
                        raise _Refused(503, "Too much is being sent at this moment.")
        except TimeoutError:
            raise _Refused(408, f"The request did not come whole within {BODY_SECONDS:.0f} seconds.") from None
        finally:
            self.held -= len(body)
        if len(body) != told:  # the sender has gone
            raise _Refused(400, "The request did not come whole.")
        return bytes(body)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        """Return the application's status, headers and body."""
        started: list[Any] = []
        try:
            parts = self.wsgi(environ, lambda status, headers, error=None: started.append((status, headers)))
            try:
                content = b"".join(parts)
            finally:
                if hasattr(parts, "close"):
                    parts.close()
            status, headers = started[-1]
            return int(status.split()[0]), headers, content
        except Exception:  # Django answers its own: this is of what stands before it, or of a file that went away
            log.exception("A request was not answered.")
            return 500, [("content-type", "text/plain")], b"Something went wrong.\n"


def _refusal(scope: Any, refused: _Refused) -> Answer:
    told = {"Retry-After": str(unavailable.RETRY_SECONDS)} if refused.status == 503 else {}
    origin.set(Origin(request_id=uuid4().hex))  # of this task, which is over with the answer
    told |= {"Connection": "close", "X-Request-ID": origin.get().request_id}
    if found := refusal(scope.path, refused.status, refused.why, told):
        return refused.status, [(name.lower(), value) for name, value in found.items()], found.content
    if refused.status != 503:
        text = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        return refused.status, text, f"{refused.why}\n".encode()
    is_fragment = "hx-request" in scope.headers
    told, body = unavailable.answer(refused.why, accept=scope.headers.get("accept", ""), is_fragment=is_fragment)
    told |= {"Content-Security-Policy": content_security_policy(), "Connection": "close"}
    told["Content-Type"] += "; charset=utf-8"
    return 503, [(name.lower(), value) for name, value in told.items()], body.encode()


def environ(scope: Any, body: bytes) -> dict[str, Any]:
    """Return what WSGI (PEP 3333) has of a request, without the headers whose names are not theirs alone.

    `X_Forwarded_For` would have the key of `X-Forwarded-For`, and a proxy that overwrites the one passes the other on.
    """
    name, _, port = scope.server.rpartition(":")
    found = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": name or "localhost",
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for header, value in scope.headers.items():
        if "_" in header or header == "content-length":
            continue
        key = header.replace("-", "_").upper()
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        joint = "; " if key == "HTTP_COOKIE" else ","
        found[key] = f"{found[key]}{joint}{value}" if key in found else value
    if body:
        found["CONTENT_LENGTH"] = str(len(body))
    return found


application = Server(wsgi, settings.WEB_THREADS, settings.WEB_QUEUE)
