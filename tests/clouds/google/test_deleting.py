"""How Google takes a store away, counts what is in it, and finds what belongs to no store."""

from dataclasses import replace

import pytest

from console.clouds.google import buckets as google_buckets
from console.clouds.google.errors import CallTarget
from console.clouds.steps import Failed, Refused, TooLate
from console.demo.emulators.google.emulator import PROJECT
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, make_spec, run, take_permission


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
    assert reader.read("c-x/n1/backup/main/backup.info", 1000).data == b"c-x/n1/backup/main/backup.info"
    assert reader.read("c-x/n1/backup/main/backup.info", 4).data == b"c-x/"
    assert reader.read("c-x/n3/backup/main/backup.info", 4).data is None
    with pytest.raises(Failed) as raised:  # nor may the console read a backup
        reader.read("c-x/n1/archive/main/15-1/0001", 4)
    assert raised.value.details["action"] == "storage.objects.get"
