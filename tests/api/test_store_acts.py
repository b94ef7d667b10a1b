"""What is done with stores and with buckets that belong to none: by the rules of the pages."""

from __future__ import annotations

import pytest
from django.utils import timezone

from console.audit.models import AuditEvent
from console.operations.models import Operation
from stores.models import DeletionPreview, DriftReport, IgnoredBucket, Store, UnmanagedScan
from tests import factories
from tests.api.callers import Caller, give_service
from tests.clusters import judged

LINE = {
    "key": "versioning",
    "label": "Versioning",
    "bucket": "b",
    "log": False,
    "state": "off",
    "wanted_words": "On",
    "words": "Off",
    "wanted": True,
    "observed": False,
    "fixed": False,
    "statement": "",
    "since": "2026-11-01T00:00:00+00:00",
}


@pytest.fixture
def store(account):
    return factories.store(account)


@pytest.fixture
def drifted(store):
    """A store that was looked at: one control differs."""
    now = timezone.now()
    DriftReport.objects.create(store=store, content=[LINE], read_at=now, tried_at=now)
    Store.objects.update(state="degraded")
    return store


@pytest.fixture
def robot(acme, alice):
    """Calls with the token of a service account that is an admin."""
    account = acme.service_accounts.create(name="robot", role="admin")
    return Caller(give_service(account, alice)[1])


def test_a_store_is_verified(as_owner, store):
    answer = as_owner.send("POST", f"/stores/{store.pk}/verify")
    assert (answer.status_code, answer.json()["is_awaited"]) == (202, True)
    assert answer["Location"] == f"/api/v1/stores/{store.pk}/drift"
    Store.objects.update(state="creating")
    answer = as_owner.send("POST", f"/stores/{store.pk}/verify")
    assert (answer.status_code, "not checked while" in answer.json()["detail"]) == (409, True)


def test_drift_is_shown_accepted_and_reconsidered(as_owner, robot, drifted):
    told = as_owner.get(f"/stores/{drifted.pk}/drift").json()
    [line] = told["controls"]
    assert (line["name"], line["found"], line["is_drift"], told["state"]) == (
        "backup.versioning",
        "Off",
        True,
        "degraded",
    )
    wrong = robot.send("POST", f"/stores/{drifted.pk}/accept", {"control": line["name"], "seen": "something else"})
    assert (wrong.status_code, "changed since" in wrong.json()["detail"]) == (409, True)
    given = {"control": line["name"], "seen": line["seen"]}
    told = robot.send("POST", f"/stores/{drifted.pk}/accept", given).json()
    assert told["controls"][0]["accepted"]["by"] == "robot (service account)"
    assert told["state"] == "available"
    assert AuditEvent.objects.get(action="Accepted a deviation").actor_name == "robot (service account)"
    told = as_owner.send("POST", f"/stores/{drifted.pk}/reconsider", {"control": line["name"]}).json()
    assert (told["controls"][0]["accepted"], told["state"]) == (None, "degraded")


def test_a_repair_is_of_what_was_read(as_owner, drifted):
    seen = as_owner.get(f"/stores/{drifted.pk}/drift").json()["seen"]
    assert as_owner.send("POST", f"/stores/{drifted.pk}/repair", {"seen": "x"}).status_code == 409
    assert as_owner.send("POST", f"/stores/{drifted.pk}/repair", {}).json()["errors"][0]["pointer"] == "/seen"
    assert not Operation.objects.exists()
    answer = as_owner.send("POST", f"/stores/{drifted.pk}/repair", {"seen": seen})
    assert (answer.status_code, answer.json()["state"]) == (202, "repairing")
    assert answer["Location"] == f"/api/v1/tasks/{Operation.objects.get().pk}"


