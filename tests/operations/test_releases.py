"""Workers of two releases at once: the older one leaves alone what only the newer one knows."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from console.clouds.steps import Stage, Step
from console.operations import engine
from console.operations.actions import begin, cancel
from console.operations.models import Operation
from console.release import VERSION
from tests import factories
from tests.delivery import deliver
from tests.operations.steps import due_now

NEWER = "999.0.0"


@pytest.fixture
def ran():
    return []


def step(name, ran):
    return Stage(Step(name, name, lambda spec: ran.append(name)))


def recorded_by(operation, release, *keys):
    """Have the operation's steps be those of that release, of which the first is done."""
    states = ["done"] + ["waiting"] * (len(keys) - 1)
    steps = [
        {"key": key, "title": key, "stage": n, "point_of_no_return": False, "state": state}
        | {"started": None, "finished": None, "note": ""}
        for n, (key, state) in enumerate(zip(keys, states, strict=True))
    ]
    Operation.objects.filter(pk=operation.pk).update(steps=steps, release=release)


def test_what_is_begun_says_of_which_release_its_steps_are(plan, store, alice, ran):
    plan.append(step("a", ran))
    assert begin(store, "create", by=alice).release == VERSION


def test_an_operation_of_a_kind_that_only_a_newer_release_knows_is_left_alone(account):
    known = factories.store(account, name="known")
    rows = [
        Operation.objects.create(organisation=account.organisation, subject_kind=kind, subject_id=known.pk, verb=verb)
        for kind, verb in (("store", "mirror"), ("vault", "create"))
    ]
    Operation.objects.update(due_at=Now())
    for operation in rows:
        assert engine.execute_next(operation.pk) == []
    assert set(Operation.objects.values_list("state", "fence", "worker")) == {("waiting", 0, "")}


def test_one_that_is_not_known_does_not_stand_before_one_that_is(plan, store, alice, ran):
    plan.append(step("a", ran))
    strange = Operation.objects.create(
        organisation=store.organisation, subject_kind="vault", subject_id=store.pk, verb="create"
    )
    begin(store, "create", by=alice)
    engine.execute_next(strange.pk)
    assert ran == ["a"]


def test_steps_that_only_a_newer_release_knows_are_left_to_it(plan, store, alice, ran):
    plan.append(step("a", ran))
    operation = begin(store, "create", by=alice)
    recorded_by(operation, NEWER, "a", "encrypt")
    before = Operation.objects.values("steps", "release").get()
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert ran == []
    assert (operation.state, operation.retries, operation.error) == ("waiting", 0, "")
    assert {"steps": operation.steps, "release": operation.release} == before
    assert operation.retry_note == f"Waits for a worker of release {NEWER}."

    plan.append(step("encrypt", ran))  # and this is one
    due_now(operation)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, ran) == ("done", ["encrypt"])


def test_the_same_steps_go_on_whatever_release_has_begun_them(plan, store, alice, ran):
    plan.extend([step("a", ran), step("b", ran)])
    operation = begin(store, "create", by=alice)
    recorded_by(operation, NEWER, "a", "b")
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, ran, operation.release) == ("done", ["b"], NEWER)


@pytest.mark.parametrize("release", ["", "0.0.1", VERSION])
def test_other_steps_of_an_older_release_all_run(plan, store, alice, ran, release):
    plan.extend([step("a", ran), step("b", ran)])
    operation = begin(store, "create", by=alice)
    recorded_by(operation, release, "a", "old")
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, ran, operation.release) == ("done", ["a", "b"], VERSION)


def test_undoing_what_a_newer_release_has_done_is_left_to_it(account, alice):
    store = factories.store(account, name="going")
    operation = begin(store, "delete", by=alice)
    recorded_by(operation, NEWER, "encrypt", "delete")
    cancel(store, by=alice)
    deliver(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.cancel) == ("waiting", "wanted")
