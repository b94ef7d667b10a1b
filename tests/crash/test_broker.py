"""A broker that is full, or that nobody takes messages from: pages answer, nothing is lost, and nothing piles up."""

from __future__ import annotations

import time

import pytest
import redis

from console.celery import app
from console.operations.models import Chore, Heartbeat, Operation
from stores import actions
from stores.models import State, Store
from tests.worker_process import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
QUEUES = ("beat", "celery", "snapshots")


@pytest.fixture
def valkey(broker):
    """A client of this test's own broker."""
    with redis.Redis(unix_socket_path=str(broker.socket)) as client:
        yield client


@pytest.fixture
def sends(broker, monkeypatch):
    """Have this process, which stands for the web server, send to this test's own broker."""
    for name in ("broker_url", "broker_read_url", "broker_write_url"):
        # The items, and not the attributes: without a value of their own, those two are whatever broker_url is by now.
        monkeypatch.setitem(app.conf, name, broker.url)
    for holder, name in ((app, "_pool"), (app.amqp, "_producer_pool")):
        monkeypatch.setattr(holder, name, None)
    yield
    app.pool.force_close_all()


def create(account, name):
    return actions.create(account, name=name, region="eu-west-1", by=None)


def trouble():
    return "".join(Heartbeat.objects.filter(kind="beat").values_list("trouble", flat=True))


def test_a_full_broker_stops_no_page_and_loses_no_work(start_worker, sends, valkey, amazon, account, caplog):
    start_worker(settings="tests.crash.quiet")
    create(account, "before")
    wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == 1)
    valkey.config_set("maxmemory", 1)
    made = [create(account, f"store-{n}") for n in range(3)]  # which answers
    assert "command not allowed when used memory" in caplog.text
    wait_until(lambda: "command not allowed when used memory" in trouble())
    assert Operation.objects.filter(state="waiting").count() == len(made)
    valkey.config_set("maxmemory", 0)
    wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == 1 + len(made))
    wait_until(lambda: not trouble())
    assert set(Operation.objects.values_list("state", "fence")) == {("done", 1)}


def test_a_worker_takes_work_of_a_full_broker_and_goes_on(start_worker, sends, valkey, amazon, account):
    """It is refused to note what it has taken, loses it with the connection, and has it sent again."""
    create(account, "store")
    assert valkey.llen("celery") == 1
    valkey.config_set("maxmemory", 1)
    worker = start_worker(settings="tests.crash.quiet")
    wait_until(lambda: "command not allowed when used memory" in start_worker.log.read_text())
    time.sleep(2)
    assert worker.poll() is None
    valkey.config_set("maxmemory", 0)
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)


def test_without_a_worker_the_queues_do_not_grow(start_worker, valkey):
    """And a second beat makes no difference."""

    def waiting():
        return {queue: valkey.llen(queue) for queue in QUEUES}

    start_worker.beat_alone()
    start_worker.beat_alone()
    wait_until(lambda: Heartbeat.objects.filter(kind="beat").count() == 2 and valkey.llen("beat"))
    first, sent = waiting(), Chore.objects.order_by("-sent_at").values_list("sent_at", flat=True)[0]
    time.sleep(7)  # two sweeps would have been due
    assert waiting() == first == {"beat": first["beat"], "celery": 0, "snapshots": 0}
    assert first["beat"] <= Chore.objects.count()
    assert Chore.objects.order_by("-sent_at").values_list("sent_at", flat=True)[0] == sent
