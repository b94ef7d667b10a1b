"""Stores are created and deleted: by the rules of the pages, once for each key, with the token in the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from console.api.models import KeptAnswer
from console.audit.models import AuditEvent
from console.cloud_accounts.models import CloudAccount
from console.operations.models import Operation
from stores.models import Store
from tests import factories
from tests.api.callers import Caller, give
from tests.clusters import judged


@pytest.fixture
def body(account):
    """What creates a store."""
    return {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}


def test_a_store_is_begun_and_its_task_is_named(as_owner, body, alice):
    answer = as_owner.post("/stores", body)
    told, store = answer.json(), Store.objects.get()
    assert answer.status_code == 202
    assert (told["id"], told["state"], told["name"]) == (str(store.pk), "creating", "orders")
    assert answer["Location"] == f"/api/v1/tasks/{store.operation_id}"
    assert as_owner.client.get(answer["Location"]).json()["subject_id"] == told["id"]
    event = AuditEvent.objects.get(action="Create Backup Store")
    assert event.actor == alice
    assert event.token.startswith("ci (sk_")
    assert event.request_id == answer["X-Request-ID"]


def test_what_pages_do_names_no_token(as_alice, account):
    data = {"provider": "aws", "cloud_account": str(account.pk), "name": "orders", "region": "eu-west-1"}
    assert as_alice.post("/stores/create/", data).status_code == 302
    assert AuditEvent.objects.get(action="Create Backup Store").token is None


def test_a_region_may_be_a_place_and_is_not_needed_where_there_is_one(as_owner, body, acme):
    assert as_owner.post("/stores", {**body, "region": "Ireland"}).json()["region"] == "eu-west-1"
    server = factories.server(acme)
    assert as_owner.post("/stores", {"name": "b", "cloud_account_id": str(server.pk)}).json()["region"] == "us-east-1"


def test_a_protected_store(as_owner, body):
    told = as_owner.post("/stores", {**body, "versions_days": 30, "lock_days": 7}).json()
    assert (told["versions_days"], told["lock_days"]) == (30, 7)


WRONG = {
    "no name": ({"name": ""}, "/name"),
    "a name that turns": ({"name": "a\u202eb"}, "/name"),
    "NUL": ({"name": "a\x00b"}, "/name"),
    "NUL in a region": ({"region": "eu\x00"}, "/region"),
    "a long name": ({"name": "x" * 61}, "/name"),
    "a name that is none": ({"name": 1}, "/name"),
    "a field more": ({"colour": "red"}, "/colour"),
    "an account that is none": ({"cloud_account_id": "mine"}, "/cloud_account_id"),
    "an account that is not there": ({"cloud_account_id": str(uuid4())}, "/cloud_account_id"),
    "no account": ({"cloud_account_id": None}, "/cloud_account_id"),
    "no region": ({"region": ""}, "/region"),
    "a region that is none": ({"region": "mars"}, "/region"),
    "no days": ({"versions_days": 0}, "/versions_days"),
    "days of a text": ({"versions_days": "many"}, "/versions_days"),
    "half a day": ({"versions_days": 1.5}, "/versions_days"),
    "a lock without versions": ({"lock_days": 7}, "/versions_days"),
    "a long number": ({"versions_days": 10**100}, "/versions_days"),
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_create_refuses_with_a_pointer_and_changes_nothing(as_owner, body, given):
    changed, pointer = given
    answer = as_owner.post("/stores", {**body, **changed})
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert answer.json()["errors"][0]["detail"]
    assert not Store.objects.exists()


def test_create_says_what_is_missing(as_owner, account):
    answer = as_owner.post("/stores", {})
    assert {one["pointer"] for one in answer.json()["errors"]} == {"/name", "/cloud_account_id"}
    assert {one["detail"] for one in answer.json()["errors"]} == {"This is missing."}


@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"name=orders", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b'{"name": NaN}', b"[]", b"1"],
    ids=lambda sent: f"{len(sent)} bytes of {sent[:4]!r}",
)
def test_create_refuses_what_is_no_object_of_json(as_owner, account, sent):
    answer = as_owner.post("/stores", sent)
    assert answer.status_code in {400, 422}
    assert (answer.status_code == 422) == (sent in {b"", b"[]", b"1"})
    assert not Store.objects.exists()


@pytest.mark.parametrize("sent", [b"[" * 100_000, b'{"a":' * 50_000], ids=["lists", "objects"])
def test_what_is_nested_too_deeply_is_called_so(as_owner, sent):
    assert "nested too deeply" in as_owner.post("/stores", sent).json()["detail"]


def test_a_form_is_no_json(as_owner, body):
    answer = as_owner.client.post("/api/v1/stores", body)
    assert (answer.status_code, "Content-Type" in answer.json()["detail"]) == (400, True)


def test_a_taken_name_a_limit_and_an_account_that_is_not_proven(as_owner, body, account, acme):
    factories.store(account, name="Orders")
    assert as_owner.post("/stores", body).json()["errors"][0]["pointer"] == "/name"
    acme.stores_at_most = 1
    acme.save()
    answer = as_owner.post("/stores", {**body, "name": "more"})
    assert (answer.status_code, "1 of 1 stores" in answer.json()["detail"]) == (409, True)
    google = factories.google(acme, found_external_id="another")
    CloudAccount.objects.filter(pk=google.pk).update(settings={**google.settings, "external_id": "other"})
    answer = as_owner.post("/stores", {**body, "name": "g", "cloud_account_id": str(google.pk)})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/cloud_account_id")


def test_a_viewer_and_a_stranger_change_nothing(as_viewer, as_stranger, body, account):
    store = factories.store(account)
    assert as_viewer.post("/stores", body).status_code == 403
    assert as_viewer.delete(f"/stores/{store.pk}").status_code == 403
    assert as_stranger.post("/stores", body).json()["errors"][0]["pointer"] == "/cloud_account_id"
    assert as_stranger.delete(f"/stores/{store.pk}").status_code == 404
    assert not Operation.objects.exists()


def test_a_store_is_begun_to_be_deleted(as_owner, account):
    store = factories.store(account)
    answer = as_owner.delete(f"/stores/{store.pk}?keep_logs=true")
    assert (answer.status_code, answer.json()["state"]) == (202, "deleting")
    store.refresh_from_db()
    assert answer["Location"] == f"/api/v1/tasks/{store.operation_id}"
    assert store.keep_logs
    again = as_owner.delete(f"/stores/{store.pk}")
    assert (again.status_code, again.json()["title"]) == (409, "Conflict")


def test_a_store_in_use_is_not_deleted(as_owner, account):
    store = factories.store(account)
    judged.cluster(account, stores=[store])
    answer = as_owner.delete(f"/stores/{store.pk}")
    assert answer.status_code == 409
    assert "in use: attachment to cluster orders" in answer.json()["detail"]
    assert not Operation.objects.exists()


def test_delete_refuses_what_it_does_not_know(as_owner, account):
    store = factories.store(account)
    assert as_owner.client.delete(f"/api/v1/stores/{store.pk}?force=true").status_code == 422
    assert as_owner.client.delete(f"/api/v1/stores/{store.pk}?keep_logs=perhaps").status_code == 422
    assert not Operation.objects.exists()


# Once for each key


def test_the_same_key_does_the_same_once(as_owner, body):
    first = as_owner.post("/stores", body, key="k1")
    second = as_owner.post("/stores", body, key="k1")
    assert (first.status_code, second.status_code, Store.objects.count()) == (202, 202, 1)
    assert (second.json(), second["Location"]) == (first.json(), first["Location"])
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first


def test_the_same_key_with_another_body_is_refused(as_owner, body):
    as_owner.post("/stores", body, key="k1")
    answer = as_owner.post("/stores", {**body, "name": "other"}, key="k1")
    assert (answer.status_code, "another call" in answer.json()["detail"]) == (422, True)
    assert Store.objects.count() == 1


def test_a_key_is_the_clients_own(as_owner, body, acme):
    as_owner.post("/stores", body, key="k1")
    adam = Caller(give(factories.user("adam", acme, "admin"))[1])
    assert adam.post("/stores", {**body, "name": "other"}, key="k1").status_code == 202


def test_a_refusal_is_not_kept(as_owner, body, account):
    taken = factories.store(account, name="orders")
    assert as_owner.post("/stores", body, key="k1").status_code == 422
    assert not KeptAnswer.objects.exists()
    Store.objects.filter(pk=taken.pk).update(name="renamed")
    assert as_owner.post("/stores", body, key="k1").status_code == 202


def test_a_key_is_forgotten_after_a_day(as_owner, body):
    as_owner.post("/stores", body, key="k1")
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert as_owner.post("/stores", {**body, "name": "other"}, key="k1").status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"], ids=lambda key: f"{len(key)} {key[:3]!a}")
def test_a_key_that_is_none_is_refused(as_owner, body, key):
    answer = as_owner.client.post(
        "/api/v1/stores", body, content_type="application/json", headers={"Idempotency-Key": key}
    )
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert not Store.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_key_in_two_requests_at_once_makes_one_store(acme, alice):
    account = factories.account(acme)
    _, text = give(alice)
    body = {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}
    ready = Barrier(2)

    def send():
        ready.wait(60)
        try:
            return Caller(text).post("/stores", body, key="k1")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = [one.result(60) for one in [pool.submit(send), pool.submit(send)]]
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert Store.objects.count() == Operation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_down_holds_nobody_up(acme, alice, settings):
    """The row is written, and the sweep finds it."""
    account = factories.account(acme)
    body = {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}
    answer = Caller(give(alice)[1]).post("/stores", body, key="k1")
    assert answer.status_code == 202
    assert Operation.objects.due().exists()
