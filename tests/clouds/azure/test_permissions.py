"""The console's role in Azure: exactly what it does, and nothing that it could give itself."""

import json
import subprocess
from uuid import uuid4

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure import access as azure_access
from console.clouds.azure import errors as azure_errors
from console.clouds.azure import session as azure_session
from console.clouds.azure.documents import access_documents, condition, definition, permissions
from console.clouds.azure.errors import Refusal
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, run

pytestmark = pytest.mark.slow  # Azurite is a process


def everything(world):
    """Do all that the console ever does in an account."""
    spec = make_spec(world, versions_days=7, complete=True)
    AZURE.linking.identify(spec.account)
    AZURE.linking.preflight(spec.account, ())
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    for control in AZURE.storage.settings(spec):
        control.observe()
        control.ensure()
    access = run(AZURE.access.grant, world.access(spec))
    list(AZURE.storage.objects(spec).entries(f"{access.prefix}/"))
    AZURE.storage.objects(spec).read(f"{access.prefix}/x", 1)
    list(AZURE.storage.list_unmanaged(spec.account, ()))
    run(plans.cancellation(AZURE), spec)
    run(AZURE.access.delete, run(AZURE.access.revoke, access))
    run(plans.deletion(AZURE), spec)


def test_role_is_exactly_what_the_console_does(worlds):
    everything(worlds)  # under that very role
    given = permissions(worlds.account())
    assert {*given["actions"], *given["dataActions"]} == worlds.emulator.used


