"""Google, emulated, as strict as Google: Cloud Storage, IAM, Resource Manager and the token services, over TLS.

Ours, because the emulators that there are ignore locations, labels, logging and who may do what, and pgBackRest's
resumable uploads fail on them. The demo and the tests share it; with a folder it keeps its state there.
"""

from __future__ import annotations

import argparse
import json
import pickle  # of the emulator's own file, which nobody else writes
import re
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any, Self, cast

from console.demo.certificates import NAME, certify
from console.demo.credentials import GOOGLE
from console.demo.emulators.google.administration import Administration
from console.demo.emulators.google.iam import (
    CLOUD,
    DEVSTORAGE,
    Directory,
    Project,
    Refusal,
    Token,
    key_pair,
    service_disabled,
    subject_token,
)
from console.demo.emulators.google.objects import Stored
from console.demo.emulators.google.routes import SERVICES, Request, route
from console.demo.emulators.google.server import Reply, Server, handler
from console.demo.emulators.google.storage import Storage
from console.demo.files import write_private
from console.demo.servers import HOST, free_port

PROJECT, NUMBER = GOOGLE["project"], GOOGLE["number"]
IDENTITY_SECONDS = 10 * 365 * 86_400


@dataclass
class Call:
    """A call that was made: what, what about, how it ended, and by whom."""

    operation: str
    about: str
    status: int = 0
    email: str = ""


@dataclass
class Fault:
    """What spoils a call, once or more often: an answer of its own, or a connection that ends before or after it."""

    nth: int
    refusal: Refusal | None = None
    reset: str = ""  # before, after
    operation: str = ""  # only such calls count
    times: int = 1


