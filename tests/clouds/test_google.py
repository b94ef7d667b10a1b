"""What the Google provider does, against our emulator of Google, with exactly the roles that the console asks for."""

import base64
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.calls import CALLS as COUNTED
from console.clouds.contract import DeploymentSettings, LinkError, StoreSpec, Unproven
from console.clouds.google import buckets as google_buckets
from console.clouds.google import session as google_session
from console.clouds.google.errors import CALLS, CallTarget
from console.clouds.google.linking import FIELDS
from console.clouds.google.permissions import CONSEQUENCES, needed, roles
from console.clouds.inspection import PRESENCE, inspect
from console.clouds.steps import Conflict, Failed, LeaseLost, NotReady, Refused, StepError, TooLate, is_held
from console.demo.emulators.google.administration import Administration
from console.demo.emulators.google.emulator import NUMBER, PROJECT
from console.demo.emulators.google.iam import Condition, Refusal, service_disabled
from tests.clouds import plans
from tests.worlds.google import PREFIX, Google

GOOGLE = CLOUDS["google"]


@pytest.fixture(scope="module")
def shared():
    world = Google()
    yield world
    world.close()


@pytest.fixture
def world(shared, monkeypatch):
    # Whatever the machine knows of Google must not matter.
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    shared.reset()
    return shared


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    """Run the plan, and return the spec with what its steps gave to keep."""
    for step in steps(plan):
        made = step.run(spec)
        if made and made.keep is not None:
            spec = replace(spec, keys=made.keep)
    return spec


def make_spec(world, region="europe-west1", **values):
    store_id = uuid4()
    account = values.pop("account", None) or world.account()
    names = GOOGLE.storage.names(store_id, region, account.number)
    return StoreSpec(store_id, "Orders (EU)", account, region, *names, **values)


