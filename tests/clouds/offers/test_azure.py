"""The script for Azure makes what it says, and run again adds what is missing and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from copy import deepcopy
from uuid import UUID

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure.documents import access_documents, condition, definition, permissions
from console.clouds.specs import AccountRef
from console.demo.credentials import AZURE as GIVEN
from tests.clouds.offers import az as stand_in

TENANT, SUBSCRIPTION, CLIENT = GIVEN["tenant_id"], GIVEN["subscription_id"], GIVEN["client_id"]
GROUP = "rg-backups"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
TOKEN = {"ISSUER": "https://issuer.example/", "SUBJECT": "system:serviceaccount:storekeeper:console"}
CHANGES = re.compile(r"^\+ (.*)$", re.MULTILINE)


def unlinked():
    return AccountRef(UUID(int=0), "", "", {"external_id": "sk-1"}, {})


def linked(**settings):
    given = {"client_id": CLIENT, "resource_group": GROUP, "method": "secret", "node_access": "identity", **settings}
    return AccountRef(UUID(int=1), SUBSCRIPTION, "", given, {})


def script(account):
    return next(one.text for one in access_documents(account) if one.filename == "storekeeper-setup.sh")


def command(account):
    return next(one.command for one in access_documents(account) if one.filename == "storekeeper-setup.sh")


@pytest.fixture
def az(shell):
    return shell(
        "az",
        stand_in.answer,
        {
            "tenant": TENANT,
            "subscription": SUBSCRIPTION,
            "groups": {GROUP: {"location": "westeurope", "tags": None}},
            "providers": {},
            **{name: [] for name in ("apps", "principals", "roles", "assignments", "denied")},
            "slow": {},
            "dies_after": "",
        },
    )


def entered(answer):
    """Return what the script says to enter, by the labels of the form."""
    labels = "|".join(re.escape(one.label) for one in AZURE.linking.fields)
    return dict(re.findall(rf"^  ({labels}) +(\S+)$", answer.stdout, re.MULTILINE))


def first(az, *arguments, **environment):
    answer = az.run(script(unlinked()), *(arguments or ("secret", SUBSCRIPTION, GROUP)), **environment)
    assert answer.returncode == 0, answer.stderr
    return answer


def test_the_first_run_makes_all_and_says_what_to_enter(az):
    answer = first(az)
    state = az.state
    [app], [principal], [role], [assignment] = (state[name] for name in ("apps", "principals", "roles", "assignments"))
    assert entered(answer) == {
        "Tenant ID": TENANT,
        "Application (Client) ID": app["appId"],
        "Subscription ID": SUBSCRIPTION,
        "Resource Group": GROUP,
        "Client Secret": app["passwords"][0]["password"],
    }
    account = linked(client_id=app["appId"])
    assert role["roleName"] == definition(account)["Name"]
    assert role["assignableScopes"] == [SCOPE]
    assert {name: sorted(role["permissions"][0][name]) for name in permissions(account)} == {
        name: sorted(actions) for name, actions in permissions(account).items()
    }
    assert assignment["principalId"] == principal["id"]
    assert assignment["roleDefinitionId"].endswith(role["name"])
    assert assignment["condition"] == condition(account, principal["id"])
    assert {*state["providers"]} == {"Microsoft.Storage", "Microsoft.Insights", "Microsoft.ManagedIdentity"}
    assert state["groups"][GROUP]["tags"] is None  # a secret is proof enough
    assert az.written() == {}
    assert (answer.stdout + answer.stderr).count(app["passwords"][0]["password"]) == 1


def test_a_second_run_changes_nothing_and_the_secret_stays_good(az):
    before = entered(first(az))
    state = deepcopy(az.state)
    answer = first(az)
    assert CHANGES.findall(answer.stdout) == []
    assert az.state == state
    assert "has a secret already" in answer.stdout
    del before["Client Secret"]
    assert entered(answer) == before


def test_another_secret_leaves_the_first_one_valid(az):
    old = entered(first(az))["Client Secret"]
    new = entered(first(az, "new-secret", SUBSCRIPTION, GROUP))["Client Secret"]
    assert [one["password"] for one in az.state["apps"][0]["passwords"]] == [old, new]


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [
        *("provider register", "ad app create", "ad sp create", "role definition create", "role assignment create"),
        "ad app credential reset",
    ],
)
def test_a_run_that_was_interrupted_is_finished_by_the_next(az, after):
    az.change(dies_after=after)
    assert az.run(script(unlinked()), "secret", SUBSCRIPTION, GROUP).returncode != 0
    az.change(dies_after="")
    answer = first(az)
    state = az.state
    assert [len(state[name]) for name in ("apps", "principals", "roles", "assignments")] == [1, 1, 1, 1]
    if after == "ad app credential reset":  # made, and nobody has seen it
        assert "For another one: new-secret" in answer.stdout
        answer = first(az, "new-secret", SUBSCRIPTION, GROUP)
    assert entered(answer)["Client Secret"] == az.state["apps"][0]["passwords"][-1]["password"]


def test_what_is_not_known_everywhere_at_once_is_waited_for(az):
    az.change(slow={"ad sp create": 2, "role assignment create": 3})
    assert "trying again" in first(az).stderr
    assert len(az.state["assignments"]) == 1
    az.change(slow={"role assignment create": 99}, assignments=[])
    answer = az.run(script(unlinked()), "secret", SUBSCRIPTION, GROUP)
    assert answer.returncode != 0
    assert "does not exist in the directory" in answer.stderr
    assert "Enter this" not in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("denied", ["ad app create", "role definition create", "role assignment create", "ad app list"])
def test_somebody_who_may_not_is_told_so_and_somebody_who_may_finishes_it(az, denied):
    az.change(denied=[denied])
    answer = az.run(script(unlinked()), "secret", SUBSCRIPTION, GROUP)
    assert answer.returncode != 0
    assert "Insufficient privileges" in answer.stderr
    assert "Enter this" not in answer.stdout
    az.change(denied=[])
    assert "Client Secret" in entered(first(az))
    assert len(az.state["roles"]) == 1


def test_who_may_not_register_providers_can_do_the_rest(az):
    az.change(denied=["provider register"])
    assert "somebody who may change the subscription" in first(az).stderr
    assert len(az.state["assignments"]) == 1


def test_a_resource_group_is_made_where_one_is_wanted(az):
    az.change(groups={})
    answer = az.run(script(unlinked()), "secret", SUBSCRIPTION, GROUP)
    assert answer.returncode != 0
    assert "There is no resource group rg-backups" in answer.stderr
    assert az.state["apps"] == []
    first(az, "secret", SUBSCRIPTION, GROUP, "northeurope")
    assert az.state["groups"][GROUP]["location"] == "northeurope"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("secret",),
        ("SIGN-IN", "SUBSCRIPTION-ID", "RESOURCE-GROUP"),
        ("secret", SUBSCRIPTION),
        ("all", SUBSCRIPTION, GROUP),
        ("secret", SUBSCRIPTION, "it's"),
        ("secret", SUBSCRIPTION, 'a"b'),
        ("secret", SUBSCRIPTION, "<group>"),
        ("federation", SUBSCRIPTION, GROUP),
    ],
    ids=lambda value: "-".join(value)[:24] or "nothing",
)
def test_what_it_was_not_told_it_asks_for_and_makes_nothing(az, arguments):
    answer = az.run(script(unlinked()), *arguments)
    assert answer.returncode == 2
    assert "sh storekeeper-setup.sh SIGN-IN SUBSCRIPTION-ID RESOURCE-GROUP" in answer.stderr
    assert az.calls == []


def test_federation_trusts_the_console_and_keeps_others_ids(az):
    az.change(groups={GROUP: {"location": "westeurope", "tags": {"storekeeper:external-id": "sk-other", "a": "b"}}})
    for _ in range(2):
        answer = first(az, "federation", SUBSCRIPTION, GROUP, **TOKEN)
        [trusted] = az.state["apps"][0]["federated"]
        assert (trusted["issuer"], trusted["subject"]) == (TOKEN["ISSUER"], TOKEN["SUBJECT"])
        assert az.state["groups"][GROUP]["tags"] == {"storekeeper:external-id": "sk-other sk-1", "a": "b"}
        assert "Client Secret" not in entered(answer)
    assert CHANGES.findall(answer.stdout) == []
    first(az, "federation", SUBSCRIPTION, GROUP, **{**TOKEN, "SUBJECT": "another"})
    assert [one["subject"] for one in az.state["apps"][0]["federated"]] == [TOKEN["SUBJECT"], "another"]


def test_two_applications_of_the_name_are_not_guessed_between(az):
    first(az)
    [app] = az.state["apps"]
    az.change(apps=[app, {**app, "appId": CLIENT}])
    answer = az.run(script(unlinked()), "secret", SUBSCRIPTION, GROUP)
    assert answer.returncode != 0
    assert "Name one in CLIENT_ID" in answer.stderr
    assert entered(first(az, "secret", SUBSCRIPTION, GROUP, CLIENT_ID=app["appId"]))


def of_the_release_before(az, lacks):
    """Have all there as the release before had it: without some actions, and with what somebody added by hand."""
    app = entered(first(az))["Application (Client) ID"]
    state = az.state
    rights = state["roles"][0]["permissions"][0]
    rights["actions"] = [one for one in rights["actions"] if one not in lacks] + ["Microsoft.Extra/things/read"]
    rights["notActions"] = ["Microsoft.Storage/storageAccounts/rotateKey/action"]
    rights["dataActions"] = [one for one in rights["dataActions"] if one not in lacks]
    state["assignments"][0]["condition"] = "(old)"
    return linked(client_id=app)


def test_run_again_after_an_upgrade_it_adds_what_is_needed_now(az):
    account = linked()
    lacks = {permissions(account)["actions"][3], *permissions(account)["dataActions"]}
    account = of_the_release_before(az, lacks)
    assert command(account) == "sh storekeeper-setup.sh"
    answer = az.run(script(account))
    assert answer.returncode == 0, answer.stderr
    [role], [assignment], [principal] = (az.state[name] for name in ("roles", "assignments", "principals"))
    rights = role["permissions"][0]
    assert {*rights["actions"]} == {*permissions(account)["actions"], "Microsoft.Extra/things/read"}
    assert rights["dataActions"] == permissions(account)["dataActions"]
    assert rights["notActions"] == ["Microsoft.Storage/storageAccounts/rotateKey/action"]
    assert assignment["condition"] == condition(account, principal["id"])
    assert len(az.state["apps"][0]["passwords"]) == 1
    assert len(CHANGES.findall(answer.stdout)) == 2
    assert CHANGES.findall(az.run(script(account)).stdout) == []


def test_signatures_do_not_take_from_a_role_what_identities_need(az):
    first(az)
    before = deepcopy(az.state["roles"])
    answer = az.run(script(linked(client_id=az.state["apps"][0]["appId"], node_access="sas")))
    assert answer.returncode == 0, answer.stderr
    assert az.state["roles"] == before
    assert az.state["assignments"][0]["condition"]


@pytest.mark.slow  # Azurite is a process
def test_an_account_that_lacks_permissions_has_them_all_after_the_command_of_its_page(az, tmp_path):
    from tests.worlds.azure import opened

    with opened(tmp_path / "azure") as world:
        account = world.account(client_id=GIVEN["client_id"])
        account_of_script = linked()
        az.change(apps=[{"appId": CLIENT, "displayName": "console", "passwords": [{}], "federated": []}])
        az.change(principals=[{"id": world.emulator.object_id(), "appId": CLIENT}])
        assert az.run(script(account_of_script)).returncode == 0
        lacks = {"Microsoft.Authorization/locks/write", *permissions(account)["dataActions"]}
        state = az.state
        rights = state["roles"][0]["permissions"][0]
        for name in ("actions", "dataActions"):
            rights[name] = [one for one in rights[name] if one not in lacks]
        give(world, az.state)
        lines = AZURE.linking.preflight(account, ())
        assert {one.label for one in lines if one.outcome == "fail"} == lacks
        assert az.run(script(account_of_script)).returncode == 0
        give(world, az.state)
        assert {one.outcome for one in AZURE.linking.preflight(account, ())} == {"pass"}


def give(world, state):
    """Have the emulated Azure know the role and its assignment as the stand-in has them."""
    world.emulator.state["assignments"].clear()
    for role in state["roles"]:
        made = world.emulator.define_role(role["roleName"], role["permissions"][0])
        for one in state["assignments"]:
            world.emulator.assign(one["principalId"], made, condition=one["condition"] or "")


@pytest.mark.parametrize(
    "account",
    [unlinked(), linked(), linked(method="federation", external_id="sk-1")],
    ids=["new", "secret", "federation"],
)
def test_the_script_is_in_order(account):
    text = script(account)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert max(len(line) for line in text.splitlines() if not line.startswith("condition=")) <= 160
    if shutil.which("shellcheck"):
        found = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True, check=False)
        assert found.returncode == 0, found.stdout


def test_the_role_in_the_script_is_the_role_in_the_file(az):
    az.change(apps=[{"appId": CLIENT, "displayName": "console", "passwords": [], "federated": []}])
    assert az.run(script(linked())).returncode == 0
    [made] = [json.loads(call[4]) for call in az.calls if call[:3] == ["role", "definition", "create"]]
    wanted = definition(linked())
    assert {key: sorted(value) if isinstance(value, list) else value for key, value in wanted.items()} == {
        key: sorted(made[key]) if isinstance(made[key], list) else made[key] for key in wanted
    }
