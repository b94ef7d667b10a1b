"""Amazon S3, STS and IAM, emulated by moto and made as strict as AWS; the demo and the tests share it.

moto does the work; `rules` and `buckets` add what AWS checks and moto does not. moto keeps its data in module globals,
so every Emulator of one process sees the same buckets and accounts.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any, ClassVar, NamedTuple, Self

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from console.demo.credentials import AMAZON
from console.demo.emulators.aws import permissions
from console.demo.emulators.aws.buckets import add_key_format, apply_defaults, page_buckets, page_uploads
from console.demo.emulators.aws.calls import Call, Refusal, account_of, find_bucket, iam_of
from console.demo.emulators.aws.permissions import Asked
from console.demo.emulators.aws.rules import RULES

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Fault(NamedTuple):
    """An answer to give instead of, or after, the real one; see Emulator.inject."""

    operation: str
    code: str
    status: int
    message: str
    bucket: str | None
    when: str
    seconds: float


class Seen(NamedTuple):
    """A call that was answered; its status is 0 when the connection was dropped, its bucket "" when it named none."""

    operation: str
    bucket: str
    status: int


@cache
def moto_app(service: str) -> Any:
    """Return moto's application for one service; its own dispatcher lists moto's folders anew for each request."""
    return create_backend_app(service)  # type: ignore[arg-type]


class Emulator:
    """An AWS of our own on 127.0.0.1, as strict as the real one; each call takes `latency_ms` longer."""

    account_id: ClassVar[str] = AMAZON["account_id"]
    access_key_id: ClassVar[str] = AMAZON["access_key_id"]
    secret_access_key: ClassVar[str] = AMAZON["secret_access_key"]

    def __init__(self, latency_ms: float = 0) -> None:
        self.latency_ms = latency_ms
        self.calls: list[Seen] = []  # only ever appended to and copied, which threads may do at once
        self.asked: set[Asked] = set()  # all that callers had to be allowed so far
        self.url = ""
        self._faults: list[Fault] = []
        self._writing: set[str] = set()
        self._lock = threading.Lock()
        self._answered = threading.Condition()
        self._open_calls = 0
        self._server: BaseWSGIServer | None = None
        if account_of(self.access_key_id) is None:
            self._add_key(self.account_id, self.access_key_id, self.secret_access_key)

    def start(self, port: int = 0) -> Self:
        """Serve in the background, on a free port unless one is named."""
        self._server = make_server("127.0.0.1", port, self, threaded=True, request_handler=RequestHandler)
        self.url = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and drop the connections that are open at their next call."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """Forget all buckets, nodes' roles, faults and calls; accounts, keys and other roles stay.

        Calls that are being answered come to their end first, or what a killed process asked for would be seen later.
        """
        with self._answered:
            self._answered.wait_for(lambda: not self._open_calls, timeout=10)
        for account in list(s3_backends.values()):
            account.reset()
        for iam in [iam for account in list(iam_backends.values()) for iam in list(account.values())]:
            for named in (iam.roles, iam.instance_profiles):
                for key in [key for key, entity in named.items() if entity.path == "/pgbk/"]:
                    del named[key]
        self._faults.clear()
        self.calls.clear()
        self.asked.clear()

    def add_account(self, account_id: str) -> tuple[str, str]:
        """Make a user with an access key in that account, and return the key's ID and secret."""
        return self._add_key(account_id)

    def _add_key(  # "": one is made up
        self, account_id: str, key_id: str = "", secret: str = ""
    ) -> tuple[str, str]:
        iam = iam_backends[account_id]["aws"]
        user = iam.create_user("us-east-1", f"administrator-{secrets.token_hex(4)}")
        user.put_policy("everything", json.dumps(EVERYTHING))
        key = iam.create_access_key(user.name)
        if key_id:
            del iam.access_keys[key.access_key_id]
            key.access_key_id, key.secret_access_key = key_id, secret
            iam.access_keys[key_id] = key
        return key.access_key_id, key.secret_access_key

    def inject(
        self,
        operation: str,
        *,
        code: str = "InternalError",
        status: int = 500,
        message: str = "We encountered an internal error. Please try again.",
        bucket: str | None = None,
        times: int = 1,
        when: str = "before",
        seconds: float = 0,
    ) -> None:
        """Spoil the next calls of an operation, on one bucket or on any, so many times.

        `when` is "before" (nothing is done, the error is answered), "after" (it is done, the error is answered),
        "drop" (it is done, the connection closes without an answer) or "hang" (answered rightly, `seconds` later).
        """
        if when not in ("before", "after", "drop", "hang"):
            raise ValueError(f"when is before, after, drop or hang, not {when}")
        with self._lock:
            self._faults += [Fault(operation, code, status, message, bucket, when, seconds)] * times

    def clear_faults(self) -> None:
        """Forget the faults that have not been met."""
        with self._lock:
            self._faults.clear()

    def _take_fault(self, call: Call) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.operation == call.operation and fault.bucket in (None, call.bucket_name):
                    self._faults.remove(fault)
                    return fault
        return None

    def answer(self, environ: dict[str, Any]) -> Response | None:
        """Answer one request whose body is in memory; None closes the connection without an answer."""
        if self._server is None:
            return None
        if environ["PATH_INFO"].startswith("/_emulator/"):
            return self._steer(Request(environ))
        with self._answered:
            self._open_calls += 1
        try:
            return self._answer(Call(environ))
        finally:
            with self._answered:
                self._open_calls -= 1
                self._answered.notify_all()

    def _answer(self, call: Call) -> Response | None:
        fault = self._take_fault(call)
        if fault and fault.when == "before":
            time.sleep(self.latency_ms / 1000)
            response = call.refuse(Refusal(fault.status, fault.code, fault.message))
        else:
            response = self._serve(call)
        if fault and fault.when == "after":
            response = call.refuse(Refusal(fault.status, fault.code, fault.message))
        if fault and fault.when == "hang":
            time.sleep(fault.seconds)
        dropped = fault is not None and fault.when == "drop"
        self.calls.append(Seen(call.operation, call.bucket_name, 0 if dropped else response.status_code))
        self.asked.update(call.asked)
        return None if dropped else number(call, response)

    def _serve(self, call: Call) -> Response:
        # One configuration write at a time for each bucket: OperationAborted in "Error responses", Amazon S3 API.
        name = call.bucket_name if call.configures_bucket else ""
        with self._lock:
            conflict = name in self._writing
            if name and not conflict:
                self._writing.add(name)
        try:
            time.sleep(self.latency_ms / 1000)
            if conflict:
                message = "A conflicting conditional operation is currently in progress against this resource."
                return call.refuse(Refusal(409, "OperationAborted", f"{message} Please try again."))
            return self._obey(call)
        finally:
            if not conflict:
                self._writing.discard(name)

    def _obey(self, call: Call) -> Response:
        call.bucket = find_bucket(call.bucket_name)
        for rule in RULES:
            if refusal := rule(call):
                return call.refuse(refusal)
        if call.operation == "SimulatePrincipalPolicy":
            return simulate(call)
        call.environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.account_id or self.account_id
        response = Response.from_app(moto_app(call.service), call.environ, buffered=True)
        if call.operation == "CreateBucket" and response.status_code == 200 and call.bucket is None:
            apply_defaults(call)
        if call.operation == "GetBucketLogging" and response.status_code == 200:
            add_key_format(call, response)
        if call.operation == "ListBuckets" and response.status_code == 200:
            page_buckets(call, response)
        if call.operation == "ListMultipartUploads" and response.status_code == 200:
            page_uploads(call, response)
        return response

    def _steer(self, request: Request) -> Response:
        """Serve /_emulator/faults, calls and accounts, with which another process steers this one."""
        lists: dict[str, list[Any]] = {"/_emulator/faults": self._faults, "/_emulator/calls": self.calls}
        try:
            match request.method, request.path:
                case "POST", "/_emulator/faults":
                    self.inject(**json.loads(request.get_data()))
                    return as_json({})
                case "POST", "/_emulator/accounts":
                    key_id, secret = self.add_account(json.loads(request.get_data())["account_id"])
                    return as_json({"access_key_id": key_id, "secret_access_key": secret})
                case "GET", path if path in lists:
                    return as_json([item._asdict() for item in lists[path]])
                case "DELETE", path if path in lists:
                    lists[path].clear()
                    return as_json({})
        except (TypeError, ValueError, KeyError) as error:
            return as_json({"error": str(error)}, status=400)
        return as_json({"error": "No such page"}, status=404)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Be a WSGI application, for servers other than our own."""
        keep_body(environ)
        response = self.answer(environ)
        if response is None:
            raise ConnectionResetError("dropped on purpose")
        return response(environ, start_response)


def simulate(call: Call) -> Response:
    """Answer a simulation, which moto does not know."""
    try:
        return Response(permissions.simulate(iam_of(call), call.form), content_type="application/xml")
    except permissions.Unfit as error:
        status = 404 if error.code == "NoSuchEntity" else 400
        return call.refuse(Refusal(status, error.code, error.message))


def number(call: Call, response: Response) -> Response:
    """Give the answer the request's ID, in the headers and in an error's body ("Getting Amazon S3 request IDs")."""
    request_id = secrets.token_hex(8).upper()
    response.headers.remove("x-amzn-RequestId")  # moto's own, which botocore would prefer
    if call.service == "s3":
        response.headers["x-amz-request-id"] = request_id
        response.headers["x-amz-id-2"] = base64.b64encode(secrets.token_bytes(56)).decode()
        if response.status_code >= 400:
            error = re.sub(r"<(RequestI[dD])>.*?</\1>", "", response.get_data(as_text=True))
            response.set_data(error.replace("</Error>", f"<RequestId>{request_id}</RequestId></Error>"))
    else:
        response.headers["x-amzn-RequestId"] = request_id
        body = response.get_data(as_text=True)
        response.set_data(re.sub(r"(?<=<RequestId>).*?(?=</RequestId>)", request_id, body))
    return response


def as_json(data: object, status: int = 200) -> Response:
    """Return the data as a JSON answer."""
    return Response(json.dumps(data), status, content_type="application/json")


def keep_body(environ: dict[str, Any]) -> None:
    """Read the request's body into memory: rules look at it, and a kept connection needs it read to its end."""
    length = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if length is not None and len(body) < length:  # IncompleteBody in "Error responses"; the one who called is gone
        raise ConnectionResetError("the request ended in the middle of its body")
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    environ.pop("HTTP_TRANSFER_ENCODING", None)


