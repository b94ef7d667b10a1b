"""Access logs that outlive their store: kept, listed, looked at daily, gone when the last has expired."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.urls import reverse
from django.utils import timezone

from console.cloud_accounts.actions import InUse, unlink
from console.operations import snapshots
from console.operations.models import Operation
from stores import actions
from stores.models import RetainedLogs, State, Store
from tests import factories
from tests.clouds import plans
from tests.responses import HTMX
from tests.stores.conftest import due
from tests.stores.deletion.dialogs import dialog, work


@pytest.fixture
def retained(store, s3, as_alice):
    """The logs of a store that was deleted but for them."""
    s3.put_object(Bucket=store.log_bucket, Key="access/log", Body=b"a line")
    form = {"name": store.name, "keep_logs": "on"}
    assert as_alice.post(reverse("stores:delete", args=[store.pk]), form, headers=HTMX).status_code == 204
    assert work(Store.objects.with_story().get()) is None
    return RetainedLogs.objects.get()


def names(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def clear(s3, bucket):
    """Do what the lifecycle rule does in time; the emulator delivers logs as Amazon does."""
    for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=one["Key"])


def look(logs):
    RetainedLogs.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    snapshots.read(RetainedLogs.LABEL, logs.pk)
    return RetainedLogs.objects.filter(pk=logs.pk).first()


def test_keep_logs_leaves_the_log_bucket_to_expire(retained, s3, account):
    assert names(s3) == {retained.bucket}
    assert s3.get_object(Bucket=retained.bucket, Key="access/log")["Body"].read() == b"a line"
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=retained.bucket)["Rules"]
    assert rule["Expiration"]["Days"] == 90
    assert (retained.cloud_account, retained.region, retained.store_name) == (account, "eu-west-1", "orders")
    assert abs(retained.expires_at - retained.since - timedelta(days=90)) < timedelta(minutes=1)
    [keeping] = [one["title"] for one in Operation.objects.get(verb="delete").steps][2:]
    assert keeping == "Leaving the access logs to expire"


def test_retained_logs_are_listed_for_everybody_until_they_are_gone(retained, client, bob, charlie, s3):
    client.force_login(bob)
    page = client.get("/stores/").content.decode()
    for words in ("Retained logs", retained.bucket, str(retained.store_id), "orders"):
        assert words in page
    client.force_login(charlie)
    assert retained.bucket not in client.get("/stores/").content.decode()
    clear(s3, retained.bucket)
    s3.delete_bucket(Bucket=retained.bucket)
    assert look(retained) is None
    client.force_login(bob)
    assert "Retained logs" not in client.get("/stores/").content.decode()


def test_retained_logs_are_looked_at_daily(retained):
    assert due(RetainedLogs.LABEL) == [retained.pk]  # whether the bucket is there at all
    snapshots.read(RetainedLogs.LABEL, retained.pk)
    assert due(RetainedLogs.LABEL) == []
    assert timedelta(hours=23) < RetainedLogs.objects.get().due_at - timezone.now() < timedelta(hours=25)


def test_retained_logs_go_when_the_last_has_expired(retained, s3):
    clear(s3, retained.bucket)
    assert look(retained)  # empty, but late logs may come
    RetainedLogs.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert look(retained) is None
    assert not names(s3)


def test_retained_logs_that_are_still_there_stay(retained, s3):
    RetainedLogs.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert look(retained)
    assert names(s3) == {retained.bucket}
    assert s3.get_object(Bucket=retained.bucket, Key="access/log")


@pytest.mark.parametrize("tags", [[], [{"Key": "storekeeper:store-id", "Value": "another"}]])
def test_retained_logs_touch_no_bucket_that_is_not_the_stores(retained, s3, as_alice, tags):
    clear(s3, retained.bucket)
    s3.put_bucket_tagging(Bucket=retained.bucket, Tagging={"TagSet": tags})
    RetainedLogs.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    kept = look(retained)
    assert names(s3) == {retained.bucket}
    if tags:
        assert kept is None  # somebody else's now
    else:
        assert "does not carry this store" in kept.error
        assert "does not carry this store" in as_alice.get("/stores/").content.decode()


def test_retained_logs_keep_their_account(retained, account, as_alice):
    with pytest.raises(InUse, match="retained logs of store orders"):
        unlink(account, by=None)
    page = as_alice.get(reverse("cloud_accounts:unlink", args=[account.pk])).content.decode()
    assert "retained logs of store orders" in page


def test_constraint_a_log_bucket_is_retained_once(retained):
    retained.pk = None
    with pytest.raises(IntegrityError):
        retained.save()


def test_keep_logs_outlasts_a_crash_at_its_end(store, s3, alice):
    """All steps were done, and the worker was killed before it could write that down."""
    actions.delete(store, keep_logs=True, by=alice)
    dead = Operation.objects.claim(store.operation_id, "the dead one")
    for stage in plans.deletion_but_logs(store.cloud):
        for step in stage:
            step.run(store.spec(complete=True))
    assert dead.record(dead.steps)
    Operation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert work(Store.objects.with_story().get()) is None
    assert RetainedLogs.objects.get().bucket in names(s3)


def test_keep_logs_is_forgotten_when_the_store_is_deleted_otherwise(store, s3, alice):
    s3.put_object(Bucket=store.bucket, Key="backup", Body=b"1")
    actions.delete(store, keep_logs=True, by=alice)
    assert work(store).operation.state == "refused"
    s3.delete_object(Bucket=store.bucket, Key="backup")
    actions.delete(Store.objects.get(), by=alice)
    assert work(Store.objects.with_story().get()) is None
    assert (RetainedLogs.objects.count(), names(s3)) == (0, set())


@pytest.mark.parametrize(("has", "offered"), [("access_logging tags", True), ("tags", False)])
def test_keep_logs_is_offered_where_there_are_logs(as_alice, acme, has, offered):
    store = factories.store(factories.server(acme, has=has), region="us-east-1")
    assert ('name="keep_logs"' in dialog(as_alice, store)) is offered
    form = {"name": store.name, "keep_logs": "on"}
    assert as_alice.post(reverse("stores:delete", args=[store.pk]), form, headers=HTMX).status_code == 204
    store = Store.objects.with_story().get()
    assert (store.state, store.keep_logs) == (State.DELETING, offered)
    assert [one["title"] for one in store.operation.steps][2].startswith("Leaving") is offered


def test_support_finds_retained_logs(retained, client):
    client.force_login(factories.user("sue", is_staff=True, is_superuser=True))
    url = reverse("admin:stores_retainedlogs_changelist")
    assert retained.bucket in client.get(url, {"q": str(retained.store_id)}).content.decode()
    assert client.get(reverse("admin:stores_retainedlogs_change", args=[retained.pk])).status_code == 200
    assert client.get(reverse("admin:stores_retainedlogs_add")).status_code == 403
