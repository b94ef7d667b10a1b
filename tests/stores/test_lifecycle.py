"""A store from the action to the buckets and back, in an emulated Amazon: what the database says is what is there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import product

import boto3
import pytest
from botocore.exceptions import ClientError
from django.db import IntegrityError
from django.utils import timezone

from console.clouds import CLOUDS
from console.operations.actions import NotNow, cancel
from console.operations.models import Operation
from stores import actions
from stores.models import State, Store
from tests import factories
from tests.clouds import plans
from tests.delivery import deliver
from tests.sampling import thorough_but

TROUBLE = {"busy": {"code": "SlowDown", "status": 503}, "dropped": {"when": "drop"}, "lost": {"when": "after"}}


@pytest.fixture
def s3(amazon):
    """The administrator's own S3 client, beside the console's."""
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


@pytest.fixture
def create(account, alice, amazon):
    def create(name="orders", region="eu-west-1", run=True):
        store = actions.create(account, name=name, region=region, by=alice)
        return work(store) if run else store

    return create


def work(store):
    """Do what a worker does with the store's operation, until it is finished or put off."""
    deliver(store.operation.pk)
    return Store.objects.with_story().filter(pk=store.pk).first()


def again(store):
    """Let the time pass until a postponed operation is due, and work on."""
    Operation.objects.filter(pk=store.operation.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    return work(store)


def buckets(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_create_ends_available_in_seven_calls(create, amazon, s3):
    store = create()
    calls = Counter(operation for operation, _, _ in amazon.calls)
    assert store.state == "available"
    assert calls == {
        "CreateBucket": 2,
        "PutBucketPolicy": 2,
        "PutBucketLifecycleConfiguration": 2,
        "PutBucketLogging": 1,
    }
    assert buckets(s3) == {store.bucket, store.log_bucket}
    assert store.operation.progress == 100
    assert len(store.operation.steps) == 7


def test_create_has_its_names_in_the_database_before_the_first_call(create, amazon):
    store = create(run=False)
    assert not amazon.calls
    assert Store.objects.get().bucket == store.bucket


def test_create_takes_new_names_when_another_account_has_them(create, amazon, s3):
    """The global namespace, in a region without the account's own: somebody else was first."""
    store = create(region="me-south-1", run=False)
    key, secret = amazon.add_account("210987654321")
    theirs = boto3.client("s3", region_name="me-south-1", aws_access_key_id=key, aws_secret_access_key=secret)
    theirs.create_bucket(Bucket=store.bucket, CreateBucketConfiguration={"LocationConstraint": "me-south-1"})
    taken = store.bucket
    store = work(store)
    assert (store.state, store.names_tried) == ("available", 2)
    assert store.bucket != taken
    assert store.bucket in buckets(s3)
    assert not [call for call in amazon.calls if call[1] == taken and call[0] != "CreateBucket"]


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_create_never_touches_a_bucket_that_is_not_ours(create, amazon, s3, region, account):
    store = create(region=region, run=False)
    config = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client = boto3.client(
        "s3",
        region_name=region,
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    client.create_bucket(Bucket=store.bucket, BucketNamespace="account-regional", **config)
    client.put_object(Bucket=store.bucket, Key="precious", Body=b"data")
    store = work(store)
    assert store.state == "failed"
    assert store.bucket in store.operation.error
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(Bucket=store.bucket)
    # And deleting the failed store leaves it alone, too.
    actions.delete(store, by=None)
    assert work(store) is None
    assert client.get_object(Bucket=store.bucket, Key="precious")["Body"].read() == b"data"
    assert buckets(s3) == {store.bucket}


def test_delete_removes_both_buckets_and_the_row(create, s3):
    store = create()
    s3.put_object(Bucket=store.log_bucket, Key="access/log", Body=b"a line")
    actions.delete(store, by=None)
    assert work(store) is None
    assert not buckets(s3)
    assert Operation.objects.get(verb="delete").state == "done"


def fill_with_objects(s3, bucket):
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"object-{number}", Body=b"x")
    return "3 objects"


def fill_with_versions(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="object")
    return "1 delete marker"


def fill_with_uploads(s3, bucket):
    s3.create_multipart_upload(Bucket=bucket, Key="half")
    return "1 unfinished upload"


@pytest.mark.parametrize("fill", [fill_with_objects, fill_with_versions, fill_with_uploads])
def test_delete_is_refused_while_the_store_holds_data(create, s3, fill):
    store = create()
    words = fill(s3, store.bucket)
    actions.delete(store, by=None)
    store = work(store)
    assert (store.state, store.operation.state) == ("available", "refused")
    assert words in store.operation.error
    assert store.bucket in str(store.operation.details["commands"])
    assert s3.get_bucket_logging(Bucket=store.bucket)["LoggingEnabled"]["TargetBucket"] == store.log_bucket


def test_delete_that_meets_data_at_the_last_moment_puts_logging_back(create, s3):
    """The check found the bucket empty, then a node wrote to it: DeleteBucket itself is the atomic check."""
    store = create()
    actions.delete(store, by=None)
    checked = Operation.objects.claim(store.operation.pk, "a worker that was killed after the check")
    checked.steps[0]["state"] = "done"
    assert checked.record(checked.steps)
    s3.put_object(Bucket=store.bucket, Key="late", Body=b"x")
    store = again(store)
    assert (store.state, store.operation.state) == ("available", "refused")
    assert "1 object" in store.operation.error
    assert s3.get_bucket_logging(Bucket=store.bucket)["LoggingEnabled"]["TargetBucket"] == store.log_bucket


def logs_to(s3, store):
    return s3.get_bucket_logging(Bucket=store.bucket).get("LoggingEnabled", {}).get("TargetBucket")


def go_on(store):
    """Work until the operation has ended or is put off."""
    while store is not None and deliver(store.operation.pk) == 0:
        pass
    return Store.objects.with_story().filter(pk=store.pk).first()


@pytest.mark.parametrize("finished", [0, 1])
def test_cancel_puts_a_half_deleted_store_back(create, s3, amazon, finished):
    """The deletion got as far as turning logging off, with or without its check recorded, and then waits."""
    store = create()
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", code="OperationAborted", status=409, times=8)
    store = work(store)
    assert (store.operation.state, logs_to(s3, store)) == ("waiting", None)
    assert store.can_cancel
    if not finished:
        Operation.objects.update(steps=[{**one, "state": "waiting"} for one in store.operation.steps])
    cancel(store, by=None)
    store = go_on(store)
    assert (store.state, store.operation.state) == ("available", "cancelled")
    assert logs_to(s3, store) == store.log_bucket
    assert buckets(s3) == {store.bucket, store.log_bucket}
    amazon.clear_faults()
    actions.delete(store, by=None)
    assert work(store) is None
    assert not buckets(s3)


def test_cancel_before_any_worker_came_changes_nothing(create, s3):
    store = create()
    actions.delete(store, by=None)
    cancel(store, by=None)
    store = go_on(store)
    assert (store.state, store.operation.state) == ("available", "cancelled")
    assert logs_to(s3, store) == store.log_bucket


def test_cancel_just_as_the_bucket_went_is_too_late(create, s3, amazon):
    """Amazon deleted the bucket, and the connection broke before it could say so: only then somebody cancels."""
    store = create()
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", when="drop", bucket=store.bucket, times=3)
    store = work(store)
    assert store.operation.state == "waiting"
    assert buckets(s3) == {store.log_bucket}
    assert store.can_cancel  # nobody here can know
    cancel(store, by=None)
    assert go_on(store) is None
    assert not buckets(s3)
    operation = Operation.objects.get(verb="delete")
    assert (operation.state, operation.cancel) == ("done", "too late")
    assert [one["state"] for one in operation.steps] == ["done", "done", "done", "failed"]


class Killed(BaseException):
    """What a worker that is killed does not survive."""


@pytest.fixture
def at_write(monkeypatch):
    """A function that has something happen before or after the n-th write of the next worker to its operation."""
    write = Operation._write

    def at_write(number, moment, happen):
        seen = []

        def watched(self, **values):
            seen.append(values)
            if len(seen) == number and moment == "before":
                happen()
            held = write(self, **values)
            if len(seen) == number and moment == "after":
                happen()
            return held

        monkeypatch.setattr(Operation, "_write", watched)
        return seen

    return at_write


def is_as_before(s3, store):
    return (
        (store.state, store.operation.state) == ("available", "cancelled")
        and buckets(s3) == {store.bucket, store.log_bucket}
        and logs_to(s3, store) == store.log_bucket
    )


@pytest.mark.parametrize("moment", ["before", "after"])
def test_cancel_at_every_write_puts_all_back_or_comes_too_late(create, s3, at_write, moment):
    """Whenever the wish comes, the store is wholly there or wholly gone, and its operation says which."""
    ends, number, writes = [], 1, [None]
    while number <= len(writes):
        store = create(name=f"store-{number}")
        actions.delete(store, by=None)

        def wish(pk=store.operation.pk):
            Operation.objects.cancel(pk, by=None)

        writes = at_write(number, moment, wish)
        left = go_on(store)
        operation = Operation.objects.get(pk=store.operation.pk)
        if left:
            assert is_as_before(s3, left), number
            actions.delete(left, by=None)
            at_write(0, moment, None)
            assert go_on(left) is None
        else:
            assert (operation.state, buckets(s3)) == ("done", set()), number
        ends.append(operation.state)
        number += 1
    assert ends == sorted(ends)  # once it is too late it stays so
    assert set(ends) == {"cancelled", "done"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_cancel_survives_a_kill_at_every_write(create, s3, amazon, at_write, moment):
    number, killed = 1, True
    while killed:
        store = create(name=f"store-{number}")
        actions.delete(store, by=None)
        amazon.inject("DeleteBucket", code="OperationAborted", status=409, times=8)
        store = work(store)
        amazon.clear_faults()
        cancel(store, by=None)

        def kill():
            raise Killed

        at_write(number, moment, kill)
        killed = False
        try:
            go_on(store)
        except Killed:
            killed = True
        at_write(0, moment, None)
        Operation.objects.unfinished().update(due_at=timezone.now() - timedelta(seconds=1))
        store = go_on(store)
        assert is_as_before(s3, store), number
        actions.delete(store, by=None)
        assert go_on(store) is None
        number += 1
    assert number > 3


def test_cancel_is_not_offered_once_the_bucket_is_gone(create, s3, amazon):
    store = create()
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", code="BucketNotEmpty", status=409, bucket=store.log_bucket)
    store = work(store)
    assert (store.state, store.can_cancel) == ("deleting", False)
    with pytest.raises(NotNow, match="too late"):
        cancel(store, by=None)
    assert again(store) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "fault"),
    thorough_but(
        product(("GetBucketTagging", "GetBucketLogging", "PutBucketLogging"), TROUBLE), by=lambda cell: cell[0]
    ),
)
def test_cancel_outlasts_passing_trouble(create, s3, amazon, operation, fault):
    store = create()
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", code="OperationAborted", status=409, times=8)
    store = work(store)
    cancel(store, by=None)
    amazon.inject(operation, times=4, **TROUBLE[fault])
    store = go_on(store)
    for _ in range(10):
        if store.operation.state != "waiting":
            break
        store = again(store)
    assert (store.state, store.operation.state) == ("available", "cancelled")
    assert logs_to(s3, store) == store.log_bucket


def test_cancel_that_fails_says_what_is_missing(create, amazon):
    store = create()
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", code="OperationAborted", status=409, times=8)
    store = work(store)
    cancel(store, by=None)
    amazon.inject("PutBucketLogging", code="AccessDenied", status=403, times=4)
    store = go_on(store)
    assert (store.state, store.operation.state) == ("failed", "failed")
    assert "s3:PutBucketLogging" in store.operation.details["statement"]
    amazon.clear_faults()
    actions.repair(store, by=None)
    assert work(store).state == "available"


def test_cancel_of_a_failed_store_leaves_it_failed(create, amazon, s3):
    amazon.inject("PutBucketPolicy", code="AccessDenied", status=403, times=9)
    store = create()
    amazon.clear_faults()
    actions.delete(store, by=None)
    cancel(store, by=None)
    store = go_on(store)
    assert (store.state, store.operation.state) == ("failed", "cancelled")
    assert len(buckets(s3)) == 2


def test_cancel_puts_logging_back_for_a_store_that_was_made_by_repair(create, amazon, s3):
    amazon.inject("PutBucketPolicy", code="AccessDenied", status=403, times=9)
    store = create()
    amazon.clear_faults()
    actions.repair(store, by=None)
    store = work(store)
    actions.delete(store, by=None)
    amazon.inject("DeleteBucket", code="OperationAborted", status=409, times=8)
    store = work(store)
    assert logs_to(s3, store) is None
    cancel(store, by=None)
    assert is_as_before(s3, go_on(store))


def test_cancel_is_refused_while_a_store_is_created(create):
    store = create(run=False)
    with pytest.raises(NotNow):
        cancel(store, by=None)


def test_delete_twice_at_once_is_one_deletion(create):
    store = create()
    stale = Store.objects.get()
    actions.delete(store, by=None)
    with pytest.raises(NotNow):
        actions.delete(stale, by=None)
    assert Operation.objects.filter(verb="delete").count() == 1


def test_delete_of_a_store_that_was_never_made(create, amazon, s3):
    amazon.inject(operation="CreateBucket", code="TooManyBuckets", status=400, times=2)
    store = create()
    assert store.state == "failed"
    actions.delete(store, by=None)
    assert work(store) is None
    assert not buckets(s3)


def test_repair_makes_lost_buckets_again(create, amazon, s3):
    store = create()
    s3.delete_bucket(Bucket=store.bucket)
    actions.repair(store, by=None)
    assert work(store).state == "available"
    assert buckets(s3) == {store.bucket, store.log_bucket}


def test_two_workers_with_the_same_message_do_the_work_once(create, amazon):
    store = create(run=False)
    held = Operation.objects.claim(store.operation.pk, "the first")
    assert deliver(store.operation.pk) is None
    assert not amazon.calls
    assert held.fence == 1


def test_a_worker_that_died_is_followed_by_another(create, amazon, s3):
    """The first worker got as far as the policies, then was killed: nothing of what it did is lost or doubled."""
    store = create(run=False)
    dead = Operation.objects.claim(store.operation.pk, "the dead one")
    for record in dead.steps[:2]:
        plans.creation(CLOUDS["aws"])[0][dead.steps.index(record)].run(store.spec())
        record["state"] = "done"
    assert dead.record(dead.steps)
    store = again(store)
    assert store.state == "available"
    assert Counter(operation for operation, _, _ in amazon.calls)["CreateBucket"] == 2
    assert buckets(s3) == {store.bucket, store.log_bucket}


@pytest.mark.parametrize("values", [{"name": ""}, {"state": "dreaming"}])
def test_constraints_of_a_store(account, values):
    with pytest.raises(IntegrityError):
        factories.store(account, **values)


def test_constraint_a_store_has_two_buckets(account):
    with pytest.raises(IntegrityError, match="a_store_has_two_buckets"):
        factories.store(account, bucket="same", log_bucket="same")


def test_constraint_one_store_name_per_organisation(account, charlie):
    factories.store(account, name="orders")
    factories.store(factories.account(charlie.organisations.get()), name="orders")
    with pytest.raises(IntegrityError):
        factories.store(account, name="Orders")


def test_constraint_a_bucket_belongs_to_one_store(account):
    store = factories.store(account)
    with pytest.raises(IntegrityError):
        factories.store(account, name="other", bucket=store.bucket)


def test_states_are_only_those_of_the_table(account):
    assert set(State.values) == {"creating", "available", "deleting", "failed", "degraded", "repairing"}
