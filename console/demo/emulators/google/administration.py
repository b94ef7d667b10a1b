"""Resource Manager and IAM of the emulated Google: the project, its service accounts and their keys."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from console.demo.emulators.google.iam import Account, Directory, Project, Refusal
from console.demo.emulators.google.routes import Request
from console.demo.emulators.google.storage import Storage

KEYS_AT_MOST = 10  # of a service account ("Quotas and limits", IAM)


class Administration:
    """What they answer."""

    def __init__(self, directory: Directory, storage: Storage, token_uri: str) -> None:
        """Serve the directory; policies of the storage name those who are deleted; keys name the token service."""
        self.directory, self.storage, self.token_uri = directory, storage, token_uri

    def answer(self, request: Request, operation: str, email: str, about: dict[str, str]) -> dict[str, Any]:
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
            "serviceAccounts.patch": "iam.serviceAccounts.update",
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
        if operation == "serviceAccounts.patch":
            return _patch(account, request)
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


def _patch(account: Account, request: Request) -> dict[str, Any]:
    """Change what the mask names ("Method: projects.serviceAccounts.patch"): only these two can be."""
    masked = request.json.get("updateMask", "").split(",")
    given = request.json.get("serviceAccount", {})
    if not masked or not {*masked} <= {"displayName", "description"}:
        raise Refusal(400, "badRequest", "Invalid update mask.")
    if len(given.get("displayName", "")) > 100 or len(given.get("description", "")) > 256:
        raise Refusal(400, "badRequest", "The display name or the description is too long.")
    if "displayName" in masked:
        account.display_name = given.get("displayName", "")
    if "description" in masked:
        account.description = given.get("description", "")
    return account.resource
