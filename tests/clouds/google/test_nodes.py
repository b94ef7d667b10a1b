"""How nodes get into their folder: by a service account, with a key or without."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from console.clouds.specs import DeploymentSettings
from console.clouds.steps import Failed, NotReady
from console.demo.emulators.google.administration import Administration
from console.demo.emulators.google.emulator import PROJECT
from console.demo.emulators.google.iam import Condition
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, make_spec, run
from tests.worlds.google import PREFIX


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
