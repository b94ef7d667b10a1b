"""Broker, database and clocks fail for a while: work still ends as it was asked for, and nothing is done twice."""

from __future__ import annotations

import tempfile
import time
from collections import Counter

import dj_database_url
import pytest
from django.db import DatabaseError, connections
from django.db.utils import load_backend
from kombu import Connection

from console.operations.models import Operation
from console.operations.tasks import run_operation
from stores import actions
from stores.models import State, Store
from tests import factories, postgres
from tests.small_disk import filled, small_disk
from tests.worker_process import changes, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
HALF_A_MINUTE = 30  # seconds
A_MINUTE = 60  # seconds: then whoever connects again waits longer and longer between two tries
QUICK = "tests.crash.quick"
QUIET = "tests.crash.quiet"
STEPS = 7


def all_available(count):
    return Store.objects.filter(state=State.AVAILABLE).count() == count


def create(account, count):
    return [actions.create(account, name=f"store-{n}", region="eu-west-1", by=None) for n in range(count)]


@pytest.mark.django_db(transaction=True)
def test_work_goes_on_while_the_broker_is_gone(start_worker, broker, amazon, account):
    amazon.inject("PutBucketPolicy", when="hang", seconds=2, times=2)
    create(account, 1)
    start_worker(settings=QUICK)
    wait_until(lambda: not amazon._faults)  # it is in the middle of that round
    broker.kill()
    back_at = time.monotonic() + A_MINUTE
    wait_until(lambda: all_available(1))  # what a worker has in hand needs no broker
    actions.create(account, name="asked-for-meanwhile", region="eu-west-1", by=None)
    time.sleep(max(0, back_at - time.monotonic()))
    broker.start()
    wait_until(lambda: all_available(2))
    assert set(Operation.objects.values_list("state", "fence")) == {("done", 1)}
    assert len(changes(amazon)) == 2 * STEPS


@pytest.fixture
def disk(monkeypatch):
    """A small file system, on which the PostgreSQL of the test is."""
    with small_disk("300m") as folder:
        if not folder.is_mount():
            pytest.skip("only root, where it may mount, can have a disk that is small enough to fill")
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture
def server(django_db_blocker, migrations):
    """A PostgreSQL of this test's own, which is the database meanwhile, also on a run with SQLite."""
    before = connections["default"]
    with django_db_blocker.unblock(), postgres.cluster() as server:
        facts = connections.configure_settings({"default": dj_database_url.parse(server.url)})["default"]
        connections["default"] = load_backend(facts["ENGINE"]).DatabaseWrapper(facts, "default")
        try:
            migrations.migrate(server.url)
            yield server
        finally:
            connections["default"].close()
            connections["default"] = before


@pytest.mark.database  # it asks for one of its own
def test_work_goes_on_after_the_database_was_gone(server, start_worker, amazon, monkeypatch):
    """And while it is there, those that wait for a cloud hold none of its connections."""
    monkeypatch.setenv("DATABASE_POOL", "1")
    account = factories.account(factories.organisation())
    amazon.inject("PutBucketPolicy", when="hang", seconds=5, times=6)
    create(account, 3)
    start_worker(settings=QUICK)
    start_worker.wait_until_ready()
    wait_until(lambda: Operation.objects.at_work().count() == 3 and not amazon._faults)
    # They wait for longer than a lease lasts, and each has gone on with its own: whoever holds the one connection for
    # longer than a question takes it away from the others.
    assert set(Operation.objects.values_list("fence", flat=True)) == {1}
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'storekeeper worker'")
        assert cursor.fetchone()[0] == 1
    server.stop()
    connections["default"].close()
    # A task is told at once that no connection is left, or after as long as it may wait for one.
    told = ("The database takes no connections", "couldn't get a connection")
    wait_until(lambda: any(one in start_worker.log.read_text() for one in told))
    time.sleep(2)  # nobody waits longer after a longer time: each task asks anew
    server.start()
    wait_until(lambda: all_available(3))
    assert_all_done_once(amazon)


