"""Azure Resource Manager, emulated: storage accounts and what belongs to them, locks, roles, identities.

Each rule has the title of the page beside it that says so. [U] marks what no page says: there the provider must live
with either answer. The state is plain data, so that it can be written down.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from console.clouds.regions import find
from console.demo import azure_rights as rights

if TYPE_CHECKING:
    from console.demo.azure_emulator import Emulator

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")  # "Storage account overview", Storage account name
CONTAINER_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # "Naming and Referencing Containers …"
NO_ZONES = frozenset({"westus", "northcentralus", "australiasoutheast"})  # some that have none ("Azure regions list")
SKUS = frozenset({"Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS"})
FIXED = {"isHnsEnabled"}  # chosen when the account is made
CHANGEABLE = {
    *("allowBlobPublicAccess", "minimumTlsVersion", "supportsHttpsTrafficOnly", "allowSharedKeyAccess"),
    *("allowCrossTenantReplication", "defaultToOAuthAuthentication", "publicNetworkAccess", "accessTier"),
}
CATEGORIES = frozenset({"StorageRead", "StorageWrite", "StorageDelete"})
STORAGE = "microsoft.storage/storageaccounts"


class Problem(Exception):
    """An error as Azure Resource Manager words it."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.more = status, code, message, more


class Answer(NamedTuple):
    """A status and what stands in the body; None for none."""

    status: int
    body: Any = None


class Asked(NamedTuple):
    """A request to Azure Resource Manager, taken apart."""

    method: str
    path: str  # without its slash at the end
    query: Mapping[str, str]
    body: Any
    principal: str
    parts: list[str]  # between the slashes, in lower case


def fresh_state() -> dict[str, Any]:
    """Return an Azure in which nothing is."""
    tables = ("apps", "groups", "roles", "assignments", "accounts", "containers", "settings", "locks", "identities")
    return {name: {} for name in tables} | {"taken": []}


def not_found(what: str, group: str) -> Problem:
    """Return the answer for a resource that is not there."""
    return Problem(404, "ResourceNotFound", f"The Resource '{what}' under resource group '{group}' was not found.")