class Emulator:
    """The emulated Google; `start()` returns when it answers."""

    def __init__(
        self, folder: Path | None = None, *, port: int = 0, latency: float = 0, create_seconds: float = 0
    ) -> None:
        """Prepare it; without a folder it forgets everything when it ends. A project creates buckets at that rate."""
        self.kept = folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="google-"))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ca_file, cert_file, key_file = certify(self.folder)
        self.port = free_port(port)
        self.url = f"https://{NAME}:{self.port}"
        self.latency, self.create_seconds = latency, create_seconds
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.faults_met = 0
        self.reset()
        self._load()
        self.server = Server((HOST, self.port), handler(self.answer))
        self.server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.context.load_cert_chain(cert_file, key_file)
        self.thread: threading.Thread | None = None

    @property
    def token_uri(self) -> str:
        """Return where tokens are given out."""
        return f"{self.url}/token"

    def reset(self) -> None:
        """Forget everything: what is left is one project with nothing in it."""
        with self.lock:
            self.directory = Directory()
            self.storage = Storage(self.directory, self.create_seconds)
            self.add_project(PROJECT, NUMBER)
            self.calls.clear()
            self.faults.clear()

    def add_project(self, project: str, number: str) -> Project:
        """Make a project."""
        self.directory.projects[project] = Project(project, number)
        return self.directory.projects[project]

    def administrator(self, name: str, *roles: str, project: str = PROJECT) -> dict[str, str]:
        """Make a service account that has these roles in the project, and return a key of it."""
        account = self.directory.add_account(self.directory.projects[project], name)
        self.grant(account.email, *roles, project=project)
        return self.directory.add_key(account, self.token_uri)

    def grant(self, email: str, *roles: str, project: str = PROJECT, condition: str = "") -> None:
        """Give roles in the project, under a condition."""
        more = {"condition": {"title": "as said", "expression": condition}} if condition else {}
        bindings = self.directory.projects[project].bindings
        bindings += [{"role": role, "members": [f"serviceAccount:{email}"], **more} for role in roles]

    def role(self, name: str) -> str:
        """Return the full name of a role of the project's own."""
        return f"projects/{PROJECT}/roles/{name}"

    def add_role(self, name: str, permissions: tuple[str, ...]) -> None:
        """Make a role of the project's own."""
        self.directory.projects[PROJECT].roles[self.role(name)] = permissions

    def let_in(self, email: str, roles: Iterable[Mapping[str, Any]]) -> None:
        """Make roles of the project's own, each with its ID and permissions, and give them under their conditions."""
        for role in roles:
            self.add_role(role["id"], tuple(role["permissions"]))
            self.grant(email, self.role(role["id"]), condition=role["condition"])

    def inject(self, status: int = 0, reason: str = "", message: str = "", *, reset: str = "", **more: Any) -> None:
        """Spoil the nth call from now on, or the nth of one operation; `reset` ends the connection before or after."""
        details = more.pop("details", ())
        refusal = Refusal(status, reason, message, details=details) if status else None
        self.faults.append(Fault(refusal=refusal, reset=reset, **{"nth": 1, **more}))

    def start(self) -> Self:
        """Serve from a thread of its own."""
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        """End."""
        self.server.shutdown()
        self.server.server_close()
        if self.thread:
            self.thread.join()
        self.save()

    # What it keeps

    def _load(self) -> None:
        file = self.folder / "state.pickle"
        if self.kept and file.exists():
            self.directory, buckets = pickle.loads(file.read_bytes())  # noqa: S301, our own file
            self.storage = Storage(self.directory, self.create_seconds)
            self.storage.buckets = buckets

    def save(self) -> None:
        """Write everything down, if it is kept."""
        if self.kept:
            with self.lock:
                data = pickle.dumps((self.directory, self.storage.buckets))
            new = self.folder / "state.new"
            new.write_bytes(data)
            new.chmod(0o600)
            new.replace(self.folder / "state.pickle")

    # Calls

    def answer(self, request: Request) -> Reply | None:
        """Return what is answered; None ends the connection without an answer."""
        if self.latency:
            time.sleep(self.latency)
        given = self._token_service(request)
        if given is not None:
            return given
        try:
            service, operation, about = route(request.method, request.path)
        except Refusal as refusal:
            return _reply(*refusal.answer(storage=request.path[:1] != ("v1",)))
        call = Call(operation, "/".join(about.values()))
        with self.lock:
            self.calls.append(call)
            fault = self._fault(operation)
            if fault and fault.reset == "before":
                return None
            try:
                if fault and fault.refusal:
                    raise fault.refusal
                reply = self._act(request, call, service, about)
            except Refusal as refusal:
                call.status = refusal.status
                reply = _reply(*refusal.answer(storage=service == "storage"))
            else:
                call.status = reply[0]
        return None if fault and fault.reset == "after" else reply

    def _fault(self, operation: str) -> Fault | None:
        for fault in self.faults:
            if fault.operation not in {"", operation}:
                continue
            fault.nth -= 1
            if fault.nth <= 0:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                self.faults_met += 1
                return fault
        return None

    def _token_service(self, request: Request) -> Reply | None:
        try:
            with self.lock:
                if request.method == "POST" and request.path == ("token",):
                    return _reply(200, self.directory.exchange_assertion(request.form, self.token_uri))
                if request.method == "POST" and request.path == ("v1", "token"):
                    return _reply(200, self.directory.exchange_subject(request.form))
                asked = re.fullmatch(
                    r"v1/projects/-/serviceAccounts/([^/]+):generateAccessToken", "/".join(request.path)
                )
                if request.method == "POST" and asked:
                    who = request.headers.get("authorization", "")
                    return _reply(200, self.directory.impersonate(who, asked[1], request.json))
        except Refusal as refusal:
            return _reply(*refusal.answer(storage=False))
        return None

    def _act(self, request: Request, call: Call, service: str, about: dict[str, str]) -> Reply:
        if "upload_id" in request.query:  # it is itself the right to go on
            return self._upload(request, about, "")
        token = self.directory.signed_in(request.headers.get("authorization", ""))
        call.email = token.email
        _check_scope(token, service, call.operation)
        home = self.directory.projects[self.directory.accounts[token.email].project]
        if SERVICES[service][0] in home.disabled:
            raise service_disabled(*SERVICES[service], home.number)
        if service != "storage":
            administration = Administration(self.directory, self.storage, self.token_uri)
            return _reply(200, administration.answer(request, call.operation, token.email, about))
        return self._storage(request, call.operation, token.email, about)

    def _storage(self, request: Request, operation: str, email: str, about: dict[str, str]) -> Reply:
        storage, query, bucket = self.storage, request.query, about.get("bucket", "")
        if operation == "objects.insert":
            return self._upload(request, about, email)
        if operation == "objects.get":
            return _shown(storage.get_object(email, bucket, about["object"], query), bucket, request)
        if operation in {"objects.delete", "buckets.delete"}:
            if operation == "buckets.delete":
                storage.delete(email, bucket)
            else:
                storage.delete_object(email, bucket, about["object"], query)
            return 204, {}, b""
        acts: dict[str, Callable[[], dict[str, Any]]] = {
            "buckets.list": lambda: storage.list_buckets(email, query),
            "buckets.insert": lambda: storage.insert(email, query, request.json),
            "buckets.get": lambda: storage.get(email, bucket),
            "buckets.patch": lambda: storage.patch(email, bucket, query, request.json),
            "buckets.getIamPolicy": lambda: storage.get_policy(email, bucket, query),
            "buckets.setIamPolicy": lambda: storage.set_policy(email, bucket, request.json),
            "buckets.testIamPermissions": lambda: storage.test_permissions(
                email, bucket, request.lists.get("permissions", [])
            ),
            "objects.list": lambda: storage.list_objects(email, bucket, query),
        }
        return _reply(200, acts[operation]())

    def _upload(self, request: Request, about: dict[str, str], email: str) -> Reply:
        """Take an object in one part, in two (its resource, its data), or bit by bit ("Uploads and downloads")."""
        query, storage, bucket = request.query, self.storage, about["bucket"]
        kind = request.headers.get("content-type", "")
        if "upload_id" in query:
            taken = storage.go_on(query["upload_id"], request.headers.get("content-range", ""), request.data, query)
            if isinstance(taken, int):
                return 308, ({"Range": f"bytes=0-{taken - 1}"} if taken else {}), b""
            return _reply(200, taken.resource(bucket))
        if query.get("uploadType") == "resumable":
            described = request.json if request.data else {}
            name = query.get("name") or described.get("name") or ""
            content_type = request.headers.get("x-upload-content-type", "") or described.get("contentType", "")
            upload_id = storage.begin_upload(email, bucket, name, content_type)
            where = f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
            return 200, {"Location": where, "X-GUploader-UploadID": upload_id}, b""
        if query.get("uploadType") == "multipart":
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            parts = BytesParser(policy=HTTP).parsebytes(head + request.data).get_payload()
            if not isinstance(parts, list) or len(parts) != 2:
                raise Refusal(400, "badContent", "Malformed multipart body.")
            resource, media = cast("list[Message]", parts)
            described = json.loads(cast("bytes", resource.get_payload(decode=True)))
            data, content_type = _second_part(request.data, kind), media.get_content_type()
            name = described.get("name") or query.get("name", "")
            made = storage.put_object(email, bucket, name, data, content_type=content_type, query=query)
            return _reply(200, made.resource(bucket))
        if query.get("uploadType") != "media" or not query.get("name"):
            raise Refusal(400, "required", "Required parameter: name")
        return _reply(
            200,
            storage.put_object(email, bucket, query["name"], request.data, content_type=kind, query=query).resource(
                bucket
            ),
        )


