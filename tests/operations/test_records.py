"""The record of the steps: what was done is found again by its key, also by another release, and nothing is made up."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from console.clouds.steps import NotReady, Stage, Step, StepResult
from console.operations import engine, registry
from console.operations.actions import begin
from console.operations.models import Operation
from tests.delivery import deliver
from tests.operations.steps import due_now, failing


@pytest.fixture
def half_done(plan, store, alice):
    """An operation whose first step is done and whose second waits; what has run; and a function that makes steps."""
    seen = []

    def step(key, title):
        return Step(key, title, lambda spec: seen.append(key))

    plan += [Stage(step("one", "One")), Stage(Step("two", "Two", failing(NotReady("Amazon is slow."))))]
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1
    due_now(operation)
    return operation, seen, step


def test_a_step_that_is_said_otherwise_is_not_run_again(plan, half_done):
    operation, seen, step = half_done
    plan[:] = [Stage(step("one", "Uno")), Stage(step("two", "Dos"))]
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert seen == ["one", "two"]
    assert [(one["key"], one["title"], one["state"]) for one in operation.steps] == [
        ("one", "Uno", "done"),
        ("two", "Dos", "done"),
    ]


def test_steps_that_are_grouped_otherwise_are_not_run_again(plan, half_done):
    operation, seen, step = half_done
    plan[:] = [Stage(step("one", "One"), replace(step("two", "Two"), point_of_no_return=True))]
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert seen == ["one", "two"]
    assert [one["stage"] for one in operation.steps] == [0, 0]
    assert [one["point_of_no_return"] for one in operation.steps] == [False, True]


@pytest.mark.parametrize("keys", [("one", "three"), ("two", "one"), ("one",), ("one", "two", "three")])
def test_a_plan_of_other_steps_is_run_as_a_whole(plan, half_done, keys):
    operation, seen, step = half_done
    plan[:] = [Stage(step(key, "The same")) for key in keys]
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert seen == ["one", *keys]
    assert [one["key"] for one in operation.steps] == [*keys]


def test_a_record_from_before_there_were_keys_has_all_steps_run(plan, half_done):
    operation, seen, step = half_done
    operation.refresh_from_db()
    old = [{name: one[name] for name in one if name not in {"key", "point_of_no_return"}} for one in operation.steps]
    Operation.objects.filter(pk=operation.pk).update(steps=old)
    plan[1] = Stage(step("two", "Two"))
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert (seen, operation.state) == (["one", "one", "two"], "done")


def test_an_operation_knows_from_its_record_whether_it_is_past_return():
    done = {"key": "delete", "state": "done"}
    assert Operation(steps=[{**done, "point_of_no_return": True}]).is_past_return
    assert not Operation(steps=[{**done, "point_of_no_return": True, "state": "running"}]).is_past_return
    assert not Operation(steps=[{**done, "point_of_no_return": False}]).is_past_return
    assert not Operation(steps=[done]).is_past_return  # from before there was the mark: the undoing itself sees it


def test_what_could_not_be_kept_is_not_done(plan, store, alice, monkeypatch):
    trouble, kept = [ZeroDivisionError()], []

    def keep(store, given):
        if trouble:
            raise trouble.pop()
        kept.append(given)

    plan.append(Stage(Step("key", "Making a key", lambda spec: StepResult(keep="a key"))))
    monkeypatch.setitem(registry._works, ("store", "create"), replace(registry.find("store", "create"), keep=keep))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1
    operation.refresh_from_db()
    assert operation.steps[0]["state"] != "done"
    due_now(operation)
    assert deliver(operation.pk) is None
    assert kept == ["a key"]


def test_an_unexpected_error_of_one_step_lets_the_others_end(plan, store, alice):
    failed = threading.Event()

    def slow(spec):
        assert failed.wait(60)
        return StepResult("It took a while.")

    def wrong(spec):
        try:
            raise ZeroDivisionError
        finally:
            failed.set()

    plan.append(Stage(Step("wrong", "Wrong", wrong), Step("slow", "Slow", slow)))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1
    operation.refresh_from_db()
    assert [one["state"] for one in operation.steps] == ["waiting", "done"]
    assert "unexpected error (ZeroDivisionError)" in operation.steps[0]["note"]
    assert operation.steps[1]["note"] == "It took a while."


def test_the_record_of_a_plan_has_a_place_for_all_that_is_said_of_its_steps():
    one, two = Step("one", "One", print), Step("two", "Two", print, point_of_no_return=True)
    nothing = {"state": "waiting", "started": None, "finished": None, "note": ""}
    assert engine.record_of((Stage(one, two), Stage(one))) == [
        {"key": "one", "title": "One", "stage": 0, "point_of_no_return": False, **nothing},
        {"key": "two", "title": "Two", "stage": 0, "point_of_no_return": True, **nothing},
        {"key": "one", "title": "One", "stage": 1, "point_of_no_return": False, **nothing},
    ]
