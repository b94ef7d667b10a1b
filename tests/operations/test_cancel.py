"""Cancelling what is at work: what was done is put back, whenever the wish comes, or it is too late for that."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, connections
from django.utils import timezone

from console.clouds.steps import Failed, NotReady, Refused, Stage, Step, TooLate, ensure_lease
from console.operations import engine, registry
from console.operations.actions import NotNow, begin, cancel, retry
from console.operations.models import Operation
from console.operations.registry import Workflow
from stores.models import State, Store
from tests import factories
from tests.delivery import deliver

pytestmark = pytest.mark.django_db(transaction=True)  # steps run in threads of their own


@pytest.fixture
def seen():
    """What the steps of this test have done, in order."""
    return []


@pytest.fixture
def plans(monkeypatch, seen):
    """The rounds that "delete" means for a store in this test, and those that undo it."""
    does, undoes = [], []
    work = Workflow(
        model=Store,
        verb="delete",
        title="Delete",
        plan=lambda store: tuple(does),
        spec=lambda store: store,
        undo=lambda store: tuple(undoes),
    )
    monkeypatch.setitem(registry._works, ("store", "delete"), work)
    return does, undoes


@pytest.fixture
def store(account):
    return factories.store(account)


@pytest.fixture
def step(seen):
    """A function that makes a round of one step, which does these one after the other, a call each, then no more."""

    def step(title, *acts):
        left = list(acts)

        def run(store):
            act = left.pop(0) if left else None
            seen.append(title)
            if isinstance(act, Exception):
                raise act
            if act:
                act(store)

        return Stage(Step(title, title, run))

    return step


def wish(store):
    """Cancel as a person does, who has just loaded the page; a step does this in a thread of its own."""
    try:
        cancel(Store.objects.get(pk=store.pk), by=None)
    finally:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()


def now(store):
    return Store.objects.get(pk=store.pk).operation


def due_now(operation):
    Operation.objects.filter(pk=operation.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def run(store):
    """Work on until nothing is due at once."""
    operation = now(store)
    while (seconds := deliver(operation.pk)) == 0:
        pass
    return seconds


def test_cancel_before_anybody_works_on_it(plans, step, store, seen, alice):
    plans[0].append(step("delete"))
    plans[1].append(step("undo"))
    begin(store, "delete", by=alice)
    cancel(store, by=alice)
    run(store)
    store.refresh_from_db()
    assert (seen, store.state, store.operation.state) == (["undo"], "available", "cancelled")
    assert (store.operation.cancelled_by, store.operation.error) == (alice, "")


def test_cancel_while_a_round_is_at_work_keeps_the_next_from_beginning(plans, step, store, seen, alice):
    plans[0].extend([step("one", wish), step("two")])
    plans[1].append(step("undo"))
    operation = begin(store, "delete", by=alice)
    assert deliver(operation.pk) == 0
    waiting = now(store)
    assert (waiting.state, waiting.is_being_cancelled) == ("waiting", True)
    assert [one["state"] for one in waiting.steps] == ["done", "waiting"]
    assert waiting.steps[1]["started"] is None
    run(store)
    ended = now(store)
    assert (seen, ended.state) == (["one", "undo"], "cancelled")
    assert [(one["title"], one["state"]) for one in ended.steps] == [
        ("one", "done"),
        ("two", "waiting"),
        ("undo", "done"),
    ]


def test_cancel_in_back_off_is_due_at_once(plans, step, store, seen, alice):
    plans[0].append(step("one", NotReady("Amazon is slow."), NotReady("Amazon is slow."), NotReady("Amazon is slow.")))
    plans[1].append(step("undo"))
    operation = begin(store, "delete", by=alice)
    assert deliver(operation.pk) == 1
    assert not Operation.objects.due().exists()
    wish(store)
    assert list(Operation.objects.due()) == [operation]
    run(store)
    assert (seen, now(store).state, now(store).retry_note) == (["one", "undo"], "cancelled", "")


@pytest.mark.parametrize("error", [NotReady("Amazon is slow."), Failed("No."), ZeroDivisionError()])
def test_cancel_while_a_step_goes_wrong_undoes_at_once(plans, step, store, seen, alice, error):
    def wrong(store):
        wish(store)
        raise error

    plans[0].append(step("one", wrong))
    plans[1].append(step("undo"))
    operation = begin(store, "delete", by=alice)
    assert deliver(operation.pk) == 0
    run(store)
    assert (seen, now(store).state) == (["one", "undo"], "cancelled")


def test_cancel_of_what_was_refused_meanwhile_changes_nothing(plans, step, store, alice):
    def refuse(store):
        wish(store)
        raise Refused("It holds 3 objects.")

    plans[0].append(step("one", refuse))
    begin(store, "delete", by=alice)
    run(store)
    store.refresh_from_db()
    assert (store.operation.state, store.state) == ("refused", "available")


def test_cancel_that_comes_too_late_lets_the_work_go_on(plans, step, store, seen, alice):
    plans[0].extend([step("one", wish), step("two")])
    plans[1].append(step("undo", TooLate("The bucket is gone.")))
    operation = begin(store, "delete", by=alice)
    run(store)
    operation.refresh_from_db()
    assert (seen, operation.state, operation.cancel) == (["one", "undo", "two"], "done", "too late")
    assert [one["state"] for one in operation.steps] == ["done", "done", "failed"]
    assert operation.steps[2]["note"] == "The bucket is gone."
    assert "too late" in operation.cancel_note
    assert not Store.objects.exists()


def test_cancel_in_the_last_round_is_too_late(plans, step, store, seen, alice):
    plans[0].append(step("one", wish))
    plans[1].append(step("undo"))
    operation = begin(store, "delete", by=alice)
    run(store)
    operation.refresh_from_db()
    assert (seen, operation.state, Store.objects.count()) == (["one"], "done", 0)
    assert "too late" in operation.cancel_note


def test_undo_goes_on_where_it_was_left(plans, step, store, seen, alice):
    plans[0].append(step("one"))
    plans[1].extend([step("undo one"), step("undo two", NotReady("Amazon is slow."))])
    begin(store, "delete", by=alice)
    wish(store)
    assert run(store) == 1
    assert now(store).is_being_cancelled
    due_now(now(store))
    run(store)
    assert (seen, now(store).state) == (["undo one", "undo two", "undo two"], "cancelled")


def test_undo_is_gone_on_with_when_its_worker_died(plans, step, store, seen, alice):
    plans[0].append(step("one"))
    plans[1].extend([step("undo one"), step("undo two")])
    begin(store, "delete", by=alice)
    wish(store)
    dead = Operation.objects.claim(now(store).pk, "the dead one")
    steps = [{**one, "undo": True} for one in engine.record_of(tuple(plans[1]))]
    steps[0]["state"] = "done"
    assert dead.record([*dead.steps, *steps])
    due_now(dead)
    run(store)
    assert (seen, now(store).state) == (["undo two"], "cancelled")
    assert not dead.record([])  # and wakes up late


def test_undo_that_fails_says_that_it_was_undoing(plans, step, store, alice):
    plans[0].append(step("one", wish))
    plans[0].append(step("two"))
    plans[1].append(step("undo", Failed("AWS refused s3:PutBucketLogging.")))
    begin(store, "delete", by=alice)
    run(store)
    store.refresh_from_db()
    assert (store.state, store.operation.state) == ("failed", "failed")
    assert "while it was being cancelled" in store.operation.cancel_note


def test_try_again_after_an_undo_that_failed_undoes_and_does_nothing_else(plans, step, store, seen, alice):
    plans[0].append(step("one", wish))
    plans[0].append(step("two"))
    plans[1].append(step("undo", Failed("AWS refused s3:PutBucketLogging.")))
    begin(store, "delete", by=alice)
    run(store)
    plans[1][:] = [step("undo")]
    was = seen.copy()
    retry(Store.objects.get(pk=store.pk), by=alice)
    run(store)
    assert (now(store).state, now(store).cancelled_by) == ("cancelled", alice)
    assert Store.objects.get(pk=store.pk).state == "available"
    assert seen == [*was, "undo"]


def test_undo_by_a_new_release_runs_all_of_its_own_steps(plans, step, store, seen, alice):
    plans[0].append(step("one", wish))
    plans[0].append(step("two"))
    plans[1].append(step("undo", NotReady("Amazon is slow.")))
    begin(store, "delete", by=alice)
    run(store)
    plans[0][:] = [step("uno")]
    plans[1][:] = [step("undo otherwise")]
    due_now(now(store))
    run(store)
    assert (seen, now(store).state) == (["one", "undo", "undo otherwise"], "cancelled")
    assert [one["title"] for one in now(store).steps] == ["one", "two", "undo otherwise"]


def test_a_worker_that_lost_its_lease_is_not_told_of_a_cancellation(plans, step, store, seen, alice):
    plans[0].append(step("one"))
    plans[1].append(step("undo"))
    operation = begin(store, "delete", by=alice)
    late = Operation.objects.claim(operation.pk, "the late one")
    due_now(operation)
    wish(store)
    run(store)
    assert not late.record(late.steps, unless_cancelled=True)
    assert not late.finish("done")
    assert (seen, now(store).state) == (["undo"], "cancelled")


def test_a_step_that_was_held_up_does_nothing_that_cannot_be_undone(plans, step, store, seen, alice, monkeypatch):
    """Its process was stopped for longer than the lease: another worker may have undone the work meanwhile."""

    def irreversible(store):
        ensure_lease()
        seen.append("in time")
        later = time.monotonic() + settings.LEASE_SECONDS
        with monkeypatch.context() as patch:
            patch.setattr("console.operations.models.monotonic", lambda: later)
            ensure_lease()
        seen.append("too late")

    plans[0].append(step("delete", irreversible))
    begin(store, "delete", by=alice)
    assert run(store) is None  # whoever takes it next goes on
    assert seen == ["delete", "in time"]
    assert now(store).state == "running"


def test_what_belongs_to_no_operation_is_always_held():
    assert threading.Thread(target=ensure_lease).run() is None


def test_cancel_is_noted_once_and_only_while_something_is_at_work(plans, step, store, alice):
    with pytest.raises(NotNow, match="Nothing is working"):
        cancel(store, by=alice)
    plans[1].append(step("undo"))
    begin(store, "delete", by=alice)
    cancel(store, by=alice)
    with pytest.raises(NotNow, match="cancelled already"):
        cancel(store, by=alice)
    run(store)
    with pytest.raises(NotNow, match="has ended"):
        cancel(store, by=alice)


def test_cancel_is_refused_for_what_cannot_be_undone(account, alice):
    store = factories.store(account, state=State.FAILED)
    begin(store, "create", by=alice)
    with pytest.raises(NotNow, match="could be cancelled"):
        cancel(store, by=alice)
    assert now(store).cancel == ""


def test_what_cannot_be_undone_says_so_even_if_somebody_has_wanted_it(plan, account, alice):
    """As after an upgrade to a release in which a work cannot be undone any more."""
    plan.append(Stage(Step("one", "one", lambda spec: None)))
    operation = begin(factories.store(account, state=State.CREATING), "create", by=alice)
    Operation.objects.filter(pk=operation.pk).update(cancel=Operation.Cancel.WANTED)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("failed", "This cannot be cancelled.")


def test_cancel_survives_a_broker_that_is_down(plans, store, alice, caplog):
    begin(store, "delete", by=alice)
    caplog.clear()
    wish(store)
    assert "Error calling" in caplog.text
    assert list(Operation.objects.due()) == [store.operation]


def test_constraint_a_cancelled_operation_was_to_be_cancelled(store):
    values = {
        "organisation": store.organisation,
        "subject_kind": "store",
        "subject_id": store.pk,
        "verb": "delete",
        "state": "cancelled",
        "finished_at": timezone.now(),
    }
    Operation.objects.create(**values, cancel="wanted")
    with pytest.raises(IntegrityError, match="a_cancelled_operation_was_to_be_cancelled"):
        Operation.objects.create(**values)


def test_constraint_a_cancelled_operation_says_when(store):
    with pytest.raises(IntegrityError, match="a_finished_operation_says_when"):
        Operation.objects.create(
            organisation=store.organisation,
            subject_kind="store",
            subject_id=store.pk,
            verb="delete",
            state="cancelled",
            cancel="wanted",
        )