class RequestHandler(MotoRequestHandler):
    """HTTP with connections that are kept, which werkzeug's own handler closes after each answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; together with delayed ACKs that costs 40 ms

    def run_wsgi(self) -> None:
        """Answer one request."""
        environ = self.make_environ()
        keep_body(environ)
        emulator = self.server.app
        response = emulator.answer(environ) if isinstance(emulator, Emulator) else None
        if response is None:
            self.close_connection = True
            return
        body = response.get_data()
        if self.command == "HEAD" or response.status_code in (204, 304):
            body = b""
        else:
            response.headers["Content-Length"] = str(len(body))
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log(self, kind: str, message: str, *args: Any) -> None:
        """Stay quiet: Emulator.calls is the log."""


def main() -> None:
    """Serve until terminated, or until the parent process is gone."""
    parser = argparse.ArgumentParser(description="Amazon, emulated.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="how much longer each call takes")
    parser.add_argument("--watch-parent", action="store_true", help="end when the parent process ends")
    options = parser.parse_args()
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    parent = os.getppid()
    emulator = Emulator(options.latency).start(options.port)
    print(f"Amazon, emulated, on {emulator.url}", flush=True)  # noqa: T201 - what the one who started us waits for
    while not ended.wait(0.5):
        if options.watch_parent and os.getppid() != parent:
            break
    emulator.stop()


if __name__ == "__main__":
    main()
