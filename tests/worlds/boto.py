"""What boto3's clients send: seen, counted and spoilt."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from console.clouds.s3api import clients

DENIED, BUSY, BROKEN, RESET_BEFORE, RESET_AFTER = "denied", "busy", "broken", "reset before", "reset after"
ANSWERS = {DENIED: (403, "AccessDenied"), BUSY: (503, "SlowDown"), BROKEN: (500, "InternalError")}


class Body(BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, *_, **__):
        yield self.read()


class Spoiler:
    """Registered with the session of all clients for as long as a world is open."""

    def __init__(self, verify=True):
        self.http, self.seen, self.spoilt, self.left = URLLib3Session(verify=verify), [], "", 0
        self.events = clients.session().events

    def __enter__(self):
        self.events.register("before-send", self)
        return self

    def __exit__(self, *_):
        self.events.unregister("before-send", self)
        clients.forget_clients()

    def arm(self, fault, nth):
        self.spoilt, self.left = fault, nth

    def __call__(self, request, event_name, **_):
        operation = event_name.split(".")[2]
        self.seen.append(f"{operation} {urlsplit(request.url).path.split('/')[1]}".strip())
        self.left -= 1
        if self.left != 0 or not self.spoilt:
            return None
        if self.spoilt in ANSWERS:
            status, code = ANSWERS[self.spoilt]
            error = f"<Error><Code>{code}</Code><Message>{code} it is.</Message></Error>"
            if "iam" in event_name:
                error = f"<ErrorResponse>{error}<RequestId>R1</RequestId></ErrorResponse>"
            headers = {"content-type": "application/xml", "x-amz-request-id": "R1"}
            return AWSResponse(request.url, status, headers, Body(error.encode()))
        if self.spoilt == RESET_AFTER:
            self.http.send(request)
        raise ConnectionClosedError(endpoint_url=request.url, error="spoilt")


class Spoilt:
    """The part of a world that is about calls, where boto3 makes them."""

    faults = (*ANSWERS, RESET_BEFORE, RESET_AFTER)
    spoiler: Spoiler

    def fault(self, name, nth):
        self.spoiler.arm(name, nth)

    def mend(self):
        self.spoiler.arm("", 0)

    def calls(self):
        return list(self.spoiler.seen)

    def forget(self):
        self.spoiler.seen.clear()
