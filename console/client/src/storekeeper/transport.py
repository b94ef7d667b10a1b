"""One call over HTTP: a deadline for all of it, a largest answer, repetitions where they are safe, no redirects."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from .errors import ApiError, NotTheConsole, Unreachable, WrongUse, of

DEADLINE = 60.0  # seconds for one call, the console's longest wait (30) with it
LONGEST = 64 * 1024 * 1024  # bytes of an answer
PATIENCE = 120.0  # seconds, for all repetitions of a call together
TRIES = 6
MAY_HELP = {429, 502, 503, 504}
AGENT = "storekeeper-client/1"


@dataclass(frozen=True)
class Answer:
    """What came back; `headers` in lower case, `body` as it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return what the body says; raises NotTheConsole when that is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NotTheConsole(f"The answer ({self.status}, {self.type or 'no type'}) is no JSON.") from error


@dataclass
class Transport:
    """Speaks to one console.

    `url` is its address, such as https://console.example.org; plain HTTP only to this machine, unless `plain_http`.
    `ca_file` is a PEM file of the certificates to trust in place of the system's.
    """

    url: str
    ca_file: str = ""
    plain_http: bool = False
    deadline: float = DEADLINE
    patience: float = PATIENCE
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self.parts = address(self.url, plain_http=self.plain_http)
        self.context: ssl.SSLContext | None = None
        if self.parts.scheme == "https":
            try:
                self.context = ssl.create_default_context(cafile=self.ca_file or None)
            except (OSError, ssl.SSLError) as error:
                raise WrongUse(f"{self.ca_file} holds no certificates (PEM): {error}") from error

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        is_safe_to_repeat: bool | None = None,
    ) -> Answer:
        """Return the answer of a call that worked (2xx).

        `is_safe_to_repeat`: whether it may be sent again when nobody knows what became of it; GET may, others only with
        an Idempotency-Key. 429 was never begun, so it is always tried again, when Retry-After says.
        Raises ApiError for a refusal, Unreachable for silence.
        """
        safe = method == "GET" if is_safe_to_repeat is None else is_safe_to_repeat
        target = self.parts.path.rstrip("/") + path
        if query:
            target += "?" + urlencode(query, doseq=True)
        until = time.monotonic() + self.patience
        for tried in range(1, TRIES + 1):
            pause = min(2.0**tried / 4, 8) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            try:
                answer = self._once(method, target, dict(headers or {}), body)
            except _NotSent as error:
                trouble: Unreachable | ApiError = error.said
                again = tried < 3  # a wrong address stays wrong
            except Unreachable as error:
                trouble, again = error, safe and tried < 3 and not isinstance(error, NotTheConsole)
            else:
                if 200 <= answer.status < 300:
                    return answer
                trouble = self._refusal(answer)
                again = answer.status == 429 or (safe and answer.status in MAY_HELP)
                pause = max(pause, trouble.retry_after) if isinstance(trouble, ApiError) else pause
            if not again or tried == TRIES or time.monotonic() + pause > until:
                raise trouble
            self.sleep(pause)
        raise AssertionError("the loop returns or raises")

    def _refusal(self, answer: Answer) -> Unreachable | ApiError:
        if 300 <= answer.status < 400:
            there = answer.headers.get("location", "another address")
            return NotTheConsole(f"{self.url} leads to {there[:200]}. Use the console's own address.")
        is_json = answer.type in {"application/json", "application/problem+json"}
        if not is_json and answer.status < 500 and answer.status != 429:
            what = f"{answer.status}, {answer.type or 'no type'}"
            return NotTheConsole(
                f"{self.url} does not answer as a Storekeeper console does ({what}). Is that its address?"
            )
        return of(answer.status, answer.json() if is_json else None, answer.headers)

    def _once(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection = self._connection()
        is_over = threading.Event()

        def end() -> None:
            is_over.set()
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

        # A timeout of a socket starts anew with each byte that comes; this one does not.
        watch = threading.Timer(self.deadline, end)
        watch.daemon = True
        watch.start()
        try:
            self._connect(connection)
            return self._ask(connection, method, target, headers, body)
        except (OSError, ValueError, http.client.HTTPException, NotTheConsole) as error:
            if is_over.is_set() or isinstance(error, TimeoutError):
                raise Unreachable(f"{self.url} did not answer within {self.deadline:.0f} seconds.") from error
            if isinstance(error, OSError):
                raise Unreachable(f"{self.url} broke off: {words(error)}.") from error
            if isinstance(error, NotTheConsole):
                raise
            raise NotTheConsole(f"{self.url} does not speak HTTP as it should: {type(error).__name__}.") from error
        finally:
            watch.cancel()
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            said = f"The certificate of {self.parts.hostname} is not trusted: {error.verify_message}."
            raise _NotSent(Unreachable(f"{said} For a CA of your own, name its PEM file (--ca-file).")) from error
        except ssl.SSLError as error:
            raise _NotSent(Unreachable(f"{self.url} does not speak TLS: {error.reason or error}.")) from error
        except socket.gaierror as error:
            raise _NotSent(Unreachable(f"There is no host {self.parts.hostname}, or no network.")) from error
        except UnicodeError as error:
            raise WrongUse(f"{self.url} is no address.") from error
        except TimeoutError:
            raise
        except OSError as error:
            raise _NotSent(Unreachable(f"{self.url} cannot be reached: {words(error)}.")) from error

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> Answer:
        try:
            connection.request(method, target, body, {"User-Agent": AGENT, "Accept": "*/*", **headers})
        except (ValueError, UnicodeError) as error:  # such as a line break in a token
            raise WrongUse("A header cannot be sent: it holds what no header may.") from error
        response = connection.getresponse()
        kept = bytearray()
        while part := response.read1(1 << 16):
            kept += part
            if len(kept) > LONGEST:
                raise NotTheConsole(f"{self.url} answered with more than {LONGEST >> 20} MB.")
        if response.length:
            raise http.client.IncompleteRead(bytes(kept))
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, bytes(kept))

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        proxy = None if proxy_bypass(host) else getproxies().get(self.parts.scheme)
        if proxy and not _is_here(host):
            via = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            if not via.hostname:
                raise WrongUse(f"{self.parts.scheme}_proxy is no address.")
            connection = self._to(via.hostname, via.port or 8080)
            connection.set_tunnel(host, port or (443 if self.context else 80))
            return connection
        return self._to(host, port)

    def _to(self, host: str, port: int | None) -> http.client.HTTPConnection:
        if self.context is not None:
            return http.client.HTTPSConnection(host, port, timeout=self.deadline, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=self.deadline)


class _NotSent(Exception):
    """The call never left, so it may be sent again whatever it is."""

    def __init__(self, said: Unreachable) -> None:
        super().__init__()
        self.said = said


def words(error: OSError) -> str:
    """Return what an error of the system says, without its number."""
    return error.strerror or str(error) or type(error).__name__


def _is_here(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def address(url: str, *, plain_http: bool = False) -> SplitResult:
    """Return the parts of a console's address; raises WrongUse, in words that say how it should look."""
    example = "such as https://console.example.org"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise WrongUse(f"{url!r} is no address, {example}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        raise WrongUse(f"{url!r} is no address, {example}.")
    if parts.username is not None or parts.query or parts.fragment or not url.isascii() or any(c <= " " for c in url):
        raise WrongUse(f"The address has only a scheme and a host, {example}.")
    if parts.scheme == "http" and not plain_http and not _is_here(parts.hostname):
        raise WrongUse(
            f"{url} would send the token in the clear. Use https:// (or STOREKEEPER_PLAIN_HTTP=1, if you must)."
        )
    return parts