@pytest.fixture
def store(world):
    spec = make_spec(world, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.forget()
    return spec


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


# --- Posture --------------------------------------------------------------------------------------------------------


def test_controls_are_as_wanted_after_provision(world, store):
    assert {finding.state for finding in inspect(GOOGLE.storage.settings(store))} == {"ok"}
    assert all(control.describe(control.observe()) for control in GOOGLE.storage.settings(store))


@pytest.mark.parametrize("key", ["tags", "access", "principals", "lifecycle", "soft_delete", "logging", "log_delivery"])
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


# --- Deleting -------------------------------------------------------------------------------------------------------


def test_remove_deletes_the_backup_bucket_first_and_no_object_of_it(world, store):
    world.put_log(store)
    run(plans.deletion(GOOGLE), store)
    deleted = [call.about for call in world.emulator.calls if call.operation.endswith(".delete")]
    assert deleted[0] == store.bucket
    assert deleted[1].startswith(f"{store.log_bucket}/access_usage")
    assert deleted[2:] == [store.log_bucket]
    assert world.buckets() == {}


def test_remove_refuses_what_is_not_empty(world, store):
    for number in range(3):
        world.put(store, f"c-x/{number}", b"12")
    before = world.look()
    with pytest.raises(Refused, match="still holds 3 objects") as raised:
        run(plans.deletion(GOOGLE), store)
    command = f"gcloud storage rm --all-versions 'gs://{store.bucket}/**' --project={PROJECT}"
    assert raised.value.details["commands"] == command
    assert world.look() == before
    run(plans.cancellation(GOOGLE), store)
    assert world.look() == before
    world.wipe(store)
    run(plans.deletion(GOOGLE), store)
    with pytest.raises(TooLate):
        run(plans.cancellation(GOOGLE), store)


def test_remove_refuses_noncurrent_versions(world):
    spec = make_spec(world, versions_days=120, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.put(spec, "one", b"1")
    world.put(spec, "one", b"2")
    world.emulator.storage.delete_object(world.root(), spec.bucket, "one", {})
    with pytest.raises(Refused, match="still holds 2 older versions"):
        run(plans.deletion(GOOGLE), spec)


def test_remove_loses_the_race_against_a_writer(world, store):
    plans.deletion(GOOGLE)[0][0].run(store)
    world.put(store, "late", b"1")
    with pytest.raises(Refused, match="1 object"):
        plans.deletion(GOOGLE)[1][0].run(store)
    assert store.bucket in world.buckets()


def test_remove_but_logs_keeps_them(world, store):
    world.put_log(store)
    run(plans.deletion_but_logs(GOOGLE), store)
    assert [*world.buckets()] == [store.log_bucket]
    assert plans.clear_logs(GOOGLE, store, True) is False
    world.emulator.storage.buckets[store.log_bucket].objects.clear()
    assert plans.clear_logs(GOOGLE, store, False) is False
    assert plans.clear_logs(GOOGLE, store, True) is True
    assert plans.clear_logs(GOOGLE, store, True) is True
    assert world.buckets() == {}


def test_remove_leaves_what_lost_its_label(world, store):
    world.emulator.storage.buckets[store.bucket].settings["labels"] = {}
    with pytest.raises(Failed, match="does not carry this store's label"):
        run(plans.deletion(GOOGLE), store)
    assert run(plans.deletion(GOOGLE), replace(store, complete=False))  # never finished: then it is somebody else's
    assert [*world.buckets()] == [store.bucket]


def test_remove_does_not_call_a_refusal_somebody_elses(world, store):
    take_permission(world, "storage.buckets.get")
    with pytest.raises(Failed) as raised:
        run(plans.deletion(GOOGLE), store)
    assert raised.value.details["action"] == "storage.buckets.get"


def test_contents_counts_page_by_page(world, store, monkeypatch):
    monkeypatch.setattr(google_buckets, "PAGE", 4)
    for number in range(10):
        world.put(store, f"c-x/{number}", b"123")
    told = []
    found = plans.contents(GOOGLE, store, told.append)
    assert (found.objects, found.size, found.more, told) == (10, 30, False, [4, 8, 10])
    monkeypatch.setattr(google_buckets, "COUNT_AT_MOST", 8)
    assert google_buckets.Bucket.contents.__defaults__  # bound when it was defined, so it is asked for here
    found = google_buckets.Bucket(CallTarget(store.account, "x", path={"bucket": store.bucket}), "x")
    assert found.contents(told.append, 8).more
    assert not plans.contents(GOOGLE, make_spec(world), told.append).exists


def test_survey_finds_what_no_store_knows(world, store):
    other = make_spec(world)
    run(plans.creation(GOOGLE), other)
    world.emulator.storage.insert(world.root(), {"project": PROJECT}, {"name": "pgbk-by-hand", "location": "EU"})
    world.emulator.storage.insert(world.root(), {"project": PROJECT}, {"name": "unrelated", "location": "EU"})
    world.forget()
    found = {one.name: one for one in GOOGLE.storage.list_unmanaged(store.account, {store.bucket, store.log_bucket})}
    assert {name: one.kind for name, one in found.items()} == {
        other.bucket: "backup",
        other.log_bucket: "log",
        "pgbk-by-hand": "",
    }
    assert found[other.bucket].store_id == str(other.id)
    assert (found[other.bucket].region, found[other.bucket].store_name) == ("europe-west1", "orders__eu")
    assert len(world.calls()) == 1  # the labels come with the list
    assert GOOGLE.storage.delete_commands(store.account, "pgbk-by-hand", "eu") == (
        f"gcloud storage buckets delete gs://pgbk-by-hand --project={PROJECT}"
    )


def test_objects_reads_what_a_repository_holds(world, store):
    for key in ("c-x/n1/backup/main/backup.info", "c-x/n1/archive/main/15-1/0001", "c-x/n2/backup/main/backup.info"):
        world.put(store, key, key.encode())
    reader = GOOGLE.storage.objects(store)
    assert reader.folders("c-x/") == ["n1", "n2"]
    assert reader.folders("c-x/n1/") == ["archive", "backup"]
    assert [(one.key, one.size) for one in reader.entries("c-x/n2/")] == [("c-x/n2/backup/main/backup.info", 30)]
    assert reader.read("c-x/n1/backup/main/backup.info", 1000) == b"c-x/n1/backup/main/backup.info"
    assert reader.read("c-x/n1/backup/main/backup.info", 4) == b"c-x/"
    assert reader.read("c-x/n3/backup/main/backup.info", 4) is None
    with pytest.raises(Failed) as raised:  # nor may the console read a backup
        reader.read("c-x/n1/archive/main/15-1/0001", 4)
    assert raised.value.details["action"] == "storage.objects.get"


# --- Nodes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def granted(world, store):
    return run(GOOGLE.access.grant, world.access(store))


def test_grant_makes_a_service_account_bound_to_the_clusters_folder(world, store, granted):
    email = f"pgbk-{PREFIX}@{PROJECT}.iam.gserviceaccount.com"
    assert world.accounts() == {email: {"description": f"storekeeper-cluster-id={granted.id}", "keys": 1}}
    [binding] = [one for one in world.buckets()[store.bucket]["bindings"] if "condition" in one]
    assert (binding["role"], binding["members"]) == ("roles/storage.objectUser", [f"serviceAccount:{email}"])
    holds = Condition(binding["condition"]["expression"]).holds
    object_name = f"projects/_/buckets/{store.bucket}/objects/"
    prefix = "storage.googleapis.com/objectListPrefix"
    assert holds({"resource.name": f"{object_name}{PREFIX}/n1/x"})
    assert holds({"resource.name": f"projects/_/buckets/{store.bucket}", prefix: f"{PREFIX}/n1/"})
    for other in (f"{object_name}{PREFIX}x/n1", f"{object_name}c-other/n1", object_name):
        assert not holds({"resource.name": other})
    for listed in ("", "c-", PREFIX, f"{PREFIX}x/"):
        assert not holds({"resource.name": f"projects/_/buckets/{store.bucket}", prefix: listed})
    assert GOOGLE.access.policy(granted) == {store.bucket: {"version": 3, "bindings": [binding]}}
    assert GOOGLE.access.facts(granted) == [("Service Account", email), ("Key ID", granted.keys["private_key_id"])]


def test_grant_runs_twice_and_keeps_the_key(world, granted):
    once = world.look()
    assert run(GOOGLE.access.grant, granted) == granted
    assert world.look() == once


def test_grant_deletes_keys_that_nobody_keeps(world, granted):
    account = next(one for one in world.emulator.directory.accounts.values() if one.email.startswith("pgbk-"))
    for _ in range(9):
        world.emulator.directory.add_key(account, world.emulator.token_uri)
    lost = replace(granted, keys={})  # as after a crash right after the key was made: Google has ten now
    again = run(GOOGLE.access.grant, lost)
    assert [*account.keys] == [again.keys["private_key_id"]] != [granted.keys["private_key_id"]]


def test_grant_follows_the_attached_stores(world, store, granted):
    other = make_spec(world)
    run(plans.creation(GOOGLE), other)
    run(GOOGLE.access.grant, replace(granted, buckets=(other.bucket,)))
    buckets = world.buckets()
    assert not any("condition" in one for one in buckets[store.bucket]["bindings"])
    assert any("condition" in one for one in buckets[other.bucket]["bindings"])
    run(GOOGLE.access.revoke, replace(granted, buckets=()))
    assert not any("condition" in one for one in world.buckets()[other.bucket]["bindings"])
    run(GOOGLE.access.delete, granted)
    run(GOOGLE.access.delete, granted)
    assert world.accounts() == {}


def test_grant_of_two_clusters_at_once_loses_neither(world, store):
    clusters = [replace(world.access(store), prefix=f"c-{number:012}") for number in range(4)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda spec: settled(GOOGLE.access.grant[:2], spec), clusters))
    bindings = world.buckets()[store.bucket]["bindings"]
    assert len([one for one in bindings if "condition" in one]) == 4


def settled(plan, spec, tries=5):
    for _ in range(tries):
        try:
            return run(plan, spec)
        except NotReady:
            continue
    raise AssertionError("it never settled")


def test_grant_forgets_a_service_account_that_was_deleted(world, store, granted):
    email = next(one for one in world.emulator.directory.accounts if one.startswith("pgbk-"))
    account = world.emulator.directory.accounts.pop(email)
    emulator = world.emulator
    Administration(emulator.directory, emulator.storage, emulator.token_uri)._mark_deleted(email, account.unique_id)
    run(GOOGLE.access.grant, granted)
    bindings = world.buckets()[store.bucket]["bindings"]
    assert not any("deleted:" in member for one in bindings for member in one["members"])


def test_grant_leaves_a_service_account_that_is_not_the_clusters(world, store):
    project = world.emulator.directory.projects[PROJECT]
    world.emulator.directory.add_account(project, f"pgbk-{PREFIX}", description="by hand")
    before = world.look()
    spec = world.access(store)
    with pytest.raises(Failed, match="was left alone"):
        run(GOOGLE.access.grant, spec)
    run(GOOGLE.access.delete, spec)
    assert world.look() == before
    with pytest.raises(Failed, match="was left alone"):
        run(GOOGLE.access.revoke, spec)


def test_grant_without_keys_when_nodes_are_machines_of_google(world, store):
    account = world.account(node_access="attached")
    spec = replace(world.access(store), account=account)
    granted = run(GOOGLE.access.grant, spec)
    assert not granted.keys
    assert not any(one.keys for one in world.emulator.directory.accounts.values() if one.email.startswith("pgbk-"))
    assert (
        dict(GOOGLE.access.repository(store, granted).options)["gcs-key-type"] == "service"
    )  # the store's own account says
    options = dict(GOOGLE.access.repository(replace(store, account=account), granted).options)
    assert (options["gcs-key-type"], "gcs-key" in options) == ("auto", False)
    assert not GOOGLE.access.repository(replace(store, account=account), granted).lacks
    assert f"has no key for {store.name} yet" in GOOGLE.access.repository(store, granted).lacks
    assert ("Access Scope of the Machines", "https://www.googleapis.com/auth/devstorage.read_write") in (
        GOOGLE.access.facts(granted)
    )


def test_repository_hands_over_the_key_as_a_file(world, store, granted):
    found = GOOGLE.access.repository(store, granted)
    assert dict(found.options) == {
        "type": "gcs",
        "gcs-bucket": store.bucket,
        "gcs-endpoint": world.emulator.url.removeprefix("https://"),
        "gcs-key-type": "service",
    }
    [file] = found.files
    assert (file.option, file.name) == ("gcs-key", f"gcs-{granted.keys['private_key_id'][:8]}.json")
    assert json.loads(file.content)["client_email"] == f"pgbk-{PREFIX}@{PROJECT}.iam.gserviceaccount.com"
    assert "PRIVATE KEY" not in repr(found) + repr(granted)
    real = replace(store, account=replace(store.account, deployment=DeploymentSettings()))
    [file] = GOOGLE.access.repository(real, granted).files
    assert json.loads(file.content)["token_uri"] == "https://oauth2.googleapis.com/token"
    assert "gcs-endpoint" not in dict(GOOGLE.access.repository(real, granted).options)
    assert not GOOGLE.access.repository(real, granted).lacks


# --- Permissions ----------------------------------------------------------------------------------------------------


def take_permission(world, permission):
    project = world.emulator.directory.projects[PROJECT]
    for name, permissions in project.roles.items():
        project.roles[name] = tuple(one for one in permissions if one != permission)


def whole_life(world):
    """Link, create, repair, attach, look, detach, dismiss, delete: every call that the provider knows."""
    account = world.account()
    GOOGLE.linking.identify(account)
    spec = make_spec(world, account=account, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.spoils(spec)["lifecycle"]()
    world.emulator.storage.buckets[spec.bucket].settings["logging"] = {}
    for control in GOOGLE.storage.settings(spec):
        if not control.matches(control.observe()):
            control.ensure()
    granted = run(GOOGLE.access.grant, replace(world.access(spec), account=account))
    run(GOOGLE.access.grant, replace(granted, keys={}))  # a key that was lost: others are deleted
    world.put(spec, f"{PREFIX}/n1/backup/main/backup.info", b"[backrest]")
    assert GOOGLE.storage.objects(spec).read(f"{PREFIX}/n1/backup/main/backup.info", 100)
    world.wipe(spec)
    run(GOOGLE.access.delete, granted)
    world.put_log(spec)
    run(plans.deletion(GOOGLE), spec)
    assert [*GOOGLE.storage.list_unmanaged(account, ())] == []
    return GOOGLE.linking.preflight(account, [])


def test_the_whole_life_takes_all_calls_and_only_the_roles_that_are_asked_for(world):
    checks = whole_life(world)
    made = {call.operation for call in world.emulator.calls if call.email == world.key_file["client_email"]}
    assert made | {"buckets.testIamPermissions"} == {*CALLS}
    assert not [call for call in world.emulator.calls if call.status == 403]
    assert {one.label for one in checks} == {*needed(world.account())} == {*CONSEQUENCES}
    assert sorted(one for role in roles(world.account()) for one in role.permissions) == sorted(CONSEQUENCES)


@pytest.mark.parametrize("permission", CONSEQUENCES)
def test_each_permission_is_needed(world, permission):
    take_permission(world, permission)
    with pytest.raises((StepError, LinkError)) as raised:
        whole_life(world)
    if isinstance(raised.value, StepError):
        assert permission in raised.value.details["action"]
        assert permission in raised.value.message
        assert world.key_file["client_email"] in raised.value.message


def test_preflight_says_what_is_missing(world, store):
    take_permission(world, "storage.buckets.delete")
    take_permission(world, "iam.serviceAccountKeys.create")
    lines = {one.label: one for one in GOOGLE.linking.preflight(store.account, ["europe-west1"])}
    failed = {label for label, one in lines.items() if one.outcome == "fail"}
    assert failed == {"storage.buckets.delete", "iam.serviceAccountKeys.create"}
    assert lines["storage.buckets.delete"].without == "Stores cannot be deleted."
    assert lines["storage.buckets.delete"].statement == (
        f"gcloud iam roles update storekeeperBuckets --project={PROJECT} --add-permissions=storage.buckets.delete"
    )
    unknown = {label for label, one in lines.items() if one.outcome == "unknown"}
    assert unknown == {"storage.objects.get", "storage.objects.delete"}


def test_preflight_before_the_first_store_cannot_know_of_conditions(world):
    lines = {one.label: one for one in GOOGLE.linking.preflight(world.account(), [])}
    assert lines["storage.buckets.create"].outcome == "pass"
    assert lines["storage.buckets.get"].outcome == "unknown"
    assert "first store" in lines["storage.buckets.get"].why
    assert not [one for one in lines.values() if one.outcome == "fail"]


def test_preflight_asks_for_no_keys_where_nodes_need_none(world):
    labels = {one.label for one in GOOGLE.linking.preflight(world.account(node_access="attached"), [])}
    assert not [one for one in labels if "Keys" in one]


def test_the_console_can_neither_read_write_nor_delete_backups(world, store):
    world.put(store, f"{PREFIX}/n1/archive/main/x", b"1")
    email, storage = world.key_file["client_email"], world.emulator.storage
    bucket = storage.buckets[store.bucket]
    key = f"{PREFIX}/n1/archive/main/x"
    for permission in ("get", "create", "delete", "update"):
        assert not storage.may(email, f"storage.objects.{permission}", bucket, key)
    assert not storage.may(email, "storage.objects.delete", bucket, f"{PREFIX}/n1/backup/main/backup.info")
    foreign = storage.insert(world.root(), {"project": PROJECT}, {"name": "not-ours", "location": "EU"})
    for permission in ("get", "delete", "getIamPolicy", "setIamPolicy"):
        assert not storage.may(email, f"storage.buckets.{permission}", storage.buckets[foreign["name"]])


def test_a_stolen_identity_gives_no_other_role(world, store):
    """SECURITY.md, "What a stolen identity can do": not in one step, at least; see what remains."""
    email, storage = world.key_file["client_email"], world.emulator.storage
    for role in ("roles/storage.admin", "roles/storage.objectAdmin"):
        policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
        policy["bindings"] = [*policy["bindings"], {"role": role, "members": [f"serviceAccount:{email}"]}]
        with pytest.raises(Refusal, match=r"does not have storage\.buckets\.setIamPolicy"):
            storage.set_policy(email, store.bucket, {**policy, "version": 3})


def test_what_remains_of_a_stolen_identity(world, store):
    """SECURITY.md, "What a stolen identity can do": whoever changes this, changes that."""
    email, storage = world.key_file["client_email"], world.emulator.storage
    project, bucket = world.emulator.directory.projects[PROJECT], storage.buckets[store.bucket]
    key = f"{PREFIX}/n1/archive/main/x"
    world.put(store, key, b"1")
    policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
    itself = {"role": "roles/storage.objectUser", "members": [f"serviceAccount:{email}"]}
    storage.set_policy(email, store.bucket, {**policy, "version": 3, "bindings": [*policy["bindings"], itself]})
    assert all(storage.may(email, f"storage.objects.{one}", bucket, key) for one in ("get", "create", "delete"))
    # The role that new buckets give the project's editors, whom the console takes it from, may change policies itself.
    policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
    for role in ("roles/storage.legacyBucketOwner", "roles/storage.admin"):
        policy["bindings"].append({"role": role, "members": [f"serviceAccount:{email}"]})
        policy = storage.set_policy(email, store.bucket, {**policy, "version": 3})
    # A key of any service account, and what expires objects; neither has a condition that would limit it.
    assert world.emulator.directory.may(email, "iam.serviceAccountKeys.create", project, ())
    assert storage.may(email, "storage.buckets.update", bucket)


def test_documents_are_made_from_the_same_table(world):
    account = world.account()
    files = {one.filename: one for one in GOOGLE.linking.documents(account)}
    for role in roles(account):
        assert all(f"- {one}\n" in files[f"{role.id}.yaml"].text for one in role.permissions)
    for name in ("storekeeper-setup.sh", "storekeeper.tf"):
        assert all(one in files[name].text for one in CONSEQUENCES)
        assert account.settings["client_email"] in files[name].text
    assert "keys of every service account" in files["storekeeper-setup.sh"].hint
    attached = {one.filename: one for one in GOOGLE.linking.documents(world.account(node_access="attached"))}
    assert "serviceAccountKeys" not in "".join(one.text for one in attached.values())
    lines = files["storekeeper-setup.sh"].text.splitlines()
    bound = [shlex.split(line) for line in lines if "add-iam-policy-binding" in line]
    assert len(bound) == 5
    assert bound[0][-1] == "--condition=None"
    assert ";" not in "".join(one.condition for one in roles(account))  # which is what gcloud splits it at
    assert bound[1][-1].startswith('--condition=^;^expression=resource.name.startsWith("projects/_/buckets/pgbk-")')


# --- Linking --------------------------------------------------------------------------------------------------------

CLEAN = {field.name: field.clean for field in FIELDS}


def disable(world):
    world.emulator.directory.accounts[world.key_file["client_email"]].disabled = True


def forget_key(world):
    world.emulator.directory.accounts[world.key_file["client_email"]].keys.clear()


def switch_off(world, service):
    world.emulator.directory.projects[PROJECT].disabled.add(service)


def set_project(world, **values):
    for name, value in values.items():
        setattr(world.emulator.directory.projects[PROJECT], name, value)


def test_identify_says_who_google_says_we_are(world):
    found = GOOGLE.linking.identify(world.account())
    assert (found.number, found.arn) == (PROJECT, world.key_file["client_email"])
    assert found.found["project_number"] == NUMBER
    assert found.found["private_key_id"] == world.key_file["private_key_id"]
    assert len(found.proofs) == 2


@pytest.mark.parametrize(
    ("change", "words", "name"),
    [
        (disable, "is disabled", ""),
        (lambda world: world.emulator.directory.accounts.clear(), "knows no service account", ""),
        (forget_key, "does not know this key", "key"),
        (lambda world: take_permission(world, "resourcemanager.projects.get"), "has no access to it", "project_id"),
        (lambda world: take_permission(world, "storage.buckets.list"), "has no access to it", "project_id"),
        (lambda world: switch_off(world, "storage.googleapis.com"), "gcloud services enable storage", "project_id"),
        (
            lambda world: switch_off(world, "cloudresourcemanager.googleapis.com"),
            "gcloud services enable cloudresourcemanager.googleapis.com --project=415104041262",
            "project_id",
        ),
        (lambda world: set_project(world, billed=False), "no active billing account", "project_id"),
        (lambda world: set_project(world, active=False), "is being deleted", "project_id"),
    ],
)
def test_identify_says_what_is_wrong(world, change, words, name):
    account = world.account()
    change(world)
    with pytest.raises(LinkError, match=words) as raised:
        GOOGLE.linking.identify(account)
    assert raised.value.field == name
    assert "PRIVATE KEY" not in str(raised.value)


def test_identify_of_a_project_that_is_not_there(world):
    with pytest.raises(LinkError, match="does not exist, or") as raised:
        GOOGLE.linking.identify(world.account(project_id="no-such-project"))
    assert raised.value.field == "project_id"


def test_identify_without_an_answer_is_passing(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url="https://127.0.0.1:9"))
    key = json.dumps({**json.loads(account.secrets["key"]), "token_uri": google_session.TOKEN_URI})
    with pytest.raises(LinkError, match="no answer") as raised:
        GOOGLE.linking.identify(replace(account, secrets={"key": key}))
    assert raised.value.passing


def test_identify_trusts_no_certificate_but_its_own(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url=world.emulator.url))
    with pytest.raises(LinkError, match="no answer"):
        GOOGLE.linking.identify(account)


