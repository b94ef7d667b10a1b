"""A layer between botocore and the emulator that spoils one call of a plan, and sees every call that is made."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError

from console.demo.emulators.aws.emulator import Emulator


class Call(NamedTuple):
    """One call of a plan, as the table names it: the operation, on which of the store's buckets, which time."""

    operation: str
    on: str  # backup, log or nothing
    nth: int

    def __str__(self) -> str:
        return f"{self.operation} {self.on} #{self.nth}".replace("  ", " ")


@dataclass(frozen=True)
class Fault:
    """What goes wrong at a call: an answer, or none; before the server has acted, or after."""

    name: str
    service: str = ""  # the one that can answer so; "" for both
    code: str = ""
    status: int = 400
    message: str = "The message of Amazon."
    error: type[Exception] | None = None
    after: bool = False  # the server has acted
    stranger: bool = False  # just before the call, somebody else's bucket or role has the name

    def strike(self, request, service, serve):
        """Return the answer, or raise what botocore raises when none comes."""
        if self.after:
            serve(request)
        if self.error is EndpointConnectionError:
            raise EndpointConnectionError(endpoint_url=request.url, error="Failed to resolve 's3.invalid'")
        if self.error:
            raise self.error(endpoint_url=request.url, error="spoilt")
        error = f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>R1</RequestId></ErrorResponse>" if service == "iam" else error
        body = body.encode()
        headers = {"content-type": "application/xml", "content-length": str(len(body)), "x-amz-request-id": "R1"}
        return AWSResponse(request.url, self.status, headers, Raw(body))


class Raw(BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_):
        yield self.read()


def answered(name, status, code="", service="s3", **more):
    return Fault(name, service, code or name, status, **more)


def broken(name, error, **more):
    return Fault(name, error=error, **more)


def body_of(request):
    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    return body.encode() if isinstance(body, str) else body


def environ_of(request):
    """Return the request as a WSGI server hands it over."""
    url, body = urlsplit(request.url), body_of(request)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    return {
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        "REQUEST_METHOD": request.method,
        "wsgi.url_scheme": url.scheme,
        "HTTP_HOST": url.netloc,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port),
        "PATH_INFO": url.path,
        "QUERY_STRING": url.query,
        "RAW_URI": f"{url.path}?{url.query}",
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }


ONE_ANSWER, ONE_CALL, FOR_EVER = "one answer", "one call", "for ever"


@dataclass
class Layer:
    """Registered with botocore's session as `before-send`; armed with one fault at a time."""

    emulator: Emulator
    occupy: object  # makes somebody else's what the request is about
    fault: Fault | None = None
    at: Call | None = None
    lasts: str = ONE_CALL
    attempts: list[tuple[str, str, str]] = field(default_factory=list)  # operation, bucket or role, ID of the call
    met: int = 0
    _nth: Counter = field(default_factory=Counter)
    _calls: dict[str, Call] = field(default_factory=dict)
    _lock: object = field(default_factory=threading.Lock)

    def arm(self, fault=None, at=None, lasts=ONE_CALL):
        """Begin to count, and spoil this call."""
        self.fault, self.at, self.lasts, self.met = fault, at, lasts, 0
        self.attempts, self._nth, self._calls = [], Counter(), {}

    def clear_faults(self):
        """Spoil nothing any more."""
        self.fault = None

    @property
    def calls(self) -> list[Call]:
        """Return the calls since the layer was armed; an attempt that botocore itself repeats belongs to the same."""
        return list(self._calls.values())

    def __call__(self, request, event_name, **_):
        _, service, operation = event_name.split(".")
        if service == "s3":
            name = urlsplit(request.url).path.split("/")[1]
            kind, on = "bucket", "" if not name else "log" if "-log" in name else "backup"
        else:
            given = dict(parse_qsl(body_of(request).decode()))
            kind, on = "profile" if "InstanceProfileName" in given else "role", ""
            name = given.get("InstanceProfileName") or given.get("RoleName", "")
        call_id = request.headers["amz-sdk-invocation-id"]
        call_id = call_id.decode() if isinstance(call_id, bytes) else call_id
        with self._lock:
            if call_id not in self._calls:
                self._nth[operation, on] += 1
                self._calls[call_id] = Call(operation, on, self._nth[operation, on])
            call = self._calls[call_id]
            self.attempts.append((operation, name, call_id))
            hit = self.fault is not None and self._is_hit(call)
            self.met += hit
            if hit and self.fault.stranger and self.met == 1:
                self.occupy(kind, name)
        if not hit or self.fault.stranger:
            return self.serve(request)
        return self.fault.strike(request, service, self.serve)

    def serve(self, request):
        """Have the emulator answer at once, in this thread: sockets are more than a third of the time of a call."""
        response = self.emulator.answer(environ_of(request))
        return AWSResponse(request.url, response.status_code, response.headers, Raw(response.get_data()))

    def _is_hit(self, call):
        if (call.operation, call.on) != (self.at.operation, self.at.on):
            return False
        if self.lasts == FOR_EVER:
            return call.nth >= self.at.nth
        return call.nth == self.at.nth and (self.lasts == ONE_CALL or self.met == 0)
