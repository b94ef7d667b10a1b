"""Each organisation has places of its own at which workers ask clouds for people: none holds up another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from console.accounts.models import Membership
from console.audit.models import AuditEvent
from console.cloud_accounts import actions, attempts, verification
from console.cloud_accounts.models import Attempt, CloudAccount
from console.clouds.contract import LinkError
from console.operations import tasks
from console.operations.models import RateSlot
from tests import factories
from tests.cloud_accounts.linking import by_endpoint, submit, work
from tests.responses import HTMX

BUSY = "being asked at this moment"
LINK = "/cloud-accounts/link/"


@contextmanager
def all_taken(organisation, places=tasks.AT_ONCE):
    names = [RateSlot.objects.hold(f"asks {organisation.pk}", places, 60) for _ in range(places)]
    assert all(names)
    yield names
    for name in names:
        RateSlot.objects.give_back(name)


@pytest.fixture
def asked(monkeypatch):
    """The accounts that a cloud was asked about: none is, in truth."""
    found = []

    def identify(account, tried, seconds=None):
        found.append(account)
        raise LinkError("The cloud says no.")

    monkeypatch.setattr(actions, "_identify", identify)
    return found


@pytest.fixture
def sent(monkeypatch):
    """The messages to the workers."""
    found = []
    monkeypatch.setattr(tasks.read, "apply_async", lambda given, **options: found.append((given, options)))
    return found


def begin(person, name="a"):
    asked = {"provider": "s3", "name": name, "settings": {}, "secrets": {}}
    return attempts.begin(Membership.objects.get(user=person), Attempt.Verb.LINK, entered={"asked": asked})


def test_one_organisation_has_so_many_attempts_and_another_its_own(acme, alice, charlie, asked):
    first = [begin(alice, f"cellar {number}") for number in range(attempts.AT_ONCE)]
    with pytest.raises(LinkError, match=BUSY) as raised:
        begin(alice)
    assert raised.value.passing
    with pytest.raises(LinkError, match=BUSY):
        begin(factories.user("adam", acme, "admin"))
    begin(charlie)
    work()
    assert len(asked) == len(first) + 1
    begin(alice)


def test_a_lost_attempt_takes_no_place_for_ever(alice):
    for number in range(attempts.AT_ONCE):
        begin(alice, f"cellar {number}")
    Attempt.objects.update(begun_at=Now() - Attempt.WITHIN)
    begin(alice)


def test_an_attempt_comes_back_while_its_organisation_has_no_place(acme, alice, charlie, asked, sent):
    mine, theirs = begin(alice), begin(charlie)
    with all_taken(acme) as names:
        tasks.read("attempt", mine.pk)
        assert not asked
        [(given, options)] = sent
        assert (given, options["queue"]) == (("attempt", mine.pk, 1), "celery")
        tasks.read("attempt", theirs.pk)
        assert len(asked) == 1
        RateSlot.objects.filter(rate_key=names[0]).update(free_at=Now() - timedelta(seconds=1))  # its worker was killed
        tasks.read(*given)
        assert len(asked) == 2


def test_what_workers_read_by_themselves_takes_none_of_these_places(acme, alice, asked):
    for _ in range(tasks.AT_ONCE):
        assert RateSlot.objects.hold(f"reads {acme.pk}", tasks.AT_ONCE, 60)
    begin(alice)
    work()
    assert asked


@pytest.mark.django_db(transaction=True)
def test_an_attempt_goes_before_hundreds_of_snapshots(alice, sent):
    attempt = begin(alice)
    assert sent == [(("attempt", attempt.pk), {"queue": "celery"})]


def test_the_daily_verification_waits_for_nobody(acme, account, asked):
    with all_taken(acme):
        assert not actions.verify(account)
    assert asked == [account]
    assert verification.of_all().count() == 1


def test_the_dialog_says_so_and_writes_nothing_down(as_alice, acme, alice, account, asked):
    for number in range(attempts.AT_ONCE):
        begin(alice, f"cellar {number}")
    answer = as_alice.post(LINK, by_endpoint(location="dublin"), headers=HTMX)
    assert answer.status_code == 422
    assert BUSY in answer.content.decode()
    values = {"name": account.name, "access_key_id": account.settings["access_key_id"], "secret_access_key": "another"}
    answer = as_alice.post(f"{account.get_absolute_url()}change/", values, headers=HTMX)
    assert answer.status_code == 422
    assert BUSY in answer.content.decode()
    assert as_alice.post(f"{account.get_absolute_url()}verify/", headers=HTMX).status_code == 204
    assert BUSY in as_alice.get("/cloud-accounts/").content.decode()
    assert not AuditEvent.objects.exists()
    assert CloudAccount.objects.count() == 1
    assert Attempt.objects.count() == attempts.AT_ONCE


def test_another_name_needs_neither_a_worker_nor_a_place(as_alice, acme, alice, account, asked):
    for number in range(attempts.AT_ONCE):
        begin(alice, f"cellar {number}")
    values = {"name": "renamed", "access_key_id": account.settings["access_key_id"], "secret_access_key": ""}
    answer = as_alice.post(f"{account.get_absolute_url()}change/", values, headers=HTMX)
    assert answer.status_code == 204
    account.refresh_from_db()
    assert account.name == "renamed"
    assert not asked


def test_no_request_asks_a_cloud(as_alice, account, asked):
    """Whatever is posted, the cloud is asked by a worker, and each refusal comes from there."""
    url, key = account.get_absolute_url(), account.settings["access_key_id"]
    changed = {"name": account.name, "access_key_id": key, "secret_access_key": "another"}
    for path, values in (
        (LINK, by_endpoint(location="dublin")),
        (f"{url}change/", changed),
        (f"{url}verify/", {}),
    ):
        assert as_alice.post(path, values, headers=HTMX).status_code == 200
        assert not asked, path
        submit(as_alice, path, values, headers=HTMX)
        assert len(asked) == 1, path
        asked.clear()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_who_come_at_once_no_more_than_the_places_are_let_in(acme):
    there, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(8)

    def come(number):
        nonlocal there, most
        together.wait()
        name = RateSlot.objects.hold(f"asks {acme.pk}", tasks.AT_ONCE, 60)
        if name:
            with lock:
                there += 1
                most = max(most, there)
        connection.close()
        return name

    with ThreadPoolExecutor(8) as pool:
        names = [one for one in pool.map(come, range(8)) if one]
    assert most == len(names) == len(set(names)) <= tasks.AT_ONCE
    assert names