def test_a_key_may_name_no_token_service_but_googles(world):
    key = json.dumps({**world.key_file, "token_uri": "https://169.254.169.254/token"})
    account = replace(world.account(), secrets={"key": CLEAN["key"](key)})
    world.forget()
    with pytest.raises(LinkError, match="not Google's") as raised:
        GOOGLE.linking.identify(account)
    assert raised.value.field == "key"
    assert world.calls() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"type": "external_account", "credential_source": {"file": "/etc/passwd"}},
            "not the key of a service account",
        ),
        ({"type": "authorized_user"}, "not the key of a service account"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\n'; rm -rf /\n"}, "missing or damaged"),
        ({"client_email": "nobody@example.com"}, "missing or damaged"),
        ({"private_key_id": "../../x"}, "missing or damaged"),
        ({"universe_domain": "evil.example"}, "another cloud"),
    ],
)
def test_a_key_file_is_checked(world, change, words):
    with pytest.raises(LinkError, match=words):
        CLEAN["key"](json.dumps({**world.key_file, **change}))


def test_a_key_file_loses_what_is_not_needed(world):
    kept = json.loads(CLEAN["key"](json.dumps({**world.key_file, "extra": "x"})))
    assert {*kept} == {"type", "client_email", "private_key_id", "private_key", "token_uri"}


