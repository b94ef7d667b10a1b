"""How an operation ends: what the audit log is told of it, and who is told when it is another worker's."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from console.audit.models import AuditEvent
from console.clouds.steps import Conflict, Failed, NotReady, Pace, Refused, Stage, Step
from console.operations import engine, registry
from console.operations.actions import begin, cancel
from console.operations.models import Operation, RateSlot
from console.operations.registry import Workflow
from stores.models import State, Store
from tests import factories
from tests.delivery import deliver
from tests.operations.steps import due_now, failing


def one_step(run, **options):
    return Stage(Step("one", "one", run, **options))


@pytest.fixture
def deletion(account, monkeypatch):
    """A function that begins to delete a store by this plan; what undoes it does nothing."""

    def deletion(run, by):
        work = Workflow(
            model=Store,
            verb="delete",
            title="Delete",
            plan=lambda store: (one_step(run),),
            spec=lambda store: store.name,
            undo=lambda store: (one_step(lambda spec: None),),
        )
        monkeypatch.setitem(registry._works, ("store", "delete"), work)
        store = factories.store(account, state=State.AVAILABLE)
        return store, begin(store, "delete", by=by)

    return deletion


CALL = {"code": "AccessDenied", "operation": "DeleteBucket", "request_id": "R1"}


@pytest.mark.parametrize(
    ("run", "outcome", "call"),
    [
        (lambda spec: None, "done", None),
        (failing(Failed("No.", **CALL, bucket="b", commands="rm")), "failed", CALL),
        (failing(Failed("No.", bucket="b")), "failed", None),
        (failing(Refused("Not empty.", code="Full")), "refused", {"code": "Full"}),
    ],
    ids=["done", "failed in a call", "failed", "refused"],
)
def test_the_end_is_noted_with_the_call_that_led_to_it(deletion, acme, alice, run, outcome, call):
    store, operation = deletion(run, by=alice)
    assert deliver(operation.pk) is None
    [event] = AuditEvent.objects.exclude(outcome="begun")
    assert (event.action, event.outcome, event.actor_id) == ("Delete", outcome, alice.pk)
    assert (event.organisation, event.subject_id, event.subject) == (acme, str(store.pk), store.name)
    assert event.after == {"operation": str(operation.pk), **({"call": call} if call else {})}


def test_a_cancellation_is_noted_as_done_by_who_wanted_it(deletion, acme, alice):
    store, operation = deletion(lambda spec: None, by=alice)
    zoe = factories.user("zoe", acme, "admin")
    cancel(store, by=zoe)
    deliver(operation.pk)
    event = AuditEvent.objects.get(action="Cancelled: Delete")
    assert (event.outcome, event.actor_id, event.subject_id) == ("done", zoe.pk, str(store.pk))
    assert event.after == {"operation": str(operation.pk)}


def test_a_worker_that_lost_its_lease_says_so(plan, store, alice, monkeypatch, caplog):
    """Two workers on one operation are worth a line of the log: clocks, or a machine that stood still."""
    record = Operation.record

    def lose(self, steps, **options):
        Operation.objects.filter(pk=self.pk).update(fence=99)
        return record(self, steps, **options)

    monkeypatch.setattr(Operation, "record", lose)
    plan.append(one_step(lambda spec: None))
    operation = begin(store, "create", by=alice)
    with caplog.at_level(logging.WARNING, logger=engine.__name__):
        assert deliver(operation.pk) is None
    assert f"operation {operation.pk}: the lease was lost" in caplog.text
    assert "unexpected" not in caplog.text


def test_a_resolved_conflict_has_the_whole_plan_run_anew(plan, store, alice, monkeypatch):
    seen, trouble = [], [Conflict("The name is taken.")]
    plan += [
        Stage(Step("first", "first", lambda spec: seen.append("first"))),
        Stage(
            Step("second", "second", lambda spec: failing(trouble.pop())(spec) if trouble else seen.append("second"))
        ),
    ]
    work = replace(registry.find("store", "create"), resolve=lambda store, conflict: True)
    monkeypatch.setitem(registry._works, ("store", "create"), work)
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert seen == ["first", "first", "second"]
    assert [(one["state"], one["note"]) for one in operation.steps] == [("done", "")] * 2


@pytest.mark.parametrize("trouble", [NotReady("busy"), None])
def test_a_cancellation_is_not_kept_waiting_by_a_turn(plan, store, alice, monkeypatch, trouble):
    """It came while the operation learned that its turn is far off: the work is undone at once."""
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() + timedelta(seconds=60))
    postpone = Operation.postpone

    def cancelled(self, *args, **options):
        Operation.objects.filter(pk=self.pk).update(cancel=Operation.Cancel.WANTED)
        return postpone(self, *args, **options)

    monkeypatch.setattr(Operation, "postpone", cancelled)
    pace = Pace(key=lambda spec: "lane", seconds=5, rule="The cloud takes one every so often")
    plan.append(one_step(failing(trouble)) if trouble else one_step(lambda spec: None, pace=pace))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 0
    operation.refresh_from_db()
    assert (operation.state, operation.retries) == ("waiting", 0)


def test_a_worker_that_dies_after_a_conflict_was_resolved_leaves_a_plan_of_which_nothing_has_run(
    plan, store, alice, monkeypatch
):
    """What ran before was done for the old name: whoever takes it next begins from the start."""
    seen, trouble, resolved = [], [Conflict("The name is taken.")], []
    plan += [
        Stage(Step("first", "first", lambda spec: seen.append("first"))),
        Stage(Step("second", "second", lambda spec: failing(trouble.pop())(spec) if trouble else None)),
    ]
    record = Operation.record

    def lose(self, steps, **options):
        if resolved and options.get("unless_cancelled"):
            Operation.objects.filter(pk=self.pk).update(fence=99)
        return record(self, steps, **options)

    monkeypatch.setattr(Operation, "record", lose)
    work = replace(registry.find("store", "create"), resolve=lambda store, conflict: not resolved.append(conflict))
    monkeypatch.setitem(registry._works, ("store", "create"), work)
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert [one["state"] for one in operation.steps] == ["waiting", "waiting"]
    monkeypatch.setattr(Operation, "record", record)
    due_now(operation)
    assert deliver(operation.pk) is None
    assert seen == ["first", "first"]


def test_a_step_that_runs_again_has_neither_an_end_nor_a_note(plan, store, alice, monkeypatch):
    trouble, written, record = [NotReady("AWS is slow.")], [], Operation.record

    def noted(self, steps, **options):
        written.append(dict(steps[0]))
        return record(self, steps, **options)

    monkeypatch.setattr(Operation, "record", noted)
    plan.append(one_step(lambda spec: failing(trouble.pop())(spec) if trouble else None))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert operation.steps[0]["note"] == "AWS is slow."
    assert operation.steps[0]["finished"]
    due_now(operation)
    deliver(operation.pk)
    assert {(one["state"], one["finished"], one["note"]) for one in written} == {("running", None, "")}
    operation.refresh_from_db()
    assert operation.steps[0]["started"] <= operation.steps[0]["finished"]


def test_without_a_database_nothing_is_settled_and_the_sweep_sends_it_again(plan, store, alice, monkeypatch):
    def gone(self, steps, **options):
        raise DatabaseError("the server closed the connection")

    plan.append(one_step(lambda spec: None))
    operation = begin(store, "create", by=alice)
    with monkeypatch.context() as patch:
        patch.setattr(Operation, "record", gone)
        with pytest.raises(DatabaseError):
            deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.retry_note, operation.retries) == ("running", "", 0)
    due_now(operation)
    assert deliver(operation.pk) is None
    store.refresh_from_db()
    assert store.state == "available"


def test_a_cancellation_between_two_stages_is_nothing_unexpected(plan, store, alice, monkeypatch, caplog):
    record = Operation.record

    def cancelled(self, steps, **options):
        Operation.objects.filter(pk=self.pk).update(cancel=Operation.Cancel.WANTED)
        return record(self, steps, **options)

    monkeypatch.setattr(Operation, "record", cancelled)
    plan.append(one_step(lambda spec: None))
    assert deliver(begin(store, "create", by=alice).pk) == 0
    assert "unexpected" not in caplog.text