def _check_scope(token: Token, service: str, operation: str) -> None:
    """Refuse what the token was not asked for ("Cloud Storage authentication", OAuth scopes)."""
    reads = operation.rpartition(".")[2] in {"get", "list", "testIamPermissions"}
    levels = {"objects.insert": "read_write", "objects.delete": "read_write"}
    if CLOUD in token.scopes or (f"{DEVSTORAGE}full_control" in token.scopes and service == "storage"):
        return
    allowed = {levels.get(operation, "full_control")} | ({"read_only", "read_write"} if reads else set())
    if service != "storage" or not {f"{DEVSTORAGE}{level}" for level in allowed} & {*token.scopes}:
        raise Refusal(403, "insufficientPermissions", "Request had insufficient authentication scopes.")


def _reply(status: int, body: Mapping[str, Any]) -> Reply:
    return status, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(body).encode()


def _shown(found: Stored, bucket: str, request: Request) -> Reply:
    """Return an object's resource, or its data, whole or in part."""
    if request.query.get("alt") != "media":
        return _reply(200, found.resource(bucket))
    resource = found.resource(bucket)
    headers = {
        "Content-Type": found.content_type,
        "X-Goog-Generation": str(found.generation),
        "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
        "X-Goog-Stored-Content-Length": resource["size"],
    }
    if request.query.get("ifGenerationNotMatch") == str(found.generation):  # "Request preconditions"
        return 304, {}, b""
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not span:
        return 200, headers, found.data
    first, last = int(span[1]), min(int(span[2] or len(found.data) - 1), len(found.data) - 1)
    if first > last:
        raise Refusal(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
    return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(found.data)}"}, found.data[first : last + 1]


