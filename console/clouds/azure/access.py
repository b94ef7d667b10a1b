"""What lets database nodes use their stores: a container for each cluster, and the right to exactly that one.

Either by a managed identity of the cluster, which has a role on the container; or by a signature (SAS) that the
account's key signs and a stored policy of the container upholds, so that it can be taken back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from console.clouds.azure.accounts import SHARED_KEYS, StorageAccount, owner_in
from console.clouds.azure.errors import GONE, CallTarget, group_id, resource_id
from console.clouds.azure.places import account_in, container_in, places
from console.clouds.azure.session import ask, gives_signatures
from console.clouds.contract import MachineStep
from console.clouds.naming import CLUSTER_TAG, cluster_tags
from console.clouds.specs import AccessSpec, AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, Stage, Step, StepResult

if TYPE_CHECKING:
    from console.clouds.azure.clients import AzureClients

# Built-in, and the same everywhere ("Azure built-in roles for Storage"): Storage Blob Data Contributor.
CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
IDENTITIES_VERSION, ROLES_VERSION = "2023-01-31", "2022-04-01"
RIGHTS = "racwdl"  # read, add, create, write, delete, list
VALID = timedelta(days=365)
RENEWED = timedelta(days=30)  # before it expires: so long the old signature is as good as the new one
NO_IDENTITY = "The nodes sign in with a signature, so they need no identity."
NAMED = "storekeeper-"  # begins the names of our stored policies
POLICIES_AT_MOST = 5  # of a container ("Define a stored access policy")
POLICY = " policy"  # ends the names of what is kept of the stored policies
ROLE = " role"  # ends the names of what is kept of the roles that were given


# Names


def node_name(spec: AccessSpec) -> str:
    """Return the name of the cluster's managed identity."""
    return f"pgbk-{spec.prefix}"


def identity_id(spec: AccessSpec) -> str:
    """Return the resource ID of the cluster's managed identity."""
    return f"{group_id(spec.account)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{node_name(spec)}"


def container_id(spec: AccessSpec, place: str) -> str:
    """Return the resource ID of a container that the nodes may use; of a storage account, the cluster's own there."""
    account = resource_id(spec.account, account_in(place))
    return f"{account}/blobServices/default/containers/{container_in(spec, place)}"


def role_id(account: AccountRef) -> str:
    """Return the ID of the role that nodes get on their container."""
    return f"/subscriptions/{account.number}/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}"


def facts(spec: AccessSpec) -> list[tuple[str, str]]:
    """Return what an administrator needs to start a node, each with its label."""
    found = [("Container", spec.prefix)]
    found += [("Container", f"{container_in(spec, one)} in {account_in(one)}") for one in places(spec) if "/" in one]
    if not gives_signatures(spec.account):
        return [*found, ("Managed Identity", node_name(spec)), ("Managed Identity ID", identity_id(spec))]
    until = expires(spec)
    return [*found, ("Signature Valid Until", f"{until:%Y-%m-%d}")] if until else found


def machine_steps(spec: AccessSpec, region: str) -> list[MachineStep]:
    """Return how a machine gets the cluster's managed identity; nothing where its nodes have signatures."""
    if gives_signatures(spec.account):
        return []
    return [
        MachineStep(
            f"Give the machine the managed identity {node_name(spec)}, as which pgBackRest signs in. Where it has "
            "others too, pgBackRest cannot tell which to take: let this be the only one",
            f"az vm identity assign --subscription {spec.account.number} --resource-group GROUP --name MACHINE "
            f"--identities {identity_id(spec)}",
            "https://portal.azure.com/#browse/Microsoft.Compute%2FVirtualMachines",
        )
    ]


def policy(spec: AccessSpec) -> dict[str, Any]:
    """Return what the nodes may do: role assignments, or what their signature says."""
    scopes = [container_id(spec, place) for place in places(spec)]
    if gives_signatures(spec.account):
        return {"signedResource": "c", "signedPermissions": RIGHTS, "signedProtocol": "https", "containers": scopes}
    role = {"roleDefinitionId": role_id(spec.account), "roleName": "Storage Blob Data Contributor"}
    return {"principal": identity_id(spec), "roleAssignments": [{**role, "scope": scope} for scope in scopes]}


