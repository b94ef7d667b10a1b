"""What both accounts of a store should have: seen, mended, and never taken over from others."""

import subprocess
from dataclasses import replace

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure.accounts import expiry
from console.clouds.inspection import inspect
from console.clouds.steps import Failed
from tests.clouds import plans
from tests.clouds.azure.specs import OTHER, make_spec, run

pytestmark = pytest.mark.slow  # Azurite is a process


# --- What both accounts should have ---------------------------------------------------------------------------------


SPOILT = ("tags", "public_access", "tls", "https", "shared_keys", "lifecycle", "logging", "delete_lock", "versions")


def test_controls_see_and_mend_what_was_spoilt(worlds):
    spec = make_spec(worlds, versions_days=7, complete=True)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    wanted = worlds.look()
    assert all(control.matches(control.observe()) for control in AZURE.storage.settings(spec))
    for key in SPOILT:
        worlds.spoils(spec)[key]()
        assert worlds.look() != wanted, key
        off = [control for control in AZURE.storage.settings(spec) if not control.matches(control.observe())]
        assert [control.key for control in off] == [key]
        [control] = off
        assert control.describe(control.observe()) != control.describe(control.wanted)
        control.ensure()
        assert worlds.look() == wanted, key


def test_controls_of_an_account_that_is_gone_say_so(world):
    found = inspect(AZURE.storage.settings(make_spec(world)))
    assert [(line.key, line.log, line.state) for line in found] == [("bucket", True, "gone"), ("bucket", False, "gone")]


def test_controls_want_no_rule_that_deletes_backups(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    world.emulator.state["accounts"][spec.bucket]["rules"] = expiry()
    [control] = [one for one in AZURE.storage.settings(spec) if (one.key, one.log) == ("lifecycle", False)]
    assert control.describe(control.observe()) == "Deletes after 90 days"
    control.ensure()
    assert world.tables()["accounts"][spec.bucket]["rules"] is None


def test_controls_keep_the_tags_of_others_and_never_take_over(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    tags = world.emulator.state["accounts"][spec.bucket]["tags"]
    tags.update({"team": "web", "storekeeper:store-name": "?"})
    [control] = [one for one in AZURE.storage.settings(spec) if (one.key, one.log) == ("tags", False)]
    control.ensure()
    assert world.tables()["accounts"][spec.bucket]["tags"]["team"] == "web"
    world.emulator.state["accounts"][spec.bucket]["tags"] = {"storekeeper:store-id": OTHER}
    with pytest.raises(Failed, match="belongs to another store"):
        control.ensure()


def test_soft_delete_is_never_shortened(world):
    spec = make_spec(world, versions_days=7)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), replace(spec, versions_days=30))
    run(plans.versions(AZURE), spec)
    assert world.tables()["accounts"][spec.bucket]["blob_service"]["deleteRetentionPolicy"]["days"] == 30


# --- What belongs to no store ---------------------------------------------------------------------------------------


def test_survey_finds_what_belongs_to_no_store(world):
    spec, known = make_spec(world), make_spec(world)
    run(plans.creation(AZURE), spec)
    run(plans.creation(AZURE), known)
    world.make_account("pgbkshort")
    world.make_account("acmewebsite")
    found = {one.name: one for one in AZURE.storage.list_unmanaged(world.account(), {known.bucket, known.log_bucket})}
    assert set(found) == {spec.bucket, spec.log_bucket}
    assert found[spec.bucket].kind == "backup"
    assert found[spec.log_bucket].kind == "log"
    assert found[spec.bucket].store_id == str(spec.id)
    assert found[spec.bucket].region == "westeurope"
    commands = AZURE.storage.delete_commands(world.account(), spec.bucket, "westeurope")
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)
    assert f"az storage account delete --name {spec.bucket} " in commands