def _second_part(data: bytes, content_type: str) -> bytes:
    """Return the second part as it is: an e-mail parser would change the ends of its lines."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    boundary = b"--" + (found[1] if found else "").encode()
    part = data.split(boundary)[2]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def main() -> None:
    """Serve until a signal says to end; what it keeps is written down twice a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0, help="milliseconds that each call takes")
    parser.add_argument("--roles", type=Path, required=True, help="the roles that an administrator gives the console")
    options = parser.parse_args()
    emulator = Emulator(options.folder, port=options.port, latency=options.latency / 1000, create_seconds=2)
    prepare(emulator, json.loads(options.roles.read_text()))
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    emulator.start()
    seen = 0
    while not over.wait(0.5):
        if len(emulator.calls) != seen:
            emulator.save()
            seen = len(emulator.calls)
    emulator.stop()


def prepare(emulator: Emulator, roles: Iterable[Mapping[str, Any]]) -> None:
    """Have the keys of an administrator and of the console in the folder, made anew when the address has changed.

    The console gets these roles: each with its ID, its permissions and the condition under which it is given.
    """
    for name in ("administrator", "storekeeper"):
        file = emulator.folder / f"{name}.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        known = emulator.directory.accounts.get(kept.get("client_email", ""))
        if known and kept["token_uri"] == emulator.token_uri:
            continue
        if known is None:
            given = ("roles/owner", "roles/storage.admin") if name == "administrator" else ()
            key = emulator.administrator(name, *given)
            if name == "storekeeper":
                emulator.let_in(key["client_email"], roles)
        else:
            key = {**kept, "token_uri": emulator.token_uri}
        write_private(file, json.dumps(key, indent=2))
    trust_console(emulator)
    emulator.save()


def trust_console(emulator: Emulator) -> None:
    """Have a workload identity provider that trusts the token of the console's own identity, which is in the folder."""
    directory, file, provider = (
        emulator.directory,
        emulator.folder / GOOGLE["identity_file"],
        GOOGLE["workload_provider"],
    )
    if provider not in directory.issuers or not file.exists():
        private, directory.issuers[provider] = key_pair()
        write_private(file, subject_token(private, GOOGLE["subject"], seconds=IDENTITY_SECONDS))
    pool = provider.rpartition("/providers/")[0]
    principal = f"principal://iam.googleapis.com/{pool}/subject/{GOOGLE['subject']}"
    users = directory.accounts[f"storekeeper@{PROJECT}.iam.gserviceaccount.com"].users
    users += [] if principal in users else [principal]


if __name__ == "__main__":
    main()
