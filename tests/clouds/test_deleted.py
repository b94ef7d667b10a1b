"""What the versions of a bucket still hold of what was deleted or overwritten, walked for each cloud."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.s3api import errors
from console.clouds.s3api.objects import S3Objects
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import NotReady
from tests.clouds import plans

PREFIX = "c-k3v9x2m7q4ta"
LABEL = f"{PREFIX}/n1/backup/orders/20261122-144940F"


@pytest.fixture(scope="module", params=list(CLOUDS))
def everywhere(request, tmp_path_factory):
    module = import_module(f"tests.worlds.{request.param}")
    with module.opened(tmp_path_factory.mktemp(request.param)) as world:
        yield world


@pytest.fixture
def somewhere(everywhere):
    everywhere.clear()
    everywhere.clear_faults()
    return everywhere


def settled(plan, spec):
    for _ in range(6):
        try:
            return plans.run(plan, spec)
        except NotReady as error:
            last = error
    raise AssertionError(f"it never settled: {last}")


def made(world, **values):
    """Return a store with its buckets, and what reads them; with the cluster's place in it, where that is made."""
    cloud, account, store_id = CLOUDS[world.key], world.account(), uuid4()
    names = cloud.storage.names(store_id, world.regions[0], account.number)
    spec = StoreSpec(store_id, "orders", account, world.regions[0], *names, complete=True, **values)
    plan = (*plans.creation(cloud), *(plans.versions(cloud) if spec.versions_days else ()))
    settled(plan, spec)
    settled(cloud.access.grant, AccessSpec(uuid4(), "orders", account, PREFIX, (spec.bucket,)))
    return spec, cloud.storage.objects(spec)


@pytest.mark.slow
@pytest.mark.parametrize("days", [30, 120])  # at Google soft delete alone, and with noncurrent versions
def test_deleted_says_what_was_deleted_or_overwritten_and_can_come_back(somewhere, days):
    spec, objects = made(somewhere, versions_days=days)
    before = datetime.now(UTC) - timedelta(minutes=1)
    dice, there, kept = random.Random(days), {}, {}
    keys = [f"{LABEL}/bundle/{number}" for number in range(6)] + [f"{PREFIX}/n1/archive/orders/x", f"{LABEL}-else"]
    for size in range(1, 40):
        key = dice.choice(keys)
        there_before = there.pop(key, None)
        if there_before:
            kept[key] = there_before
        if dice.random() < 0.6:
            there[key] = size
            somewhere.put(spec, key, b"x" * size)
        elif there_before:
            somewhere.take(spec, key)
    wanted = {key: size for key, size in kept.items() if key.startswith(f"{LABEL}/")}
    assert wanted
    assert {key in there for key in wanted} == {True, False}
    found = list(objects.deleted(f"{LABEL}/"))
    assert {one.key: one.size for one in found} == wanted
    assert [one.key for one in found] == sorted(wanted)
    for one in found:
        assert before < one.modified <= one.deleted_at < datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.slow
def test_deleted_is_nothing_where_no_versions_are_kept(somewhere):
    spec, objects = made(somewhere)
    somewhere.put(spec, f"{LABEL}/a", b"1")
    somewhere.put(spec, f"{LABEL}/b", b"1")
    somewhere.put(spec, f"{LABEL}/b", b"22")
    somewhere.take(spec, f"{LABEL}/a")
    assert list(objects.deleted(f"{LABEL}/")) == []
    assert [one.key for one in objects.entries(f"{LABEL}/")] == [f"{LABEL}/b"]


@pytest.mark.slow
def test_deleted_says_that_a_container_was_deleted_as_a_whole(tmp_path):
    with import_module("tests.worlds.azure").opened(tmp_path) as azure:
        spec, objects = made(azure, versions_days=30)
        azure.put(spec, f"{LABEL}/a", b"1")
        azure.emulator.state["containers"][f"{spec.bucket}/{PREFIX}"]["deleted"] = "2026-11-22T01:07:00.0000000Z"
        [found] = objects.deleted(f"{LABEL}/")
        assert (found.key, found.deleted_at) == (f"{PREFIX}/", datetime(2026, 11, 22, 1, 7, tzinfo=UTC))
        assert list(replace(objects).entries(f"{LABEL}/")) == []


class Listing:
    """A client that lists these versions, so many on a page; or has not heard of versions."""

    def __init__(self, rows, size):
        self.rows, self.size = rows, size

    def __call__(self, operation):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def list_object_versions(self, **query):
        if self.rows is None:
            raise errors.ClientError({"Error": {"Code": "NotImplemented"}}, "ListObjectVersions")
        start = int(query.get("KeyMarker", 0))
        page, following = self.rows[start : start + self.size], start + self.size
        kinds = {"Versions": [one for one in page if "Size" in one]}
        kinds["DeleteMarkers"] = [one for one in page if "Size" not in one]
        more = {"IsTruncated": True, "NextKeyMarker": str(following)} if following < len(self.rows) else {}
        return {**kinds, **more}


def version(key, hour, *, latest=False, size=None):
    row = {"Key": key, "LastModified": datetime(2026, 11, 22, hour, tzinfo=UTC), "IsLatest": latest}
    return row if size is None else {**row, "Size": size}


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_deleted_takes_a_key_s_versions_together_wherever_a_page_ends(size):
    rows = [
        version("a", 5, latest=True),  # a marker above another one: it went with the first
        version("a", 4),
        version("a", 3, size=30),
        version("a", 2, size=20),
        version("b", 4, latest=True, size=9),
        version("c", 6, latest=True, size=2),
        version("c", 1, size=1),
    ]
    found = S3Objects(Listing(rows, size), "pgbk-x", {}).deleted("")
    assert [(one.key, one.size, one.modified.hour, one.deleted_at.hour) for one in found] == [
        ("a", 30, 3, 4),
        ("c", 1, 1, 6),
    ]


def test_deleted_is_nothing_on_a_server_that_has_not_heard_of_versions():
    assert list(S3Objects(Listing(None, 1), "pgbk-x", {}).deleted("")) == []
