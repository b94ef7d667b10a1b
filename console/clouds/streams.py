"""Every answer from outside has an end: a deadline for all of it, and a largest size, held right above the socket.

A time limit for each read is none for the answer: whoever sends a byte now and then holds its reader for ever. So each
connection reads through something that knows until when, and how much. urllib3 is below botocore, the SDK of Azure,
google-auth and requests alike; what is here goes between it and its sockets.

A call of a cloud, with signing in for it and its repetitions, is one `within`; work that makes many calls has one
without a size around all of them.
"""

from __future__ import annotations

import io
import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib3 import PoolManager
    from urllib3.connectionpool import HTTPConnectionPool

SECONDS = 30.0  # of a call
SIZE = 8 * 1024 * 1024  # bytes of its answers; a page of the largest lists has about four
PARTS = 120_000  # tags or members: each takes hundreds of bytes once it is parsed; the longest lists have 80,000
PIECE = 16 * 1024  # bytes that are sent at once: one record of TLS


class TooLong(TimeoutError):
    """What was asked is not answered to its end in time."""


class TooMuch(OSError):
    """The answer is larger than any that is expected."""


class Allowance:
    """What may still be read, and until when: no longer than `outer`, of which it is a part."""

    def __init__(self, seconds: float, size: float, outer: Allowance | None = None) -> None:
        self.size, self.seconds = size, seconds
        self.until, self.left = time.monotonic() + seconds, size
        self.tags = self.members = 0.0
        if outer and outer.until < self.until:
            self.until, self.seconds = outer.until, outer.seconds

    def remaining(self) -> float:
        """Return the seconds that are left; raises TooLong when none are."""
        if (seconds := self.until - time.monotonic()) <= 0:
            raise TooLong(f"it did not end within {self.seconds:g} seconds")
        return seconds

    def take(self, data: bytes) -> None:
        """Count what was read; raises TooMuch when that is more than may be, in bytes or once it is XML or JSON."""
        self.left -= len(data)
        self.tags += data.count(b"<")
        self.members += data.count(b",") + data.count(b"[") + data.count(b"{")
        if self.left < 0:
            raise TooMuch(f"it sent more than {self.size / 1e6:.0f} MB")
        if max(self.tags, self.members) > PARTS:
            raise TooMuch(f"it sent more than {PARTS:,} parts")

    def expect(self, size: int) -> None:
        """Allow so many bytes more, and any number of parts."""
        self.left += size
        self.tags = self.members = -math.inf


# Called before a request is sent and before its connection is made: whoever waits for a cloud should hold nothing that
# others need meanwhile.
before_waiting: list[Callable[[], None]] = []

_allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def within(seconds: float | None = None, size: float | None = None, *, afresh: bool = False) -> Iterator[None]:
    """Limit all that is read inside together, by default as one call is, and by the time that is left around it.

    Where the size is math.inf, each answer has the usual one. `afresh` is for what has to be tidied up when no time is
    left.
    """
    outer = None if afresh else _allowance.get()
    token = _allowance.set(Allowance(SECONDS if seconds is None else seconds, SIZE if size is None else size, outer))
    try:
        yield
    finally:
        _allowance.reset(token)


def _of_answer() -> Allowance:
    known = _allowance.get()
    return known if known and known.size < math.inf else Allowance(SECONDS, SIZE, known)


def expect(size: int) -> None:
    """Allow the call that is being made so many bytes more: those of an object, which nobody parses."""
    if allowance := _allowance.get():
        allowance.expect(size)


def end_of(error: BaseException | None) -> str:
    """Return why the console stopped reading, in words that follow on the other side's name; "" when it did not."""
    found, seen = [error], set[int]()
    while found:
        one = found.pop()
        if isinstance(one, (TooLong, TooMuch)):
            return str(one)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            inner = [*one.args, *getattr(one, "kwargs", {}).values(), getattr(one, "inner_exception", None)]
            found += [one.__cause__, one.__context__, *(part for part in inner if isinstance(part, BaseException))]
    return ""


class _Socket:
    """A connected socket, of TLS or not, as its connection reads and writes it."""

    def __init__(self, plain: socket.socket, allowance: Allowance) -> None:
        self._plain, self.allowance = plain, allowance
        self._timeout = plain.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long one read or write may take, if there is so much time."""
        self._timeout = seconds

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        left = self.allowance.remaining()
        self._plain.settimeout(left if self._timeout is None else min(left, self._timeout))
        try:
            yield
        except TimeoutError:
            self.allowance.remaining()  # says so if it was the whole that took too long
            raise

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """Read what is there, and count it."""
        with self._in_time():
            count = self._plain.recv_into(buffer, nbytes, flags)
        self.allowance.take(bytes(memoryview(buffer)[:count]))
        return count

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all, piece by piece, since nobody may want to read it."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE):
            with self._in_time():
                self._plain.sendall(view[start : start + PIECE], flags)

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: Any) -> io.RawIOBase | io.BufferedReader:
        """Return a file to read from; http.client wants no other."""
        self._plain._io_refs += 1  # type: ignore[attr-defined]
        raw = socket.SocketIO(self, "r")  # type: ignore[arg-type]
        return raw if buffering == 0 else io.BufferedReader(raw)


class _Connection:
    """What a connection of urllib3 does beside its own: one allowance for each request, from connecting on."""

    allowance: Allowance | None = None
    _timeout: Any = None

    @property
    def timeout(self) -> Any:
        """Return how long connecting, or one read, may take: no longer than there is time."""
        if self.allowance is None or (left := self.allowance.until - time.monotonic()) == math.inf:
            return self._timeout
        known = self._timeout if isinstance(self._timeout, (int, float)) else math.inf
        return max(min(known, left), 0.001)  # nothing at all would mean not to wait

    @timeout.setter
    def timeout(self, seconds: Any) -> None:
        self._timeout = seconds

    def connect(self) -> None:
        """Connect, with the handshake of TLS."""
        self.allowance = _of_answer()
        self.allowance.remaining()
        _wait()
        super().connect()  # type: ignore[misc]
        self.sock: Any = _Socket(self.sock, self.allowance)

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request; its answer is read with the same allowance."""
        self.allowance = _of_answer()
        if isinstance(sock := getattr(self, "sock", None), _Socket):  # of a request before this one
            sock.allowance = self.allowance
        _wait()
        super().request(*args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        """Return the answer as it was sent: a few packed bytes can be gigabytes, so nothing is unpacked.

        Nobody is asked to pack anything, and what somebody has packed all the same is not what was asked for.
        """
        answer = super().getresponse()  # type: ignore[misc]
        answer.headers.discard("content-encoding")
        return answer


def _wait() -> None:
    for let_go in before_waiting:
        let_go()


@cache
def _pool(known: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    below: Any = known.ConnectionCls
    return type("LimitedPool", (known,), {"ConnectionCls": type("LimitedConnection", (_Connection, below), {})})


def limit(manager: PoolManager) -> None:
    """Have all connections that this manager opens from now on limited, whatever they are beside that."""
    pools: dict[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: pool if issubclass(pool.ConnectionCls, _Connection) else _pool(pool) for scheme, pool in pools.items()
    }
