"""What boto3's clients send: seen, counted and spoilt."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from botocore.retries.standard import ExponentialBackoff

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
        self.met = 0
        self.events = clients.session().events
        self.patch = pytest.MonkeyPatch()

    def __enter__(self):
        self.events.register("before-send", self)
        # botocore makes as many attempts as in production, without the pauses between them.
        self.patch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
        return self

    def __exit__(self, *_):
        self.patch.undo()
        self.events.unregister("before-send", self)
        clients.forget_clients()

    def arm(self, fault, nth):
        self.spoilt, self.left, self.met = fault, nth, 0

    def __call__(self, request, event_name, **_):
        operation = event_name.split(".")[2]
        self.seen.append(f"{operation} {urlsplit(request.url).path.split('/')[1]}".strip())
        self.left -= 1
        if self.left != 0 or not self.spoilt:
            return None
        self.met += 1
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
    denials_survived = {}
    spoiler: Spoiler

    def fault(self, name, nth):
        self.spoiler.arm(name, nth)

    def clear_faults(self):
        self.spoiler.arm("", 0)

    def faults_met(self):
        return self.spoiler.met

    def calls(self):
        return list(self.spoiler.seen)

    def forget(self):
        self.spoiler.seen.clear()
