"""The engine over plans that the tests write themselves, on a real subject."""

from __future__ import annotations

import os
import socket
import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from clusters.models import Cluster
from console.clouds.steps import (
    Conflict,
    Denied,
    Failed,
    NotReady,
    RateLimited,
    Refused,
    Stage,
    Step,
    StepResult,
    TooLate,
)
from console.operations import engine, registry
from console.operations.actions import NotNow, begin
from console.operations.models import Operation
from console.operations.registry import Workflow
from console.web.logs import origin
from stores.models import State, Store
from tests import factories
from tests.delivery import deliver
from tests.operations.steps import due_now, failing


def test_run_makes_every_step_once_in_order(plan, store, alice):
    seen = []
    plan += [
        Stage(Step("one", "one", lambda spec: seen.append((1, spec)))),
        Stage(Step("two", "two", lambda spec: seen.append((2, spec)))),
    ]
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    store.refresh_from_db()
    assert seen == [(1, "orders"), (2, "orders")]
    assert (operation.state, operation.progress, store.state) == ("done", 100, "available")
    assert [step["state"] for step in operation.steps] == ["done", "done"]
    assert all(step["seconds"] >= 0 for step in operation.timeline)


@pytest.fixture
def kept(plan, monkeypatch):
    """What the steps of this test's plan gave to be kept, and the state of the step when it was."""
    found = []

    def keep(store, given):
        found.append((given, Operation.objects.get(subject_id=store.pk).steps[0]["state"]))

    monkeypatch.setitem(
        registry._works,
        ("store", "create"),
        Workflow(
            model=Store,
            verb="create",
            title="Create",
            plan=lambda store: tuple(plan),
            spec=lambda store: store.name,
            keep=keep,
        ),
    )
    return found


def test_run_keeps_what_a_step_gives_together_with_its_end(plan, store, alice, kept):
    plan.append(Stage(Step("key", "key", lambda spec: StepResult("A new key.", {"secret": "s3cret"}))))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert kept == [({"secret": "s3cret"}, "done")]
    assert operation.steps[0]["note"] == "A new key."
    assert "s3cret" not in str(operation.steps)
    assert "s3cret" not in repr(StepResult(keep={"secret": "s3cret"}))


def test_run_keeps_nothing_after_its_lease_was_taken(plan, store, alice, kept, monkeypatch):
    original = Operation.record

    def record(self, steps, **options):
        if steps[0]["state"] == "done":  # another worker has taken over while the step ran
            Operation.objects.filter(pk=self.pk).update(fence=99)
        return original(self, steps, **options)

    monkeypatch.setattr(Operation, "record", record)
    plan.append(Stage(Step("key", "key", lambda spec: StepResult(keep="late"))))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (kept, operation.steps[0]["state"]) == ([], "running")


def test_run_runs_the_steps_of_a_round_at_once(plan, store, alice):
    meeting = threading.Barrier(2, timeout=60)

    def meet(spec):
        meeting.wait()

    plan.append(Stage(Step("left", "left", meet), Step("right", "right", meet)))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)  # one after the other, neither would pass the barrier
    operation.refresh_from_db()
    assert operation.state == "done"


class Lacking(Failed):
    """A failure of a kind that only a provider knows."""


def test_run_ends_with_the_failure_that_weighs_most_whatever_its_kind(plan, store, alice):
    plan.append(
        Stage(
            Step("left", "left", failing(NotReady("Later."))), Step("right", "right", failing(Lacking("It has none.")))
        )
    )
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("failed", "It has none.")


def test_an_error_weighs_more_the_less_can_be_done_about_it():
    rising = [RateLimited("turn", seconds=9), NotReady("later"), Conflict("taken"), Refused("full")]
    weights = [engine._weight(error) for error in rising]
    assert weights == sorted({*weights})
    final = {engine._weight(error) for error in (Failed("no"), Denied("no"), Lacking("no"), TooLate("gone"))}
    assert len(final) == 1
    assert weights[-1] < final.pop()


def test_run_records_a_step_before_it_runs(plan, store, alice):
    states = []
    plan.append(Stage(Step("one", "one", lambda spec: None)))

    def look(spec):
        states.append(True)

    plan.append(Stage(Step("two", "two", look)))
    operation = begin(store, "create", by=alice)
    written = []
    original = Operation.record

    def record(self, steps, **options):
        written.append([step["state"] for step in steps] + [bool(states)])
        return original(self, steps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Operation, "record", record)
        deliver(operation.pk)
    assert ["done", "running", False] in written


