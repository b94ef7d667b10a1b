"""Buckets of a store whose row is gone are taken back with what is in them, in an emulated Amazon."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest
from django.db import connections
from django.test import Client

from console.audit.models import AuditEvent
from console.clouds.s3api import buckets
from console.operations.models import Operation
from stores.models import Store
from tests import factories
from tests.delivery import deliver
from tests.responses import HTMX, text_of
from tests.stores.leftovers import lose, make_bucket, path, scan


def store_buckets(store):
    return (store.bucket, store.log_bucket)


def test_adopt_takes_the_store_back_with_what_is_in_it(account, as_alice, made, s3, amazon):
    store = made()
    s3.put_object(Bucket=store.bucket, Key="c-1/backup/x", Body=b"precious")
    s3.put_object(Bucket=store.log_bucket, Key="access/1", Body=b"log")
    lose(store)
    s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    scan(account)
    dialog = as_alice.get(path(account, store.bucket, "adopt"), headers=HTMX).content.decode()
    assert 'value="orders"' in dialog
    assert store.log_bucket in dialog
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 204
    back = Store.objects.get()
    deliver(back.operation_id)
    back.refresh_from_db()
    assert (back.pk, back.bucket, back.log_bucket, back.region) == (
        store.pk,
        store.bucket,
        store.log_bucket,
        "eu-west-1",
    )
    assert back.state == "available"
    assert s3.get_object(Bucket=store.bucket, Key="c-1/backup/x")["Body"].read() == b"precious"
    assert s3.get_object(Bucket=store.log_bucket, Key="access/1")["Body"].read() == b"log"
    assert s3.get_bucket_logging(Bucket=store.bucket)["LoggingEnabled"]["TargetBucket"] == store.log_bucket
    assert "DeleteBucket" not in {operation for operation, _, _ in amazon.calls}
    assert AuditEvent.objects.filter(action="Adopted a backup store").exists()
    assert scan(account).content == []


@pytest.mark.parametrize("lock", [14, None])
@pytest.mark.parametrize("which", ["bucket", "log_bucket"])
def test_adopt_keeps_what_a_protected_store_promised(account, as_alice, made, s3, which, lock):
    store = lose(made(versions_days=40, lock_days=lock))
    scan(account)
    url = path(account, getattr(store, which), "adopt")
    dialog = text_of(as_alice.get(url, headers=HTMX))
    assert "versions are kept for 40 days" in dialog
    assert ("for 14 days (Object Lock, governance)" in dialog) is bool(lock)
    as_alice.post(url, {"name": "orders"}, headers=HTMX)
    back = Store.objects.get()
    assert (back.versions_days, back.lock_days) == (40, lock)
    deliver(back.operation_id)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]
    assert [one["NoncurrentVersionExpiration"] for one in rules if one["ID"] == "expire-versions"] == [
        {"NoncurrentDays": 40}
    ]
    back.refresh_from_db()
    assert back.state == "available"


@pytest.mark.parametrize(
    ("versions", "lock", "promised"),
    [
        ("30", "14", (30, 14)),
        ("", "14", (None, None)),
        ("0", "0", (None, None)),
        ("36501", "1", (None, None)),
        ("30", "٣", (30, None)),
        ("-1", "x", (None, None)),
        ("9" * 200, "1", (None, None)),
    ],
)
def test_adopt_takes_no_nonsense_from_tags(account, as_alice, made, s3, versions, lock, promised):
    store = lose(made())
    tags = {"store-id": str(store.pk), "versions-days": versions, "lock-days": lock}
    tagged = [{"Key": f"storekeeper:{key}", "Value": value} for key, value in tags.items()]
    s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tagged})
    scan(account)
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX).status_code == 204
    assert Store.objects.values_list("versions_days", "lock_days").get() == promised


def test_adopt_makes_what_is_missing(account, as_alice, made, s3):
    store = lose(made())
    s3.delete_bucket(Bucket=store.bucket)
    scan(account)
    assert "not found; a new, empty one" in as_alice.get(path(account, store.log_bucket, "adopt")).content.decode()
    as_alice.post(path(account, store.log_bucket, "adopt"), {"name": "orders"})
    back = Store.objects.get()
    deliver(back.operation_id)
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {store.bucket, store.log_bucket}


def test_adopt_takes_the_pair_that_was_found_under_another_name(account, as_alice, alice, acme, s3):
    """As where a name was taken, and the store got another one for that bucket."""
    pk = uuid4()
    Operation.objects.create(
        organisation=acme,
        subject_kind="store",
        subject_id=pk,
        subject_name="orders",
        verb="create",
        title="Create Backup Store",
        state="done",
        finished_at="2026-01-01T00:00:00Z",
    )
    log_name = buckets.global_names(pk)[1]
    for name in (f"pgbk-{'a' * 26}", log_name):
        make_bucket(s3, name, store_id=str(pk))
    scan(account)
    as_alice.post(path(account, log_name, "adopt"), {"name": "orders"})
    back = Store.objects.get()
    assert (back.bucket, back.log_bucket) == (f"pgbk-{'a' * 26}", log_name)


def test_adopt_refuses_a_name_that_is_taken_beside_the_field(account, as_alice, made):
    store = lose(made())
    factories.store(account, name="Orders")
    scan(account)
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert 'id="id_name_error"' in answer.content.decode()
    assert as_alice.post(path(account, store.bucket, "adopt"), {}, headers=HTMX).status_code == 422
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "again"}, headers=HTMX).status_code == 204


def test_adopt_refuses_what_names_no_store_of_ours(account, as_alice, charlie, s3):
    theirs = factories.store(factories.account(charlie.organisations.get()), name="secret plans")
    name = f"pgbk-{'d' * 26}"
    make_bucket(s3, name, store_id=str(theirs.pk))
    scan(account)
    answer = as_alice.post(path(account, name, "adopt"), {"name": "mine"}, headers=HTMX)
    assert answer.status_code == 422
    assert "secret plans" not in answer.content.decode()
    assert Store.objects.get() == theirs


def test_history_of_another_organisation_is_none_of_ours(account, as_alice, charlie, made):
    store = lose(made())
    Operation.objects.update(organisation=charlie.organisations.get())
    scan(account)
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "mine"}, headers=HTMX).status_code == 422
    assert not Store.objects.exists()


def test_adopt_is_refused_when_several_buckets_could_be_it(account, as_alice, made, s3):
    store = lose(made())
    s3.delete_bucket(Bucket=store.bucket)
    for letter in "ab":
        make_bucket(s3, f"pgbk-{letter * 26}", store_id=str(store.pk))
    scan(account)
    answer = as_alice.post(path(account, store.log_bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Several buckets" in answer.content.decode()


def test_adopt_waits_for_a_task_that_the_history_says_is_at_work(account, as_alice, made):
    store = lose(made())
    Operation.objects.update(state="running", finished_at=None)
    scan(account)
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Another task is working" in answer.content.decode()
    assert not Store.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_adopt_twice_at_once_makes_one_store(account, alice, made):
    store = lose(made())
    scan(account)
    clients = [Client(), Client()]
    for one in clients:
        one.force_login(alice)
    answers, gate = [], threading.Barrier(2)

    def post(client, bucket):
        gate.wait()
        try:
            answers.append(client.post(path(account, bucket, "adopt"), {"name": "orders"}, headers=HTMX).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=post, args=pair) for pair in zip(clients, store_buckets(store), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) in ([204, 404], [204, 422])
    assert Store.objects.get().pk == store.pk
    assert Operation.objects.unfinished().count() == 1