@pytest.mark.parametrize("text", ["", "no json", "[]", '"text"'])
def test_a_key_file_must_be_one(text):
    with pytest.raises(LinkError):
        CLEAN["key"](text)


@pytest.mark.parametrize("text", ["Project", "a", "x" * 31, "1-project", "project-", "my project"])
def test_project_ids_are_checked(text):
    with pytest.raises(LinkError):
        CLEAN["project_id"](text)


def test_workload_providers_are_checked():
    name = "projects/12/locations/global/workloadIdentityPools/pool-one/providers/provider-one"
    assert CLEAN["workload_provider"](f"//iam.googleapis.com/{name}") == name
    assert CLEAN["workload_provider"](f"https://iam.googleapis.com/{name}") == name
    for text in ("projects/x/locations/global", f"{name}/../x", f"https://evil.example/{name}"):
        with pytest.raises(LinkError):
            CLEAN["workload_provider"](text)


@pytest.fixture
def federated(world):
    """An account that is linked by federation, and has proved itself."""
    linked = world.signing_in("federation")
    linked = replace(linked, settings={**linked.settings, "external_id": "8c1f-own"})
    world.prove(linked)
    return linked


def test_federation_signs_in_without_a_secret(world, federated):
    found = GOOGLE.linking.identify(federated)
    assert found.arn == world.key_file["client_email"]
    proven = replace(federated, settings={**federated.settings, **found.found})
    run(plans.creation(GOOGLE), make_spec(world, account=proven))
    assert len(world.buckets()) == 2


