"""How Google makes a store, protected or not; what all providers do alike: tests/clouds/contract."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from console.clouds.calls import CALLS as COUNTED
from console.clouds.google import buckets as google_buckets
from console.clouds.google.errors import CallTarget
from console.clouds.steps import Conflict, Failed, LeaseLost, is_held
from console.demo.emulators.google.emulator import PROJECT
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, make_spec, run, steps
from tests.worlds.google import Google

# --- Names ----------------------------------------------------------------------------------------------------------


def test_bucket_names_are_never_illegal():
    worst = UUID(bytes=base64.b32decode("GOOGLEGOOGLEGOOGLEGOOGLEGI======"))  # would spell it four times over
    for store_id in (worst, *(uuid4() for _ in range(200))):
        bucket, log_bucket = GOOGLE.storage.names(store_id, "europe-west1", PROJECT)
        assert log_bucket == f"{bucket}-log"
        assert "g" not in bucket.removeprefix("pgbk-")
        assert re.fullmatch(r"pgbk-[a-z0-9]{26}", bucket)
        assert (google_buckets.kind_of(bucket), google_buckets.kind_of(log_bucket)) == ("backup", "log")
        assert google_buckets.id_in(bucket) == google_buckets.id_in(log_bucket) == str(store_id)
    assert google_buckets.kind_of("pgbk-by-hand") == google_buckets.id_in("pgbk-by-hand") == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("Orders (EU)", "orders__eu"), ("Zürich <prod>\n", "z_rich__prod"), ("x" * 99, "x" * 63), ("", "")],
)
def test_labels_are_cleaned_and_cut(name, value):
    assert google_buckets.label_value(name) == value


# --- Creating -------------------------------------------------------------------------------------------------------


def test_provision_is_six_calls_in_two_rounds(world):
    spec = make_spec(world)
    run(plans.creation(GOOGLE), spec)
    assert [call.operation for call in world.emulator.calls] == [
        *("buckets.insert", "buckets.insert"),
        *("buckets.getIamPolicy", "buckets.setIamPolicy", "buckets.getIamPolicy", "buckets.setIamPolicy"),
    ]
    assert {call.status for call in world.emulator.calls} == {200}


@pytest.mark.parametrize("region", Google.regions)
def test_provision_leaves_what_the_specification_says(world, region):
    spec = make_spec(world, region)
    run(plans.creation(GOOGLE), spec)
    buckets = world.buckets()
    for name in (spec.bucket, spec.log_bucket):
        assert buckets[name]["location"] == region.upper()
        assert buckets[name]["labels"] == {
            "storekeeper-store-id": str(spec.id),
            "storekeeper-store-name": "orders__eu",
            "storekeeper-managed-by": "storekeeper",
        }
        assert buckets[name]["iamConfiguration"] == {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        }
        assert buckets[name]["softDeletePolicy"] == {"retentionDurationSeconds": "0"}
        members = {member for binding in buckets[name]["bindings"] for member in binding["members"]}
        assert members <= {f"projectOwner:{PROJECT}", "group:cloud-storage-analytics@google.com"}
    log, backup = buckets[spec.log_bucket], buckets[spec.bucket]
    assert backup["logging"] == {"logBucket": spec.log_bucket, "logObjectPrefix": "access"}
    assert backup["lifecycle"]["rule"] == [
        {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}}
    ]
    assert log["lifecycle"]["rule"][0] == {"action": {"type": "Delete"}, "condition": {"age": 90}}
    writer = {"role": "roles/storage.objectCreator", "members": ["group:cloud-storage-analytics@google.com"]}
    assert writer in log["bindings"]
    assert writer not in backup["bindings"]


def test_provision_runs_twice_and_leaves_the_same(world):
    spec = make_spec(world)
    for step in steps(plans.creation(GOOGLE)):
        step.run(spec)
        once = world.look()
        step.run(spec)
        assert world.look() == once
    for step in steps(plans.deletion(GOOGLE)):
        step.run(spec)
        step.run(spec)
    assert world.buckets() == {}
    run(plans.deletion(GOOGLE), spec)


def test_provision_runs_the_steps_of_a_round_at_once(world):
    spec = make_spec(world)
    with ThreadPoolExecutor() as pool:
        for stage in plans.creation(GOOGLE):
            list(pool.map(lambda step: step.run(spec), stage))
    assert len(world.calls()) == 6


@pytest.mark.parametrize("log", [False, True])
def test_provision_never_touches_a_bucket_that_is_not_the_stores(world, log):
    spec = make_spec(world)
    world.occupy(spec, log=log)
    occupied = spec.log_bucket if log else spec.bucket
    before = world.buckets()[occupied]
    with pytest.raises(Failed, match="does not belong to this store"):
        run(plans.creation(GOOGLE), spec)
    run(plans.deletion(GOOGLE), spec)
    assert world.buckets() == {occupied: before}


@pytest.mark.parametrize("lets_in", [False, True])
def test_provision_takes_another_name_when_another_project_has_it(world, lets_in):
    theirs = "somebody-elses"
    world.emulator.add_project(theirs, "999")
    stranger = world.emulator.administrator("stranger", "roles/storage.admin", project=theirs)
    spec = make_spec(world)
    labels = google_buckets.labels(spec)  # a name that somebody took on purpose, with our labels on it
    body = {"name": spec.bucket, "location": "us", "labels": labels}
    world.emulator.storage.insert(stranger["client_email"], {"project": theirs}, body)
    if lets_in:
        world.emulator.grant(world.key_file["client_email"], "roles/storage.admin", project=theirs)
    before = world.buckets()[spec.bucket]
    with pytest.raises(Conflict, match="is taken in another project") as raised:
        run(plans.creation(GOOGLE), spec)
    assert raised.value.details["bucket"] == spec.bucket
    run(plans.deletion(GOOGLE), spec)
    assert world.buckets() == {spec.bucket: before}


def test_provision_adopts_its_own_bucket_and_brings_it_back(world, store):
    wanted = world.look()
    for key, change in world.spoils(store).items():
        if key != "tags":  # which say whose it is
            change()
    assert world.look() != wanted
    run(plans.creation(GOOGLE), store)
    assert world.look() == wanted


def test_provision_does_not_use_its_bucket_in_another_place(world, store):
    with pytest.raises(Failed, match="in EUROPE-WEST1 instead of us-central1"):
        run(plans.creation(GOOGLE), replace(store, region="us-central1"))


def test_a_lost_lease_stops_each_call(world):
    token = is_held.set(lambda: False)
    try:
        with pytest.raises(LeaseLost):
            run(plans.creation(GOOGLE), make_spec(world))
    finally:
        is_held.reset(token)
    assert world.calls() == []


def test_calls_are_counted(world, store):
    before = COUNTED.labels("storage", "buckets.get", "notFound")._value.get()
    bucket = make_spec(world)
    assert google_buckets.Bucket(CallTarget(store.account, "x", path={"bucket": bucket.bucket}), "x").read() is None
    assert COUNTED.labels("storage", "buckets.get", "notFound")._value.get() == before + 1


# --- Protected stores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "versions", "soft"),
    [(0, 0, 0), (1, 0, 7), (7, 0, 7), (30, 0, 30), (90, 0, 90), (91, 1, 90), (400, 310, 90)],
)
def test_protection_is_soft_delete_and_versions_beyond_it(world, days, versions, soft):
    spec = make_spec(world, versions_days=days)
    run((*plans.creation(GOOGLE), *plans.versions(GOOGLE)), spec)
    bucket = world.buckets()[spec.bucket]
    assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": str(soft * 86400)}
    assert bucket.get("versioning", {}).get("enabled", False) is (versions > 0)
    kept = [one["condition"].get("daysSinceNoncurrentTime") for one in bucket["lifecycle"]["rule"]]
    assert kept == ([None, versions] if versions else [None])
    assert all(control.matches(control.observe()) for control in GOOGLE.storage.settings(spec))


def test_protection_that_is_longer_is_not_weakened(world):
    spec = make_spec(world, versions_days=30)
    run(plans.creation(GOOGLE), spec)
    settings = world.emulator.storage.buckets[spec.bucket].settings
    settings["softDeletePolicy"] = {"retentionDurationSeconds": str(60 * 86400)}
    [control] = [one for one in GOOGLE.storage.settings(spec) if one.key == "soft_delete" and not one.log]
    assert control.fixed
    assert control.matches(control.observe())
    run(plans.versions(GOOGLE), spec)
    assert settings["softDeletePolicy"]["retentionDurationSeconds"] == str(60 * 86400)
    settings["softDeletePolicy"] = {"retentionDurationSeconds": "0"}
    assert not control.matches(control.observe())
    control.ensure()
    assert control.matches(control.observe())


def test_what_a_protected_store_keeps_does_not_hold_up_its_deletion(world):
    spec = make_spec(world, versions_days=30, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.put(spec, "c-x/n1/one", b"1")
    world.emulator.storage.delete_object(world.root(), spec.bucket, "c-x/n1/one", {})
    assert world.emulator.storage.buckets[spec.bucket].objects["c-x/n1/one"][0].lost
    run(plans.deletion(GOOGLE), spec)
    assert world.buckets() == {}