def test_run_goes_on_where_it_was_left(plan, store, alice):
    seen = []
    trouble = [NotReady("Amazon is slow.")]
    plan += [
        Stage(Step("one", "one", lambda spec: seen.append("one"))),
        Stage(Step("two", "two", lambda spec: failing(trouble.pop())(spec) if trouble else seen.append("two"))),
    ]
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1
    operation.refresh_from_db()
    assert (operation.state, operation.retry_note) == ("waiting", "Amazon is slow.")
    assert deliver(operation.pk) is None  # not due yet: nothing happens
    assert seen == ["one"]
    due_now(operation)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (seen, operation.state, operation.retry_note) == (["one", "two"], "done", "")


def test_run_gives_up_when_patience_has_run_out(plan, store, alice):
    plan.append(Stage(Step("one", "one", failing(NotReady("Amazon is slow.", patience=60, code="SlowDown")))))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    due_now(operation)
    Operation.objects.filter(pk=operation.pk).update(retrying_since=timezone.now() - timedelta(seconds=61))
    deliver(operation.pk)
    operation.refresh_from_db()
    store.refresh_from_db()
    assert (operation.state, store.state, operation.details) == ("failed", "failed", {"code": "SlowDown"})
    assert "given up" in operation.error


def test_run_ends_with_a_failure(plan, store, alice):
    plan.append(
        Stage(Step("one", "one", failing(Failed("No.", request_id="R1"))), Step("two", "two", lambda spec: None))
    )
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    store.refresh_from_db()
    assert (operation.state, operation.error, operation.details) == ("failed", "No.", {"request_id": "R1"})
    assert [step["state"] for step in operation.steps] == ["failed", "done"]
    assert store.state == "failed"


def test_run_puts_a_refused_subject_back(plan, store, alice, monkeypatch):
    work = registry.find("store", "create")
    monkeypatch.setitem(
        registry._works,
        ("store", "delete"),
        Workflow(
            model=Store,
            verb="delete",
            title="Delete",
            plan=lambda s: (Stage(Step("look", "look", failing(Refused("It holds 3 objects.")))),),
            spec=work.spec,
        ),
    )
    Store.objects.filter(pk=store.pk).update(state=State.AVAILABLE)
    store.refresh_from_db()
    operation = begin(store, "delete", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    store.refresh_from_db()
    assert (operation.state, store.state) == ("refused", "available")


@pytest.mark.parametrize(("resolves", "state"), [(True, "done"), (False, "failed")])
def test_run_asks_the_subject_to_resolve_a_conflict(plan, store, alice, monkeypatch, resolves, state):
    trouble = [Conflict("The name is taken.")]
    plan.append(Stage(Step("one", "one", lambda spec: failing(trouble.pop())(spec) if trouble else None)))
    work = registry.find("store", "create")
    monkeypatch.setitem(
        registry._works,
        ("store", "create"),
        Workflow(
            model=Store,
            verb="create",
            title="Create",
            plan=work.plan,
            spec=work.spec,
            resolve=lambda subject, conflict: resolves,
        ),
    )
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert operation.state == state


def test_run_tries_again_after_an_unexpected_error(plan, store, alice, caplog):
    plan.append(Stage(Step("one", "one", failing(ZeroDivisionError("secret=hunter2")))))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1
    operation.refresh_from_db()
    assert operation.state == "waiting"
    assert "hunter2" not in operation.retry_note
    assert any(one.exc_info and str(operation.pk) in one.getMessage() for one in caplog.records)


def test_run_leaves_a_held_operation_alone(plan, store, alice):
    plan.append(Stage(Step("one", "one", lambda spec: None)))
    operation = begin(store, "create", by=alice)
    assert Operation.objects.claim(operation.pk, "another")
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert operation.worker == "another"


def test_run_hands_back_what_remains_when_the_process_ends(plan, store, alice, monkeypatch):
    ending = threading.Event()
    monkeypatch.setattr(engine, "ending", ending)
    seen = []

    def last(spec):
        seen.append("one")
        ending.set()

    plan += [Stage(Step("one", "one", last)), Stage(Step("two", "two", lambda spec: seen.append("two")))]
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 0
    operation.refresh_from_db()
    assert (operation.state, operation.retries, seen) == ("waiting", 0, ["one"])
    assert [step["state"] for step in operation.steps] == ["done", "waiting"]
    ending.clear()
    deliver(operation.pk)  # at once: it is due
    operation.refresh_from_db()
    assert (operation.state, operation.fence, seen) == ("done", 2, ["one", "two"])


def test_run_changes_nothing_after_its_lease_was_taken(plan, store, alice):
    """A worker that wakes up late finds another fence on the row."""

    def lose_the_lease(spec):
        due_now(operation)
        assert Operation.objects.claim(operation.pk, "another")

    plan.append(Stage(Step("one", "one", lambda spec: None)))
    operation = begin(store, "create", by=alice)
    mine = Operation.objects.claim(operation.pk, "me")
    lose_the_lease(None)
    assert not mine.record([])
    assert not mine.postpone(1, "later")
    assert not mine.finish("done")
    operation.refresh_from_db()
    assert (operation.worker, operation.fence, operation.state) == ("another", 2, "running")


def test_begin_refuses_a_second_operation(plan, store, alice):
    plan.append(Stage(Step("one", "one", lambda spec: None)))
    begin(store, "create", by=alice)
    with pytest.raises(NotNow):
        begin(store, "create", by=alice)
    assert Operation.objects.count() == 1


def test_begin_survives_a_broker_that_is_down(plan, store, alice, django_capture_on_commit_callbacks):
    plan.append(Stage(Step("one", "one", lambda spec: None)))
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        operation = begin(store, "create", by=alice)
    assert len(callbacks) == 2  # sent, and told to the log of audit events
    due_now(operation)
    assert list(Operation.objects.due(grace=0.5)) == [operation]


def test_constraint_one_unfinished_operation_per_subject(plan, store, alice):
    begin(store, "create", by=alice)
    with pytest.raises(IntegrityError, match=r"one_unfinished_operation_per_subject|subject_id"):
        Operation.objects.create(
            organisation=store.organisation, subject_kind="store", subject_id=store.pk, subject_name="x", verb="create"
        )


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"state": "done"}, "a_finished_operation_says_when"),
        ({"state": "failed", "finished_at": timezone.now()}, "a_failed_operation_says_why"),
    ],
)
def test_constraint_of_a_finished_operation(store, values, name):
    with pytest.raises(IntegrityError, match=name):
        Operation.objects.create(
            organisation=store.organisation,
            subject_kind="store",
            subject_id=store.pk,
            subject_name="x",
            verb="create",
            **values,
        )


