"""What is read of a cloud now and then: who reads, what is kept, and when it is read again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from console.operations import readings
from console.operations.actions import ask
from console.operations.plan import Failed, NotReady
from stores.models import Posture
from tests import factories
from tests.stores.conftest import due


@pytest.fixture
def row(account):
    """The posture of a store, due now."""
    return Posture.objects.create(store=factories.store(account, name="orders"))


@pytest.fixture
def reads(monkeypatch):
    """A function that has postures read by another function, and nothing follow."""

    def reads(read):
        reader = replace(readings._readers["posture"], read=read, kept=lambda reading: None)
        monkeypatch.setitem(readings._readers, "posture", reader)

    return reads


def read(row):
    readings.read("posture", row.pk)
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
    Posture.objects.update(due_at=timezone.now() - timedelta(seconds=1))

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
        readings.read("posture", row.pk)  # another worker, with the same message
        return seen

    reads(twice)
    read(row)
    assert seen == [row.pk]


def test_a_reading_whose_worker_died_is_due_again(row, reads):
    Posture.objects.update(held_until=timezone.now() + timedelta(minutes=1))
    assert due("posture") == []
    Posture.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    assert due("posture") == [row.pk]
    reads(lambda row: [])
    assert read(row).held_until is None


def test_what_is_asked_for_while_it_is_read_is_read_again(row, reads):
    def asked_again(row):
        time.sleep(0.002)  # SQLite's clock ticks in milliseconds
        ask(Posture.objects.all())
        return []

    reads(asked_again)
    assert read(row).is_awaited
    assert due("posture") == [row.pk]
    reads(lambda row: [])
    assert not read(row).is_awaited
    assert due("posture") == []


def test_tell_says_how_far_it_is_and_holds_on(row, reads):
    told = []

    def telling(row):
        Posture.objects.update(held_until=timezone.now() + timedelta(seconds=1))
        row.tell("12,000 versions so far")
        told.extend(Posture.objects.values_list("progress", "held_until"))
        return []

    reads(telling)
    assert read(row).progress == ""
    [(progress, held_until)] = told
    assert progress == "12,000 versions so far"
    assert soon(held_until, readings.HELD)


def test_follower_is_the_next_of_the_same_account(account, acme, row):
    second = Posture.objects.create(store=factories.store(account, name="second"))
    Posture.objects.create(store=factories.store(factories.account(acme, name="other"), name="elsewhere"))
    Posture.objects.filter(pk=row.pk).update(due_at=timezone.now() + timedelta(hours=1))
    assert readings.follower("posture", row.pk) == second.pk
    Posture.objects.filter(pk=second.pk).delete()
    assert readings.follower("posture", row.pk) is None
