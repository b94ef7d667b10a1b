"""Turns: what a cloud takes only so often is never asked for more often, whoever asks, and nobody is left out."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from console.clouds.steps import Failed, NotReady, Pace, RateLimited, Stage, Step
from console.operations import engine
from console.operations.actions import begin
from console.operations.models import Operation, RateSlot
from stores.models import State, Store
from tests import factories
from tests.delivery import deliver
from tests.operations.steps import due_now, failing

RULE = "The cloud takes one every so often"


def test_take_gives_each_its_own_turn(db):
    turns = [RateSlot.objects.take("lane", 5)[0] for _ in range(4)]
    assert [(later - turn).total_seconds() for turn, later in itertools.pairwise(turns)] == [5, 5, 5]
    turn, now = RateSlot.objects.take("other", 5)
    assert turn == now  # another lane is free
    assert abs((RateSlot.objects.clock("lane") - timezone.now()).total_seconds()) < 5


def test_take_begins_anew_after_a_pause(db):
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() - timedelta(hours=1))
    turn, now = RateSlot.objects.take("lane", 5)
    assert turn == now


@pytest.mark.django_db(transaction=True)
def test_take_gives_no_turn_twice():
    RateSlot.objects.take("lane", 1)
    found, failed = [], []

    def take():
        try:
            found.extend(RateSlot.objects.take("lane", 1)[0] for _ in range(5))
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len({*found}) == 20


@pytest.fixture
def turns(monkeypatch):
    """The turns that were given, in their order."""
    given, take = [], RateSlot.objects.take

    def noted(rate_key, seconds):
        turn, now = take(rate_key, seconds)
        given.append(turn)
        return turn, now

    monkeypatch.setattr(RateSlot.objects, "take", noted)
    return given


def paced(key, seen, seconds, rate_key="lane"):
    """A step of which only one may begin in so many seconds."""

    def run(spec):
        seen.append(timezone.now())

    return Step(key, key, run, Pace(key=lambda spec: rate_key, seconds=seconds, rule=RULE))


def assert_none_before_its_turn(seen, turns, seconds):
    """Whatever the machine does: a call may be late, and the next one in time, so that less is between the two."""
    given = sorted(turns)
    assert len(seen) == len(given)
    assert all((later - turn).total_seconds() >= seconds for turn, later in itertools.pairwise(given))
    assert all(called >= turn - timedelta(milliseconds=2) for called, turn in zip(sorted(seen), given, strict=True))


def test_a_short_wait_is_waited_out(plan, store, alice, turns):
    seen = []
    plan.append(Stage(paced("one", seen, 0.4), paced("two", seen, 0.4)))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) is None
    assert len(seen) == 2
    assert_none_before_its_turn(seen, turns, 0.4)
    operation.refresh_from_db()
    assert operation.state == "done"
    assert not any("turn" in step for step in operation.steps)


def test_a_long_wait_is_no_trouble_and_keeps_its_turn(plan, store, alice, account):
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() + timedelta(seconds=14))
    seen = []
    plan.append(Stage(paced("one", seen, 5)))
    operation = begin(store, "create", by=alice)
    again = deliver(operation.pk)
    assert 12 < again <= 14
    operation.refresh_from_db()
    assert (operation.state, operation.retries, operation.retrying_since) == ("waiting", 0, None)
    assert operation.retry_note == f"{RULE}; it is this one's turn in {again:.0f} seconds."
    free_at = RateSlot.objects.get().free_at
    for _ in range(3):  # whoever comes too early, comes again, and gets no other turn
        due_now(operation)
        assert 10 < deliver(operation.pk) <= again
        assert RateSlot.objects.get().free_at == free_at
    steps = Operation.objects.get(pk=operation.pk).steps
    steps[0]["turn"]["at"] = timezone.now().isoformat()  # as if it had come
    Operation.objects.filter(pk=operation.pk).update(steps=steps)
    due_now(operation)
    assert deliver(operation.pk) is None
    assert len(seen) == 1
    assert RateSlot.objects.get().free_at == free_at


def test_a_turn_of_another_lane_is_not_used(plan, store, alice):
    """A store whose project was changed meanwhile waits for the turns of its new one."""
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() + timedelta(seconds=14))
    plan.append(Stage(paced("one", [], 5)))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) > 12
    plan[0] = Stage(paced("one", [], 5, rate_key="another"))
    due_now(operation)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert operation.state == "done"


def test_a_turn_that_was_used_is_not_used_again(plan, store, alice):
    seen = []

    def busy(spec):
        seen.append(RateSlot.objects.count() if connection.in_atomic_block else 0)
        raise NotReady("slow down", patience=600)

    plan.append(Stage(Step("one", "one", busy, Pace(key=lambda spec: "lane", seconds=1, rule=RULE))))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1.0  # 429 backs off as ever
    first = RateSlot.objects.get().free_at
    due_now(operation)
    assert deliver(operation.pk) == 2.0
    assert RateSlot.objects.get().free_at > first
    operation.refresh_from_db()
    assert operation.retries == 2


def test_waiting_hides_no_failure_and_no_trouble(plan, store, alice):
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() + timedelta(seconds=60))
    plan.append(Stage(paced("one", [], 5), Step("two", "two", failing(NotReady("busy")))))
    operation = begin(store, "create", by=alice)
    assert deliver(operation.pk) == 1.0
    operation.refresh_from_db()
    assert (operation.retries, operation.retry_note) == (1, "busy")
    plan[0] = Stage(paced("one", [], 5), Step("two", "two", failing(Failed("no"))))
    due_now(operation)
    assert deliver(operation.pk) is None
    operation.refresh_from_db()
    assert (operation.state, operation.error) == ("failed", "no")


def test_of_two_that_wait_the_sooner_counts(plan, store, alice):
    RateSlot.objects.create(rate_key="lane", free_at=timezone.now() + timedelta(seconds=30))
    plan.append(Stage(paced("one", [], 5), paced("two", [], 5)))
    operation = begin(store, "create", by=alice)
    assert 28 < deliver(operation.pk) <= 30
    operation.refresh_from_db()
    assert len({step["turn"]["at"] for step in operation.steps}) == 2
    assert max((RateLimited("a", seconds=9), RateLimited("b", seconds=3)), key=engine._weight).seconds == 3


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_ten_stores_at_once_are_created_no_faster_than_the_rate(plan, account, alice, turns, monkeypatch):
    """Two workers, ten stores of two buckets each: twenty calls at the rate of one in 0.25 s, none left behind."""
    monkeypatch.setattr(engine, "SHORT_WAIT", 0.3)
    rate, seen = 0.25, []
    plan.append(Stage(paced("log", seen, rate), paced("backup", seen, rate)))
    made = [factories.store(account, name=f"store-{number}", state=State.CREATING) for number in range(10)]
    pks = [begin(one, "create", by=alice).pk for one in made]
    failed, until = [], time.monotonic() + 60

    def worker():
        try:
            while Operation.objects.unfinished().exists() and time.monotonic() < until:
                for pk in Operation.objects.due().values_list("pk", flat=True):
                    deliver(pk)
                time.sleep(0.02)
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert {one.state for one in Operation.objects.filter(pk__in=pks)} == {"done"}
    assert {one.retries for one in Operation.objects.filter(pk__in=pks)} == {0}
    assert Store.objects.filter(state=State.AVAILABLE).count() == 10
    assert len(seen) == 20
    assert_none_before_its_turn(seen, turns, rate)


def test_whoever_need_not_wait_does_not(plan, store, alice, monkeypatch):
    slept, sleep = [], time.sleep
    monkeypatch.setattr(engine.time, "sleep", lambda seconds: slept.append(seconds) or sleep(0))
    plan.append(Stage(paced("one", [], 5), Step("two", "two", lambda spec: None)))
    assert deliver(begin(store, "create", by=alice).pk) is None
    assert slept == [0, 0]
