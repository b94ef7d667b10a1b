"""Storage accounts of the emulated Azure, and what belongs to them: keys, the blob service, rules, containers."""

from __future__ import annotations

import base64
import re
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from console.demo.emulators.azure.data import Blobs
from console.demo.emulators.azure.protocol import Answer, Asked, Problem
from console.demo.emulators.azure.regions import NO_ZONES, find_region
from console.demo.emulators.azure.tenant import STORAGE, Tenant

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")  # "Storage account overview", Storage account name
CONTAINER_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # "Naming and Referencing Containers …"
SKUS = frozenset({"Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS"})
FIXED = {"isHnsEnabled"}  # chosen when the account is made
CHANGEABLE = {
    *("allowBlobPublicAccess", "minimumTlsVersion", "supportsHttpsTrafficOnly", "allowSharedKeyAccess"),
    *("allowCrossTenantReplication", "defaultToOAuthAuthentication", "publicNetworkAccess", "accessTier"),
}


class Accounts:
    """What Azure Resource Manager answers about them."""

    def __init__(self, tenant: Tenant, blobs: Blobs) -> None:
        """Serve the tenant's."""
        self.tenant, self.blobs = tenant, blobs

    def shown(self, account: dict[str, Any]) -> dict[str, Any]:
        """Return the account as Azure shows it."""
        made = time.time() >= account["made_at"]
        properties = {
            **account["properties"],
            "provisioningState": "Succeeded" if made else "ResolvingDNS",
            "creationTime": account["created"],
        }
        return {
            "id": self.tenant.resource_id(account),
            "name": account["name"],
            "type": "Microsoft.Storage/storageAccounts",
            "kind": account["kind"],
            "sku": {"name": account["sku"], "tier": "Standard"},
            "location": account["location"],
            "tags": account["tags"],
            "properties": properties,
        }

    def of_group(self, asked: Asked) -> Answer:
        """Answer as in "Storage Accounts - List By Resource Group"."""
        found = [self.shown(one) for one in self.tenant.state["accounts"].values() if one["group"] == asked.parts[3]]
        return Answer(200, {"value": found})

    def account(self, asked: Asked) -> Answer:
        """Answer as in "Storage Accounts - Create", "… - Update", "… - Delete"."""
        name, group = asked.parts[7], asked.parts[3]
        if asked.method == "GET":
            return Answer(200, self.shown(self.tenant.account(name, group)))
        if asked.method == "DELETE":
            if name not in self.tenant.state["accounts"] or self.tenant.state["accounts"][name]["group"] != group:
                return Answer(204)
            self.tenant.account(name, group, ready=True)
            self.tenant.check_lock(asked.path)
            self._delete(name)
            return Answer(200)
        body = asked.body if isinstance(asked.body, dict) else {}
        check_body(body)
        if asked.method == "PATCH":
            account = self.tenant.account(name, group, ready=True)
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
        there = self.tenant.state["accounts"].get(name)
        if there and there["group"] != group:
            raise Problem(
                409,
                "StorageAccountInAnotherResourceGroup",
                f"The account {name} is already in another resource group in this subscription.",
            )
        if name in self.tenant.state["taken"]:
            raise Problem(409, "StorageAccountAlreadyTaken", f"The storage account named {name} is already taken.")
        region = find_region(body.get("location", ""))
        if not region:
            raise Problem(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{body.get('location')}' is not available for resource type "
                "'Microsoft.Storage/storageAccounts'.",
            )
        if self.tenant.policy:
            raise self.tenant.policy_problem(asked.path)
        sku = body.get("sku", {}).get("name")
        if sku not in SKUS or (sku in {"Standard_ZRS", "Standard_GZRS"} and region in NO_ZONES):
            raise Problem(400, "SkuNotAvailable", f"The SKU '{sku}' is not available in '{region}'.")  # [U]
        if there:
            self.tenant.account(name, group, ready=True)
            if there["location"] != body["location"]:
                raise Problem(
                    409, "InvalidResourceLocation", f"The resource '{name}' already exists in another location."
                )
            self._change(there, body)
            return Answer(200, self.shown(there))
        if len(self.tenant.state["accounts"]) >= self.tenant.quota:
            raise Problem(
                409,
                "MaxStorageAccountsCountPerSubscriptionExceeded",
                f"Subscription {self.tenant.subscription} already contains {self.tenant.quota} storage accounts.",
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
            "made_at": time.time() + self.tenant.creation_seconds,
            "created": datetime.now(UTC).isoformat(),
        }
        self._change(account, body, is_new=True)
        self.tenant.state["accounts"][name] = account
        return Answer(202)

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
        for key in [key for key in self.tenant.state["containers"] if key.startswith(f"{name}/")]:
            self.blobs.drop(key)
        del self.tenant.state["accounts"][name]
        # Its diagnostic settings stay, for an account of the same name ("Diagnostic settings …", Deleted resources);
        # its locks and role assignments go.
        for table in ("locks", "assignments"):
            for key in [key for key in self.tenant.state[table] if f"/{STORAGE}/{name}/" in key]:
                del self.tenant.state[table][key]

    def keys(self, asked: Asked) -> Answer:
        """Answer as in "Storage Accounts - List Keys"."""
        account = self.tenant.account(asked.parts[7], asked.parts[3], ready=True)
        keys = [
            {"keyName": f"key{number}", "value": key, "permissions": "FULL"}
            for number, key in enumerate(account["keys"], 1)
        ]
        return Answer(200, {"keys": keys})

    def blob_service(self, asked: Asked) -> Answer:
        """Answer as in "Blob Services - Set Service Properties"; what is not sent stays [U]."""
        account = self.tenant.account(asked.parts[7], asked.parts[3], ready=True)
        if asked.method == "PUT":
            for key, value in asked.body["properties"].items():
                days = value.get("days", 1) if isinstance(value, dict) else 1
                if not 1 <= days <= 365:
                    raise Problem(400, "InvalidRequestPropertyValue", f"The value '{days}' is not allowed for days.")
                account["blob_service"][key] = value
        return Answer(200, {"name": "default", "properties": account["blob_service"]})

    def rules(self, asked: Asked) -> Answer:
        """Answer as in "Management Policies - Create Or Update"."""
        account = self.tenant.account(asked.parts[7], asked.parts[3], ready=True)
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

    def container(self, asked: Asked) -> Answer:
        """Answer as in "Blob Containers - Create", "… - List"."""
        account = self.tenant.account(asked.parts[7], asked.parts[3], ready=True)
        there = self.tenant.state["containers"]
        if len(asked.parts) == 11:
            found = [
                {"name": key.partition("/")[2], "properties": {"deleted": bool(one.get("deleted")), **_gone(one)}}
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
            self.tenant.check_lock(asked.path)
            self.blobs.drop(key)
            return Answer(200)
        given = (asked.body or {}).get("properties", {})
        if given.get("publicAccess", "None") != "None" and not account["properties"].get("allowBlobPublicAccess", True):
            raise Problem(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
        is_new = key not in there
        if is_new:
            self.blobs.make(key)
        return Answer(201 if is_new else 200, {"name": name, "properties": {}})


def _gone(container: dict[str, Any]) -> dict[str, Any]:
    """Return since when a container is deleted, as the API shows it."""
    at = container.get("deleted")
    return {"deletedTime": at, "lastModifiedTime": at} if at else {}


def check_body(body: dict[str, Any]) -> None:
    """Answer as in "Use tags to organize your Azure resources", Limitations; unknown properties are refused."""
    strange = set(body) - {"kind", "sku", "location", "tags", "properties"}
    strange |= set(body.get("properties", {})) - CHANGEABLE - FIXED
    if strange:
        raise Problem(400, "InvalidRequestContent", f"Could not find member '{min(strange)}' on object.")
    for key, value in (body.get("tags") or {}).items():
        if re.search(r"[<>%&\\?/]", key) or len(key) > 128 or len(value) > 256:
            raise Problem(400, "InvalidTagNameCharacters", f"The tag name '{key}' is not valid.")
