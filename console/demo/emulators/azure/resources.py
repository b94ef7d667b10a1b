"""Azure Resource Manager, emulated: who may ask, and which part answers; the identities itself.

Each rule has the title of the page beside it that says so. [U] marks what no page says: there the provider must live
with either answer. The state is plain data, so that it can be written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from console.demo.emulators.azure import rights
from console.demo.emulators.azure.accounts import Accounts, check_body
from console.demo.emulators.azure.data import Blobs
from console.demo.emulators.azure.extensions import Extensions
from console.demo.emulators.azure.protocol import Answer, Asked, Problem, not_found
from console.demo.emulators.azure.regions import find_region
from console.demo.emulators.azure.tenant import Tenant


class Resources:
    """What Azure Resource Manager answers."""

    def __init__(self, tenant: Tenant, blobs: Blobs) -> None:
        """Serve the tenant's resources."""
        self.tenant = tenant
        self.extensions, self.accounts = Extensions(tenant), Accounts(tenant, blobs)

    def serve(self, asked: Asked) -> Answer:
        """Return the answer to a request; raises Problem."""
        if not asked.query.get("api-version"):
            raise Problem(
                400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required."
            )
        subscription = self.tenant.subscription
        if asked.parts[:1] != ["subscriptions"] or len(asked.parts) < 2:
            raise Problem(404, "InvalidResourceType", "The resource type could not be found.")
        if asked.parts[1] != subscription:
            raise Problem(404, "SubscriptionNotFound", f"The subscription '{asked.parts[1]}' could not be found.")
        self._check_rights(asked)
        if len(asked.parts) == 2:
            state = self.tenant.subscription_state
            found = {"id": f"/subscriptions/{subscription}", "subscriptionId": subscription, "state": state}
            return Answer(200, {**found, "displayName": "Acme production"})
        group = asked.parts[3] if asked.parts[2:3] == ["resourcegroups"] and len(asked.parts) > 3 else ""
        known = {name.lower(): (name, place) for name, place in self.tenant.state["groups"].items()}
        if group and group not in known:
            raise Problem(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if group and len(asked.parts) == 4:
            name, place = known[group]
            found = {"id": f"/subscriptions/{subscription}/resourceGroups/{name}", "name": name, "location": place}
            tags = self.tenant.state["group_tags"].get(group, {})
            found |= {"tags": tags} if tags else {}
            return Answer(200, {**found, "properties": {"provisioningState": "Succeeded"}})
        return self._extension(asked) or self._resource(asked)

    # Rights

    def _check_rights(self, asked: Asked) -> None:
        """Answer as in "Understand Azure role assignments": what no role allows is refused."""
        action, scope = rights.action_of(asked.method, asked.path)
        assignment = self._assignment_named(asked) if "roleassignments" in asked.parts else None
        if not rights.may(self.tenant.state, asked.principal, action, scope, assignment=assignment):
            raise self.denied(asked.principal, action, scope)
        self.tenant.used.add(action)

    def denied(self, principal: str, action: str, scope: str) -> Problem:
        """Return the answer for an action that no role allows."""
        client = self.tenant.client_of(principal)
        return Problem(
            403,
            "AuthorizationFailed",
            f"The client '{client}' with object id '{principal}' does not have authorization to perform action "
            f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials.",
        )

    def _assignment_named(self, asked: Asked) -> dict[str, str] | None:
        """Return what conditions look at: of the assignment to make, or of the one to delete, if there is one."""
        found = asked.body if asked.method == "PUT" else self.tenant.state["assignments"].get(asked.path.lower())
        if not found:
            return None
        given = found.get("properties", {})
        return {
            "RoleDefinitionId": str(given.get("roleDefinitionId", "")).rpartition("/")[2],
            "PrincipalId": str(given.get("principalId", "")),
            "PrincipalType": str(given.get("principalType", "")),
        }

    # What can be put on any resource

    def _extension(self, asked: Asked) -> Answer | None:
        before, found, last = asked.path.rpartition("/providers/")
        if not found:
            return None
        kind = last.lower().partition("/")[2]
        namespace = last.lower().partition("/")[0]
        handler: Callable[[Asked, str], Answer] | None = {
            ("microsoft.resources", "tags"): self.extensions.tags,
            ("microsoft.insights", "diagnosticsettings"): self.extensions.setting,
            ("microsoft.authorization", "locks"): self.extensions.lock,
            ("microsoft.authorization", "roleassignments"): self.extensions.assignment,
            ("microsoft.authorization", "permissions"): self.extensions.permissions,
        }.get((namespace, kind.partition("/")[0]))
        return handler(asked, before) if handler else None

    # Resources

    def _resource(self, asked: Asked) -> Answer:
        namespace = asked.parts[5] if len(asked.parts) > 5 else ""
        if namespace in self.tenant.unregistered:
            raise Problem(
                409,
                "MissingSubscriptionRegistration",
                f"The subscription is not registered to use namespace '{asked.path.split('/')[6]}'. See "
                "https://aka.ms/rps-not-found for how to register subscriptions.",
            )
        kinds, accounts = "/".join(asked.parts[6::2]), self.accounts
        handler: Callable[[Asked], Answer] | None = {
            "microsoft.storage storageaccounts": accounts.of_group if len(asked.parts) == 7 else accounts.account,
            "microsoft.storage storageaccounts/listkeys": accounts.keys,
            "microsoft.storage storageaccounts/blobservices": accounts.blob_service,
            "microsoft.storage storageaccounts/blobservices/containers": accounts.container,
            "microsoft.storage storageaccounts/managementpolicies": accounts.rules,
            "microsoft.managedidentity userassignedidentities": self._identity,
        }.get(f"{namespace} {kinds}")
        if handler is None:
            raise Problem(404, "InvalidResourceType", f"The resource type '{kinds}' could not be found.")
        return handler(asked)

    def _identity(self, asked: Asked) -> Answer:
        """Answer as in "User Assigned Identities - Create Or Update"."""
        key, identities = asked.path.lower(), self.tenant.state["identities"]
        if asked.method == "DELETE":
            return Answer(200 if identities.pop(key, None) else 204)
        if asked.method == "GET":
            if key not in identities:
                raise not_found("/".join(asked.path.split("/")[-3:]), asked.parts[3])
            return Answer(200, identities[key])
        check_body(asked.body)
        if not find_region(asked.body.get("location", "")):
            raise Problem(400, "LocationNotAvailableForResourceType", "The provided location is not available.")
        is_new = key not in identities
        if is_new:
            properties = {"principalId": str(uuid4()), "clientId": str(uuid4()), "tenantId": self.tenant.tenant_id}
            identities[key] = {"id": asked.path, "name": asked.path.rpartition("/")[2], "properties": properties}
            self.tenant.made[properties["principalId"]] = time.time()
        identities[key] |= {"location": asked.body["location"], "tags": asked.body.get("tags", {})}
        return Answer(201 if is_new else 200, identities[key])
