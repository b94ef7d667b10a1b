"""Workers and beat say that they work; who is silent is shown, and forgotten after a day."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from console.operations.heartbeats import Pulse, no_worker
from console.operations.models import Heartbeat
from console.release import VERSION

MINUTE = timedelta(minutes=1)


@pytest.fixture
def worker(db):
    Pulse("worker", threads=16, queues=["beat", "celery"]).beat(begins=True)
    return Heartbeat.objects.get()


def silent_for(**values):
    Heartbeat.objects.update(seen_at=Now() - timedelta(**values))


def test_a_process_has_one_row_that_says_what_it_is(worker):
    Pulse("worker", threads=8).beat()
    row = Heartbeat.objects.get()
    assert (row.pid, row.release, row.threads) == (os.getpid(), VERSION, 8)
    assert row.started_at == worker.started_at
    assert row.seen_at > worker.seen_at
    assert worker.queues == "beat,celery"


def test_a_process_that_begins_anew_with_the_same_number_says_since_when(worker):
    Pulse("worker").beat(begins=True)
    assert Heartbeat.objects.get().started_at > worker.started_at


def test_who_says_nothing_for_half_a_minute_is_silent(worker):
    assert not Heartbeat.objects.heard().get().is_silent
    silent_for(seconds=31)
    assert Heartbeat.objects.heard().get().is_silent


def test_rows_of_the_dead_vanish_after_a_day(worker):
    silent_for(hours=23)
    Heartbeat.objects.forget()
    assert Heartbeat.objects.exists()
    silent_for(hours=25)
    Heartbeat.objects.forget()
    assert not Heartbeat.objects.exists()


@pytest.mark.parametrize(("off", "words"), [(3600, "3,600 seconds ahead of"), (-10, "10 seconds behind"), (0.5, "")])
def test_a_machine_whose_clock_is_wrong_is_named(worker, off, words):
    worker.host_time = worker.seen_at + timedelta(seconds=off)
    assert worker.clock_note == (f"Its clock is {words} the database's." if words else "")


def test_who_waits_reads_that_nobody_works(worker):
    assert no_worker() == ""
    silent_for(minutes=5)
    seen = Heartbeat.objects.get().seen_at
    assert f"No worker is running: the last one was seen at {seen:%H:%M} UTC" in no_worker()
    Heartbeat.objects.all().delete()
    assert "No worker is running: none has been seen for a day." in no_worker()


def test_beat_is_no_worker(db):
    Pulse("beat").beat()
    assert no_worker()


def test_a_worker_that_ends_is_not_listed_any_more(worker):
    pulse = Pulse("worker")
    pulse.end()
    pulse._repeat()
    assert not Heartbeat.objects.exists()


def test_a_database_that_is_gone_is_said_once_and_ends_nothing(db, monkeypatch, caplog):
    from django.db import OperationalError

    def gone(*_, **__):
        raise OperationalError("the connection is closed")

    pulse = Pulse("worker")
    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat.objects, "filter", gone)
        assert [pulse.beat() for _ in range(3)] == [False] * 3
    assert caplog.text.count("cannot say that it works") == 1
    assert pulse.beat()
    assert Heartbeat.objects.get().host_time - timezone.now() < MINUTE
