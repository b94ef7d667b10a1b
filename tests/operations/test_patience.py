"""How long the engine tries again, what it tries again, and what it writes down meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from console.clouds.steps import Conflict, Denied, Failed, NotReady, Stage, Step
from console.operations import engine, registry
from console.operations.actions import begin, retry
from console.operations.models import Operation
from stores.models import State, Store
from tests import factories
from tests.delivery import deliver
from tests.operations.steps import due_now, failing


def one_step(run):
    return Stage(Step("one", "one", run))


def again(operation):
    due_now(operation)
    return deliver(operation.pk)


def test_the_pauses_grow_to_half_a_minute(plan, store, alice):
    plan.append(one_step(failing(NotReady("busy", patience=600))))
    operation = begin(store, "create", by=alice)
    assert [deliver(operation.pk), *(again(operation) for _ in range(6))] == [1, 2, 4, 8, 16, 30, 30]


def test_a_stage_that_ended_well_begins_the_pauses_anew(plan, store, alice):
    trouble = {"one": [NotReady("busy")] * 3, "two": [NotReady("busy")]}

    def run(name):
        return lambda spec: failing(trouble[name].pop())(spec) if trouble[name] else None

    plan += [Stage(Step(name, name, run(name))) for name in trouble]
    operation = begin(store, "create", by=alice)
    assert [deliver(operation.pk), again(operation), again(operation)] == [1, 2, 4]
    assert again(operation) == 1
    operation.refresh_from_db()
    assert operation.retries == 1
    assert (timezone.now() - operation.retrying_since).total_seconds() < 60


def test_the_pauses_grow_behind_a_stage_that_is_done(plan, store, alice):
    plan += [one_step(lambda spec: None), Stage(Step("two", "two", failing(NotReady("busy"))))]
    operation = begin(store, "create", by=alice)
    assert [deliver(operation.pk), again(operation), again(operation)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("earlier", "code", "state"),
    [
        (None, "AccessDenied", "failed"),
        ("AccessDenied", "AccessDenied", "waiting"),  # somebody may just have given the permission
        ("AccessDenied", "KMS.Denied", "failed"),
        ("other than denied", "AccessDenied", "failed"),
    ],
)
def test_only_a_denial_that_somebody_may_have_just_removed_is_waited_out(plan, store, alice, earlier, code, state):
    if earlier:
        before = Denied("no", code=earlier) if earlier == "AccessDenied" else Failed("no", code="Other")
        plan.append(one_step(failing(before)))
        deliver(begin(store, "create", by=alice).pk)
        store.refresh_from_db()
        plan.clear()
    plan.append(one_step(failing(Denied("no", code=code))))
    operation = retry(store, by=alice) if earlier else begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert operation.state == state


def test_a_step_that_was_denied_waits_for_the_permission_like_any_other(plan, store, alice):
    plan.append(one_step(failing(Denied("no", code="AccessDenied"))))
    deliver(begin(store, "create", by=alice).pk)
    store.refresh_from_db()
    operation = retry(store, by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert [step["state"] for step in operation.steps] == ["waiting"]


def test_what_else_changes_when_the_work_is_done_changes(plan, store, alice, monkeypatch):
    done = []
    work = replace(registry.find("store", "create"), done=lambda store: done.append(store.pk))
    monkeypatch.setitem(registry._works, ("store", "create"), work)
    plan.append(one_step(failing(NotReady("busy"))))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    assert not done
    plan[0] = one_step(lambda spec: None)
    again(operation)
    assert done == [store.pk]


def test_a_process_that_ends_takes_nothing_and_sends_the_message_on(plan, store, alice, monkeypatch):
    monkeypatch.setattr(engine, "ending", threading.Event())
    engine.ending.set()
    plan.append(one_step(lambda spec: None))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 0
    operation.refresh_from_db()
    assert (operation.state, operation.fence) == ("waiting", 0)


def test_a_conflict_while_undoing_is_not_resolved(plan, store, alice, monkeypatch):
    asked = []
    Store.objects.filter(pk=store.pk).update(state=State.AVAILABLE)
    work = replace(
        registry.find("store", "create"),
        verb="delete",
        undo=lambda store: (one_step(failing(Conflict("The name is taken."))),),
        resolve=lambda store, conflict: bool(asked.append(conflict)) or True,
    )
    monkeypatch.setitem(registry._works, ("store", "delete"), work)
    store.refresh_from_db()
    operation = begin(store, "delete", by=alice)
    Operation.objects.filter(pk=operation.pk).update(cancel=Operation.Cancel.WANTED)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, asked) == ("failed", [])


def test_a_conflict_is_resolved_by_who_still_holds_the_lease(plan, store, alice, monkeypatch):
    asked = []

    def taken(spec):
        raise Conflict("The name is taken.")

    renew = Operation.renew

    def lose(self):
        Operation.objects.filter(pk=self.pk).update(fence=99)
        return renew(self)

    monkeypatch.setattr(Operation, "renew", lose)
    resolve = replace(registry.find("store", "create"), resolve=lambda store, conflict: bool(asked.append(1)) or True)
    monkeypatch.setitem(registry._works, ("store", "create"), resolve)
    plan.append(one_step(taken))
    assert deliver(begin(store, "create", by=alice).pk) is None
    assert not asked


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_a_step_takes_its_time(plan, store, alice, monkeypatch, settings):
    settings.LEASE_SECONDS = 0.4
    renewed = threading.Event()
    renew = Operation.renew

    def noted(self):
        answer = renew(self)
        renewed.set()
        return answer

    monkeypatch.setattr(Operation, "renew", noted)
    plan.append(one_step(lambda spec: None if renewed.wait(60) else failing(Failed("never renewed"))(spec)))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("done", "")


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_step_is_seen_while_others_run(plan, store, alice, monkeypatch):
    written = threading.Event()
    record = Operation.record

    def noted(self, steps, **options):
        answer = record(self, steps, **options)
        if steps[0]["state"] == "done":
            written.set()
        return answer

    monkeypatch.setattr(Operation, "record", noted)
    long = Step("long", "long", lambda spec: None if written.wait(60) else failing(Failed("not seen"))(spec))
    plan.append(Stage(Step("short", "short", lambda spec: None), long))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("done", "")


def test_patience_begins_with_the_first_trouble(plan, store, alice):
    plan.append(one_step(failing(NotReady("busy", patience=60))))
    operation = begin(store, "create", by=alice)
    Operation.objects.filter(pk=operation.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert deliver(operation.pk) == 1
    operation.refresh_from_db()
    assert operation.state == "waiting"


def test_a_cancellation_between_two_stages_leaves_the_next_as_it_was(plan, store, alice, monkeypatch):
    record = Operation.record

    def cancelled(self, steps, **options):
        if options.get("unless_cancelled") and steps[0]["state"] == "done":
            Operation.objects.filter(pk=self.pk).update(cancel=Operation.Cancel.WANTED)
        return record(self, steps, **options)

    monkeypatch.setattr(Operation, "record", cancelled)
    plan += [one_step(lambda spec: None), Stage(Step("two", "two", failing(Failed("must not run"))))]
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 0
    operation.refresh_from_db()
    assert [step["state"] for step in operation.steps] == ["done", "waiting"]


def given_up_after(operation, seconds):
    """Whether the work that began to fail so many seconds ago is given up at its next try."""
    past = timezone.now() - timedelta(seconds=seconds)
    Operation.objects.filter(pk=operation.pk).update(retrying_since=past)
    again(operation)
    operation.refresh_from_db()
    return operation.state == "failed"


def test_an_error_that_nobody_has_foreseen_has_ten_minutes(plan, store, alice):
    plan.append(one_step(failing(ZeroDivisionError())))
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    assert not given_up_after(operation, 590)
    assert given_up_after(operation, 610)
    assert operation.details == {"code": "ZeroDivisionError"}
    assert operation.error.startswith(
        "The console met an unexpected error (ZeroDivisionError); its log has the details."
    )
    assert "It stayed so for 600 seconds, so this was given up." in operation.error


def test_a_permission_that_was_just_given_has_half_a_minute_to_be_in_force(plan, store, alice):
    plan.append(one_step(failing(Denied("no", code="AccessDenied"))))
    deliver(begin(store, "create", by=alice).pk)
    store.refresh_from_db()
    operation = retry(store, by=alice)
    deliver(operation.pk)
    assert not given_up_after(operation, 25)
    assert given_up_after(operation, 35)


def test_what_is_no_denial_fails_at_once_however_often(plan, store, alice):
    plan.append(one_step(failing(Failed("no", code="TooManyBuckets"))))
    deliver(begin(store, "create", by=alice).pk)
    store.refresh_from_db()
    operation = retry(store, by=alice)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("failed", "no")


@pytest.mark.parametrize("other", ["a store that failed", "itself, refused"])
def test_a_denial_of_something_else_is_no_reason_to_wait(plan, store, alice, account, other):
    plan.append(one_step(failing(Denied("no", code="AccessDenied"))))
    if other == "a store that failed":
        deliver(begin(factories.store(account, name="other", state=State.CREATING), "create", by=alice).pk)
    else:
        earlier = begin(store, "create", by=alice)
        deliver(earlier.pk)
        Operation.objects.filter(pk=earlier.pk).update(state=Operation.State.REFUSED)
    store.refresh_from_db()
    operation = begin(store, "create", by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert operation.state == "failed"


def test_the_lease_is_renewed_well_before_it_ends(plan, store, alice, monkeypatch, settings):
    waits, wait = [], engine.wait
    monkeypatch.setattr(engine, "wait", lambda running, **options: waits.append(options) or wait(running, **options))
    plan.append(one_step(lambda spec: None))
    deliver(begin(store, "create", by=alice).pk)
    [options] = waits
    assert 0 < options["timeout"] <= settings.LEASE_SECONDS / 3
    assert options["return_when"] == FIRST_COMPLETED
