"""Google, emulated, as strict as Google: Cloud Storage, IAM, Resource Manager and the token services, over TLS.

Ours, because the emulators that there are ignore locations, labels, logging and who may do what, and pgBackRest's
resumable uploads fail on them. The demo and the tests share it; with a folder it keeps its state there.
"""

from __future__ import annotations

import argparse
import base64
import json
import pickle  # of the emulator's own file, which nobody else writes  # nosec B403
import re
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from console.demo.certificates import NAME, certify
from console.demo.credentials import write_private
from console.demo.google_emulator_iam import (
    CLOUD,
    DEVSTORAGE,
    Account,
    Directory,
    Project,
    Refusal,
    Token,
    service_disabled,
)
from console.demo.google_emulator_storage import Storage, Stored
from console.demo.processes import HOST, free_port

PROJECT, NUMBER = "storekeeper-demo", "415104041262"
SERVICES = {
    "storage": ("storage.googleapis.com", "Cloud Storage API"),
    "iam": ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
    "cloudresourcemanager": ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
}
KEYS_AT_MOST = 10  # of a service account ("Quotas and limits", IAM)
Reply = tuple[int, dict[str, str], bytes]


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


@dataclass(frozen=True)
class Request:
    """A request, read to its end."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    lists: Mapping[str, list[str]]
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body; raises the refusal for one that is no JSON object."""
        try:
            found = json.loads(self.data or b"{}")
        except ValueError:
            raise Refusal(400, "parseError", "Parse Error") from None
        if not isinstance(found, dict):
            raise Refusal(400, "parseError", "Parse Error")
        return found

    @property
    def form(self) -> dict[str, str]:
        """Return the body as a form."""
        return {name: values[0] for name, values in parse_qs(self.data.decode()).items()}


# Method, path, service, name of the call. A path's parts in braces are what the call is about.
ROUTES = tuple(
    (method, tuple(path.strip("/").split("/")), service, operation)
    for method, path, service, operation in (
        ("GET", "/storage/v1/b", "storage", "buckets.list"),
        ("POST", "/storage/v1/b", "storage", "buckets.insert"),
        ("GET", "/storage/v1/b/{bucket}", "storage", "buckets.get"),
        ("PATCH", "/storage/v1/b/{bucket}", "storage", "buckets.patch"),
        ("DELETE", "/storage/v1/b/{bucket}", "storage", "buckets.delete"),
        ("GET", "/storage/v1/b/{bucket}/iam", "storage", "buckets.getIamPolicy"),
        ("PUT", "/storage/v1/b/{bucket}/iam", "storage", "buckets.setIamPolicy"),
        ("GET", "/storage/v1/b/{bucket}/iam/testPermissions", "storage", "buckets.testIamPermissions"),
        ("GET", "/storage/v1/b/{bucket}/o", "storage", "objects.list"),
        ("GET", "/storage/v1/b/{bucket}/o/{object}", "storage", "objects.get"),
        ("GET", "/download/storage/v1/b/{bucket}/o/{object}", "storage", "objects.get"),
        ("DELETE", "/storage/v1/b/{bucket}/o/{object}", "storage", "objects.delete"),
        ("POST", "/upload/storage/v1/b/{bucket}/o", "storage", "objects.insert"),
        ("PUT", "/upload/storage/v1/b/{bucket}/o", "storage", "objects.insert"),
        ("GET", "/v1/projects/{project}", "cloudresourcemanager", "projects.get"),
        ("POST", "/v1/projects/{project}:testIamPermissions", "cloudresourcemanager", "projects.testIamPermissions"),
        ("POST", "/v1/projects/{project}/serviceAccounts", "iam", "serviceAccounts.create"),
        ("GET", "/v1/projects/{project}/serviceAccounts/{account}", "iam", "serviceAccounts.get"),
        ("DELETE", "/v1/projects/{project}/serviceAccounts/{account}", "iam", "serviceAccounts.delete"),
        ("GET", "/v1/projects/{project}/serviceAccounts/{account}/keys", "iam", "keys.list"),
        ("POST", "/v1/projects/{project}/serviceAccounts/{account}/keys", "iam", "keys.create"),
        ("DELETE", "/v1/projects/{project}/serviceAccounts/{account}/keys/{key}", "iam", "keys.delete"),
    )
)


