"""Whether a database that is behind the broker is noticed, with a real Valkey."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from redis import Redis

from console.operations.models import Operation
from console.restoration import generation
from console.restoration.models import Generation, Restoration
from tests import factories
from tests.restoration.work import at_work

pytestmark = pytest.mark.django_db


@pytest.fixture
def valkey(broker, settings, db):
    Generation.objects.get_or_create()  # the row of the migration, which a transactional test takes away
    settings.REDIS_URL = broker.url
    with Redis.from_url(f"unix://{broker.socket}") as client:
        yield client


def number():
    return Generation.objects.get().generation


def remembered(valkey):
    return int(valkey.get(f"storekeeper:generation:{Generation.objects.get().pk}"))


def test_both_count_on_together(acme, valkey):
    assert [generation.look() for _ in range(3)] == [False, False, False]
    assert remembered(valkey) == number() == 3
    assert not Restoration.objects.exists()


def test_an_older_database_is_noticed_once(acme, valkey):
    for _ in range(5):
        generation.look()
    Generation.objects.update(generation=2)  # the copy
    held = at_work(factories.account(acme), "delete", "deleting")
    assert generation.look()
    [row] = Restoration.objects.open()
    assert "about 3 minutes of work" in row.found_by
    held.refresh_from_db()
    assert held.due_at.year == 9999
    assert remembered(valkey) == number() == 6
    assert not generation.look()
    assert Restoration.objects.count() == 1


def test_another_console_at_the_same_broker_is_not_taken_for_this_one(acme, valkey):
    valkey.set("storekeeper:generation:00000000-0000-0000-0000-000000000000", 500)
    assert not generation.look()


@pytest.mark.parametrize("said", [b"", b"-1", b"12a", b"9" * 40, b"\xff"])
def test_what_is_no_number_counts_for_nothing(acme, valkey, said):
    valkey.set(f"storekeeper:generation:{Generation.objects.get().pk}", said)
    assert not generation.look()
    assert remembered(valkey) == 1


def test_a_broker_that_has_forgotten_is_told_of_when_a_worker_starts(acme, valkey, caplog):
    generation.look(begins=True)
    assert "remembers nothing" not in caplog.text  # a console that begins has nothing to be remembered
    Generation.objects.update(marked_at=timezone.now() - timedelta(hours=3))
    valkey.flushall()
    assert not generation.look(begins=True)
    assert "manage.py reconcile --begin" in caplog.text
    assert not Restoration.objects.exists()


def test_without_a_broker_nothing_is_found_out_and_nothing_breaks(acme, settings, caplog):
    for url in ("unix:///nonexistent/valkey.sock", "nonsense://"):
        settings.REDIS_URL = url
        assert not generation.look(begins=True)
    assert number() == 0
    assert caplog.text.count("was not asked") == 2


def test_what_begins_while_copies_are_compared_is_not_held(acme, valkey):
    generation.look()
    Generation.objects.update(generation=-5)
    generation.look()
    fresh = at_work(factories.account(acme), "create", "creating")
    assert fresh.pk in Operation.objects.in_turn()
