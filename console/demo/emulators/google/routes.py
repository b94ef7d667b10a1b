"""Requests to the emulated Google: of which service they are, what they call, and what about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from console.demo.emulators.google.iam import Refusal

SERVICES = {
    "storage": ("storage.googleapis.com", "Cloud Storage API"),
    "iam": ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
    "cloudresourcemanager": ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
}


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
        ("PATCH", "/v1/projects/{project}/serviceAccounts/{account}", "iam", "serviceAccounts.patch"),
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
