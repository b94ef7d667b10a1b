"""A real worker with beat, a real broker, and the database of this run: SQLite or PostgreSQL."""

from __future__ import annotations

import signal

import boto3
import pytest
from django.utils.dateparse import parse_datetime

from clusters import actions as clusters
from clusters.models import Cluster
from console.operations.actions import cancel
from console.operations.models import Operation
from stores import actions
from stores.models import State, Store
from tests import factories
from tests.worker_process import changes, wait_until

QUICK = "tests.crash.quick"  # leases that run out soon
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.thorough  # like tests/crash/test_outages.py, while the broker is gone, but with more at once
def test_what_waited_without_a_broker_is_done_when_it_is_there(start_worker, amazon, account, alice):
    """The tests' own broker is down: each of these operations is found by the sweep, once, and none is lost."""
    made = [actions.create(account, name=f"store-{n}", region="eu-west-1", by=alice) for n in range(12)]
    assert Operation.objects.filter(state="waiting").count() == 12
    start_worker()
    wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == 12)
    assert len(changes(amazon)) == 12 * 7
    assert set(Operation.objects.values_list("state", "fence")) == {("done", 1)}
    for store in made:
        actions.delete(Store.objects.get(pk=store.pk), by=alice)
    wait_until(lambda: not Store.objects.exists())


def test_a_worker_killed_in_the_middle_is_followed_by_another(start_worker, amazon, account, alice):
    amazon.inject("PutBucketPolicy", when="hang", seconds=30, times=2)
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    first = start_worker()
    wait_until(lambda: [call for call in amazon.calls if call[0] == "CreateBucket"])
    wait_until(lambda: any(step["state"] == "done" for step in Operation.objects.get().steps))
    first.send_signal(signal.SIGKILL)
    first.wait()
    start_worker(beat=False)
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)
    operation = Operation.objects.get()
    assert (operation.state, operation.fence) == ("done", 2)
    assert [step["state"] for step in operation.steps] == ["done"] * 7
    assert {bucket for operation, bucket, _ in amazon.calls if operation == "CreateBucket"} == {
        store.bucket,
        store.log_bucket,
    }


def test_a_worker_asked_to_end_finishes_its_steps_and_hands_the_rest_to_another(start_worker, amazon, account, alice):
    amazon.inject("PutBucketPolicy", when="hang", seconds=2, times=2)
    start_worker()
    start_worker(beat=False)
    start_worker.wait_until_ready()
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    wait_until(lambda: any(step["state"] == "done" for step in Operation.objects.get().steps))
    first = start_worker.working_on(Operation.objects.get())
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)
    operation = Operation.objects.get()
    assert (operation.fence, operation.retries, operation.retry_note) == (2, 0, "")
    started = [parse_datetime(step["started"]) for step in operation.steps]
    finished = [parse_datetime(step["finished"]) for step in operation.steps]
    assert (started[4] - finished[3]).total_seconds() < 1  # the next round, by the other one
    closed = [bucket for call, bucket, _ in amazon.calls if call == "PutBucketPolicy"]
    assert (closed.count(store.bucket), closed.count(store.log_bucket)) == (1, 1)  # nothing was done again


@pytest.mark.thorough  # tests/crash/test_matrix.py kills one there, too
def test_a_worker_killed_between_granting_and_recording_is_followed_by_another(start_worker, amazon, account, alice):
    """Amazon has let the nodes in, its answer never comes, and nobody has written it down."""
    amazon.inject("PutRolePolicy", when="hang", seconds=30)
    stores = [factories.store(account, name=name) for name in ("near", "far")]
    clusters.create(account, name="orders", regions=["eu-west-1"], stores=stores, by=alice)
    first = start_worker(settings=QUICK)
    wait_until(lambda: [step["state"] for step in Operation.objects.get().steps].count("done") >= 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    start_worker(settings=QUICK)
    wait_until(lambda: Cluster.objects.get().state == "available")
    operation = Operation.objects.get()
    assert (operation.state, operation.fence) == ("done", 2)
    assert [step["state"] for step in operation.steps] == ["done"] * 4
    assert set(Cluster.objects.get().attachments.values_list("state", "repository__number")) == {
        ("attached", 1),
        ("attached", 2),
    }
    assert [call for call, _, _ in amazon.calls].count("CreateRole") == 1


@pytest.mark.thorough  # like tests/crash/test_leases.py; what a cancellation does meanwhile has test_cancel.py
def test_a_stopped_worker_that_wakes_up_after_a_cancellation_deletes_nothing(
    start_worker, amazon, account, alice, tmp_path
):
    """It was stopped between turning logging off and deleting the bucket, and knows nothing of what came meanwhile."""
    s3 = boto3.client(
        "s3",
        endpoint_url=amazon.url,
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )

    def logs():
        return s3.get_bucket_logging(Bucket=store.bucket).get("LoggingEnabled", {}).get("TargetBucket")

    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    first = start_worker(settings=QUICK)
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)
    amazon.inject("PutBucketLogging", when="hang", seconds=2)
    actions.delete(Store.objects.get(), by=alice)
    wait_until(lambda: not logs())
    first.send_signal(signal.SIGSTOP)
    cancel(Store.objects.get(), by=alice)
    start_worker(settings=QUICK)
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)
    assert logs() == store.log_bucket
    first.send_signal(signal.SIGCONT)
    wait_until(lambda: "the lease was lost" in (tmp_path / "worker.log").read_text())
    assert {one["Name"] for one in s3.list_buckets()["Buckets"]} == {store.bucket, store.log_bucket}
    operation = Operation.objects.get(verb="delete")
    assert (operation.state, operation.fence) == ("cancelled", 2)
    assert "DeleteBucket" not in {call for call, _, _ in amazon.calls}
