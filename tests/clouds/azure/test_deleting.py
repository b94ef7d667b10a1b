"""How Azure takes a store away, and puts everything back when it may not."""

import subprocess

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure import storage as azure_storage
from console.clouds.steps import Failed, NotReady, Refused, TooLate
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, node_client, run, steps

pytestmark = pytest.mark.slow  # Azurite is a process


def test_remove_refuses_while_anything_is_left_and_puts_everything_back(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    worlds.put(spec, "c-a/n1/x", b"12345")
    wanted = worlds.look()
    for step in steps(plans.deletion(AZURE))[:2]:
        with pytest.raises(Refused, match="still holds 1 object") as raised:
            step.run(spec)
        assert worlds.look() == wanted
    commands = raised.value.details["commands"]
    assert "az storage container delete" in commands
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)
    worlds.wipe(spec)
    run(plans.deletion(AZURE), spec)
    assert worlds.look() == {}


def test_remove_looks_once_more_when_everything_is_closed(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    plans.check_empty(AZURE, spec)
    worlds.put(spec, "c-a/n1/x", b"late")
    with pytest.raises(Refused):
        plans.delete_backups(AZURE, spec)


def test_remove_counts_what_was_deleted_and_is_kept(world):
    spec = make_spec(world, versions_days=7)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    access = run(AZURE.access.grant, world.access(spec))
    node = node_client(world, spec, access)
    node.upload_blob(f"{access.prefix}/x", b"1234567")
    node.upload_blob(f"{access.prefix}/x", b"12", overwrite=True)
    node.delete_blob(f"{access.prefix}/x")
    found = plans.contents(AZURE, spec, lambda counted: None)
    assert (found.objects, found.older, found.size, found.versioned) == (0, 2, 9, True)
    with pytest.raises(Refused, match="2 older versions") as raised:
        run(plans.deletion(AZURE), spec)
    assert "--enable-delete-retention false" in raised.value.details["commands"]


def test_remove_leaves_a_lock_of_others(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    lock = f"{world.emulator.group_id}/providers/microsoft.authorization/locks/ours".lower()
    world.emulator.state["locks"][lock] = {"id": lock, "scope": world.emulator.group_id, "properties": {}}
    with pytest.raises(NotReady, match="if there is another, perhaps on the resource group rg-backups"):
        plans.delete_backups(AZURE, spec)
    assert spec.bucket in world.tables()["accounts"]
    del world.emulator.state["locks"][lock]
    run(plans.deletion(AZURE), spec)


def test_remove_asks_for_a_lost_tag(world):
    spec = make_spec(world, complete=True)
    run(plans.creation(AZURE), spec)
    world.emulator.state["accounts"][spec.bucket]["tags"].clear()
    with pytest.raises(Failed, match="does not carry this store's tag"):
        run(plans.deletion(AZURE), spec)
    assert spec.bucket in world.tables()["accounts"]


def test_restore_puts_back_what_a_deletion_has_changed(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    wanted = worlds.look()
    backups = azure_storage.StorageAccount(spec, spec.bucket)
    backups.update(properties={"allowSharedKeyAccess": False})
    backups.unlock()
    backups.stop_logging()
    assert worlds.look() != wanted
    run(plans.cancellation(AZURE), spec)
    assert worlds.look() == wanted
    run(plans.deletion(AZURE)[:2], spec)
    with pytest.raises(TooLate):
        run(plans.cancellation(AZURE), spec)


def test_logs_that_are_kept_go_when_they_have_expired(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    world.put_log(spec)
    run(plans.deletion_but_logs(AZURE), spec)
    assert list(world.tables()["accounts"]) == [spec.log_bucket]
    assert not plans.clear_logs(AZURE, spec, False)
    assert not plans.clear_logs(AZURE, spec, True)  # one is left
    world.emulator.blobs.drop(f"{spec.log_bucket}/insights-logs-storageread")
    assert not plans.clear_logs(AZURE, spec, False)
    assert plans.clear_logs(AZURE, spec, True)
    assert plans.clear_logs(AZURE, spec, False)
    assert world.tables()["accounts"] == {}


def test_contents_counts_unfinished_uploads_and_tells(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    for number in range(3):
        world.put(spec, f"{access.prefix}/{number}", b"12")
    node_client(world, spec, access).get_blob_client(f"{access.prefix}/open").stage_block("MDA=", b"123")
    told = []
    found = plans.contents(AZURE, spec, told.append)
    assert (found.objects, found.uploads, found.older) == (3, 1, 0)
    assert told == [3]
    assert not plans.contents(AZURE, make_spec(world), told.append).exists