def test_role_lets_the_console_give_one_role_only(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    path = (
        f"{azure_access.container_id(access, spec.bucket)}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    )
    body = {
        "properties": {
            "roleDefinitionId": f"/x/roleDefinitions/{owner}",
            "principalId": world.emulator.object_id(),
            "principalType": "ServicePrincipal",
        }
    }
    with pytest.raises(Refusal, match="AuthorizationFailed"):
        azure_session.call(
            "RoleAssignments_Create", spec.account, lambda cloud: cloud.send("PUT", path, "2022-04-01", body)
        )


def call_as_console(spec, method, path, version="2022-04-01", body=None):
    """Make a call with what the console has, as whoever has stolen it can; return whether Azure lets it pass."""
    try:
        azure_session.call("Stolen", spec.account, lambda cloud: cloud.send(method, path, version, body))
    except Refusal as refusal:
        if refusal.code == "AuthorizationFailed":
            return False
        raise
    return True


def assign(spec, access, principal, role=azure_access.CONTRIBUTOR):
    scope = azure_access.container_id(access, spec.bucket)
    properties = {"roleDefinitionId": f"/x/roleDefinitions/{role}", "principalId": principal}
    body = {"properties": {**properties, "principalType": "ServicePrincipal"}}
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    return call_as_console(spec, "PUT", path, body=body)


def test_a_stolen_identity_gives_itself_no_role(world):
    """SECURITY.md, "What a stolen identity can do": with the nodes' role it could do whatever nodes can."""
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    itself = world.emulator.object_id()
    assert not assign(spec, access, itself)
    assert not assign(spec, access, itself.upper())
    assert not assign(spec, access, str(uuid4()), role="8e3af657-a8ff-443c-a75c-2fe8c4bcb635")
    # Nor does it become the identity of a cluster, which has the role.
    identity = azure_access.identity_id(access)
    assert not call_as_console(spec, "PUT", f"{identity}/federatedIdentityCredentials/x", "2023-01-31", {})
    assert not call_as_console(spec, "POST", f"{identity}/assign", "2023-01-31")
    # Nor change its own role, or the assignment of it.
    state = world.emulator.state
    [own] = [one["id"] for one in state["assignments"].values() if one["properties"]["principalId"] == itself]
    assert not call_as_console(spec, "DELETE", own)
    [role] = state["roles"]
    where = f"/subscriptions/{world.emulator.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    assert not call_as_console(spec, "PUT", where, body={"properties": {}})


def test_what_remains_of_a_stolen_identity(world):
    """SECURITY.md, "What a stolen identity can do": whoever changes this, changes that."""
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    assert assign(spec, access, str(uuid4()))  # another application's, which lets it in
    account = azure_access.resource_id(spec.account, spec.bucket)
    assert call_as_console(spec, "POST", f"{account}/listKeys", "2023-05-01")
    shared = {"properties": {"allowSharedKeyAccess": True}}
    assert call_as_console(spec, "PATCH", account, "2023-05-01", shared)
    world.put(spec, f"{access.prefix}/backup", b"15")
    [lock] = [one["id"] for one in world.emulator.state["locks"].values() if spec.bucket in one["id"]]
    assert call_as_console(spec, "DELETE", lock, "2020-05-01")
    assert call_as_console(spec, "DELETE", account, "2023-05-01")  # with all that is in it
    assert spec.bucket not in world.emulator.state["accounts"]


def test_preflight_says_when_the_console_could_give_itself_a_role(world):
    account = world.account()

    def line():
        return next(one for one in AZURE.linking.preflight(account, ()) if one.label == "It gives itself no role")

    assert (line().outcome, line().required) == ("pass", False)
    [mine] = [one["properties"] for one in world.emulator.state["assignments"].values()]
    for other in ("", mine["condition"].rpartition(" AND @")[0] + "))"):
        mine["condition"] = other
        assert line().outcome == "fail"
        assert "storekeeper-setup.sh" in line().why


@pytest.mark.parametrize("node_access", ["identity", "sas"])
def test_documents_make_the_role(world, node_access):
    account = world.account(node_access=node_access)
    script, role, module = access_documents(account)
    assert json.loads(role.text) == definition(account)
    assert json.loads(role.text)["AssignableScopes"] == [world.emulator.group_id]
    subprocess.run(["sh", "-n"], input=script.text, text=True, check=True)
    assert ("ActionMatches" in script.text) == (node_access == "identity") == bool(condition(account))
    assert ("GuidNotEquals {$principal}" in script.text) == (node_access == "identity")
    assert ("GuidNotEquals {${azuread_service_principal" in module.text) == (node_access == "identity")
    assert all(f'"{action}"' in module.text for action in definition(account)["Actions"])
    assert ("roleAssignments/write" in role.text) == (node_access == "identity")
    assert world.emulator.client_secret not in role.text + script.text + module.text


def test_preflight_says_what_is_missing_and_what_mends_it(worlds):
    account = worlds.account()
    lines = AZURE.linking.preflight(account, ("westeurope",))
    assert {line.outcome for line in lines} == {"pass"}
    given = permissions(account)
    for kind, actions in given.items():
        for action in actions:
            if action == "Microsoft.Authorization/permissions/read":
                continue
            worlds.emulator.define_role(
                f"Storekeeper, {worlds.node_access}", {**given, kind: [one for one in actions if one != action]}
            )
            lines = AZURE.linking.preflight(account, ())
            unseen = {one.label for one in lines if one.outcome == "unknown"}
            assert unseen <= ({"It gives itself no role"} if action.endswith("roleAssignments/read") else set())
            [line] = [one for one in lines if one.outcome == "fail"]
            assert line.label == action
            assert json.loads(line.statement) == {kind: [action]}
            assert line.without.endswith(".")


def test_preflight_knows_stars_and_what_is_taken_back(world):
    account = world.account()
    world.emulator.define_role("Storekeeper, identity", {"actions": ["*"], "dataActions": ["microsoft.storage/*/READ"]})
    assert {line.outcome for line in AZURE.linking.preflight(account, ())} == {"pass"}
    world.emulator.define_role(
        "Storekeeper, identity", {"actions": ["*"], "notActions": ["*/delete"], "dataActions": ["*"]}
    )
    failed = {line.label: line.why for line in AZURE.linking.preflight(account, ()) if line.outcome == "fail"}
    assert failed
    assert all(label.endswith("/delete") and "NotActions" in why for label, why in failed.items())


def test_preflight_that_may_not_ask_says_so(world):
    given = permissions(world.account())
    asks = "Microsoft.Authorization/permissions/read"
    world.emulator.define_role(
        "Storekeeper, identity", {**given, "actions": [one for one in given["actions"] if one != asks]}
    )
    lines = {line.label: line for line in AZURE.linking.preflight(world.account(), ())}
    assert lines.pop(asks).outcome == "fail"
    assert {line.outcome for line in lines.values()} == {"unknown"}


def test_every_consequence_is_of_an_action():
    from console.clouds.azure.permissions import CONSEQUENCES

    called = {action for actions in azure_errors.ACTIONS.values() for action in actions} - {
        "Microsoft.Resources/subscriptions/read"
    }
    for begin in CONSEQUENCES:
        assert any(action == begin or (begin.endswith("/") and action.startswith(begin)) for action in called), begin
