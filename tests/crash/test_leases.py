"""A worker that was stopped and wakes up late: another one has gone on, and it changes nothing more."""

from __future__ import annotations

import os
import signal

import pytest
from kombu import Connection

from clusters import actions as clusters
from console.operations.models import Operation
from console.operations.tasks import run_operation
from stores import actions
from stores.models import State, Store
from tests import factories
from tests.worker_process import changes, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def stopped(process):
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def row():
    return Operation.objects.values().get()


def have_another_take_over(start_worker, amazon, operation, calls):
    """Stop the worker while its calls hang, have another one end the work, and wake the first one up."""
    first = start_worker(beat=False, settings="tests.crash.quick")
    run_operation.apply_async((str(row()["id"]),), connection=Connection(start_worker.broker.url))
    wait_until(lambda: not amazon._faults)  # they have arrived
    stopped(first)
    wait_until(lambda: [call for call, _, _ in amazon.calls].count(operation) == calls)  # the one in flight is answered
    start_worker(settings="tests.crash.quick")
    wait_until(lambda: not Operation.objects.unfinished().exists())
    ended, changed = row(), changes(amazon)
    first.send_signal(signal.SIGCONT)
    wait_until(lambda: "the lease was lost" in start_worker.log.read_text())
    first.send_signal(signal.SIGTERM)  # it finishes what it is at, so nothing of it comes later
    assert first.wait(30) == 0
    assert row() == ended
    assert changes(amazon) == changed
    return ended


def test_a_worker_that_wakes_up_in_a_round_changes_nothing(start_worker, amazon, account, alice):
    amazon.inject("PutBucketPolicy", when="hang", seconds=1.5, times=2)
    actions.create(account, name="orders", region="eu-west-1", by=alice)

    ended = have_another_take_over(start_worker, amazon, "PutBucketPolicy", 2)
    assert (ended["state"], ended["fence"], Store.objects.get().state) == ("done", 2, State.AVAILABLE)
    assert [step["state"] for step in ended["steps"]] == ["done"] * 7


@pytest.mark.thorough  # like the one above; that a call asks for the lease first has tests/operations/test_engine.py
def test_a_worker_that_wakes_up_between_two_calls_of_a_step_makes_no_further_call(start_worker, amazon, account, alice):
    """It had read whose role it is, and would now put a policy that may be out of date."""
    amazon.inject("GetRole", when="hang", seconds=1.5)
    stores = [factories.store(account, name=name) for name in ("near", "far")]
    clusters.create(account, name="orders", regions=["eu-west-1"], stores=stores, by=alice)

    ended = have_another_take_over(start_worker, amazon, "GetRole", 1)
    assert (ended["state"], ended["fence"]) == ("done", 2)
    assert [call for call, _, _ in amazon.calls].count("PutRolePolicy") == 1