def assert_all_done_once(amazon):
    for operation in Operation.objects.all():
        assert operation.state == "done"
        assert [step["state"] for step in operation.steps] == ["done"] * STEPS
    created = [bucket for call, bucket, status in amazon.calls if call == "CreateBucket" and status < 400]
    names = [name for store in Store.objects.all() for name in (store.bucket, store.log_bucket)]
    assert sorted(created) == sorted(names)


@pytest.mark.database
@pytest.mark.thorough  # like the one above; tests/serving/test_database.py has one that hangs
def test_work_goes_on_after_the_database_hung(server, start_worker, amazon):
    account = factories.account(factories.organisation())
    amazon.inject("PutBucketPolicy", when="hang", seconds=5, times=6)
    create(account, 3)
    start_worker(settings=QUICK)
    wait_until(lambda: Operation.objects.at_work().count() == 3 and not amazon._faults)
    connections["default"].close()
    with postgres.hung(server.processes()):
        time.sleep(HALF_A_MINUTE)
    wait_until(lambda: all_available(3), 120)
    assert_all_done_once(amazon)


@pytest.mark.database
@pytest.mark.thorough  # like an outage, as the next line says; tests/serving/test_database.py fills a disk, too
def test_work_goes_on_after_the_database_s_disk_was_full(disk, server, start_worker, amazon):
    """PostgreSQL refuses what needs room for so long, or ends itself and starts anew; either is an outage."""
    account = factories.account(factories.organisation())
    amazon.inject("PutBucketPolicy", when="hang", seconds=5, times=6)
    create(account, 3)
    start_worker(settings=QUICK)
    wait_until(lambda: Operation.objects.at_work().count() == 3 and not amazon._faults)
    with filled(disk):
        with pytest.raises(DatabaseError), connections["default"].cursor() as cursor:
            cursor.execute("CREATE TABLE no_room AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        connections["default"].close()
        time.sleep(HALF_A_MINUTE)
    if server.has_ended():
        server.start()  # as systemd does
    wait_until(lambda: _answers() and all_available(3), 120)
    assert_all_done_once(amazon)


def _answers():
    try:
        connections["default"].ensure_connection()
    except DatabaseError:
        return False
    return True


@pytest.mark.django_db(transaction=True)
def test_workers_whose_clocks_are_an_hour_off_do_each_step_once(start_worker, amazon, account, monkeypatch):
    for off in ("3600", "-3600"):
        monkeypatch.setenv("CLOCK_OFF", off)
        start_worker(celery="tests.crash.skewed", settings=QUICK)
    start_worker.wait_until_ready()
    # Steps that take longer than a lease, and some that are tried again later: both go by a clock.
    amazon.inject("PutBucketPolicy", when="hang", seconds=5, times=4)
    amazon.inject("PutBucketLogging", code="OperationAborted", status=409, message="Please try again.", times=6)
    create(account, 9)
    wait_until(lambda: all_available(9))
    pids = {int(worker.split(":")[1]) for worker in Operation.objects.values_list("worker", flat=True)}
    assert len(pids) > 1
    for operation in Operation.objects.all():
        assert operation.state == "done"
    done = Counter((call, bucket) for call, bucket, status in changes(amazon) if status < 400)
    assert set(done.values()) == {1}
    assert len(done) == 9 * STEPS


@pytest.mark.django_db(transaction=True)
def test_messages_that_come_twice_and_two_beats_do_each_step_once(start_worker, broker, amazon, account):
    create(account, 9)
    for _ in range(5):
        for pk in Operation.objects.values_list("pk", flat=True):
            run_operation.apply_async((str(pk),), connection=Connection(broker.url))
    for _ in range(2):
        start_worker(settings=QUIET)  # where a lease of two seconds can run out on a busy machine
    wait_until(lambda: all_available(9))
    assert set(Operation.objects.values_list("state", "fence")) == {("done", 1)}
    assert len(changes(amazon)) == 9 * STEPS