# The calls


def _identity(spec: AccessSpec) -> CallTarget:
    name = node_name(spec)
    return CallTarget(spec.account, f"managed identity {name}", identity_id(spec), details={"identity": name})


def _container(spec: AccessSpec, place: str) -> CallTarget:
    bucket, container = account_in(place), container_in(spec, place)
    return CallTarget(
        spec.account,
        f"container {container} of {bucket}",
        container_id(spec, place),
        details={"bucket": bucket, "container": container},
    )


def _find_identity(spec: AccessSpec) -> dict[str, Any] | None:
    found: dict[str, Any] | None = ask(
        "UserAssignedIdentities_Get",
        _identity(spec),
        lambda cloud: cloud.send("GET", identity_id(spec), IDENTITIES_VERSION),
        {GONE},
    )
    return found


def _is_ours(spec: AccessSpec, found: dict[str, Any]) -> bool:
    tags = {key.lower(): value for key, value in (found.get("tags") or {}).items()}
    return bool(tags.get(CLUSTER_TAG) == str(spec.id))


def _own_identity(spec: AccessSpec) -> dict[str, Any] | None:
    """Return the cluster's identity, None without one; raises Failed for one that is not the cluster's."""
    found = _find_identity(spec)
    if found is not None and not _is_ours(spec, found):
        raise Failed(
            f"A managed identity named {node_name(spec)} exists in this resource group and does not belong to this "
            "cluster. It was left alone. Delete it if nothing uses it, or, if it is this cluster's after all, put the "
            f"tag {CLUSTER_TAG}={spec.id} back on it; then try again.",
            identity=node_name(spec),
        )
    return found


def _principal(spec: AccessSpec, found: dict[str, Any] | None) -> str:
    principal = ((found or {}).get("properties") or {}).get("principalId")
    if not principal:
        raise NotReady(
            f"Azure does not show managed identity {node_name(spec)} yet. If someone deleted it meanwhile, try again: "
            "it is created anew.",
            patience=120,
            identity=node_name(spec),
        )
    return str(principal)


def _assignments(spec: AccessSpec, principal: str) -> list[dict[str, str]]:
    """Return the roles of the nodes' identity on containers: each one's ID, and the place that it is on."""
    path = f"{group_id(spec.account)}/providers/Microsoft.Authorization/roleAssignments"
    asked = {"$filter": f"principalId eq '{principal}'"}
    found = ask(
        "RoleAssignments_ListForResourceGroup",
        _identity(spec),
        lambda cloud: cloud.send("GET", path, ROLES_VERSION, **asked),
    )
    rows = [(one["id"], one["properties"]["scope"].lower()) for one in found.get("value", [])]
    return [{"id": id_, "place": place} for id_, scope in rows if (place := _place_at(spec, scope))]


def _place_at(spec: AccessSpec, scope: str) -> str:
    """Return the place that a role is on, by its scope in small letters; "" where that is no container."""
    account, between, container = scope.rpartition("/blobservices/default/containers/")
    if not between or "/" in container:
        return ""
    bucket = account.rpartition("/")[2]
    return bucket if container == spec.prefix else f"{bucket}/{container}"


def _assign(spec: AccessSpec, place: str, principal: str) -> None:
    scope = container_id(spec, place)
    name = uuid5(spec.id, f"{scope.lower()} {principal}")  # always the same, so that a second creation is none
    body = {
        "properties": {
            "roleDefinitionId": role_id(spec.account),
            "principalId": principal,
            # Without it Azure looks for the principal, who may not be known everywhere yet ("Troubleshoot Azure RBAC").
            "principalType": "ServicePrincipal",
        }
    }
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
    ask(
        "RoleAssignments_Create",
        _container(spec, place),
        lambda cloud: cloud.send("PUT", path, ROLES_VERSION, body),
        {"RoleAssignmentExists"},
    )


