"""Buckets that are there already, by the API: looked at, decided about, added and forgotten, as on the pages."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from console.api.models import ServiceAccount
from console.audit.models import AuditEvent
from console.clouds.existing import FoundBucket
from console.operations import snapshots
from stores.control_status import ControlStatus
from stores.existing import reading
from stores.models import BucketLook, Store
from tests import factories
from tests.api.callers import Caller, give_service

PATH = "/stores/existing"


def control(key, state="off", **more):
    given = {"key": key, "label": key.title(), "bucket": "archive", "log": False, "state": state, "wanted": {"x": 1}}
    given |= {"wanted_words": "On", "words": "Off", "observed": None, "fixed": False, "statement": "", "since": "x"}
    return ControlStatus(**{**given, **more}).kept()


@pytest.fixture
def found(monkeypatch):
    """What the cloud says of each bucket; a look is done by work()."""
    content = {
        "found": {"region": "eu-west-1", "created": "", "versions_days": 0, "lock_days": 0, "warnings": ["Beware."]},
        "owner": "",
        "tag": "",
        "lines": [control("policy"), control("lifecycle", "ok"), control("tags", observed={"team": "db"})],
        "contents": {"objects": 3},
        "repositories": [{"path": "/pg", "stanzas": ["main"], "halves": ["archive", "backup"]}],
        "is_whole": True,
    }
    assert FoundBucket(**content["found"])
    source = snapshots._sources["bucket_look"]
    reads = dict(content)

    def read(look):
        return {**reads, "store_id": str(look.store_id)}

    monkeypatch.setitem(snapshots._sources, "bucket_look", replace(source, read=read))
    assert reading.read
    return reads


@pytest.fixture
def item(account):
    return {"cloud_account_id": str(account.pk), "bucket": "archive", "name": "Old archive"}


def work():
    for one in BucketLook.objects.all():
        snapshots.read("bucket_look", one.pk)


@pytest.fixture
def looked(as_owner, item, found):
    """A bucket that was looked at, as the API shows it."""
    [begun] = as_owner.post(PATH, {"items": [item]}).json()["items"]
    work()
    return as_owner.get(f"{PATH}/{begun['id']}").json()


def test_buckets_are_looked_at_and_what_was_found_is_read(as_owner, item, found, account):
    answer = as_owner.post(PATH, {"items": [item, {**item, "bucket": "second", "name": ""}]})
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1{PATH}")
    assert [(one["bucket"], one["name"], one["state"]) for one in answer.json()["items"]] == [
        ("archive", "Old archive", "looking"),
        ("second", "second", "looking"),
    ]
    work()
    told = as_owner.get(PATH).json()["items"]
    assert [(one["bucket"], one["state"], one["obstacle"]) for one in told] == [
        ("second", "found", ""),
        ("archive", "found", ""),
    ]
    one = told[1]
    assert (one["owner"], one["contents"], one["warnings"]) == ("", "3 objects", ["Beware."])
    assert one["repositories"] == [{"path": "/pg", "stanzas": ["main"]}]
    assert [(each["key"], each["state"], each["can_be_set"]) for each in one["controls"]] == [
        ("policy", "off", True),
        ("lifecycle", "ok", False),
        ("tags", "off", False),
    ]
    assert str(BucketLook.objects.get(bucket="archive").store_id) in one["tag_command"]
    assert not Store.objects.exists()


def test_it_is_added_as_it_was_read(as_owner, looked, alice):
    body = {"seen": looked["seen"], "logs": "none", "tag": True, "controls": {"policy": "set"}}
    answer = as_owner.post(f"{PATH}/{looked['id']}/add", body, key="k")
    store = Store.objects.get()
    assert (answer.status_code, answer.json()["id"]) == (202, str(store.pk))
    assert answer["Location"] == f"/api/v1/tasks/{store.operation_id}"
    assert (store.bucket, store.logs, store.taken_over["chosen"]) == ("archive", "none", [["policy", "Policy"]])
    assert (store.name, store.operation.verb) == ("Old archive", "bring")
    event = AuditEvent.objects.get(action="Added an existing store")
    assert (event.actor, event.token[:4]) == (alice, "ci (")
    assert as_owner.post(f"{PATH}/{looked['id']}/add", body, key="k").json()["id"] == str(store.pk)
    assert as_owner.get(f"{PATH}/{looked['id']}", held=False).status_code == 404


def test_what_is_not_named_is_accepted(as_owner, looked):
    body = {"seen": looked["seen"], "logs": "named", "logs_into": "our-logs", "tag": True, "name": "Other"}
    assert as_owner.post(f"{PATH}/{looked['id']}/add", body).status_code == 202
    store = Store.objects.get()
    assert (store.name, store.logs_into, store.taken_over["chosen"]) == ("Other", "our-logs", [])
    assert set(store.taken_over["accepted"]) == {"backup.policy", "backup.tags"}


def test_a_service_account_adds_one(looked, acme, alice):
    robot = ServiceAccount.objects.create(organisation=acme, name="robot", role="owner")
    caller = Caller(give_service(robot, alice)[1])
    body = {"seen": looked["seen"], "logs": "none", "tag": True}
    assert caller.post(f"{PATH}/{looked['id']}/add", body).status_code == 202
    accepted = Store.objects.get().taken_over["accepted"]["backup.policy"]
    assert "robot" in accepted["by"]


ITEMS = {
    "an account that is not there": ({"cloud_account_id": str(uuid4())}, "/items/1/cloud_account_id"),
    "an account that is none": ({"cloud_account_id": "x"}, "/items/1/cloud_account_id"),
    "no bucket": ({"bucket": ""}, "/items/1/bucket"),
    "a bucket that is none": ({"bucket": "a;b"}, "/items/1/bucket"),
    "NUL": ({"bucket": "a\x00bc"}, "/items/1/bucket"),
    "a bucket twice": ({"bucket": "archive"}, "/items/1/bucket"),
    "a name twice": ({"name": "OLD archive"}, "/items/1/name"),
    "a name that turns": ({"name": "a\u202eb"}, "/items/1/name"),
    "a taken name": ({"name": "Taken"}, "/items/1/name"),
    "a long name": ({"name": "x" * 61}, "/items/1/name"),
    "a long region": ({"region": "r" * 41}, "/items/1/region"),
    "logs into itself": ({"log_bucket": "second"}, "/items/1/log_bucket"),
    "a field more": ({"colour": "red"}, "/items/1/colour"),
}


@pytest.mark.parametrize("given", ITEMS.values(), ids=ITEMS)
def test_a_list_with_anything_wrong_changes_nothing(as_owner, item, account, given):
    factories.store(account, name="taken")
    changed, pointer = given
    answer = as_owner.post(PATH, {"items": [item, {**item, "bucket": "second", "name": "Second", **changed}]})
    assert (answer.status_code, BucketLook.objects.count()) == (422, 0)
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body", [{}, {"items": []}, {"items": "x"}, {"items": [1]}, {"items": [{}] * 101}], ids=range(5)
)
def test_a_list_that_is_none_is_refused(as_owner, account, body):
    assert as_owner.post(PATH, body).status_code == 422
    assert not BucketLook.objects.exists()


DECISIONS = {
    "no logs": ({"logs": "somewhere"}, 422, "/logs"),
    "logs without a name": ({"logs": "named"}, 422, "/logs_into"),
    "logs into itself": ({"logs": "named", "logs_into": "archive"}, 422, "/logs_into"),
    "no proof": ({"tag": False}, 422, "/tag"),
    "no such control": ({"controls": {"colour": "set"}}, 422, "/controls/colour"),
    "one that is as it should be": ({"controls": {"lifecycle": "set"}}, 422, "/controls/lifecycle"),
    "no such choice": ({"controls": {"policy": "perhaps"}}, 422, "/controls/policy"),
    "a taken name": ({"name": "Taken"}, 422, "/name"),
    "something else was read": ({"seen": "0" * 16}, 409, None),
    "a long text": ({"seen": "0" * 501}, 422, "/seen"),
}


@pytest.mark.parametrize("given", DECISIONS.values(), ids=DECISIONS)
def test_a_decision_that_cannot_be_is_refused(as_owner, looked, account, given):
    taken = factories.store(account, name="taken")
    changed, status, pointer = given
    body = {"seen": looked["seen"], "logs": "none", "tag": True, **changed}
    answer = as_owner.post(f"{PATH}/{looked['id']}/add", body)
    assert (answer.status_code, [*Store.objects.all()]) == (status, [taken])
    assert [one["pointer"] for one in answer.json().get("errors", [])] == ([pointer] if pointer else [])


def test_what_was_not_looked_at_or_is_another_s_is_not_added(as_owner, item, found):
    [begun] = as_owner.post(PATH, {"items": [item]}).json()["items"]
    body = {"seen": "", "logs": "none", "tag": True}
    assert as_owner.post(f"{PATH}/{begun['id']}/add", body).status_code == 409
    found |= {"owner": "other", "tag": "x"}
    work()
    told = as_owner.get(f"{PATH}/{begun['id']}").json()
    assert told["obstacle"] == "It carries the tag of another store, x. It is left alone."
    answer = as_owner.post(f"{PATH}/{begun['id']}/add", {**body, "seen": told["seen"]})
    assert (answer.status_code, answer.json()["detail"]) == (409, told["obstacle"])
    assert not Store.objects.exists()


def test_it_is_looked_at_again_or_forgotten(as_owner, looked, found):
    found["owner"] = "ours"
    answer = as_owner.post(f"{PATH}/{looked['id']}/look", {})
    assert (answer.status_code, answer.json()["state"]) == (202, "looking")
    work()
    assert as_owner.get(answer["Location"].removeprefix("/api/v1")).json()["owner"] == "ours"
    assert as_owner.delete(f"{PATH}/{looked['id']}").json()["bucket"] == "archive"
    assert not BucketLook.objects.exists()


def test_nobody_else_sees_or_adds_it(as_viewer, as_stranger, looked, item):
    address, body = f"{PATH}/{looked['id']}", {"seen": looked["seen"], "logs": "none", "tag": True}
    for caller, status in ((as_viewer, 403), (as_stranger, 404)):
        assert caller.get(address).status_code == status
        assert caller.delete(address).status_code == status
        for verb, sent in (("add", body), ("look", {})):
            assert caller.post(f"{address}/{verb}", sent).status_code == status
    assert as_viewer.get(PATH).status_code == 403
    assert as_stranger.get(PATH).json()["items"] == []
    answer = as_stranger.post(PATH, {"items": [item]})
    assert answer.json()["errors"][0]["pointer"] == "/items/0/cloud_account_id"
    assert (BucketLook.objects.count(), Store.objects.count()) == (1, 0)