def route(method: str, path: tuple[str, ...]) -> tuple[str, str, dict[str, str]]:
    """Return service and name of the call, and what it is about."""
    for known, parts, service, operation in ROUTES:
        if known != method or len(parts) != len(path):
            continue
        found = dict[str, str]()
        for part, value in zip(parts, path, strict=True):
            name, _, verb = part.partition("}")
            if not part.startswith("{"):
                if part != value:
                    break
            elif not value.endswith(verb) or (":" in value and not verb and name == "{project"):
                break
            else:
                found[name.removeprefix("{")] = value.removesuffix(verb)
        else:
            return service, operation, found
    raise Refusal(404, "notFound", "Not Found")


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
        self.reset()
        self._load()
        self.server = Server((HOST, self.port), _handler(self))
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
            self.directory, buckets = pickle.loads(file.read_bytes())  # noqa: S301, our own file  # nosec B301
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
            return _reply(refusal.status, refusal.body(storage=request.path[:1] != ("v1",)))
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
                reply = _reply(refusal.status, refusal.body(storage=service == "storage"))
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
            return _reply(refusal.status, refusal.body(storage=False))
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
            return _reply(200, self._administration(request, call.operation, token.email, about))
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

    def _administration(self, request: Request, operation: str, email: str, about: dict[str, str]) -> dict[str, Any]:
        """Answer for Resource Manager and IAM."""
        project = self.directory.project(about["project"])
        if project is None and about["project"] == "-" and "account" in about:
            known = self.directory.accounts.get(about["account"])
            project = self.directory.projects[known.project] if known else None
        if operation == "projects.testIamPermissions":
            if project is None:
                raise Refusal(403, "forbidden", "The caller does not have permission")
            wanted = request.json.get("permissions", [])
            granted = [one for one in wanted if self._has(email, one, project)]
            return {"permissions": granted} if granted else {}
        permission = {
            "projects.get": "resourcemanager.projects.get",
            **{
                f"serviceAccounts.{verb}": f"iam.serviceAccounts.{verb}" for verb in ("list", "create", "get", "delete")
            },
            **{f"keys.{verb}": f"iam.serviceAccountKeys.{verb}" for verb in ("list", "create", "delete")},
        }[operation]
        if project is None or not self._has(email, permission, project):
            if operation == "projects.get":
                raise Refusal(403, "forbidden", "The caller does not have permission")
            raise Refusal(403, "forbidden", f"Permission '{permission}' denied on resource (or it may not exist).")
        if operation == "projects.get":
            state = "ACTIVE" if project.active else "DELETE_REQUESTED"
            return {
                "projectNumber": project.number,
                "projectId": project.id,
                "name": project.id,
                "lifecycleState": state,
            }
        return self._accounts(request, operation, project, about)

    def _has(self, email: str, permission: str, project: Project) -> bool:
        about = {"resource__name": f"//cloudresourcemanager.googleapis.com/projects/{project.number}"}
        return self.directory.may(email, permission, project, (), **about)

    def _accounts(self, request: Request, operation: str, project: Project, about: dict[str, str]) -> dict[str, Any]:
        directory = self.directory
        if operation == "serviceAccounts.create":
            name, described = request.json.get("accountId", ""), request.json.get("serviceAccount", {})
            if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", name):
                raise Refusal(400, "badRequest", f"Invalid value at 'account_id': {name}")
            if len(described.get("displayName", "")) > 100 or len(described.get("description", "")) > 256:
                raise Refusal(400, "badRequest", "The display name or the description is too long.")
            if f"{name}@{project.id}.iam.gserviceaccount.com" in directory.accounts:
                message = f"Service account {name} already exists within project projects/{project.id}."
                raise Refusal(409, "alreadyExists", message)
            values = {"display_name": described.get("displayName", ""), "description": described.get("description", "")}
            return directory.add_account(project, name, **values).resource
        account = directory.accounts.get(about["account"])
        if account is None or account.project != project.id:
            raise Refusal(404, "notFound", f"Unknown service account: {about['account']}")
        if operation == "serviceAccounts.get":
            return account.resource
        if operation == "serviceAccounts.delete":
            del directory.accounts[account.email]
            self._mark_deleted(account.email, account.unique_id)
            return {}
        return self._keys(request, operation, project, account, about.get("key", ""))

    def _keys(self, request: Request, operation: str, project: Project, account: Account, key: str) -> dict[str, Any]:
        name = f"projects/{project.id}/serviceAccounts/{account.email}/keys/"
        if operation == "keys.list":
            listed = [{"name": f"{name}{one}", "keyType": "USER_MANAGED"} for one in account.keys]
            return {"keys": listed} if listed else {}
        if operation == "keys.create":
            if "iam.disableServiceAccountKeyCreation" in project.constraints:
                message = "Key creation is not allowed on this service account."
                kind = {"type": "constraints/iam.disableServiceAccountKeyCreation"}
                details = {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": [kind]}
                raise Refusal(400, "failedPrecondition", message, details=[details])
            if len(account.keys) >= KEYS_AT_MOST:
                raise Refusal(400, "failedPrecondition", "Precondition check failed.")
            made = self.directory.add_key(account, self.token_uri)
            data = base64.b64encode(json.dumps(made, indent=2).encode()).decode()
            return {"name": name + made["private_key_id"], "keyType": "USER_MANAGED", "privateKeyData": data}
        if key not in account.keys:
            raise Refusal(404, "notFound", f"Service account key {key} does not exist.")
        del account.keys[key]
        return {}

    def _mark_deleted(self, email: str, unique_id: str) -> None:
        """Have policies name a deleted service account as such ("Policies with deleted principals")."""
        was, mark = f"serviceAccount:{email}", f"deleted:serviceAccount:{email}?uid={unique_id}"
        for bucket in self.storage.buckets.values():
            for binding in bucket.policy["bindings"]:
                binding["members"] = [mark if member == was else member for member in binding["members"]]


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


class Server(ThreadingHTTPServer):
    """Serves each connection from a thread of its own, which also makes the handshake."""

    daemon_threads = True
    context: ssl.SSLContext

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that clients end."""


def _handler(emulator: Emulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def setup(self) -> None:
            server = self.server
            assert isinstance(server, Server)
            self.request = server.context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()
            with suppress(OSError):
                self.request.close()

        def log_message(self, *args: Any) -> None:
            pass

        def respond(self) -> None:
            parts, lists = urlsplit(self.path), parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            request = Request(
                self.command,
                tuple(unquote(part) for part in parts.path.strip("/").split("/")),
                {name: values[0] for name, values in lists.items()},
                lists,
                {name.lower(): value for name, value in self.headers.items()},
                self._read(),
            )
            reply = emulator.answer(request)
            if reply is None:
                self.close_connection = True
                with suppress(OSError):
                    self.request.close()
                return
            status, headers, body = reply
            lines = [f"HTTP/1.1 {status} Emulated", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if "X-GUploader-UploadID" not in headers:
                lines.append(f"X-GUploader-UploadID: {id(request):x}{time.time_ns():x}")
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)

        def _read(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815, http.server's names

    return Handler


def main() -> None:
    """Serve until a signal says to end; what it keeps is written down twice a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0, help="milliseconds that each call takes")
    options = parser.parse_args()
    emulator = Emulator(options.folder, port=options.port, latency=options.latency / 1000, create_seconds=2)
    prepare(emulator)
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


def prepare(emulator: Emulator) -> None:
    """Have the keys of an administrator and of the console in the folder, made anew when the address has changed."""
    from console.clouds.contract import AccountRef as Linked  # noqa: PLC0415
    from console.clouds.google.permissions import roles  # noqa: PLC0415, tests have their own way to give roles

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
                for role in roles(Linked(UUID(int=0), PROJECT, "", {}, {})):
                    emulator.add_role(role.id, role.permissions)
                    emulator.grant(key["client_email"], emulator.role(role.id), condition=role.condition)
        else:
            key = {**kept, "token_uri": emulator.token_uri}
        write_private(file, json.dumps(key, indent=2))
    emulator.save()


if __name__ == "__main__":
    main()