def test_a_proven_service_account_cannot_be_borrowed_for_another_project(world, federated):
    world.emulator.add_project("attackers-project", "999000111222")
    world.emulator.grant(
        world.key_file["client_email"], "roles/owner", "roles/storage.admin", project="attackers-project"
    )
    borrowed = {**federated.settings, "project_id": "attackers-project", "external_id": "9d2e-other"}
    with pytest.raises(Unproven, match="9d2e-other") as raised:
        GOOGLE.linking.identify(replace(federated, settings=borrowed))
    assert raised.value.field == "service_account"
    assert not any(call.operation.startswith("buckets.") for call in world.emulator.calls)


def test_federation_needs_to_read_its_own_description(world, federated):
    project = world.emulator.directory.projects[PROJECT]
    role = world.emulator.role("storekeeperProject")
    project.roles[role] = tuple(one for one in project.roles[role] if one != "iam.serviceAccounts.get")
    with pytest.raises(LinkError, match=r"Give it iam\.serviceAccounts\.get") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "service_account"
    assert not raised.value.passing


def test_federation_says_what_is_wrong(world, federated):
    with pytest.raises(LinkError, match="GOOGLE_SUBJECT_TOKEN_FILE"):
        GOOGLE.linking.identify(replace(federated, deployment=replace(federated.deployment, token_file="")))
    with pytest.raises(LinkError, match="GOOGLE_SUBJECT_TOKEN_FILE"):
        GOOGLE.linking.identify(replace(federated, deployment=replace(federated.deployment, token_file="/nonexistent")))
    world.emulator.directory.accounts[world.key_file["client_email"]].users.clear()
    google_session.forget_sessions()
    with pytest.raises(LinkError, match="does not let the console's identity act as") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "service_account"
    world.emulator.directory.issuers.clear()
    google_session.forget_sessions()
    with pytest.raises(LinkError, match="knows no workload identity provider") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "workload_provider"