def test_what_failed_is_tried_again_and_a_deletion_cancelled(as_owner, account):
    failed = factories.failed_store(account)
    answer = as_owner.send("POST", f"/stores/{failed.pk}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "creating")
    assert as_owner.send("POST", f"/stores/{failed.pk}/retry").status_code == 409
    store = factories.store(account, name="other")
    assert as_owner.send("POST", f"/stores/{store.pk}/cancel").status_code == 409
    as_owner.delete(f"/stores/{store.pk}")
    answer = as_owner.send("POST", f"/stores/{store.pk}/cancel")
    assert answer.status_code == 202
    assert Operation.objects.get(subject_id=store.pk).cancel == "wanted"


def test_a_call_that_takes_no_body_refuses_one(as_owner, store):
    for body, status in ((None, 202), (b"{}", 202), ({"force": True}, 422), (b"{", 422)):
        answer = as_owner.send("POST", f"/stores/{store.pk}/verify", body)
        assert answer.status_code == status, body


def test_what_a_deletion_would_meet_is_counted(as_owner, as_viewer, store, account):
    path = f"/stores/{store.pk}/deletion-preview"
    told = as_owner.get(path).json()
    assert (told["is_awaited"], told["contents"], told["used_by"]) == (True, None, [])
    held = {"objects": 3, "size": 5, "older": 1, "locked_until": ""}
    DeletionPreview.objects.update(content={"contents": held}, read_at=timezone.now(), tried_at=timezone.now())
    judged.cluster(account, stores=[store])
    told = as_owner.get(path).json()
    assert (told["contents"]["objects"], told["contents"]["is_empty"], len(told["used_by"])) == (3, False, 1)
    assert as_viewer.get(path).status_code == 403


def test_protection_is_calculated_as_on_the_page(as_viewer):
    told = as_viewer.get("/stores/protection?versions_days=30&retention_days=14&lock_days=7").json()
    assert (told["in_use_days"], told["held_days"], told["is_covered"]) == (21, 51, False)
    for query, pointer in (
        ("versions_days=0&retention_days=1", "/versions_days"),
        ("versions_days=x&retention_days=1", "/versions_days"),
        ("versions_days=1&retention_days=99999999999999", "/retention_days"),
        ("versions_days=1&retention_days=", "/retention_days"),
        ("versions_days=1", "/retention_days"),
    ):
        answer = as_viewer.get(f"/stores/protection?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), query


# Unmanaged buckets


@pytest.fixture
def unmanaged(account):
    """A bucket that the last look found, whose tag names a store that is not here."""
    lost = factories.failed_store(account, name="fresh")
    pk = lost.pk
    Store.objects.all().delete()  # as a database that was restored from before it lacks it
    name = account.cloud.storage.names(pk, "eu-west-1", account.number)[0]
    found = {"name": name, "region": "eu-west-1", "created": "2026-11-01T00:00:00+00:00", "kind": "backup"}
    found |= {"store_id": str(pk), "store_name": "fresh"}
    now = timezone.now()
    UnmanagedScan.objects.create(cloud_account=account, content=[found], read_at=now, tried_at=now)
    return found


def test_unmanaged_buckets_are_listed_hidden_and_shown(as_owner, robot, unmanaged, account, as_stranger):
    [scan] = as_owner.get("/unmanaged-buckets").json()["items"]
    [bucket] = scan["buckets"]
    assert (bucket["bucket"], bucket["is_hidden"], scan["cloud_account"]) == (unmanaged["name"], False, "prod")
    path = f"/unmanaged-buckets/{account.pk}/{unmanaged['name']}"
    assert as_stranger.send("POST", f"{path}/hide").status_code == 404
    assert robot.send("POST", f"{path}/hide").json()["is_hidden"] is True
    assert IgnoredBucket.objects.get().by_name == "robot (service account)"
    assert robot.send("POST", f"{path}/show").json()["is_hidden"] is False
    assert not IgnoredBucket.objects.exists()
    assert as_owner.send("POST", f"/unmanaged-buckets/{account.pk}/nothing/hide").status_code == 404


def test_accounts_are_listed_page_by_page(as_owner, acme, account):
    factories.account(acme, name="a")
    first = as_owner.get("/unmanaged-buckets", {"limit": 1}).json()
    second = as_owner.get("/unmanaged-buckets", {"limit": 1, "cursor": first["next"]}).json()
    assert [one["items"][0]["cloud_account"] for one in (first, second)] == ["a", "prod"]
    assert second["next"] is None


def test_an_account_is_looked_through(as_viewer, as_stranger, account):
    answer = as_viewer.send("POST", f"/unmanaged-buckets/{account.pk}/look")
    assert (answer.status_code, answer.json()["is_awaited"]) == (202, True)
    assert as_viewer.client.get(answer["Location"]).json()["items"][0]["cloud_account_id"] == str(account.pk)
    assert as_stranger.send("POST", f"/unmanaged-buckets/{account.pk}/look").status_code == 404


def test_a_bucket_is_adopted(as_owner, unmanaged, account):
    path = f"/unmanaged-buckets/{account.pk}/{unmanaged['name']}/adopt"
    told = as_owner.get("/unmanaged-buckets").json()["items"][0]["buckets"][0]
    assert told["is_adoptable"], told["what"]
    assert as_owner.send("POST", path, {"name": "a\x00"}).json()["errors"][0]["pointer"] == "/name"
    factories.store(account, name="taken")
    assert as_owner.send("POST", path, {"name": "taken"}).json()["errors"][0]["pointer"] == "/name"
    answer = as_owner.send("POST", path, {"name": "back"})
    assert (answer.status_code, answer.json()["id"], answer.json()["name"]) == (202, unmanaged["store_id"], "back")
    assert as_owner.send("POST", path, {"name": "again"}).status_code == 404
