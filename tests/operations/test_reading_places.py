"""Workers read clouds for all organisations: one whose clouds hardly answer holds so many of their threads only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.operations import snapshots, tasks
from console.operations.models import RateSlot
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
