"""What both buckets of a store should have: seen, mended, and never taken over from others."""

from uuid import uuid4

import pytest

from console.clouds.google import buckets as google_buckets
from console.clouds.inspection import PRESENCE, inspect
from console.clouds.steps import Failed
from tests.clouds.google.specs import GOOGLE, take_permission


def test_controls_are_as_wanted_after_provision(world, store):
    assert {finding.state for finding in inspect(GOOGLE.storage.settings(store))} == {"ok"}
    assert all(control.describe(control.observe()) for control in GOOGLE.storage.settings(store))


@pytest.mark.parametrize(
    "key", ["tags", "access", "principals", "lifecycle", "soft_delete", "logging", "log_delivery", "holds"]
)
def test_controls_see_and_mend_what_was_spoilt(world, store, key):
    wanted = world.look()
    world.spoils(store)[key]()
    assert world.look() != wanted
    off = {(one.key, one.log) for one in inspect(GOOGLE.storage.settings(store)) if one.state == "off"}
    assert key in {name for name, _ in off}
    for control in GOOGLE.storage.settings(store):
        if (control.key, control.log) in off:
            control.ensure()
    assert {finding.state for finding in inspect(GOOGLE.storage.settings(store))} == {"ok"}
    assert world.look() == wanted


def test_labels_beside_ours_stay(world, store):
    world.emulator.storage.buckets[store.bucket].settings["labels"] = {"team": "web"}
    [control] = [one for one in GOOGLE.storage.settings(store) if one.key == "tags" and not one.log]
    control.ensure()
    assert world.buckets()[store.bucket]["labels"] == {"team": "web", **google_buckets.labels(store)}


def test_controls_say_when_a_bucket_is_gone(world, store):
    del world.emulator.storage.buckets[store.log_bucket]
    found = inspect(GOOGLE.storage.settings(store))
    assert [(one.key, one.state) for one in found if one.log] == [(PRESENCE, "gone")]
    assert {one.state for one in found if not one.log} == {"ok"}


def test_controls_say_what_the_console_may_not_see(world, store):
    take_permission(world, "storage.buckets.getIamPolicy")
    unseen = [one for one in inspect(GOOGLE.storage.settings(store)) if one.state == "unseen"]
    assert {one.key for one in unseen} == {"principals", "log_delivery"}
    assert "storage.buckets.getIamPolicy is refused" in unseen[0].words


def test_controls_leave_another_stores_labels(world, store):
    world.emulator.storage.buckets[store.bucket].settings["labels"]["storekeeper-store-id"] = str(uuid4())
    [control] = [one for one in GOOGLE.storage.settings(store) if one.key == "tags" and not one.log]
    with pytest.raises(Failed, match="carries the label of another store"):
        control.ensure()


def holds(store):
    [control] = [one for one in GOOGLE.storage.settings(store) if one.key == "holds"]
    return control


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"retentionPolicy": {"retentionPeriod": "864000"}}, "Nothing is overwritten or deleted for 10 days"),
        ({"retentionPolicy": {"retentionPeriod": "3600"}}, "for 60 minutes"),
        ({"defaultEventBasedHold": True}, "New objects are held until somebody releases each"),
    ],
)
def test_what_keeps_pgbackrest_from_expiring_is_found_and_taken_off(world, store, there, words):
    world.emulator.storage.buckets[store.bucket].settings.update(there)
    control = holds(store)
    assert not control.matches(control.observe())
    assert words in control.describe(control.observe())
    control.ensure()
    assert control.matches(control.observe())


def test_a_locked_retention_policy_is_said_and_no_repair_is_offered(world, store):
    there = {"retentionPolicy": {"retentionPeriod": "864000", "isLocked": True}, "defaultEventBasedHold": True}
    world.emulator.storage.buckets[store.bucket].settings.update(there)
    [found] = [one for one in inspect(GOOGLE.storage.settings(store)) if one.state == "off"]
    assert (found.key, found.repairable) == ("holds", False)
    with pytest.raises(Failed, match="is locked, which nobody can undo"):
        holds(store).ensure()
    assert world.emulator.storage.buckets[store.bucket].settings["retentionPolicy"] == there["retentionPolicy"]


def test_what_the_owner_of_an_added_bucket_promised_is_kept_and_warned_of(world, store):
    there = {"retentionPolicy": {"retentionPeriod": "864000"}}
    world.emulator.storage.buckets[store.bucket].settings.update(there)
    assert not GOOGLE.existing.adjusted(store, holds(store)).repairable(holds(store).observe())
    found = GOOGLE.existing.find(store.account, store.bucket)
    assert any("can neither overwrite its lists nor expire" in one for one in found.warnings)