def _take_back(spec: AccessSpec, place: str, assignments: list[str]) -> None:
    """Delete role assignments; the account's lock forbids that, too ("Lock your resources"), so it goes meanwhile."""
    account = _account(spec, account_in(place))
    try:
        for one in assignments:
            account.unlock()
            ask(
                "RoleAssignments_Delete",
                _container(spec, place),
                partial(_delete_assignment, one),
                {"RoleAssignmentNotFound", GONE},
            )
    finally:
        found = account.find()
        if found is not None and owner_in(found):
            account.set_lock()


def _account(spec: AccessSpec, bucket: str) -> StorageAccount:
    return StorageAccount(StoreSpec(spec.id, "", spec.account, "", bucket, ""), bucket)


def _delete_assignment(assignment: str, cloud: AzureClients) -> None:
    cloud.send("DELETE", assignment, ROLES_VERSION)


# Granting


def ensure_containers(spec: AccessSpec) -> None:
    """Create the cluster's container in each of its stores."""
    for bucket in spec.buckets:
        ask("BlobContainers_Create", _container(spec, bucket), partial(_create_container, bucket, spec.prefix))


def _create_container(bucket: str, name: str, cloud: AzureClients) -> None:
    body: Any = {"properties": {"publicAccess": "None"}}
    cloud.storage.blob_containers.create(cloud.group, bucket, name, body)


def ensure_identity(spec: AccessSpec) -> StepResult | None:
    """Create the managed identity, tagged in the same call so that it never stands without its owner."""
    if gives_signatures(spec.account):
        return StepResult(note=NO_IDENTITY)
    if _own_identity(spec) is not None:
        return None
    body = {
        "location": spec.account.settings.get("location", ""),
        "tags": cluster_tags(spec.id, spec.name),
    }
    ask(
        "UserAssignedIdentities_CreateOrUpdate",
        _identity(spec),
        lambda cloud: cloud.send("PUT", identity_id(spec), IDENTITIES_VERSION, body),
    )
    return None


def ensure_access(spec: AccessSpec) -> StepResult | None:
    """Let the nodes use exactly these containers, by roles or by signatures; whatever else they had is taken back."""
    note = ""
    if gives_signatures(spec.account):
        _take_roles_back(spec, keep=())
        _withdraw(spec, keep=places(spec))
        kept = _all_signed(spec)
    else:
        _withdraw(spec, keep=())
        if _give_roles(spec):
            note = "Azure takes up to ten minutes until a role is in force everywhere."
        kept = {f"{place}{ROLE}": "given" for place in places(spec)}
    return StepResult(note=note, keep=kept if kept != dict(spec.keys) else None)


def _give_roles(spec: AccessSpec) -> bool:
    """Give the nodes' identity its role on these containers, take others back, and say whether any was given now."""
    principal = _principal(spec, _own_identity(spec))
    there = {one["place"] for one in _assignments(spec, principal)}
    missing = [place for place in places(spec) if place not in there]
    for place in missing:
        _assign(spec, place, principal)
    _take_roles_back(spec, keep=places(spec), principal=principal)
    return bool(missing)


def _take_roles_back(spec: AccessSpec, keep: tuple[str, ...], principal: str = "") -> None:
    """Take the roles on all containers but these back.

    Also of stores where none is left but one was given, for all that the console kept: an attempt that ended half-way
    may have left the account without its lock.
    """
    given = [key.removesuffix(ROLE) for key in spec.keys if key.endswith(ROLE)]
    if not given and not principal:
        return
    if not principal and (found := _own_identity(spec)) is not None:
        principal = _principal(spec, found)
    there = _assignments(spec, principal) if principal else []
    for place in dict.fromkeys([*given, *(one["place"] for one in there)]):
        if place not in keep:
            _take_back(spec, place, [one["id"] for one in there if one["place"] == place])


def make_second_signature(spec: AccessSpec) -> StepResult | None:
    """Sign anew for each store beside the signatures that the console keeps, unless it keeps two already."""
    two = spec.former or not gives_signatures(spec.account)
    return None if two else StepResult(keep=_all_signed(spec, second=True))


def end_signatures(spec: AccessSpec) -> None:
    """Take all stored policies away: every signature ends with them."""
    _withdraw(spec, keep=())


def key_id(keys: Mapping[str, str]) -> str:
    """Return the names of the stored policies that uphold the nodes' signatures."""
    return ", ".join(sorted({value for key, value in keys.items() if key.endswith(POLICY)}))