def test_a_changed_key_takes_effect_at_once(world):
    account = world.account()
    GOOGLE.linking.identify(account)
    forget_key(world)
    with pytest.raises(LinkError):
        GOOGLE.linking.identify(replace(account, secrets={"key": account.secrets["key"] + " "}))


# --- Errors ---------------------------------------------------------------------------------------------------------

LOCATION = "'europe-west1' violates constraint 'constraints/gcp.resourceLocations'"
ERRORS = [
    (
        "buckets.insert",
        403,
        "forbidden",
        "x does not have storage.buckets.create access to",
        Failed,
        None,
        "Grant it to",
    ),
    ("buckets.insert", 403, "accountDisabled", "The billing account is absent", Failed, None, "no active billing"),
    ("buckets.insert", 403, "userProjectAccountProblem", "x", Failed, None, "no active billing"),
    ("buckets.insert", 412, "orgPolicyConstraintFailed", LOCATION, Failed, None, "constraints/gcp.resourceLocations"),
    (
        "buckets.insert",
        400,
        "invalid",
        "The location constraint is not valid.",
        Failed,
        None,
        "in location europe-west1",
    ),
    ("buckets.insert", 429, "rateLimitExceeded", "slow", NotReady, 600, "slow down"),
    ("buckets.insert", 503, "backendError", "x", NotReady, 600, "busy"),
    ("buckets.insert", 500, "somethingNew", "x", NotReady, 600, "busy"),
    ("buckets.insert", 401, "authError", "Invalid Credentials", NotReady, 120, "asks for a new one"),
    (
        "buckets.insert",
        418,
        "somethingNew",
        "The message of {Google}",
        Failed,
        None,
        "somethingNew: The message of {Google}",
    ),
    ("buckets.setIamPolicy", 412, "conditionNotMet", "x", NotReady, 60, "at the same moment"),
    (
        *("buckets.setIamPolicy", 412, "conditionNotMet"),
        *("One or more users named in the policy do not belong to a permitted customer", Failed, None),
        "constraints/iam.allowedPolicyMemberDomains",
    ),
    ("buckets.getIamPolicy", 404, "notFound", "x", NotReady, 120, "does not show bucket"),
]


