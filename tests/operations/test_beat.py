"""Beat sends what is due by the database's clock, once however many beats there are, and no more than is taken."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from console.celery import app
from console.operations import beat, messages
from console.operations.beat import Scheduler
from console.operations.models import Chore, Heartbeat
from console.web.database import checkpoint

NAMES = set(app.conf.beat_schedule)
HOUR = timedelta(hours=1)


@pytest.fixture
def sent(monkeypatch):
    """The names of the tasks that were sent."""
    found = []
    monkeypatch.setattr(app, "send_task", lambda task, *_, queue: found.append((task.rpartition(".")[2], queue)))
    return found


@pytest.fixture
def waiting(monkeypatch):
    """How many messages wait, by queue."""
    found = {}
    monkeypatch.setattr(messages, "waiting", lambda queue: found.get(queue, 0))
    return found


@pytest.fixture
def one(db, sent, waiting):
    return Scheduler(app=app)


def names(sent):
    tasks = {task for task, _ in sent}
    return {name for name, entry in app.conf.beat_schedule.items() if entry["task"].rpartition(".")[2] in tasks}


def test_what_is_due_is_sent_to_the_queue_that_goes_first(one, sent):
    pause = one.tick()
    assert names(sent) == NAMES
    assert {queue for _, queue in sent} == {"beat"} == {min(q.name for q in app.conf.task_queues)}
    assert 0 < pause <= 3
    one.tick()
    assert len(sent) == len(NAMES)


def test_two_beats_send_everything_once(one, sent):
    other = Scheduler(app=app)
    for scheduler in (one, other, one, other):
        scheduler.tick()
    assert len(sent) == len(NAMES)


def test_the_slower_of_two_beats_that_look_at_once_sends_nothing(db, sent):
    left = Chore.objects.seconds_until_due({"read-due": 10.0})
    assert left == {"read-due": 0.0} == Chore.objects.seconds_until_due({"read-due": 10.0})
    assert [Chore.objects.take("read-due", 10.0) for _ in range(2)] == [True, False]


def test_a_restart_puts_nothing_off_and_repeats_nothing(one, sent):
    one.tick()
    Chore.objects.filter(name="renew-keys").update(due_at=Now() + timedelta(minutes=10))
    Chore.objects.filter(name="read-due").update(due_at=Now() - timedelta(minutes=10))
    sent.clear()
    Scheduler(app=app).tick()
    assert names(sent) == {"read-due"}


def test_a_database_whose_clock_was_set_back_stops_nothing(one, sent):
    one.tick()
    sent.clear()
    Chore.objects.update(due_at=Now() + 2 * HOUR)
    one.tick()
    # What is done once a day may well be due in two hours.
    assert names(sent) == {name for name in NAMES if app.conf.beat_schedule[name]["schedule"] < 7200}


def test_the_clock_of_this_machine_changes_nothing(one, sent, monkeypatch):
    one.tick()
    sent.clear()
    for jumped in (time.time() + 3600, time.time() - 3600):
        monkeypatch.setattr(time, "time", lambda now=jumped: now)
        one.tick()
        Scheduler(app=app).tick()
    assert not sent


def test_nothing_more_is_sent_while_no_worker_takes_it(one, sent, waiting):
    waiting["beat"] = 1
    one.tick()
    assert not sent
    waiting["beat"] = 0
    one.tick()
    assert names(sent) == NAMES


def test_what_no_worker_takes_is_said_after_a_while(one, waiting, monkeypatch):
    waiting["beat"] = 1
    one.tick()
    assert not one.trouble
    monkeypatch.setattr(beat, "UNTAKEN", -1)
    monkeypatch.setattr(beat, "EVERY", 0)
    one.tick()
    assert Heartbeat.objects.get().trouble == one.trouble == "No worker takes what is sent."


def test_what_the_broker_does_not_take_is_due_again(one, sent, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError("OOM command not allowed")

    with monkeypatch.context() as patch:
        patch.setattr(app, "send_task", full)
        assert one.tick() == one.tick() == 1.0
    assert "OOM command not allowed" in Heartbeat.objects.get().trouble
    assert caplog.text.count("The broker takes no messages") == 1
    one.tick()
    assert names(sent) == NAMES
    assert one.trouble == ""


def test_beat_goes_on_after_the_database_was_gone(one, sent, monkeypatch):
    def gone(*_):
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(Chore.objects, "seconds_until_due", gone)
        patch.setattr(one.pulse, "beat", lambda **_: False)
        assert one.tick() == 1.0
    one.tick()
    assert names(sent) == NAMES


def test_beat_says_that_it_is_there_and_what_waits(one, waiting):
    waiting.update(celery=3, snapshots=200)
    one.tick()
    row = Heartbeat.objects.get()
    assert row.kind == Heartbeat.Kind.BEAT
    assert row.waiting == {"beat": 0, "celery": 3, "snapshots": 200}


@pytest.mark.slow
def test_on_sqlite_beat_alone_moves_what_was_written_into_the_file(transactional_db, sent, waiting):
    """Its connections do not, however much they have written: two of them at once can lose pages before 3.51.3."""
    if connection.vendor != "sqlite":
        assert checkpoint() is None
        return
    file = Path(connection.settings_dict["NAME"])
    one = Scheduler(app=app)
    one.tick()
    before = file.stat().st_mtime_ns  # opened and closed by this process, it would lose SQLite's locks
    for number in range(1_100):  # commits of a page or more; on its own, SQLite moves them after a thousand pages
        Chore.objects.update_or_create(name="one", defaults={"due_at": Now() + timedelta(seconds=number)})
    assert file.stat().st_mtime_ns == before
    one.told_at = -beat.EVERY
    one.tick()
    assert file.stat().st_mtime_ns > before
