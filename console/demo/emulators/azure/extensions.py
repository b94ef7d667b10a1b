"""What can be put on any resource of the emulated Azure: diagnostic settings, locks and role assignments."""

from __future__ import annotations

import re
from typing import Any

from console.demo.emulators.azure import rights
from console.demo.emulators.azure.protocol import Answer, Asked, Problem
from console.demo.emulators.azure.tenant import Tenant

CATEGORIES = frozenset({"StorageRead", "StorageWrite", "StorageDelete"})


class Extensions:
    """What Azure Resource Manager answers about them."""

    def __init__(self, tenant: Tenant) -> None:
        """Serve the tenant's."""
        self.tenant = tenant

    def tags(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Tags - Update At Scope", "… - Get At Scope", for a resource group."""
        parts = scope.lower().strip("/").split("/")
        if len(parts) != 4:
            raise Problem(400, "InvalidScope", "Only resource groups have tags here.")
        tags = self.tenant.state["group_tags"].setdefault(parts[3], {})
        if asked.method == "PATCH":
            given = asked.body.get("properties", {}).get("tags", {})
            verb = asked.body.get("operation")
            if verb not in {"Merge", "Replace", "Delete"}:
                raise Problem(400, "InvalidTagPatchOperation", f"The operation '{verb}' is not supported.")
            # "Use tags to organize your Azure resources", Limitations
            if any(len(name) > 512 or set(name) & set("<>%&\\?/") for name in given):
                raise Problem(
                    400, "InvalidTagNameCharacters", "The tag names have reserved characters or are too long."
                )
            if any(len(value) > 256 for value in given.values()):
                raise Problem(400, "InvalidTagValueLength", "A tag value has more than 256 characters.")
            lower = {name.lower() for name in given}
            kept = {} if verb == "Replace" else {name: one for name, one in tags.items() if name.lower() not in lower}
            tags = kept if verb == "Delete" else {**kept, **given}
            self.tenant.state["group_tags"][parts[3]] = tags
        elif asked.method != "GET":
            raise Problem(405, "MethodNotAllowed", "The method is not allowed here.")
        return Answer(200, {"id": asked.path, "name": "default", "properties": {"tags": tags}})

    def setting(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Diagnostic settings in Azure Monitor", "Diagnostic Settings - Create Or Update"."""
        key = asked.path.lower()
        if asked.method == "DELETE":
            if key in self.tenant.state["settings"]:
                self.tenant.check_lock(scope)
            return Answer(200 if self.tenant.state["settings"].pop(key, None) else 204)
        if asked.method == "GET":
            self.tenant.check_exists(scope)
            if key not in self.tenant.state["settings"]:
                raise Problem(404, "ResourceNotFound", f"The diagnostic setting '{asked.path}' doesn't exist.")
            return Answer(200, self.tenant.state["settings"][key])
        self.tenant.check_exists(scope)
        if self.tenant.policy:
            raise self.tenant.policy_problem(asked.path)
        given = asked.body["properties"]
        target = given.get("storageAccountId", "")
        linked = "Microsoft.Storage/storageAccounts/listKeys/action"
        if not rights.may(self.tenant.state, asked.principal, linked, target):
            raise Problem(
                403,
                "LinkedAuthorizationFailed",
                f"The client '{self.tenant.client_of(asked.principal)}' with object id '{asked.principal}' has "
                f"permission to perform action 'Microsoft.Insights/diagnosticSettings/write' on scope '{asked.path}'; "
                f"however, it does not have permission to perform action(s) '{linked}' on the linked scope(s) "
                f"'{target}' (respectively) or the linked scope(s) are invalid.",
            )
        self.tenant.used.add(linked)
        parts = target.lower().strip("/").split("/")
        account = self.tenant.account(parts[7], parts[3])
        source = self.tenant.account(scope.lower().strip("/").split("/")[7], parts[3])
        # "Destination limitations": not the account itself; one in the same region.
        if account is source or account["location"] != source["location"]:
            raise Problem(400, "BadRequest", f"Resource '{target}' should be in the same region, and another account.")
        logs = given.get("logs", [])
        unknown = {one.get("category") for one in logs} - CATEGORIES
        if "/blobservices/default" not in scope.lower() or unknown or not any(one.get("enabled") for one in logs):
            raise Problem(400, "BadRequest", f"Category '{next(iter(unknown), '')}' is not supported.")
        body = {"id": asked.path, "name": asked.path.rpartition("/")[2], "properties": {**given, "metrics": []}}
        self.tenant.state["settings"][key] = body
        return Answer(200, body)

    def lock(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Management Locks - Create Or Update By Scope"."""
        key = asked.path.lower()
        if asked.method == "DELETE":
            return Answer(200 if self.tenant.state["locks"].pop(key, None) else 204)
        if asked.method == "GET":
            self.tenant.check_exists(scope)
            if key not in self.tenant.state["locks"]:
                raise Problem(404, "LockNotFound", f"The lock '{asked.path.rpartition('/')[2]}' could not be found.")
            return Answer(200, self.tenant.state["locks"][key])
        self.tenant.check_exists(scope)
        if asked.body["properties"].get("level") not in {"CanNotDelete", "ReadOnly"}:
            raise Problem(400, "LockLevelInvalid", "The lock level is not valid.")
        is_new = key not in self.tenant.state["locks"]
        self.tenant.state["locks"][key] = {"id": asked.path, "scope": scope, "properties": asked.body["properties"]}
        return Answer(201 if is_new else 200, self.tenant.state["locks"][key])

    def assignment(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Role Assignments - Create", "… - Delete", "… - List For Resource Group"."""
        key, assignments = asked.path.lower(), self.tenant.state["assignments"]
        if key.endswith("/roleassignments"):
            wanted = re.fullmatch(r"principalId eq '([0-9a-f-]+)'", asked.query.get("$filter", ""))
            found = [
                one
                for one in assignments.values()
                if (not wanted or one["properties"]["principalId"] == wanted[1])
                and (
                    rights.is_within(one["properties"]["scope"], scope)
                    or rights.is_within(scope, one["properties"]["scope"])
                )
            ]
            return Answer(200, {"value": found})
        if asked.method == "DELETE":
            if key in assignments:
                self.tenant.check_lock(scope)
                return Answer(200, assignments.pop(key))
            return Answer(204)
        if asked.method == "GET":
            if key not in assignments:
                raise Problem(404, "RoleAssignmentNotFound", "The role assignment is not found.")
            return Answer(200, assignments[key])
        self.tenant.check_exists(scope)
        given = asked.body["properties"]
        principal, role = given["principalId"], given["roleDefinitionId"]
        guid = role.rpartition("/")[2].lower()
        if guid not in self.tenant.state["roles"] and guid not in rights.BUILT_IN:
            raise Problem(
                404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{guid}' does not exist."
            )
        if self.tenant.replicates(principal, named=bool(given.get("principalType"))):
            raise Problem(
                400,
                "PrincipalNotFound",
                f"Principal {principal.replace('-', '')} does not exist in the directory {self.tenant.tenant_id}. "
                "Check that you have the correct principal ID. If you are creating this principal and then immediately "
                "assigning a role, this error might be related to a replication delay.",
            )
        properties: dict[str, Any] = {**given, "scope": scope}
        body = {"id": asked.path, "name": key.rpartition("/")[2], "properties": properties}
        whole = ("scope", "principalId", "roleDefinitionId")
        same = [
            one
            for other, one in assignments.items()
            if other != key and all(one["properties"].get(name) == properties[name] for name in whole)
        ]
        if same:
            raise Problem(409, "RoleAssignmentExists", "The role assignment already exists.")
        if key in assignments and assignments[key] != body:
            raise Problem(
                400,
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            )
        status = 200 if key in assignments else 201
        assignments[key] = body
        return Answer(status, body)

    def permissions(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Permissions - List For Resource Group": the caller's own."""
        found = [
            {key: role[key] for key in ("actions", "notActions", "dataActions", "notDataActions")}
            for role, _ in rights.roles_of(self.tenant.state, asked.principal, scope)
        ]
        return Answer(200, {"value": found})