@pytest.mark.parametrize(("operation", "status", "reason", "message", "kind", "patience", "words"), ERRORS)
def test_errors_say_what_to_do(world, operation, status, reason, message, kind, patience, words):
    spec = make_spec(world)
    world.emulator.inject(status, reason, message, operation=operation, times=9)
    with pytest.raises(StepError) as raised:
        run(plans.creation(GOOGLE), spec)
    error = raised.value
    assert isinstance(error, kind)
    assert words in error.message
    assert getattr(error, "patience", None) == patience
    assert error.details["operation"] == operation
    assert error.details["bucket"] in {spec.bucket, spec.log_bucket}
    assert error.details["request_id"]
    assert "PRIVATE KEY" not in str(error) + repr(error) + repr(error.details)


def test_errors_name_the_api_that_is_not_enabled(world, store):
    disabled = service_disabled("iam.googleapis.com", "IAM API", NUMBER)
    world.emulator.inject(
        403, disabled.reason, disabled.message, operation="serviceAccounts.create", details=disabled.details
    )
    with pytest.raises(NotReady, match=re.escape("gcloud services enable iam.googleapis.com --project=415104041262")):
        run(GOOGLE.access.grant, world.access(store))


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("Maximum number of service accounts on project reached.", Failed, "as many service accounts as its quota"),
        (
            "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute'",
            NotReady,
            "slow down",
        ),
    ],
)
def test_errors_tell_a_full_quota_from_a_rate(world, store, message, kind, words):
    world.emulator.inject(429, "rateLimitExceeded", message, operation="serviceAccounts.create")
    with pytest.raises(kind, match=words):
        run(GOOGLE.access.grant, world.access(store))


