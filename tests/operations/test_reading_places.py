"""Workers read clouds for all organisations: one whose clouds hardly answer holds so many of their threads only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from console.operations import background, messages, snapshots, tasks
from console.operations.actions import ask
from console.operations.models import Operation, RateSlot
from stores.models import DriftReport
from tests import factories


@pytest.fixture
def row(account):
    return DriftReport.objects.create(store=factories.store(account, name="orders"))


@pytest.fixture
def seen(monkeypatch):
    """The rows that are read, and the messages that are sent."""
    found, sent = [], []
    source = replace(
        snapshots._sources["drift_report"], read=lambda row: found.append(row.pk) or [], kept=lambda _: None
    )
    monkeypatch.setitem(snapshots._sources, "drift_report", source)
    monkeypatch.setattr(tasks.read, "apply_async", lambda given, **options: sent.append((given, options)))
    return found, sent


def take_all(organisation):
    names = [RateSlot.objects.hold(f"reads {organisation.pk}", tasks.AT_ONCE, 60) for _ in range(tasks.AT_ONCE)]
    assert all(names)
    return names


def test_a_reading_comes_back_while_its_organisation_has_no_place(acme, row, seen):
    found, sent = seen
    names = take_all(acme)
    tasks.read("drift_report", row.pk)
    assert not found
    [(given, options)] = sent
    assert given == ("drift_report", row.pk, 1)
    assert options["countdown"]
    assert snapshots.due() == [("drift_report", row.pk)] or ("drift_report", row.pk) in snapshots.due()
    RateSlot.objects.give_back(names[0])
    tasks.read(*given)
    assert found == [row.pk]


def test_a_reading_that_found_no_place_is_left_to_the_sweep_in_the_end(acme, row, seen):
    found, sent = seen
    take_all(acme)
    tasks.read("drift_report", row.pk, tasks.TRIES)
    assert not found
    assert not sent


def test_the_places_of_one_organisation_are_no_other_s(acme, row, seen):
    found, _ = seen
    take_all(factories.organisation("Other"))
    tasks.read("drift_report", row.pk)
    assert found == [row.pk]


@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_a_place_is_given_back_however_it_ended(acme, row, seen, monkeypatch, error):
    def read(label, pk):
        if error:
            raise error

    monkeypatch.setattr(snapshots, "read", read)
    for _ in range(tasks.AT_ONCE + 1):
        if error:
            with pytest.raises(ValueError, match="x"):
                tasks.read("drift_report", row.pk)
        else:
            tasks.read("drift_report", row.pk)
    assert take_all(acme)


def test_the_organisation_of_each_kind_of_snapshot_is_found(acme):
    for label in snapshots._sources:
        assert snapshots.organisation_of(label, 0) is None  # no such row; the way to it is one that the database knows


def test_a_snapshot_that_is_gone_is_nothing_to_read(db, seen):
    tasks.read("drift_report", 0)
    assert seen == ([], [])


def in_background(pk):
    tasks.read.apply(("drift_report", pk), routing_key=messages.BACKGROUND).get()


@pytest.fixture
def idle(monkeypatch):
    """The threads of a worker that does nothing."""
    threads = background.Threads(4)
    monkeypatch.setattr(tasks, "threads", threads)
    return threads


def waits(account):
    """An operation that nobody has taken yet."""
    store = factories.store(account, name="asked-for")
    operation = Operation.objects.create(
        organisation=account.organisation, subject_kind="store", subject_id=store.pk, verb="create"
    )
    Operation.objects.filter(pk=operation.pk).update(due_at=Now())


def due_for(row, **ago):
    DriftReport.objects.filter(pk=row.pk).update(due_at=Now() - timedelta(**ago))


def test_what_is_read_in_the_background_waits_for_operations(account, row, seen, idle):
    found, sent = seen
    waits(account)
    in_background(row.pk)
    assert (found, sent) == ([], [])
    assert ("drift_report", row.pk) in snapshots.due()  # the sweep sends it again
    tasks.read("drift_report", row.pk)  # this one somebody waits for
    assert found == [row.pk]


def test_what_has_been_due_for_a_minute_is_read_in_any_case(account, row, seen, idle):
    waits(account)
    due_for(row, seconds=61)
    in_background(row.pk)
    assert seen[0] == [row.pk]


def test_what_is_read_in_the_background_waits_while_many_operations_are_at_work_here(row, seen, idle):
    with idle.operation(), idle.operation():
        in_background(row.pk)
    assert seen[0] == []
    with idle.operation():
        in_background(row.pk)
    assert seen[0] == [row.pk]


def test_readings_hold_half_of_the_threads(row, seen, idle):
    with idle.reading() as one, idle.reading() as two, idle.reading() as three:
        assert (one, two, three) == (True, True, False)
        in_background(row.pk)
    assert seen[0] == []
    in_background(row.pk)
    assert seen[0] == [row.pk]


def test_who_has_a_place_goes_on_with_the_next_of_the_same_account(account, row, seen, idle):
    found, sent = seen
    more = [DriftReport.objects.create(store=factories.store(account, name=f"store-{n}")) for n in range(3)]
    in_background(row.pk)
    assert sorted(found) == sorted([row.pk, *(one.pk for one in more)])
    assert not sent


def test_who_has_a_place_leaves_it_to_others_after_a_while(account, row, seen, idle, monkeypatch):
    found, sent = seen
    DriftReport.objects.create(store=factories.store(account, name="next"))
    clock = iter([0.0, 1.0, background.GO_ON + 1])
    monkeypatch.setattr(tasks, "monotonic", lambda: next(clock))
    in_background(row.pk)
    assert found == [row.pk]
    assert [options["queue"] for _, options in sent] == [messages.BACKGROUND]


def test_the_sweep_sends_no_more_than_is_taken(row, seen, monkeypatch):
    for waiting, number in ((0, 1), (tasks.MESSAGES_AT_MOST - 1, 1), (tasks.MESSAGES_AT_MOST, 0), (1_000, 0)):
        seen[1].clear()
        monkeypatch.setattr(messages, "waiting", lambda queue, waiting=waiting: waiting)
        monkeypatch.setattr(snapshots, "due", lambda: [("drift_report", row.pk)])
        tasks.read_due()
        assert len(seen[1]) == number


def test_a_first_check_is_not_even_sent_while_operations_wait(account, row, seen, django_capture_on_commit_callbacks):
    reports = DriftReport.objects.filter(pk=row.pk)
    with django_capture_on_commit_callbacks(execute=True):
        ask(reports, waits=False)
    assert [options["queue"] for _, options in seen[1]] == [messages.BACKGROUND]
    waits(account)
    with django_capture_on_commit_callbacks(execute=True):
        ask(reports, waits=False)
    assert len(seen[1]) == 1
    with django_capture_on_commit_callbacks(execute=True):
        ask(reports)
    assert seen[1][1][1]["queue"] == messages.PEOPLE


def test_a_reading_that_was_held_before_the_clock_was_set_back_is_read(row, seen, idle):
    DriftReport.objects.filter(pk=row.pk).update(held_until=Now() + timedelta(hours=1))
    in_background(row.pk)
    assert seen[0] == [row.pk]
