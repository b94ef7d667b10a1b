"""Limits of an organisation: how many operations are at work at once, and whose turn it is between tenants."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.utils import timezone
from kombu import Connection

from console.accounts.models import Organisation
from console.operations.engine import execute_next
from console.operations.models import Operation
from console.operations.tasks import run_operation
from stores import actions
from stores.models import State, Store
from tests import factories
from tests.worker_process import wait_until

MANY = 500


def waiting(account, number, **values):
    """Operations of the account's organisation that are due, the oldest first, each on a store of its own."""
    due_at = timezone.now() - timedelta(seconds=10)
    made = [
        Operation(
            organisation=account.organisation,
            subject_kind="store",
            subject_id=factories.store(account, name=f"store-{n}", state=State.CREATING).pk,
            subject_name=f"store-{n}",
            verb="create",
            title="Create Backup Store",
            **{"due_at": due_at + timedelta(milliseconds=n), **values},
        )
        for n in range(number)
    ]
    return Operation.objects.bulk_create(made)


def most(organisation, **limits):
    Organisation.objects.filter(pk=organisation.pk).update(**limits)


@pytest.fixture
def globex(db):
    return factories.account(factories.organisation("Globex"))


def test_one_create_starts_next_whatever_another_tenant_has_waiting(account, globex):
    """With workers to spare: what ends first makes place for whoever has the fewest at work."""
    most(account.organisation, operations_at_once=1_000)
    theirs = waiting(account, MANY)
    taken = [Operation.objects.claim_next("w", sent_for=one.pk) for one in theirs[:16]]
    assert [one.pk for one in taken] == [one.pk for one in theirs[:16]]
    (only,) = waiting(globex, 1)
    # The messages of all the others come first, and each of them would be for another one.
    assert Operation.objects.claim_next("w", sent_for=theirs[16].pk) == only


def test_a_tenant_has_no_more_at_work_than_it_may(account, globex):
    most(account.organisation, operations_at_once=3)
    theirs = waiting(account, 5)
    assert all(Operation.objects.claim_next("w", sent_for=theirs[0].pk) for _ in range(3))
    assert Operation.objects.claim_next("w", sent_for=theirs[4].pk) is None
    assert Operation.objects.claim(theirs[4].pk, "w") is None
    assert Operation.objects.in_turn() == []
    theirs[3].refresh_from_db()
    assert theirs[3].waits_for.startswith("Waits for its turn: 3 other tasks")
    (only,) = waiting(globex, 1)
    assert Operation.objects.claim_next("w", sent_for=theirs[4].pk) == only
    # One whose worker is gone has no place any more, and is the first to get one.
    Operation.objects.filter(pk=theirs[2].pk).update(due_at=timezone.now() - timedelta(seconds=1))
    assert Operation.objects.in_turn() == [theirs[2].pk]


def test_tenants_take_turns(account, globex):
    waiting(account, 5)
    waiting(globex, 3)
    taken = [Operation.objects.claim_next("w", sent_for=uuid4()).organisation.name for _ in range(8)]
    assert taken == ["Acme", "Globex"] * 3 + ["Acme"] * 2


def test_what_was_begun_goes_before_what_was_not(account):
    """A retry gives up after a while: it must not wait behind hundreds that were asked for before."""
    fresh = waiting(account, 3)
    begun = factories.store(account, name="begun", state=State.CREATING)
    again = Operation.objects.create(
        organisation=account.organisation, subject_kind="store", subject_id=begun.pk, verb="create", fence=1
    )
    Operation.objects.filter(pk=again.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    assert Operation.objects.in_turn() == [again.pk, *(one.pk for one in fresh)]


def test_whoever_ends_one_calls_for_the_next(account, amazon):
    """Its message may have come, and gone, when there was no place for it."""
    most(account.organisation, operations_at_once=1)
    first, second = (actions.create(account, name=name, region="eu-west-1", by=None) for name in ("one", "two"))
    assert Operation.objects.claim(first.operation_id, "a worker that dies")
    assert execute_next(second.operation_id) == []
    Operation.objects.filter(pk=first.operation_id).update(due_at=timezone.now() - timedelta(seconds=1))
    assert execute_next(first.operation_id) == [(second.operation_id, 0.0)]
    assert execute_next(second.operation_id) == []
    assert set(Operation.objects.values_list("state", "throttled")) == {("done", False)}


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_do_not_pass_the_limit_together(account):
    most(account.organisation, operations_at_once=3)
    theirs = waiting(account, 12)

    def claim(operation):
        try:
            return Operation.objects.claim(operation.pk, "w")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as pool:
        assert sum(one is not None for one in pool.map(claim, theirs)) == 3


@pytest.mark.django_db(transaction=True)
def test_people_who_create_at_once_do_not_pass_the_limit_together(account):
    most(account.organisation, stores_at_most=3)

    def create(number):
        try:
            return actions.create(account, name=f"store-{number}", region="eu-west-1", by=None)
        except actions.LimitReached as error:
            return str(error)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert (Store.objects.count(), len(refused)) == (3, 5)
    assert "Acme has 3 of 3 stores" in refused[0]
    assert "ask support to raise the limit" in refused[0]


def test_the_create_dialog_says_how_many_there_may_be(client, alice, account):
    factories.store(account)
    most(account.organisation, stores_at_most=2)
    client.force_login(alice)
    assert "Acme has 1 of 2 stores." in client.get("/stores/create/").content.decode()
    most(account.organisation, stores_at_most=1)
    data = {"provider": "aws", "name": "more", "cloud_account": str(account.pk), "region": "eu-west-1"}
    answer = client.post("/stores/create/", data)
    assert answer.status_code == 422
    assert "Acme has 1 of 1 stores. Delete one that is not needed, or ask support" in answer.content.decode()
    assert Store.objects.count() == 1


def test_the_tasks_page_says_why_they_wait(client, alice, account):
    most(account.organisation, operations_at_once=1)
    waiting(account, 2)
    client.force_login(alice)
    assert "as many as may be at once" not in client.get("/tasks/").content.decode()
    Operation.objects.claim_next("w", sent_for=uuid4())
    assert "as many as may be at once" in client.get("/tasks/").content.decode()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_one_tenant_s_one_create_does_not_wait_for_another_s_500(start_worker, broker, amazon, account, globex):
    """A real worker with a real broker, in which the 500 messages stand before the one."""
    theirs = waiting(account, MANY)
    only = actions.create(globex, name="only", region="eu-west-1", by=None)
    with Connection(broker.url) as sending:
        for pk in [*(one.pk for one in theirs), only.operation.pk]:
            run_operation.apply_async((str(pk),), connection=sending)
    start_worker(beat=False)
    wait_until(lambda: Store.objects.get(pk=only.pk).state == State.AVAILABLE)
    begun = Operation.objects.filter(organisation=account.organisation, fence__gt=0).count()
    assert begun <= 32, f"{begun} of another tenant were begun before it was done"
    start_worker.kill()
    connection.close()
