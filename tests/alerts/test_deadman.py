"""The dead man's switch is asked while all works, and silent as soon as something does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db.models.functions import Now
from django.utils import timezone

from console.alerts import actions, deadman, tasks
from console.alerts.evaluation import evaluate
from console.alerts.models import AlertSettings, Channel, Delivery
from console.metrics import FromDatabase
from console.operations.heartbeats import Heartbeat
from tests import factories


@pytest.fixture
def sent(monkeypatch):
    """What workers are sent."""
    told = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args=(), **_: told.append((name.split(".")[-1], *args)))
    return told


@pytest.fixture
def beat(db):
    return Heartbeat.objects.create(kind="beat", host="h", pid=1, release="1", host_time=timezone.now())


@pytest.fixture
def switch(acme, alice, receiver):
    actions.set_deadman(acme, url=f"{receiver.url}/ping/secret", minutes=5, by=alice)
    return AlertSettings.objects.filter(organisation=acme)


def test_it_is_asked_when_it_is_due_and_keeps_the_answer(acme, switch, receiver, beat, sent, holding):
    tasks.evaluate_all()
    assert sent == [("ping", str(acme.pk))]
    assert deadman.ping(acme.pk)
    assert not deadman.ping(acme.pk)  # two workers, or two beats: once
    [(path, _, body)] = receiver.got
    assert (path, body) == ("/ping/secret", b"")
    row = switch.get()
    assert (row.ping_status, row.ping_answer, row.deadman_shown) == (200, "ok", receiver.url.removeprefix("http://"))
    sent.clear()
    tasks.evaluate_all()
    assert sent == []
    switch.update(ping_due_at=Now())
    tasks.evaluate_all()
    assert sent == [("ping", str(acme.pk))]


def test_it_is_silent_without_beat(switch, sent, holding):
    tasks.evaluate_all()
    assert sent == []


def test_it_is_silent_while_a_rule_fails(switch, beat, sent, holding, caplog):
    holding.fails = True
    tasks.evaluate_all()
    assert sent == []
    assert "Not all alert rules could be asked" in caplog.text


def test_it_is_silent_while_messages_are_stuck(switch, beat, sent, holding, channel):
    row = Delivery.objects.create(organisation=channel().organisation, channel=channel(name="two"), subject="x")
    tasks.evaluate_all()
    assert len(sent) == 1
    sent.clear()
    Delivery.objects.filter(pk=row.pk).update(due_at=Now() - timedelta(minutes=11))
    tasks.evaluate_all()
    assert sent == []


@pytest.fixture
def other(db):
    """Another organisation with a switch of its own, and a message that it waits for."""
    found = factories.organisation("Other")
    channel = Channel.objects.create(organisation=found, kind="webhook", name="hook")
    AlertSettings.of(found)
    AlertSettings.objects.filter(organisation=found).update(deadman_shown="x", secrets={"url": "x"})
    return channel


def late(channel, **values):
    """A message that was due eleven minutes ago."""
    row = Delivery.objects.create(organisation=channel.organisation, channel=channel, subject="x", **values)
    Delivery.objects.filter(pk=row.pk).update(due_at=Now() - timedelta(minutes=11))
    return row


def asked(sent):
    sent.clear()
    tasks.evaluate_all()
    return {pk for name, pk in sent if name == "ping"}


def test_a_broken_channel_silences_nobody_s_switch(acme, switch, beat, sent, holding, other):
    both = {str(acme.pk), str(other.organisation_id)}
    # Its first message is tried again and again; what comes after it, of the same incident, waits for it.
    late(other, group="a", tries=5, tried_at=Now())
    late(other, group="a")
    assert asked(sent) == both
    Delivery.objects.update(tried_at=Now() - timedelta(hours=2))  # the pauses grow longer
    assert asked(sent) == both
    # So many wait for its slow server that some come to no first try for long.
    late(other)
    Delivery.objects.filter(tries=5).update(tried_at=Now())
    assert asked(sent) == both


def test_messages_that_are_not_sent_silence_their_own_switch(acme, switch, beat, sent, holding, other, channel):
    late(other)
    assert asked(sent) == set()  # nothing was sent at all
    Delivery.objects.create(organisation=acme, channel=channel(), tried_at=Now())
    assert asked(sent) == {str(acme.pk)}


def test_tests_that_wait_silence_nobody(switch, beat, sent, holding, channel, alice):
    row = actions.test_channel(channel(), by=alice)
    Delivery.objects.filter(pk=row.pk).update(due_at=Now() - timedelta(minutes=11))
    sent.clear()
    tasks.evaluate_all()
    assert [name for name, _ in sent] == ["ping"]


def test_the_operator_s_own_is_asked_too(beat, sent, holding, receiver, settings, caplog):
    settings.DEADMAN_URL = receiver.url
    settings.ALERT_ENDPOINTS_ALLOWED = []
    tasks.evaluate_all()
    assert sent == [("ping_operators",)]
    tasks.ping_operators()
    assert len(receiver.got) == 1
    receiver.status = 500
    tasks.ping_operators()
    assert "DEADMAN_URL gave no good answer: 500" in caplog.text


def test_each_organisation_has_its_own(switch, beat, sent, holding):
    AlertSettings.of(factories.organisation("Other"))
    tasks.evaluate_all()
    assert len(sent) == 1


def test_a_clock_that_was_set_back_keeps_nobody_waiting(acme, switch, receiver, beat):
    switch.update(ping_due_at=timezone.now() + timedelta(days=300))
    assert deadman.ping(acme.pk)


def test_figures_have_what_is_open_and_what_waits(acme, holding, channel):
    one = channel()
    holding.add(acme, severity="critical")
    evaluate()
    Delivery.objects.filter(channel=one).update(due_at=Now() - timedelta(minutes=11))
    samples = [sample for family in FromDatabase().collect() for sample in family.samples]
    found = {one.name + str(one.labels): one.value for one in samples}
    assert found["storekeeper_alerts{'severity': 'critical'}"] == 1
    assert found["storekeeper_alerts{'severity': 'warning'}"] == 0
    assert found["storekeeper_alert_messages_oldest_seconds{}"] > 600
