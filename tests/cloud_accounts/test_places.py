"""While somebody waits for a cloud, a thread of the console does too: each organisation has places of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from console.audit.models import AuditEvent
from console.cloud_accounts import actions, verification
from console.cloud_accounts.models import CloudAccount
from console.clouds.contract import LinkError
from console.operations.models import RateSlot
from tests import factories
from tests.cloud_accounts.linking import by_endpoint
from tests.responses import HTMX

BUSY = "being asked at this moment"


@contextmanager
def all_taken(organisation, places=actions.AT_ONCE):
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


def test_one_organisation_has_so_many_places_and_another_its_own(acme, asked):
    other = factories.organisation("Other")
    with all_taken(acme):
        with pytest.raises(LinkError, match=BUSY) as raised:
            actions.link(acme, provider="s3", name="a", settings={}, secrets={}, by=None)
        assert raised.value.passing
        assert not asked
        with pytest.raises(LinkError, match="says no"):
            actions.link(other, provider="s3", name="a", settings={}, secrets={}, by=None)
    with pytest.raises(LinkError, match="says no"):
        actions.link(acme, provider="s3", name="a", settings={}, secrets={}, by=None)
    assert len(asked) == 2


def test_what_people_ask_for_takes_a_place_and_gives_it_back(acme, alice, account, asked):
    other = {**account.settings, "access_key_id": "ANOTHER"}
    ways = (
        lambda: actions.link(acme, provider="s3", name="a", settings={}, secrets={}, by=alice),
        lambda: actions.verify(account, by=alice),
        lambda: actions.change(account, name="prod", settings=other, secrets=account.secrets, by=alice),
    )
    for way in ways:
        with all_taken(acme), pytest.raises(LinkError, match=BUSY):
            way()
        for _ in range(actions.AT_ONCE + 1):
            with suppress(LinkError):
                way()
    assert len(asked) == len(ways) * (actions.AT_ONCE + 1)


def test_the_daily_verification_waits_for_nobody(acme, account, asked):
    with all_taken(acme):
        assert not actions.verify(account)
    assert asked == [account]
    assert verification.of_all().count() == 1


def test_a_place_whose_process_was_killed_is_free_again(acme, asked):
    with all_taken(acme) as names:
        RateSlot.objects.filter(rate_key=names[0]).update(free_at=Now() - timedelta(seconds=1))
        with pytest.raises(LinkError, match="says no"):
            actions.link(acme, provider="s3", name="a", settings={}, secrets={}, by=None)


def test_the_dialog_says_so_and_writes_nothing_down(as_alice, acme, asked):
    with all_taken(acme):
        answer = as_alice.post("/cloud-accounts/link/", by_endpoint(location="dublin"), headers=HTMX)
    assert answer.status_code == 422
    assert BUSY in answer.content.decode()
    assert not AuditEvent.objects.filter(action="Linked cloud account").exists()
    assert not CloudAccount.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_who_come_at_once_no_more_than_the_places_are_let_in(acme):
    there, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(8)

    def come(number):
        nonlocal there, most
        together.wait()
        name = RateSlot.objects.hold(f"asks {acme.pk}", actions.AT_ONCE, 60)
        if name:
            with lock:
                there += 1
                most = max(most, there)
        connection.close()
        return name

    with ThreadPoolExecutor(8) as pool:
        names = [one for one in pool.map(come, range(8)) if one]
    assert most == len(names) == len(set(names)) <= actions.AT_ONCE
    assert names
