"""What is read of a cloud now and then: who reads, what is kept, and when it is read again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from console.clouds.steps import Failed, NotReady
from console.operations import snapshots
from console.operations.actions import ask
from stores.models import DriftReport
from tests import factories
from tests.stores.conftest import due


@pytest.fixture
def row(account):
    """The drift_report of a store, due now."""
    return DriftReport.objects.create(store=factories.store(account, name="orders"))


@pytest.fixture
def reads(monkeypatch):
    """A function that has postures read by another function, and nothing follow."""

    def reads(read):
        source = replace(snapshots._sources["drift_report"], read=read, kept=lambda snapshot: None)
        monkeypatch.setitem(snapshots._sources, "drift_report", source)

    return reads


def read(row):
    snapshots.read("drift_report", row.pk)
    row.refresh_from_db()
    return row


def soon(moment, within):
    return timedelta() < moment - timezone.now() <= within + timedelta(seconds=1)


def test_read_keeps_the_content_with_its_time(row, reads):
    reads(lambda row: ["seen"])
    kept = read(row)
    assert (kept.content, kept.error, kept.held_until) == (["seen"], "", None)
    assert kept.read_at == kept.tried_at
    assert kept.due_at - timezone.now() > timedelta(hours=11)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NotReady("AWS is busy."), timedelta(minutes=1)),
        (Failed("AWS refused it.", code="AccessDenied"), timedelta(minutes=15)),
        (ValueError("secret"), timedelta(minutes=15)),
    ],
)
def test_read_keeps_the_last_known_when_it_fails(row, reads, error, again, caplog):
    reads(lambda row: ["seen"])
    before = read(row)
    time.sleep(0.002)  # SQLite's clock ticks in milliseconds
    DriftReport.objects.update(due_at=timezone.now() - timedelta(seconds=1))

    def fail(row):
        raise error

    reads(fail)
    after = read(row)
    assert (after.content, after.read_at) == (["seen"], before.read_at)
    assert after.tried_at > after.read_at
    assert soon(after.due_at, again)
    assert "secret" not in after.error
    assert after.error


def test_read_is_done_by_one_at_a_time(row, reads):
    seen = []

    def twice(row):
        seen.append(row.pk)
        snapshots.read("drift_report", row.pk)  # another worker, with the same message
        return seen

    reads(twice)
    read(row)
    assert seen == [row.pk]


def test_a_reading_whose_worker_died_is_due_again(row, reads):
    DriftReport.objects.update(held_until=timezone.now() + timedelta(minutes=1))
    assert due("drift_report") == []
    DriftReport.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    assert due("drift_report") == [row.pk]
    reads(lambda row: [])
    assert read(row).held_until is None


def test_what_is_asked_for_while_it_is_read_is_read_again(row, reads):
    def asked_again(row):
        time.sleep(0.002)  # SQLite's clock ticks in milliseconds
        ask(DriftReport.objects.all())
        return []

    reads(asked_again)
    assert read(row).is_awaited
    assert due("drift_report") == [row.pk]
    reads(lambda row: [])
    assert not read(row).is_awaited
    assert due("drift_report") == []


def test_tell_says_how_far_it_is_and_holds_on(row, reads):
    told = []

    def telling(row):
        DriftReport.objects.update(held_until=timezone.now() + timedelta(seconds=1))
        row.tell("12,000 versions so far")
        told.extend(DriftReport.objects.values_list("progress", "held_until"))
        return []

    reads(telling)
    assert read(row).progress == ""
    [(progress, held_until)] = told
    assert progress == "12,000 versions so far"
    assert soon(held_until, snapshots.HELD)


def test_follower_is_the_next_of_the_same_account(account, acme, row):
    second = DriftReport.objects.create(store=factories.store(account, name="second"))
    DriftReport.objects.create(store=factories.store(factories.account(acme, name="other"), name="elsewhere"))
    DriftReport.objects.filter(pk=row.pk).update(due_at=timezone.now() + timedelta(hours=1))
    assert snapshots.follower("drift_report", row.pk) == second.pk
    DriftReport.objects.filter(pk=second.pk).delete()
    assert snapshots.follower("drift_report", row.pk) is None
