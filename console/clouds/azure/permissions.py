"""What the console may do in an Azure subscription, looked up before anything is made there.

Azure says which roles we have on the resource group ("Permissions - List For Resource Group"); each action of the
console's own role is looked for in them. Nothing is made and nothing is read but that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.clouds.azure.access import ROLES_VERSION
from console.clouds.azure.documents import condition, permissions
from console.clouds.azure.errors import (
    BLOBS_READ,
    CONTAINERS,
    DATA_ACTIONS,
    LIST_KEYS,
    STORAGE,
    group_id,
    on_group,
    role_part,
)
from console.clouds.azure.session import ask, gives_signatures
from console.clouds.contract import Check
from console.clouds.proof import NotProven
from console.clouds.specs import AccountRef
from console.clouds.steps import NotReady, StepError

PERMISSIONS_VERSION = "2022-04-01"
NOT_CREATED = "No backup store can be created"
NOT_DELETED = "A backup store cannot be deleted"
NO_NODES = "A cluster cannot be given its stores"
NOT_SEEN = "Whether a store is still as it should be cannot be seen."
ASKS = "Microsoft.Authorization/permissions/read"
# What breaks without each action; those that begin alike share a sentence, the longest beginning counts.
CONSEQUENCES: Mapping[str, str] = {
    "Microsoft.Resources/subscriptions/resourceGroups/read": "The account can be neither linked nor verified.",
    ASKS: "The console cannot say beforehand what it may do here. All else works.",
    f"{STORAGE}/read": f"{NOT_CREATED}, looked at or deleted: whose a storage account is cannot be seen.",
    f"{STORAGE}/write": f"{NOT_CREATED}, nor repaired.",
    f"{STORAGE}/delete": f"{NOT_DELETED}.",
    f"{STORAGE}/blobServices/read": "No protected store can be created or looked at.",
    f"{STORAGE}/blobServices/write": "No protected store can be created.",
    f"{STORAGE}/managementPolicies/": f"{NOT_CREATED}: it stops before old logs get their expiry.",
    f"{STORAGE}/managementPolicies/read": NOT_SEEN,
    f"{STORAGE}/managementPolicies/delete": "A rule that would delete backups cannot be taken away by a repair.",
    f"{CONTAINERS}/read": f"{NOT_DELETED}: whether it is empty cannot be seen.",
    f"{CONTAINERS}/write": f"{NO_NODES}: their container cannot be made.",
    BLOBS_READ: f"The backups that a store holds are not shown. {NOT_DELETED}: whether it is empty cannot be seen.",
    LIST_KEYS: f"{NOT_CREATED}: Azure asks for it when access logging is turned on. Nor are nodes' signatures made.",
    "Microsoft.Insights/diagnosticSettings/read": NOT_SEEN,
    "Microsoft.Insights/diagnosticSettings/write": f"{NOT_CREATED}: it stops at access logging.",
    "Microsoft.Insights/diagnosticSettings/delete": f"{NOT_DELETED}: it stops at access logging.",
    "Microsoft.Authorization/locks/read": NOT_SEEN,
    "Microsoft.Authorization/locks/write": f"{NOT_CREATED}: it stops before it is locked against deletion.",
    "Microsoft.Authorization/locks/delete": f"{NOT_DELETED}, and no store can be detached: the lock forbids both.",
    "Microsoft.Authorization/roleAssignments/": f"{NO_NODES}, nor are they taken back.",
    "Microsoft.ManagedIdentity/userAssignedIdentities/": f"{NO_NODES}: its nodes get no identity.",
    "Microsoft.ManagedIdentity/userAssignedIdentities/delete": "A cluster cannot be deleted.",
}


def preflight(account: AccountRef, regions: Sequence[str]) -> list[Check]:
    """Return a line for each action of the console's role."""
    needed = permissions(account)
    try:
        answer = ask(
            "Permissions_ListForResourceGroup",
            on_group(account),
            lambda cloud: cloud.send(
                "GET", f"{group_id(account)}/providers/Microsoft.Authorization/permissions", PERMISSIONS_VERSION
            ),
        )
    except StepError as error:
        if isinstance(error, NotReady | NotProven):  # busy, no answer, not asked: another try will tell
            raise
        return [
            _line(account, action, "fail" if action == ASKS else "unknown", error.message if action == ASKS else "")
            for actions in needed.values()
            for action in actions
        ]
    roles = list(answer.get("value", []))
    lines = [_checked(account, action, roles) for actions in needed.values() for action in actions]
    return lines if gives_signatures(account) else [*lines, _condition(account)]


def _condition(account: AccountRef) -> Check:
    """Return the line of the condition that keeps the console from giving itself, or anybody, another role."""
    check = Check(
        label="It gives itself no role",
        on=group_id(account),
        outcome="pass",
        without="Whoever steals the console's identity can let it read, write and delete the backups, or do more.",
        required=False,
    )
    path = f"{group_id(account)}/providers/Microsoft.Authorization/roleAssignments"
    try:
        principal = ask("Token", on_group(account), lambda cloud: cloud.principal())
        if not principal:
            return replace(check, outcome="unknown", why="The console's token does not say who it is.")
        found = ask(
            "RoleAssignments_ListForResourceGroup",
            on_group(account),
            lambda cloud: cloud.send("GET", path, ROLES_VERSION, **{"$filter": f"principalId eq '{principal}'"}),
        )
    except StepError as error:
        if isinstance(error, NotReady):
            raise
        return replace(check, outcome="unknown", why=error.message)
    wanted = "".join(condition(account, principal).split()).lower()
    conditions = ["".join((one["properties"].get("condition") or "").split()).lower() for one in found.get("value", [])]
    if all(one == wanted for one in conditions):
        return check
    why = "A role of the console is assigned without the condition in storekeeper-setup.sh. Run that again."
    return replace(check, outcome="fail", why=why)


def _checked(account: AccountRef, action: str, roles: list[Mapping[str, Any]]) -> Check:
    named, excepted = ("dataActions", "notDataActions") if action in DATA_ACTIONS else ("actions", "notActions")
    naming = [role for role in roles if _is_in(action, role.get(named))]
    if any(not _is_in(action, role.get(excepted)) for role in naming):
        return _line(account, action, "pass")
    why = "No role of the console on the resource group allows it."
    if naming:
        why = f"A role names it, and takes it back in {excepted[0].upper()}{excepted[1:]}."
    return _line(account, action, "fail", why)


def _is_in(action: str, patterns: Sequence[str] | None) -> bool:
    """Return whether the action is one of those named; only * stands for others, and case means nothing."""
    return any(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), action, re.IGNORECASE)
        for pattern in patterns or ()
    )


def _line(account: AccountRef, action: str, outcome: Any, why: str = "") -> Check:
    fitting = [begin for begin in CONSEQUENCES if action == begin or (begin.endswith("/") and action.startswith(begin))]
    return Check(
        label=action,
        on=group_id(account),
        outcome=outcome,
        without=CONSEQUENCES[max(fitting, key=len)],
        why=why,
        statement=role_part([action]) if outcome == "fail" else "",
        required=action != ASKS,
    )
