"""The blobs of the emulated storage accounts: who may do what is decided here, Azurite then does it.

Tokens are checked against the roles, signatures (SAS) are signed again and compared, shared keys as "Authorize with
Shared Key" says; each only where the account takes it. Addresses are in path style: /<account>/<container>/<blob>.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode
from xml.sax.saxutils import escape  # which parses nothing

from console.demo.emulators.azure import rights
from console.demo.emulators.azure.azurite import Azurite, Reply
from console.demo.emulators.azure.tenant import Tenant

SIGNED = frozenset(
    {"sv", "ss", "srt", "sp", "st", "se", "si", "sr", "sig", "spr", "sip", "skoid", "sktid", "ske", "skv"}
)
DATA = f"{rights.BLOBS}/containers/blobs"
PASSED_ON = re.compile(r"(?i)^(x-ms-(?!date$)|content-|if-|range$|accept)")
# What a signature's letters allow ("Create a service SAS", Specify permissions).
LETTERS = {"read": "r", "write": "cw", "add": "a", "delete": "d", "list": "l"}


class BlobProblem(Exception):
    """An error as the blob service words it: a status, a code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class Request(NamedTuple):
    """A request to the blob service, taken apart."""

    method: str
    raw_path: str  # as it came, before decoding
    account: dict[str, Any]
    container: str
    blob: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # in lower case
    body: bytes

    @property
    def kind(self) -> str:
        """Return what is done: read, write, add, delete or list of blobs; or what is done to a container."""
        if not self.container:
            return "list containers" if self.query.get("comp") == "list" else "service"
        if not self.blob:
            if self.query.get("comp") == "list":
                return "list"
            return "acl" if self.query.get("comp") == "acl" else f"{self.method} container"
        if self.method in {"GET", "HEAD"}:
            return "read"
        if self.method == "DELETE":
            return "delete"
        return "add" if self.query.get("comp") == "appendblock" else "write"