class Resources:
    """What Azure Resource Manager answers."""

    def __init__(self, emulator: Emulator) -> None:
        """Serve the emulator's state."""
        self.emulator = emulator

    @property
    def state(self) -> dict[str, Any]:
        """Return all that there is."""
        return self.emulator.state

    def serve(self, asked: Asked) -> Answer:
        """Return the answer to a request; raises Problem."""
        if not asked.query.get("api-version"):
            raise Problem(
                400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required."
            )
        subscription = self.emulator.subscription
        if asked.parts[:1] != ["subscriptions"] or len(asked.parts) < 2:
            raise Problem(404, "InvalidResourceType", "The resource type could not be found.")
        if asked.parts[1] != subscription:
            raise Problem(404, "SubscriptionNotFound", f"The subscription '{asked.parts[1]}' could not be found.")
        self._check_rights(asked)
        if len(asked.parts) == 2:
            state = self.emulator.subscription_state
            found = {"id": f"/subscriptions/{subscription}", "subscriptionId": subscription, "state": state}
            return Answer(200, {**found, "displayName": "Acme production"})
        group = asked.parts[3] if asked.parts[2:3] == ["resourcegroups"] and len(asked.parts) > 3 else ""
        known = {name.lower(): (name, place) for name, place in self.state["groups"].items()}
        if group and group not in known:
            raise Problem(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if group and len(asked.parts) == 4:
            name, place = known[group]
            found = {"id": f"/subscriptions/{subscription}/resourceGroups/{name}", "name": name, "location": place}
            return Answer(200, {**found, "properties": {"provisioningState": "Succeeded"}})
        return self._extension(asked) or self._resource(asked)

    # Rights

    def _check_rights(self, asked: Asked) -> None:
        """Answer as in "Understand Azure role assignments": what no role allows is refused."""
        action, scope = rights.action_of(asked.method, asked.path)
        role = self._role_named(asked) if "roleassignments" in asked.parts else ""
        if not rights.may(self.state, asked.principal, action, scope, role=role):
            raise self.denied(asked.principal, action, scope)
        self.emulator.used.add(action)

    def denied(self, principal: str, action: str, scope: str) -> Problem:
        """Return the answer for an action that no role allows."""
        client = self.emulator.client_of(principal)
        return Problem(
            403,
            "AuthorizationFailed",
            f"The client '{client}' with object id '{principal}' does not have authorization to perform action "
            f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials.",
        )

    def _role_named(self, asked: Asked) -> str:
        """Return the GUID of the role that an assignment gives, or that the one to delete has given."""
        if asked.method == "PUT":
            given = (asked.body or {}).get("properties", {}).get("roleDefinitionId", "")
        else:
            given = (
                self.state["assignments"].get(asked.path.lower(), {}).get("properties", {}).get("roleDefinitionId", "")
            )
        return str(given).rpartition("/")[2]

    def _check_lock(self, path: str) -> None:
        """Answer as in "Lock your resources …": locks are inherited, and hold role assignments too."""
        for key, lock in self.state["locks"].items():
            scope = key.rpartition("/providers/microsoft.authorization/locks/")[0]
            if rights.is_within(path, scope) or (path.lower().startswith(f"{scope}/")):
                raise Problem(
                    409,
                    "ScopeLocked",
                    f"The scope '{path}' cannot perform delete operation because following scope(s) are locked: "
                    f"'{lock['scope']}'. Please remove the lock and try again.",
                )

    # What can be put on any resource

    def _extension(self, asked: Asked) -> Answer | None:
        before, found, last = asked.path.rpartition("/providers/")
        if not found:
            return None
        kind = last.lower().partition("/")[2]
        namespace = last.lower().partition("/")[0]
        handler: Callable[[Asked, str], Answer] | None = {
            ("microsoft.insights", "diagnosticsettings"): self._setting,
            ("microsoft.authorization", "locks"): self._lock,
            ("microsoft.authorization", "roleassignments"): self._assignment,
            ("microsoft.authorization", "permissions"): self._permissions,
        }.get((namespace, kind.partition("/")[0]))
        return handler(asked, before) if handler else None

    def _exists(self, scope: str) -> None:
        """Raise when there is no such resource."""
        parts = scope.lower().strip("/").split("/")
        if STORAGE in scope.lower():
            account = self._account(parts[7], parts[3])
            if len(parts) > 11 and f"{account['name']}/{parts[11]}" not in self.state["containers"]:
                raise not_found(scope, parts[3])

    def _setting(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Diagnostic settings in Azure Monitor", "Diagnostic Settings - Create Or Update"."""
        key = asked.path.lower()
        if asked.method == "DELETE":
            if key in self.state["settings"]:
                self._check_lock(scope)
            return Answer(200 if self.state["settings"].pop(key, None) else 204)
        if asked.method == "GET":
            self._exists(scope)
            if key not in self.state["settings"]:
                raise Problem(404, "ResourceNotFound", f"The diagnostic setting '{asked.path}' doesn't exist.")
            return Answer(200, self.state["settings"][key])
        self._exists(scope)
        if self.emulator.policy:
            raise self.emulator.policy_problem(asked.path)
        given = asked.body["properties"]
        target = given.get("storageAccountId", "")
        linked = "Microsoft.Storage/storageAccounts/listKeys/action"
        if not rights.may(self.state, asked.principal, linked, target):
            raise Problem(
                403,
                "LinkedAuthorizationFailed",
                f"The client '{self.emulator.client_of(asked.principal)}' with object id '{asked.principal}' has "
                f"permission to perform action 'Microsoft.Insights/diagnosticSettings/write' on scope '{asked.path}'; "
                f"however, it does not have permission to perform action(s) '{linked}' on the linked scope(s) "
                f"'{target}' (respectively) or the linked scope(s) are invalid.",
            )
        self.emulator.used.add(linked)
        parts = target.lower().strip("/").split("/")
        account = self._account(parts[7], parts[3])
        source = self._account(scope.lower().strip("/").split("/")[7], parts[3])
        # "Destination limitations": not the account itself; one in the same region.
        if account is source or account["location"] != source["location"]:
            raise Problem(400, "BadRequest", f"Resource '{target}' should be in the same region, and another account.")
        logs = given.get("logs", [])
        unknown = {one.get("category") for one in logs} - CATEGORIES
        if "/blobservices/default" not in scope.lower() or unknown or not any(one.get("enabled") for one in logs):
            raise Problem(400, "BadRequest", f"Category '{next(iter(unknown), '')}' is not supported.")
        body = {"id": asked.path, "name": asked.path.rpartition("/")[2], "properties": {**given, "metrics": []}}
        self.state["settings"][key] = body
        return Answer(200, body)

    def _lock(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Management Locks - Create Or Update By Scope"."""
        key = asked.path.lower()
        if asked.method == "DELETE":
            return Answer(200 if self.state["locks"].pop(key, None) else 204)
        if asked.method == "GET":
            self._exists(scope)
            if key not in self.state["locks"]:
                raise Problem(404, "LockNotFound", f"The lock '{asked.path.rpartition('/')[2]}' could not be found.")
            return Answer(200, self.state["locks"][key])
        self._exists(scope)
        if asked.body["properties"].get("level") not in {"CanNotDelete", "ReadOnly"}:
            raise Problem(400, "LockLevelInvalid", "The lock level is not valid.")
        is_new = key not in self.state["locks"]
        self.state["locks"][key] = {"id": asked.path, "scope": scope, "properties": asked.body["properties"]}
        return Answer(201 if is_new else 200, self.state["locks"][key])

    def _assignment(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Role Assignments - Create", "… - Delete", "… - List For Resource Group"."""
        key, assignments = asked.path.lower(), self.state["assignments"]
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
                self._check_lock(scope)
                return Answer(200, assignments.pop(key))
            return Answer(204)
        if asked.method == "GET":
            if key not in assignments:
                raise Problem(404, "RoleAssignmentNotFound", "The role assignment is not found.")
            return Answer(200, assignments[key])
        self._exists(scope)
        given = asked.body["properties"]
        principal, role = given["principalId"], given["roleDefinitionId"]
        guid = role.rpartition("/")[2].lower()
        if guid not in self.state["roles"] and guid not in rights.BUILT_IN:
            raise Problem(
                404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{guid}' does not exist."
            )
        if self.emulator.replicates(principal, named=bool(given.get("principalType"))):
            raise Problem(
                400,
                "PrincipalNotFound",
                f"Principal {principal.replace('-', '')} does not exist in the directory {self.emulator.tenant}. Check "
                "that you have the correct principal ID. If you are creating this principal and then immediately "
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

    def _permissions(self, asked: Asked, scope: str) -> Answer:
        """Answer as in "Permissions - List For Resource Group": the caller's own."""
        found = [
            {key: role[key] for key in ("actions", "notActions", "dataActions", "notDataActions")}
            for role, _ in rights.roles_of(self.state, asked.principal, scope)
        ]
        return Answer(200, {"value": found})

    # Resources

    def _resource(self, asked: Asked) -> Answer:
        namespace = asked.parts[5] if len(asked.parts) > 5 else ""
        if namespace in self.emulator.unregistered:
            raise Problem(
                409,
                "MissingSubscriptionRegistration",
                f"The subscription is not registered to use namespace '{asked.path.split('/')[6]}'. See "
                "https://aka.ms/rps-not-found for how to register subscriptions.",
            )
        kinds = "/".join(asked.parts[6::2])
        handler: Callable[[Asked], Answer] | None = {
            "microsoft.storage storageaccounts": self._accounts if len(asked.parts) == 7 else self._storage_account,
            "microsoft.storage storageaccounts/listkeys": self._keys,
            "microsoft.storage storageaccounts/blobservices": self._blob_service,
            "microsoft.storage storageaccounts/blobservices/containers": self._container,
            "microsoft.storage storageaccounts/managementpolicies": self._rules,
            "microsoft.managedidentity userassignedidentities": self._identity,
        }.get(f"{namespace} {kinds}")
        if handler is None:
            raise Problem(404, "InvalidResourceType", f"The resource type '{kinds}' could not be found.")
        return handler(asked)

    def _account(self, name: str, group: str, *, ready: bool = False) -> dict[str, Any]:
        account: dict[str, Any] | None = self.state["accounts"].get(name)
        if account is None or account["group"] != group:
            raise not_found(f"Microsoft.Storage/storageAccounts/{name}", group)
        if ready and time.time() < account["made_at"]:
            raise Problem(
                409,
                "StorageAccountOperationInProgress",
                "An operation is currently performing on this storage account that requires exclusive access.",
            )
        return account

    def shown(self, account: dict[str, Any]) -> dict[str, Any]:
        """Return the account as Azure shows it."""
        made = time.time() >= account["made_at"]
        where = f"/subscriptions/{self.emulator.subscription}/resourceGroups/{account['group_name']}"
        properties = {
            **account["properties"],
            "provisioningState": "Succeeded" if made else "ResolvingDNS",
            "creationTime": account["created"],
        }
        return {
            "id": f"{where}/providers/Microsoft.Storage/storageAccounts/{account['name']}",
            "name": account["name"],
            "type": "Microsoft.Storage/storageAccounts",
            "kind": account["kind"],
            "sku": {"name": account["sku"], "tier": "Standard"},
            "location": account["location"],
            "tags": account["tags"],
            "properties": properties,
        }

    def _accounts(self, asked: Asked) -> Answer:
        found = [self.shown(one) for one in self.state["accounts"].values() if one["group"] == asked.parts[3]]
        return Answer(200, {"value": found})

    def _storage_account(self, asked: Asked) -> Answer:
        """Answer as in "Storage Accounts - Create", "… - Update", "… - Delete"."""
        name, group = asked.parts[7], asked.parts[3]
        if asked.method == "GET":
            return Answer(200, self.shown(self._account(name, group)))
        if asked.method == "DELETE":
            if name not in self.state["accounts"] or self.state["accounts"][name]["group"] != group:
                return Answer(204)
            self._account(name, group, ready=True)
            self._check_lock(asked.path)
            self._delete(name)
            return Answer(200)
        body = asked.body if isinstance(asked.body, dict) else {}
        self._check_body(body)
        if asked.method == "PATCH":
            account = self._account(name, group, ready=True)
            self._change(account, body)
            return Answer(200, self.shown(account))
        return self._put(asked, name, body)

    def _put(self, asked: Asked, name: str, body: dict[str, Any]) -> Answer:
        group = asked.parts[3]
        if not ACCOUNT_NAME.fullmatch(asked.path.rpartition("/")[2]):
            raise Problem(
                400,
                "AccountNameInvalid",
                f"{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters "
                "in length and use numbers and lower-case letters only.",
            )
        there = self.state["accounts"].get(name)
        if there and there["group"] != group:
            raise Problem(
                409,
                "StorageAccountInAnotherResourceGroup",
                f"The account {name} is already in another resource group in this subscription.",
            )
        if name in self.state["taken"]:
            raise Problem(409, "StorageAccountAlreadyTaken", f"The storage account named {name} is already taken.")
        region = find("azure", body.get("location", ""))
        if region is None:
            raise Problem(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{body.get('location')}' is not available for resource type "
                "'Microsoft.Storage/storageAccounts'.",
            )
        if self.emulator.policy:
            raise self.emulator.policy_problem(asked.path)
        sku = body.get("sku", {}).get("name")
        if sku not in SKUS or (sku in {"Standard_ZRS", "Standard_GZRS"} and region.code in NO_ZONES):
            raise Problem(400, "SkuNotAvailable", f"The SKU '{sku}' is not available in '{region.code}'.")  # [U]
        if there:
            self._account(name, group, ready=True)
            if there["location"] != body["location"]:
                raise Problem(
                    409, "InvalidResourceLocation", f"The resource '{name}' already exists in another location."
                )
            self._change(there, body)
            return Answer(200, self.shown(there))
        if len(self.state["accounts"]) >= self.emulator.quota:
            raise Problem(
                409,
                "MaxStorageAccountsCountPerSubscriptionExceeded",
                f"Subscription {self.emulator.subscription} already contains {self.emulator.quota} storage accounts.",
            )
        # What is not given ("Storage Accounts - Create"): no TLS newer than 1.0, public access allowed or, since
        # 2023, not; the provider gives all of it.
        account = {
            "name": name,
            "group": group,
            "group_name": asked.path.split("/")[4],
            "kind": body.get("kind"),
            "sku": sku,
            "location": body["location"],
            "tags": {},
            "properties": {},
            "blob_service": {"deleteRetentionPolicy": {"enabled": False}},
            "rules": None,
            "keys": [base64.b64encode(secrets.token_bytes(64)).decode() for _ in range(2)],
            "made_at": time.time() + self.emulator.creation_seconds,
            "created": datetime.now(UTC).isoformat(),
        }
        self._change(account, body, is_new=True)
        self.state["accounts"][name] = account
        return Answer(202)

    def _check_body(self, body: dict[str, Any]) -> None:
        """Answer as in "Use tags to organize your Azure resources", Limitations; unknown properties are refused."""
        strange = set(body) - {"kind", "sku", "location", "tags", "properties"}
        strange |= set(body.get("properties", {})) - CHANGEABLE - FIXED
        if strange:
            raise Problem(400, "InvalidRequestContent", f"Could not find member '{min(strange)}' on object.")
        for key, value in (body.get("tags") or {}).items():
            if re.search(r"[<>%&\\?/]", key) or len(key) > 128 or len(value) > 256:
                raise Problem(400, "InvalidTagNameCharacters", f"The tag name '{key}' is not valid.")

    def _change(self, account: dict[str, Any], body: dict[str, Any], *, is_new: bool = False) -> None:
        for key, value in body.get("properties", {}).items():
            if key in FIXED and not is_new and account["properties"].get(key, False) != value:
                raise Problem(
                    400, "InvalidRequestPropertyValue", f"The value '{value}' is not allowed for property {key}."
                )
        account["properties"].update(body.get("properties", {}))
        if "tags" in body:
            account["tags"] = dict(body["tags"])

    def _delete(self, name: str) -> None:
        for key in [key for key in self.state["containers"] if key.startswith(f"{name}/")]:
            self.emulator.blobs.drop(key)
        del self.state["accounts"][name]
        # Its diagnostic settings stay, for an account of the same name ("Diagnostic settings …", Deleted resources);
        # its locks and role assignments go.
        for table in ("locks", "assignments"):
            for key in [key for key in self.state[table] if f"/{STORAGE}/{name}/" in key]:
                del self.state[table][key]

    def _keys(self, asked: Asked) -> Answer:
        """Answer as in "Storage Accounts - List Keys"."""
        account = self._account(asked.parts[7], asked.parts[3], ready=True)
        keys = [
            {"keyName": f"key{number}", "value": key, "permissions": "FULL"}
            for number, key in enumerate(account["keys"], 1)
        ]
        return Answer(200, {"keys": keys})

    def _blob_service(self, asked: Asked) -> Answer:
        """Answer as in "Blob Services - Set Service Properties"; what is not sent stays [U]."""
        account = self._account(asked.parts[7], asked.parts[3], ready=True)
        if asked.method == "PUT":
            for key, value in asked.body["properties"].items():
                days = value.get("days", 1) if isinstance(value, dict) else 1
                if not 1 <= days <= 365:
                    raise Problem(400, "InvalidRequestPropertyValue", f"The value '{days}' is not allowed for days.")
                account["blob_service"][key] = value
        return Answer(200, {"name": "default", "properties": account["blob_service"]})

    def _rules(self, asked: Asked) -> Answer:
        """Answer as in "Management Policies - Create Or Update"."""
        account = self._account(asked.parts[7], asked.parts[3], ready=True)
        if asked.method == "DELETE":
            was, account["rules"] = account["rules"], None
            return Answer(200 if was else 204)
        if asked.method == "PUT":
            rules = asked.body["properties"]["policy"]["rules"]
            names = [rule["name"] for rule in rules]
            if not rules or len(set(names)) < len(names):
                raise Problem(
                    400, "InvalidRequestPropertyValue", "A policy must have at least one rule, each with its name."
                )
            account["rules"] = rules
        if not account["rules"]:
            raise Problem(404, "ManagementPolicyNotFound", f"No ManagementPolicy found for account {account['name']}.")
        return Answer(200, {"name": "DefaultManagementPolicy", "properties": {"policy": {"rules": account["rules"]}}})

    def _container(self, asked: Asked) -> Answer:
        """Answer as in "Blob Containers - Create", "… - List"."""
        account = self._account(asked.parts[7], asked.parts[3], ready=True)
        there = self.state["containers"]
        if len(asked.parts) == 11:
            found = [
                {"name": key.partition("/")[2], "properties": {"deleted": bool(one.get("deleted"))}}
                for key, one in there.items()
                if key.startswith(f"{account['name']}/")
                and (not one.get("deleted") or asked.query.get("$include") == "deleted")
            ]
            return Answer(200, {"value": found})
        name = asked.path.rpartition("/")[2]
        if not CONTAINER_NAME.fullmatch(name):
            raise Problem(400, "ContainerNameInvalid", f"The container name '{name}' is not valid.")
        key = f"{account['name']}/{name}"
        if asked.method == "GET":
            if key not in there:
                raise Problem(404, "ContainerNotFound", "The specified container does not exist.")
            return Answer(200, {"name": name, "properties": {}})
        if asked.method == "DELETE":
            self._check_lock(asked.path)
            self.emulator.blobs.drop(key)
            return Answer(200)
        given = (asked.body or {}).get("properties", {})
        if given.get("publicAccess", "None") != "None" and not account["properties"].get("allowBlobPublicAccess", True):
            raise Problem(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
        is_new = key not in there
        if is_new:
            self.emulator.blobs.make(key)
        return Answer(201 if is_new else 200, {"name": name, "properties": {}})

    def _identity(self, asked: Asked) -> Answer:
        """Answer as in "User Assigned Identities - Create Or Update"."""
        key, identities = asked.path.lower(), self.state["identities"]
        if asked.method == "DELETE":
            return Answer(200 if identities.pop(key, None) else 204)
        if asked.method == "GET":
            if key not in identities:
                raise not_found("/".join(asked.path.split("/")[-3:]), asked.parts[3])
            return Answer(200, identities[key])
        self._check_body(asked.body)
        if find("azure", asked.body.get("location", "")) is None:
            raise Problem(400, "LocationNotAvailableForResourceType", "The provided location is not available.")
        is_new = key not in identities
        if is_new:
            properties = {"principalId": str(uuid4()), "clientId": str(uuid4()), "tenantId": self.emulator.tenant}
            identities[key] = {"id": asked.path, "name": asked.path.rpartition("/")[2], "properties": properties}
            self.emulator.made[properties["principalId"]] = time.time()
        identities[key] |= {"location": asked.body["location"], "tags": asked.body.get("tags", {})}
        return Answer(201 if is_new else 200, identities[key])