def test_errors_name_the_policy_that_forbids_keys(world, store):
    world.emulator.directory.projects[PROJECT].constraints.add("iam.disableServiceAccountKeyCreation")
    with pytest.raises(Failed, match=re.escape("constraints/iam.disableServiceAccountKeyCreation forbids keys")):
        run(GOOGLE.access.grant, world.access(store))


def test_errors_of_a_locations_policy_come_from_the_emulator_too(world):
    world.emulator.directory.projects[PROJECT].constraints.add("gcp.resourceLocations")
    with pytest.raises(Failed, match=re.escape("constraints/gcp.resourceLocations")) as raised:
        run(plans.creation(GOOGLE), make_spec(world))
    assert raised.value.details["code"] == "constraints/gcp.resourceLocations"


def test_errors_of_the_network_are_tried_again(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url="https://127.0.0.1:9"))
    with pytest.raises(NotReady, match="no answer") as raised:
        run(plans.creation(GOOGLE), make_spec(world, account=account))
    assert raised.value.patience == 600


def test_errors_of_a_token_that_was_taken_back_mend_themselves(world, store):
    world.emulator.directory.tokens.clear()
    run(plans.deletion(GOOGLE), store)  # a new one is asked for, once
    assert world.buckets() == {}


def test_a_key_that_no_longer_counts_is_final(world, store):
    forget_key(world)
    world.emulator.directory.tokens.clear()
    with pytest.raises(Failed, match="gives the console no token") as raised:
        run(plans.deletion(GOOGLE), store)
    assert raised.value.details["code"] == "invalid_grant"


def test_no_identity_of_the_machine_is_ever_used(world):
    account = replace(world.account(), secrets={})
    with pytest.raises(Failed, match="the key that is kept cannot be read"):
        run(plans.creation(GOOGLE), make_spec(world, account=account))
    assert world.calls() == []