def _all_signed(spec: AccessSpec, *, second: bool = False) -> dict[str, str]:
    """Return what is kept of the signatures for each store; a second one leaves the kept one as it is."""
    # Never a name twice: what is signed says no more than that, so a signature that was ended would be good again.
    name = f"{NAMED}{secrets.token_hex(4)}"
    return {key: value for place in places(spec) for key, value in _signed(spec, place, name, second).items()}


def _signed(spec: AccessSpec, place: str, name: str, second: bool) -> dict[str, str]:
    """Return what is kept of the signature for this store: it, its policy, its end, and which key has signed it.

    A new one is upheld by a policy of that name; policies that uphold nothing that is kept are taken away.
    """
    bucket, keys = account_in(place), _account_keys(spec, place)
    if keys is None:
        raise NotReady(
            f"Azure does not show storage account {bucket} yet. If someone deleted it, repair the store.",
            patience=120,
            bucket=bucket,
            code=GONE,
        )
    account = _account(spec, bucket)
    if not SHARED_KEYS.read(account):  # the store was made when nodes still had an identity
        account.update(properties={SHARED_KEYS.name: True})
    there = _policies(spec, place, keys[0])
    kept = {key: value for key, value in spec.keys.items() if key.partition(" ")[0] == place}
    known = {kept.get(f"{place}{POLICY}"), spec.former.get(f"{place}{POLICY}")}
    wanted = {key: end for key, end in there.items() if key in known}
    if not second and _will_do(kept, place, keys, there):
        if wanted != there:
            _set_policies(spec, place, keys[0], wanted)
        return kept
    until = (datetime.now(UTC) + VALID).replace(microsecond=0)
    _set_policies(spec, place, keys[0], {**wanted, name: until})
    return {
        place: _signature(spec, place, keys[0], name),
        f"{place}{POLICY}": name,
        f"{place} expires": until.isoformat(),
        f"{place} key": _digest(keys[0]),
    }