class Blobs:
    """What the blob service answers."""

    def __init__(self, tenant: Tenant, azurite: Azurite) -> None:
        """Serve the tenant's containers, whose blobs Azurite keeps."""
        self.tenant, self.azurite = tenant, azurite

    # For whoever stands behind it: Azure Resource Manager, tests

    def make(self, key: str) -> None:
        """Make a container, named account/container."""
        self.azurite.call("PUT", _pooled(key), "restype=container")
        self.tenant.state["containers"][key] = {"policies": {}, "removed": []}

    def drop(self, key: str) -> None:
        """Delete a container with all that is in it."""
        self.azurite.call("DELETE", _pooled(key), "restype=container")
        self.tenant.state["containers"].pop(key, None)

    def put(self, key: str, blob: str, data: bytes) -> None:
        """Write a blob as the service itself does."""
        self._keep(key, blob)
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        reply = self.azurite.call("PUT", f"{_pooled(key)}/{blob}", "", headers, data)
        if reply.status != 201:
            raise RuntimeError(f"{key}/{blob}: {reply.status} {reply.body!r}")

    def take(self, key: str, blob: str) -> None:
        """Delete a blob as the service itself does."""
        self._keep(key, blob)
        self.azurite.call("DELETE", f"{_pooled(key)}/{blob}")

    # Requests

    def serve(self, request: Request) -> Reply:
        """Return the answer to a request; raises BlobProblem."""
        name = request.account["name"]
        key = f"{name}/{request.container}"
        self._authorize(request)
        there: dict[str, Any] | None = self.tenant.state["containers"].get(key)
        if request.kind == "list containers":
            names = [one.partition("/")[2] for one in self.tenant.state["containers"] if one.startswith(f"{name}/")]
            rows = "".join(f"<Container><Name>{one}</Name></Container>" for one in names)
            return _xml(f"<EnumerationResults><Containers>{rows}</Containers><NextMarker/></EnumerationResults>")
        if request.kind in {"PUT container", "DELETE container"}:
            (self.make if request.method == "PUT" else self.drop)(key)
            return Reply(201 if request.method == "PUT" else 202, [], b"")
        if there is None or there.get("deleted"):
            raise BlobProblem(404, "ContainerNotFound", "The specified container does not exist.")
        if request.kind == "acl":
            return self._access_policy(request, there)
        if request.blob and request.kind in {"delete", "write"} and request.query.get("comp") != "block":
            self._keep(key, request.blob)
        reply = self._pass_on(request, key)
        if request.kind == "list":
            return self._with_removed(request, reply, there)
        return reply

    def _pass_on(self, request: Request, key: str) -> Reply:
        query = {name: value for name, value in request.query.items() if name not in SIGNED}
        if "include" in query:  # of which Azurite knows only some
            known = {"snapshots", "metadata", "uncommittedblobs", "copy", "tags"}
            query["include"] = ",".join(one for one in query["include"].split(",") if one in known)
            if not query["include"]:
                del query["include"]
        headers = {name: value for name, value in request.headers.items() if PASSED_ON.match(name)}
        headers.pop("content-length", None)
        path = f"{_pooled(key)}/{request.blob}" if request.blob else _pooled(key)
        return self.azurite.call(request.method, path, urlencode(query, quote_via=quote), headers, request.body)

    def _keep(self, key: str, blob: str) -> None:
        """Answer as in "Soft delete for blobs": what is deleted or overwritten is kept, where the account has it on."""
        service = self.tenant.state["accounts"][key.partition("/")[0]]["blob_service"]
        if not service.get("deleteRetentionPolicy", {}).get("enabled"):
            return
        found = self.azurite.call("HEAD", f"{_pooled(key)}/{blob}")
        if found.status == 200:
            headers = {name.lower(): value for name, value in found.headers}
            now = formatdate(usegmt=True)
            one = {"name": blob, "size": int(headers.get("content-length", 0)), "gone": now}
            self.tenant.state["containers"][key]["removed"].append(
                {**one, "modified": headers.get("last-modified", now)}
            )

    def _with_removed(self, request: Request, reply: Reply, there: dict[str, Any]) -> Reply:
        """Add the blobs that were deleted and are kept, on the last page, if they were asked for."""
        if "deleted" not in request.query.get("include", "") or b"<NextMarker/>" not in reply.body:
            return reply
        rows = "".join(
            f"<Blob><Name>{escape(one['name'])}</Name><Deleted>true</Deleted><Properties><Content-Length>{one['size']}"
            f"</Content-Length><Last-Modified>{one['modified']}</Last-Modified><DeletedTime>{one['gone']}</DeletedTime>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
            for one in sorted(there["removed"], key=lambda one: str(one["name"]))
            if one["name"].startswith(request.query.get("prefix", ""))
        )
        body = reply.body.replace(b"<Blobs/>", b"<Blobs></Blobs>").replace(b"</Blobs>", f"{rows}</Blobs>".encode())
        return reply._replace(body=body)

    def _access_policy(self, request: Request, there: dict[str, Any]) -> Reply:
        """Answer as in "Set Container ACL", "Get Container ACL": at most five stored policies."""
        if request.method == "PUT":
            text = request.body.decode()
            found = {
                name[1]: dict(re.findall(r"<(Start|Expiry|Permission)>([^<]*)<", one))
                for one in re.findall(r"<SignedIdentifier>(.*?)</SignedIdentifier>", text, re.DOTALL)
                if (name := re.search(r"<Id>([^<]*)</Id>", one))
            }
            if len(found) > 5:
                raise BlobProblem(400, "InvalidXmlDocument", "XML specified is not syntactically valid.")
            there["policies"] = found
            return Reply(200, [], b"")
        rows = "".join(
            f"<SignedIdentifier><Id>{name}</Id><AccessPolicy>"
            + "".join(f"<{tag}>{value}</{tag}>" for tag, value in policy.items())
            + "</AccessPolicy></SignedIdentifier>"
            for name, policy in there["policies"].items()
        )
        return _xml(f"<SignedIdentifiers>{rows}</SignedIdentifiers>")

    # Who may

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if given.startswith("Bearer "):
            self._check_roles(request, self.tenant.principal_of(given[7:], "https://storage.azure.com"))
            return
        if not given and "sig" not in request.query:
            raise BlobProblem(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")
        if request.account["properties"].get("allowSharedKeyAccess", True) is False:
            raise BlobProblem(
                403,
                "KeyBasedAuthenticationNotPermitted",
                "Key based authentication is not permitted on this storage account.",
            )
        if given.startswith("SharedKey "):
            self._check_key(request, given)
        else:
            self._check_signature(request)

    def _check_roles(self, request: Request, principal: str | None) -> None:
        """Answer as in "Permissions for calling data operations" (Authorize with Microsoft Entra ID)."""
        if principal is None:
            raise BlobProblem(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request.")
        account = self.tenant.resource_id(request.account)
        containers = f"{account}/blobServices/default/containers"
        scope = f"{containers}/{request.container}" if request.container else account
        action, data = {
            "read": (f"{DATA}/read", True),
            "list": (f"{DATA}/read", True),
            "write": (f"{DATA}/write", True),
            "add": (f"{DATA}/add/action", True),
            "delete": (f"{DATA}/delete", True),
            "list containers": (f"{rights.BLOBS}/containers/read", False),
            "PUT container": (f"{rights.BLOBS}/containers/write", False),
            "DELETE container": (f"{rights.BLOBS}/containers/delete", False),
            "GET container": (f"{rights.BLOBS}/containers/read", False),
            "acl": (f"{rights.BLOBS}/containers/{'setAcl' if request.method == 'PUT' else 'getAcl'}/action", False),
        }.get(request.kind, (f"{rights.BLOBS}/read", False))
        if not rights.may(self.tenant.state, principal, action, scope, data=data):
            message = "This request is not authorized to perform this operation using this permission."
            raise BlobProblem(403, "AuthorizationPermissionMismatch", message)
        self.tenant.used.add(action)

    def _check_signature(self, request: Request) -> None:
        """Answer as in "Create a service SAS": signed by one of the keys, and as its stored policy says."""
        from azure.storage.blob import generate_blob_sas, generate_container_sas  # noqa: PLC0415, it takes a second

        query = request.query
        if query.get("sr") not in {"c", "b"} or not request.container:
            raise BlobProblem(
                403, "AuthorizationResourceTypeMismatch", "This request is not authorized to perform this operation."
            )
        options: dict[str, Any] = {
            "permission": query.get("sp") or None,
            "expiry": query.get("se") or None,
            "start": query.get("st") or None,
            "policy_id": query.get("si") or None,
            "protocol": query.get("spr") or None,
            "ip": query.get("sip") or None,
        }
        name = request.account["name"]
        for key in request.account["keys"]:
            if query["sr"] == "c":
                text = generate_container_sas(name, request.container, account_key=key, **options)
            else:
                text = generate_blob_sas(name, request.container, request.blob, account_key=key, **options)
            if hmac.compare_digest(dict(parse_qsl(text))["sig"], query["sig"]):
                break
        else:
            message = (
                "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            )
            raise BlobProblem(403, "AuthenticationFailed", f"{message}correctly including the signature.")
        stored: dict[str, str] = {}
        if query.get("si"):
            there = self.tenant.state["containers"].get(f"{name}/{request.container}", {"policies": {}})
            if query["si"] not in there["policies"]:
                raise BlobProblem(403, "AuthenticationFailed", "The stored access policy that is named does not exist.")
            stored = there["policies"][query["si"]]
        end = query.get("se") or stored.get("Expiry", "")
        if not end or datetime.fromisoformat(end[:19].rstrip("Z")).replace(tzinfo=UTC) < datetime.now(UTC):
            raise BlobProblem(403, "AuthenticationFailed", "Signature not valid in the specified time frame.")
        letters = query.get("sp") or stored.get("Permission", "")
        if not set(LETTERS.get(request.kind, "x")) & set(letters):
            message = "This request is not authorized to perform this operation using this permission."
            raise BlobProblem(403, "AuthorizationPermissionMismatch", message)

    def _check_key(self, request: Request, given: str) -> None:
        """Answer as in "Authorize with Shared Key", for the blob service since 2015-02-21."""
        length = request.headers.get("content-length", "")
        date = "" if "x-ms-date" in request.headers else "date"  # which pgBackRest sends alone
        names = ("content-encoding", "content-language", "", "content-md5", "content-type", date, "if-modified-since")
        values = [request.headers.get(name, "") if name else "" for name in names]
        values[2] = "" if length == "0" else length
        values += [
            request.headers.get(name, "") for name in ("if-match", "if-none-match", "if-unmodified-since", "range")
        ]
        own = sorted(
            (name, " ".join(value.split())) for name, value in request.headers.items() if name.startswith("x-ms-")
        )
        lines = [request.method, *values, *(f"{name}:{value}" for name, value in own)]
        name = request.account["name"]
        resource = "\n".join(
            [
                f"/{name}{request.raw_path}",
                *(f"{key.lower()}:{unquote(value)}" for key, value in sorted(request.query.items())),
            ]
        )
        text = "\n".join([*lines, resource]).encode()
        for key in request.account["keys"]:
            signature = base64.b64encode(hmac.digest(base64.b64decode(key), text, hashlib.sha256)).decode()
            if hmac.compare_digest(f"SharedKey {name}:{signature}", given):
                return
        raise BlobProblem(403, "AuthenticationFailed", "The MAC signature found in the HTTP request is not the same.")


def _pooled(key: str) -> str:
    """Return the path of the container that holds this one in the pool."""
    return f"/{key.replace('/', '-')}"


def _xml(text: str) -> Reply:
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return Reply(200, [("Content-Type", "application/xml")], body)
