"""Who may do what in the emulated Azure: role definitions, assignments, and how they are evaluated.

As "Understand Azure role definitions" and "Understand scope for Azure RBAC" say: an action is allowed when a role that
is assigned at its scope or above names it and does not except it. IDs know no case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
# Those that this emulator knows ("Azure built-in roles").
BUILT_IN: Mapping[str, dict[str, Any]] = {
    OWNER: {"name": "Owner", "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []},
    CONTRIBUTOR: {
        "name": "Storage Blob Data Contributor",
        "actions": [
            f"{BLOBS}/containers/delete",
            f"{BLOBS}/containers/read",
            f"{BLOBS}/containers/write",
            f"{BLOBS}/generateUserDelegationKey/action",
        ],
        "notActions": [],
        "dataActions": [
            f"{BLOBS}/containers/blobs/delete",
            f"{BLOBS}/containers/blobs/read",
            f"{BLOBS}/containers/blobs/write",
            f"{BLOBS}/containers/blobs/move/action",
            f"{BLOBS}/containers/blobs/add/action",
        ],
        "notDataActions": [],
    },
}


def matches(pattern: str, action: str) -> bool:
    """Return whether an action is one of those that the pattern names; only * stands for others."""
    expression = ".*".join(re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(expression, action.lower()) is not None


def allows(role: Mapping[str, Any], action: str, *, data: bool) -> bool:
    """Return whether the role allows the action."""
    named, excepted = ("dataActions", "notDataActions") if data else ("actions", "notActions")
    return any(matches(one, action) for one in role[named]) and not any(matches(one, action) for one in role[excepted])


def is_within(scope: str, other: str) -> bool:
    """Return whether a scope is another one, or lies in it."""
    scope, other = scope.lower().rstrip("/"), other.lower().rstrip("/")
    return scope == other or scope.startswith(f"{other}/")


def action_of(method: str, path: str) -> tuple[str, str]:
    """Return the action that Azure Resource Manager checks for a request, and at which scope.

    The type is spelt by the path itself: providers/<namespace>/<type>/<name>/<type>/<name> …, the last one counts.
    """
    before, found, last = path.rpartition("/providers/")
    if not found:
        parts = path.strip("/").split("/")
        kind = {2: "Microsoft.Resources/subscriptions", 4: "Microsoft.Resources/subscriptions/resourceGroups"}
        return f"{kind[len(parts)]}/{_verb(method)}", path
    namespace, *parts = last.split("/")
    if method == "POST":
        *parts, called = parts
        return (
            f"{namespace}/{'/'.join(parts[0::2])}/{called}/action",
            f"{before}/providers/{namespace}/{'/'.join(parts)}",
        )
    # A list has no name at its end: it is asked at what it is a list of.
    scope = path if len(parts) % 2 == 0 else before if len(parts) == 1 else path.rpartition("/")[0]
    return f"{namespace}/{'/'.join(parts[0::2])}/{_verb(method)}", scope


def _verb(method: str) -> str:
    return {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(method, "write")


def roles_of(state: Mapping[str, Any], principal: str, scope: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the roles that a principal has at this scope, each with the condition of its assignment."""
    for assignment in list(state["assignments"].values()):
        given = assignment["properties"]
        if given["principalId"] == principal and is_within(scope, given["scope"]):
            guid = given["roleDefinitionId"].rpartition("/")[2].lower()
            role = state["roles"].get(guid) or BUILT_IN.get(guid)
            if role:
                yield role, given.get("condition") or ""


Attributes = Mapping[str, str]  # of the role assignment that a call makes or deletes, by name


def may(
    state: Mapping[str, Any],
    principal: str,
    action: str,
    scope: str,
    *,
    data: bool = False,
    assignment: Attributes | None = None,
) -> bool:
    """Return whether the principal may do this here; `assignment` is the one that the call makes or deletes."""
    return any(
        allows(has, action, data=data) and (assignment is None or holds(condition, action, assignment))
        for has, condition in roles_of(state, principal, scope)
    )


# As "Azure role assignment condition format and syntax" has them; of operators those that anybody here uses.
CLAUSE = re.compile(r"\(\(!\(ActionMatches\{'([^']+)'\}\)\) OR \((.*?)\)\)(?: AND |$)")
TEST = re.compile(r"@(?:Request|Resource)\[[^:\]]+:(\w+)\] (\S+) (?:\{([^}]*)\}|'([^']*)')")
OPERATORS: Mapping[str, Callable[[str, list[str]], bool]] = {
    "ForAnyOfAnyValues:GuidEquals": lambda found, named: found in named,
    "ForAnyOfAllValues:GuidNotEquals": lambda found, named: found not in named,
    "StringEqualsIgnoreCase": lambda found, named: [found] == named,
}


def holds(condition: str, action: str, attributes: Attributes) -> bool:
    """Return whether the condition of an assignment lets the action pass; raises for one that is not understood."""
    clauses = CLAUSE.findall(condition)
    if condition and CLAUSE.sub("", condition):
        raise NotImplementedError(f"condition {condition}")
    return all(
        _passes(test, attributes) for named, tests in clauses if matches(named, action) for test in tests.split(" AND ")
    )


def _passes(test: str, attributes: Attributes) -> bool:
    found = TEST.fullmatch(test.strip())
    if found is None or found[2] not in OPERATORS:
        raise NotImplementedError(f"condition {test}")
    named = [one.strip().lower() for one in (found[3] or found[4] or "").split(",")]
    return OPERATORS[found[2]](attributes.get(found[1], "").lower(), named)
