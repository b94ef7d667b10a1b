"""What the creation of a store costs: questions to the database, calls, clients. Times are for `make bench`.

Each number is what there is now. One that goes down is written down here; one that goes up needs a reason.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.clouds.s3api import clients
from console.operations import engine, tasks
from console.operations.models import Operation
from stores.models import DriftReport, Store

FORM, WORK, CHECK = 12, 16, 9
SAVEPOINTS = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")  # tests are in a transaction, where there are more of them


@pytest.fixture
def asked():
    """A function that does something, and returns what the database was asked meanwhile, without transactions' ends."""

    def asked(work):
        with CaptureQueriesContext(connection) as captured:
            work()
        return [one["sql"] for one in captured if not one["sql"].startswith(SAVEPOINTS)]

    return asked


@pytest.fixture
def create(as_alice, account):
    """A function that sends the form of Create Backup Store."""

    def create(name):
        form = {"provider": "aws", "name": name, "cloud_account": str(account.pk), "region": "eu-west-1"}
        assert as_alice.post("/stores/create/", form).status_code == 302
        return Store.objects.get(name=name)

    return create


@pytest.fixture
def warm(create, amazon):
    """A worker that has made and checked a store before: what it needs is there."""
    engine.execute_next(create("first").operation_id)
    tasks._read_on("drift_report", DriftReport.objects.get().pk)


@pytest.mark.usefixtures("warm")
def test_a_creation_asks_the_database_no_more_than_it_did(create, asked, amazon):
    form = asked(lambda: create("orders"))[:-1]  # the last one is this test's own
    store = Store.objects.get(name="orders")
    work = asked(lambda: engine.execute_next(store.operation_id))
    check = asked(lambda: tasks._read_on("drift_report", DriftReport.objects.get(store=store).pk))[1:]
    assert (len(form), len(work), len(check)) == (FORM, WORK, CHECK), "\n".join([*form, "", *work, "", *check])
    store.refresh_from_db()
    assert store.state == "available"


@pytest.mark.usefixtures("warm")
def test_a_creation_writes_its_task_once_for_each_stage(create, asked, amazon):
    store = create("orders")
    changed = [sql for sql in asked(lambda: engine.execute_next(store.operation_id)) if sql.startswith("UPDATE")]
    written = [sql for sql in changed if Operation._meta.db_table in sql]
    stages = {step["stage"] for step in Operation.objects.get(pk=store.operation_id).steps}
    assert len(written) == 1 + len(stages) + 1  # it is taken, each of its stages begins, and it ends


@pytest.mark.usefixtures("warm")
def test_a_creation_makes_seven_calls_and_no_client(create, amazon, monkeypatch):
    monkeypatch.setattr(clients, "new_client", None)
    del amazon.calls[:]
    engine.execute_next(create("orders").operation_id)
    assert len(amazon.calls) == 7
