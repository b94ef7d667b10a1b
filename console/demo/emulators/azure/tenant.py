"""What there is in the emulated Azure: a tenant with its applications and tokens, a subscription with its resources.

It is plain data, so that it can be written down, and a few settings with which a test has Azure refuse.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from uuid import uuid4

from console.demo.credentials import AZURE
from console.demo.emulators.azure import rights
from console.demo.emulators.azure.protocol import Problem, not_found

TOKEN_SECONDS = 3599
STORAGE = "microsoft.storage/storageaccounts"


def fresh_state() -> dict[str, Any]:
    """Return an Azure in which nothing is."""
    tables = (
        "apps",
        "groups",
        "group_tags",
        "roles",
        "assignments",
        "accounts",
        "containers",
        "settings",
        "locks",
        "identities",
    )
    return {name: {} for name in tables} | {"taken": []}


class Tenant:
    """One tenant with one subscription."""

    tenant_id: ClassVar = AZURE["tenant_id"]
    subscription: ClassVar = AZURE["subscription_id"]
    client_id: ClassVar = AZURE["client_id"]
    client_secret: ClassVar = AZURE["client_secret"]
    group: ClassVar = AZURE["resource_group"]
    location: ClassVar = "westeurope"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._token_key = secrets.token_bytes(32)
        self.clear()

    def clear(self) -> None:
        """Forget everything but the application that the console signs in as, and the resource group."""
        self.state = fresh_state()
        self.state["groups"][self.group] = self.location
        self.used: set[str] = set()  # the actions that callers were allowed
        self.made: dict[str, float] = {}  # when each identity was made
        self.policy = ""  # the name of a policy that refuses
        self.unregistered: set[str] = set()  # resource providers, in lower case
        self.quota = 250
        self.creation_seconds = 0.0
        self.replication_seconds = 0.0
        self.subscription_state = "Enabled"
        self.add_app(self.client_id, self.client_secret)

    # What an administrator does

    def add_app(self, client_id: str, secret: str = "", **federated: str) -> str:
        """Register an application and return its object ID; `federated` is issuer, subject and audience."""
        self.state["apps"][client_id] = {
            "object_id": str(uuid4()),
            "secret": secret,
            "expired": False,
            "federated": federated,
        }
        return str(self.state["apps"][client_id]["object_id"])

    def object_id(self, client_id: str = "") -> str:
        """Return the object ID of an application's service principal: the console's if none is named."""
        return str(self.state["apps"][client_id or self.client_id]["object_id"])

    def define_role(self, name: str, permissions: dict[str, list[str]]) -> str:
        """Make a custom role, or change the one of that name, and return its GUID."""
        found = next((guid for guid, role in self.state["roles"].items() if role["name"] == name), str(uuid4()))
        empty: dict[str, list[str]] = {"actions": [], "notActions": [], "dataActions": [], "notDataActions": []}
        self.state["roles"][found] = {"name": name, **empty, **permissions}
        return found

    def assign(self, principal: str, role: str, scope: str = "", condition: str = "") -> None:
        """Give a principal a role, on the resource group unless another scope is named."""
        scope = scope or self.group_id
        key = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
        given = {"principalId": principal, "roleDefinitionId": role, "scope": scope, "condition": condition}
        self.state["assignments"][key.lower()] = {"id": key, "name": key.rpartition("/")[2], "properties": given}

    @property
    def group_id(self) -> str:
        """Return the ID of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    def policy_problem(self, path: str) -> Problem:
        """Return how a policy refuses ("Resolve errors for request disallowed by policy")."""
        info = {"policyAssignmentName": "closed", "policyAssignmentDisplayName": self.policy}
        more = [{"type": "PolicyViolation", "info": info}]
        message = f"Resource '{path.rpartition('/')[2]}' was disallowed by policy. Reasons: '{self.policy}'."
        return Problem(403, "RequestDisallowedByPolicy", message, additionalInfo=more)

    def replicates(self, principal: str, *, named: bool) -> bool:
        """Return whether a principal is not known everywhere yet; saying its type helps, as a rule."""
        seconds = self.replication_seconds if not named else self.replication_seconds / 2
        return time.time() < self.made.get(principal, 0.0) + seconds

    def client_of(self, principal: str) -> str:
        """Return the client ID of a principal, for messages."""
        return next((one for one, app in self.state["apps"].items() if app["object_id"] == principal), principal)

    def let_console_in(self, *roles: Mapping[str, Any]) -> None:
        """Give the console's application these roles: each a name, permissions and a condition.

        In the condition, the role's `principal` stands for whoever the application is.
        """
        for role in roles:
            made = self.define_role(role["name"], role["permissions"])
            condition = role["condition"].replace(role["principal"], self.object_id())
            self.assign(self.object_id(), made, condition=condition)

    # What is there

    def resource_id(self, account: Mapping[str, Any]) -> str:
        """Return the ID of a storage account."""
        where = f"/subscriptions/{self.subscription}/resourceGroups/{account['group_name']}"
        return f"{where}/providers/Microsoft.Storage/storageAccounts/{account['name']}"

    def account(self, name: str, group: str, *, ready: bool = False) -> dict[str, Any]:
        """Return a storage account; raises Problem for one that is not there or, with `ready`, not made yet."""
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

    def check_exists(self, scope: str) -> None:
        """Raise when there is no such resource."""
        parts = scope.lower().strip("/").split("/")
        if STORAGE in scope.lower():
            account = self.account(parts[7], parts[3])
            if len(parts) > 11 and f"{account['name']}/{parts[11]}" not in self.state["containers"]:
                raise not_found(scope, parts[3])

    def check_lock(self, path: str) -> None:
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

    # Tokens

    def token(self, principal: str, audience: str) -> str:
        """Return a token for a principal, as "Access tokens in the Microsoft identity platform" shows them."""
        said = json.dumps({"oid": principal, "aud": audience, "exp": time.time() + TOKEN_SECONDS}).encode()
        signature = hmac.digest(self._token_key, said, hashlib.sha256)
        head = json.dumps({"typ": "JWT", "alg": "HS256"}).encode()
        return ".".join(base64.urlsafe_b64encode(part).decode() for part in (head, said, signature))

    def principal_of(self, token: str, audience: str) -> str | None:
        """Return whose token it is; None for one that is not good here."""
        with suppress(ValueError):
            _, said, signature = (base64.urlsafe_b64decode(part) for part in token.split("."))
            if hmac.compare_digest(hmac.digest(self._token_key, said, hashlib.sha256), signature):
                found = json.loads(said)
                if found["aud"].rstrip("/") == audience and found["exp"] > time.time():
                    return str(found["oid"])
        return None

    def sign_in(self, tenant: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer the token endpoint ("OAuth 2.0 client credentials flow", "… error codes")."""
        app = self.state["apps"].get(form.get("client_id", ""))
        if tenant != self.tenant_id:
            return refused("invalid_request", "AADSTS90002", f"Tenant '{tenant}' not found.")
        if app is None:
            text = f"Application with identifier '{form.get('client_id')}' was not found in the directory 'Acme'."
            return refused("unauthorized_client", "AADSTS700016", text)
        if "client_assertion" in form:
            wanted = app["federated"]
            said = _claims(form["client_assertion"])
            if not wanted or any(said.get(claim) != wanted[name] for claim, name in _CLAIMS.items()):
                text = "No matching federated identity record found for presented assertion."
                return refused("invalid_client", "AADSTS700213", text)
        elif app["expired"]:
            return refused("invalid_client", "AADSTS7000222", "The provided client secret keys for app are expired.")
        elif not app["secret"] or not hmac.compare_digest(app["secret"], form.get("client_secret", "")):
            return refused("invalid_client", "AADSTS7000215", "Invalid client secret provided.")
        audience = form.get("scope", "").removesuffix("/.default").rstrip("/")
        token = self.token(app["object_id"], audience)
        return 200, {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token}


_CLAIMS = {"iss": "issuer", "sub": "subject", "aud": "audience"}


def _claims(token: str) -> dict[str, Any]:
    """Return what a JSON web token says; who has signed it is not looked at here."""
    with suppress(ValueError, IndexError):
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return found if isinstance(found, dict) else {}
    return {}


def refused(error: str, code: str, message: str) -> tuple[int, dict[str, Any]]:
    """Return how the token endpoint refuses."""
    text = f"{code}: {message} Trace ID: {uuid4()} Correlation ID: {uuid4()} Timestamp: 2026-01-01 00:00:00Z"
    return 401 if error == "invalid_client" else 400, {
        "error": error,
        "error_description": text,
        "error_codes": [int(code[6:])],
    }
