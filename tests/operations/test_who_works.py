"""Where it is shown who works: support's front page, /metrics, and the pages of those who wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from console.operations.heartbeats import Pulse
from console.operations.models import Heartbeat, Operation
from stores.models import State
from tests import factories
from tests.responses import text_of

NO_WORKER, NO_BEAT = "No worker is running", "No beat is running"


@pytest.fixture
def as_support(client, db):
    client.force_login(factories.support())
    return client


@pytest.fixture
def both(db):
    Pulse("worker", threads=16, queues=["beat", "celery"]).beat(begins=True)
    Pulse("beat").beat(begins=True, waiting={"celery": 3})


def silence(kind, **ago):
    Heartbeat.objects.filter(kind=kind).update(seen_at=Now() - timedelta(**ago))


@pytest.fixture
def waits(account):
    """A store whose creation has waited for a while."""
    store = factories.store(account, name="orders", state=State.CREATING)
    store.operation = Operation.objects.create(
        organisation=account.organisation,
        subject_kind="store",
        subject_id=store.pk,
        subject_name="orders",
        verb="create",
        title="Create Backup Store",
    )
    store.save()
    Operation.objects.update(due_at=Now() - timedelta(seconds=11))
    return store


def test_support_sees_who_works(as_support, both):
    page = text_of(as_support.get("/admin/"))
    assert NO_WORKER not in page
    assert NO_BEAT not in page
    assert "16 threads: beat,celery" in page
    assert "celery 3" in page


@pytest.mark.parametrize(("kind", "words"), [("worker", NO_WORKER), ("beat", NO_BEAT)])
def test_support_sees_who_is_silent_and_what_to_do(as_support, both, kind, words):
    silence(kind, minutes=5)
    page = text_of(as_support.get("/admin/"))
    assert words in page
    assert f"celery -A console {kind}" in page
    assert page.count("silent since") == 1


def test_support_sees_that_nothing_was_ever_started(as_support, waits):
    page = text_of(as_support.get("/admin/"))
    assert NO_WORKER in page
    assert NO_BEAT in page
    assert "1 task waits" in page


def test_support_sees_what_keeps_beat_from_its_work(as_support, db):
    Pulse("beat").beat(trouble="The broker takes no messages: full")
    assert "The broker takes no messages: full" in text_of(as_support.get("/admin/"))


def test_the_front_page_is_for_support(as_alice):
    assert as_alice.get("/admin/").status_code == 302


def test_metrics_tell_who_works(client, both, settings):
    settings.METRICS_TOKEN = "token"
    told = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    assert 'storekeeper_processes{kind="worker"} 1.0' in told
    assert 'storekeeper_messages_waiting{queue="celery"} 3.0' in told
    assert "storekeeper_worker_threads{" in told
    silence("worker", minutes=5)
    told = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    assert 'storekeeper_processes{kind="worker"} 0.0' in told
    assert 'storekeeper_processes{kind="beat"} 1.0' in told
    [age] = [line.split()[-1] for line in told.splitlines() if "age_seconds{host=" in line and 'kind="worker"' in line]
    assert 300 <= float(age) < 360


def test_who_waits_reads_that_no_worker_is_there(as_alice, waits, both):
    pages = ("/tasks/", waits.operation.get_absolute_url(), f"/stores/{waits.pk}/")
    for page in pages:
        assert NO_WORKER not in text_of(as_alice.get(page)), page
    silence("worker", minutes=5)
    for page in pages:
        assert NO_WORKER in text_of(as_alice.get(page)), page


def test_who_has_only_just_asked_does_not_read_so(as_alice, waits):
    Operation.objects.update(due_at=Now())
    for page in ("/tasks/", waits.operation.get_absolute_url(), f"/stores/{waits.pk}/"):
        assert NO_WORKER not in text_of(as_alice.get(page)), page
