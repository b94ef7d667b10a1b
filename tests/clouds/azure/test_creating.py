"""How Azure makes a store: names, accounts, regions; what all providers do alike: tests/clouds/contract."""

import subprocess
from uuid import UUID

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure import storage as azure_storage
from console.clouds.regions import regions
from console.clouds.steps import Conflict, Failed, NotReady
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, run, steps
from tests.worlds.azure import Azure

pytestmark = pytest.mark.slow  # Azurite is a process


# --- Names ----------------------------------------------------------------------------------------------------------


def test_bucket_names():
    found = AZURE.storage.names(UUID("00112233-4455-4677-8899-aabbccddeeff"), "westeurope", "x")
    assert found == ("pgbkiz3yrgnkxpgn33x7", "pgbliz3yrgnkxpgn33x7")
    assert all(len(name) == 20 and name.isalnum() and name == name.lower() for name in found)
    # A version 7 UUID begins with the time: two of one moment still differ.
    others = {AZURE.storage.names(UUID(f"0199{'0' * 12}{number:016x}"), "", "")[0] for number in range(50)}
    assert len(others) == 50


def test_identifier_is_the_resource_id(world):
    account = world.account()
    assert AZURE.storage.identifier(account, "pgbkx") == (
        f"/subscriptions/{account.number}/resourceGroups/rg-backups/providers/Microsoft.Storage/storageAccounts/pgbkx"
    )


# --- Creating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", Azure.regions)
@pytest.mark.parametrize("days", [0, 14])
def test_provision_steps_run_twice_leave_the_same_state(worlds, region, days):
    spec = make_spec(worlds, region, versions_days=days)
    for step in steps((*plans.creation(AZURE), *(plans.versions(AZURE) if days else ()))):
        step.run(spec)
        once = worlds.look()
        step.run(spec)
        assert worlds.look() == once
    found = worlds.tables()["accounts"]
    assert found[spec.bucket]["properties"] == {
        "allowBlobPublicAccess": False,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
        "isHnsEnabled": False,
        "allowSharedKeyAccess": worlds.node_access == "sas",
        "allowCrossTenantReplication": False,
    }
    assert found[spec.bucket]["tags"] == {
        "storekeeper:store-id": str(spec.id),
        "storekeeper:store-name": "Orders _EU_",
        "storekeeper:managed-by": "storekeeper",
    }
    assert {one["sku"] for one in found.values()} == {"Standard_LRS" if region == "westus" else "Standard_ZRS"}
    assert bool(found[spec.bucket]["blob_service"]["deleteRetentionPolicy"]["enabled"]) == bool(days)
    assert found[spec.bucket]["rules"] is None  # nothing ever deletes a backup
    for step in steps(plans.deletion(AZURE)):
        step.run(spec)
        step.run(spec)
    assert worlds.look() == {}


def test_provision_says_that_a_region_has_no_zones(world):
    made = plans.create(AZURE, make_spec(world, "westus"))
    assert made.note == "Azure keeps nothing in three zones of this region: all copies are in one (LRS)."
    assert plans.create(AZURE, make_spec(world)) is None


@pytest.mark.parametrize("tags", [{}, {"storekeeper:store-id": "another"}, {"team": "web"}])
@pytest.mark.parametrize("log", [True, False])
def test_provision_never_touches_an_account_that_is_not_the_stores(world, tags, log):
    spec = make_spec(world)
    name = spec.log_bucket if log else spec.bucket
    world.make_account(name, **tags)
    before = world.tables()["accounts"][name]
    with pytest.raises(Failed, match="exists in this resource group and does not belong to this store"):
        run(plans.creation(AZURE), spec)
    assert world.tables()["accounts"][name] == before
    run(plans.deletion(AZURE), spec)  # the store is deletable, and the account stays
    assert list(world.tables()["accounts"]) == [name]


@pytest.mark.parametrize("log", [True, False])
def test_provision_takes_a_new_name_when_somebody_in_azure_has_it(world, log):
    spec = make_spec(world)
    name = spec.log_bucket if log else spec.bucket
    world.emulator.state["taken"].append(name)
    with pytest.raises(Conflict) as raised:
        run(plans.creation(AZURE), spec)
    assert raised.value.details["bucket"] == name
    run(plans.deletion(AZURE), spec)
    assert world.tables()["accounts"] == {}


def test_provision_takes_a_new_name_when_another_resource_group_has_it(world):
    spec = make_spec(world)
    world.make_account(spec.bucket)
    world.emulator.state["accounts"][spec.bucket] |= {"group": "other", "group_name": "other"}
    with pytest.raises(Conflict):
        plans.create(AZURE, spec)


def test_provision_waits_for_azure_to_make_the_account(world, monkeypatch):
    world.emulator.creation_seconds = 0.4
    spec = make_spec(world)
    assert plans.create(AZURE, spec) is None
    world.emulator.creation_seconds = 30
    monkeypatch.setattr(azure_storage, "NEWEST_SHOWN", 0.1)
    with pytest.raises(NotReady, match="still making") as raised:
        plans.create_log(AZURE, spec)
    assert raised.value.patience == 600
    with pytest.raises(NotReady):
        plans.create_log(AZURE, spec)  # does not ask for it once more
    assert sum(call.startswith("PUT") and spec.log_bucket in call for call in world.calls()) == 1
    world.emulator.state["accounts"][spec.log_bucket]["made_at"] = 0
    assert plans.create_log(AZURE, spec) is None


def test_provision_says_which_policy_refuses(world):
    spec = make_spec(world)
    run(plans.creation(AZURE)[:2], spec)
    world.emulator.policy = "No diagnostic settings by hand"
    with pytest.raises(
        Failed, match=r"A policy of your organisation \(No diagnostic settings by hand\) forbids"
    ) as raised:
        plans.ensure(AZURE, "logging", spec)
    assert raised.value.details["code"] == "RequestDisallowedByPolicy"
    world.emulator.policy = ""
    run(plans.creation(AZURE), spec)


def test_provision_says_what_is_not_registered(world):
    world.emulator.unregistered.add("microsoft.storage")
    with pytest.raises(Failed, match=r"az provider register --namespace Microsoft\.Storage"):
        plans.create(AZURE, make_spec(world))


def test_provision_says_that_the_quota_is_full(world):
    world.emulator.quota = 1
    spec = make_spec(world)
    plans.create_log(AZURE, spec)
    with pytest.raises(Failed, match="as many storage accounts in westeurope as its quota allows"):
        plans.create(AZURE, spec)


def test_provision_says_that_the_resource_group_is_gone(world):
    world.emulator.state["groups"].clear()
    with pytest.raises(Failed, match="resource group rg-backups is not there any more"):
        plans.create(AZURE, make_spec(world))


# --- The console's role ---------------------------------------------------------------------------------------------


def test_stores_can_be_in_every_region_of_azure(world):
    assert AZURE.storage.regions(world.account()) == list(regions("azure"))
    assert len(regions("azure")) > 40


def test_sdk_is_loaded_when_it_is_first_needed():
    """A console without Azure does not pay for it."""
    text = "import sys, console.clouds; print(any(name.startswith('azure.') for name in sys.modules))"
    found = subprocess.run(["python", "-c", text], capture_output=True, text=True, check=True, env=_environment())
    assert found.stdout == "False\n"


def _environment():
    import os
    import sys
    from pathlib import Path

    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