def test_constraint_allows_a_finished_operation_beside_an_unfinished_one(store):
    for state, finished in (("done", timezone.now()), ("waiting", None)):
        Operation.objects.create(
            organisation=store.organisation,
            subject_kind="store",
            subject_id=store.pk,
            subject_name="x",
            verb="create",
            state=state,
            finished_at=finished,
        )
    assert Operation.objects.unfinished().count() == 1


def test_every_verb_has_work_and_known_states():
    """The table of states is complete: each verb of a subject is known to the registry, and each state exists."""
    for verb, transition in Store.VERBS.items():
        assert registry.find("store", verb)
        named = {*transition.start, transition.running, transition.failed, transition.done or State.FAILED}
        assert named <= set(State.values)
        assert transition.running not in transition.start


@pytest.mark.parametrize("model", [Store, Cluster])
def test_whatever_fails_can_be_tried_again(model):
    """Try again is offered wherever a verb ends as failed, so the verb has to be allowed from there."""
    for verb, transition in model.VERBS.items():
        assert transition.failed in transition.start, verb


def test_a_step_runs_for_its_operation_and_says_whose_it_is(plan, store, alice):
    """What a step logs has the operation and the organisation; support reads which thread of which process has it."""
    seen = []
    plan.append(Stage(Step("one", "one", lambda spec: seen.append(origin.get()))))
    operation = begin(store, "create", by=alice)
    workers = []
    with pytest.MonkeyPatch.context() as patch:
        original = Operation.record
        patch.setattr(
            Operation,
            "record",
            lambda self, *args, **named: workers.append(self.worker) or original(self, *args, **named),
        )
        deliver(operation.pk)
    assert [(one.operation_id, one.organisation_id) for one in seen] == [
        (str(operation.pk), str(store.organisation_id))
    ]
    assert {*workers} == {f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"}


@pytest.mark.parametrize(("run", "state"), [(lambda spec: None, "available"), (failing(Failed("No.")), "failed")])
def test_run_moves_its_own_subject_alone(plan, store, alice, account, run, state):
    others = [factories.store(account, name=name, state=State.CREATING) for name in ("before", "behind")]
    plan.append(Stage(Step("one", "one", run)))
    deliver(begin(store, "create", by=alice).pk)
    store.refresh_from_db()
    assert store.state == state
    assert {Store.objects.get(pk=one.pk).state for one in others} == {"creating"}