def _will_do(kept: dict[str, str], place: str, keys: list[str], there: dict[str, datetime]) -> bool:
    until = there.get(kept.get(f"{place} policy", ""))
    return bool(
        kept.get(place)
        and until
        and until - datetime.now(UTC) > RENEWED
        and kept.get(f"{place} key") in {_digest(key) for key in keys}
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _account_keys(spec: AccessSpec, place: str) -> list[str] | None:
    """Return the account's two keys, used at once and never kept; None when there is no such account."""
    found: list[str] | None = ask(
        "StorageAccounts_ListKeys",
        _container(spec, place),
        lambda cloud: [
            key["value"]
            for key in cloud.storage.storage_accounts.list_keys(cloud.group, account_in(place)).as_dict()["keys"]
        ],
        {GONE},
    )
    return found


def _policies(spec: AccessSpec, place: str, key: str) -> dict[str, datetime]:
    """Return the stored policies that uphold signatures of the nodes, by name, with their ends."""

    def read(cloud: Any) -> dict[str, datetime]:
        return {one.id: one.access_policy.expiry for one in _stored(spec, place, key, cloud)[0] if one.access_policy}

    found = ask("Container_GetAccessPolicy", _container(spec, place), read)
    return {
        name: datetime.fromisoformat(str(end).replace("Z", "+00:00")[:19] + "+00:00") for name, end in found.items()
    }


def _stored(spec: AccessSpec, place: str, key: str, cloud: Any) -> tuple[list[Any], list[Any], Any]:
    """Return the stored policies of the container, ours and those of others, and who may read it without any key.

    In the cluster's own container all are ours. Another one, of a repository that was there before, is somebody's.
    """
    client = cloud.blobs(account_in(place), key).get_container_client(container_in(spec, place))
    found = client.get_container_access_policy()
    own = [one for one in found["signed_identifiers"] if "/" not in place or one.id.startswith(NAMED)]
    return own, [one for one in found["signed_identifiers"] if one not in own], found["public_access"]


def _set_policies(spec: AccessSpec, place: str, key: str, policies: dict[str, datetime]) -> None:
    def write(cloud: Any) -> None:
        from azure.storage.blob import AccessPolicy  # noqa: PLC0415, loaded by now

        given = {name: AccessPolicy(permission=RIGHTS, expiry=end) for name, end in policies.items()}
        client = cloud.blobs(account_in(place), key).get_container_client(container_in(spec, place))
        if "/" not in place:
            client.set_container_access_policy(given)
            return
        _, others, public = _stored(spec, place, key, cloud)  # all are written at once, and theirs stay
        if len(others) + len(given) > POLICIES_AT_MOST:
            raise Failed(
                f"Container {container_in(spec, place)} of {account_in(place)} has {len(others)} stored access "
                f"policies of others, and Azure takes {POLICIES_AT_MOST}. Take away one that nothing uses, then try "
                "again.",
                **_container(spec, place).details,
            )
        client.set_container_access_policy(
            {**{one.id: one.access_policy for one in others}, **given}, public_access=public
        )

    # Of a container or an account that is gone, or that takes no keys, no signature is of any use.
    useless = {"ContainerNotFound", "ContainerBeingDeleted", GONE, "KeyBasedAuthenticationNotPermitted"}
    ask("Container_SetAccessPolicy", _container(spec, place), write, set() if policies else useless)


def _signature(spec: AccessSpec, place: str, key: str, name: str) -> str:
    from azure.storage.blob import generate_container_sas  # noqa: PLC0415, loaded by now

    account, container = account_in(place), container_in(spec, place)
    return str(generate_container_sas(account, container, account_key=key, policy_id=name, protocol="https"))


def expires(spec: AccessSpec) -> datetime | None:
    """Return when the first of the nodes' signatures ends; None without one."""
    ends = [datetime.fromisoformat(end) for key, end in spec.keys.items() if key.endswith(" expires")]
    return min(ends, default=None)


def due(spec: AccessSpec) -> datetime | None:
    """Return when the first of the nodes' signatures is to be renewed; None without one."""
    end = expires(spec)
    return end - RENEWED if end else None


# Taking back


def _withdraw(spec: AccessSpec, keep: tuple[str, ...]) -> None:
    """Take the stored policies away from the containers of all stores but these: their signatures end with them."""
    for place in [key for key in {**spec.former, **spec.keys} if " " not in key and key not in keep]:
        keys = _account_keys(spec, place)
        if keys:
            _set_policies(spec, place, keys[0], {})


def remove_access(spec: AccessSpec) -> StepResult | None:
    """Take every permission back from the nodes."""
    _withdraw(spec, keep=())
    found = None if gives_signatures(spec.account) else _own_identity(spec)
    _take_roles_back(spec, keep=(), principal="" if found is None else _principal(spec, found))
    return StepResult(keep={}) if spec.keys else None


def remove_identity(spec: AccessSpec) -> None:
    """Delete the cluster's identity; leave one that is not the cluster's."""
    if gives_signatures(spec.account):
        return
    found = _find_identity(spec)
    if found is not None and _is_ours(spec, found):
        ask(
            "UserAssignedIdentities_Delete",
            _identity(spec),
            lambda cloud: cloud.send("DELETE", identity_id(spec), IDENTITIES_VERSION),
            {GONE},
        )


TAKE_BACK = Step("revoke_permissions", "Taking all permissions back from the nodes", remove_access)
GRANT = (
    Stage(
        Step("create_containers", "Creating the cluster's container in each store", ensure_containers),
        Step("create_identity", "Creating the managed identity of the nodes", ensure_identity),
    ),
    Stage(Step("allow_containers", "Allowing the nodes their own containers", ensure_access)),
)
SECOND_KEY = (Stage(Step("create_second_signature", "Making a second signature of the nodes", make_second_signature)),)
END_KEYS = (Stage(Step("end_signatures", "Ending every signature of the nodes", end_signatures)),)
REVOKE = (Stage(TAKE_BACK),)
# The roles first: Azure keeps those of an identity that is deleted, for nobody.
TAKE_IDENTITY = Step("delete_identity", "Deleting the managed identity of the nodes", remove_identity)
DELETE = (Stage(TAKE_BACK), Stage(TAKE_IDENTITY))
