"""Signing in: by password, limits that lock nobody else out, sessions, and what is asked for again."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest
from allauth.core.internal import ratelimit
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.test import Client

from tests import factories
from tests.accounts.signing_in import is_in, noted, sign_in


def test_sign_in_by_password(client, alice):
    assert "Username" in client.get("/login/").content.decode()
    answer = sign_in(client, password="wrong")
    assert answer.status_code == 200
    assert "not correct" in answer.content.decode()
    assert sign_in(client)["Location"] == "/"
    assert is_in(client)
    assert noted("Signed in").get().actor == alice
    assert noted("Failed to sign in").get().subject == "alice"
    client.post("/logout/")
    assert not is_in(client)
    assert noted("Signed out").get().actor == alice


def test_sign_in_leads_on_but_never_away(client, alice):
    given = {"username": "alice", "password": "secret"}
    assert client.post("/login/", {**given, "next": "/tasks/"})["Location"] == "/tasks/"
    client.logout()
    assert client.post("/login/", {**given, "next": "https://evil.example/"})["Location"] == "/"


def test_nobody_signs_up_unasked(client, db):
    assert client.get("/account/signup/").status_code == 404


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_guessing_is_slow_and_locks_nobody_else_out(clock, alice, monkeypatch):
    """Tries at one account, from one address and then from many, by the limits' own clock.

    GUESSES=10000 tries so often; what the limits let through is counted for each minute, so few tell as much.
    """
    tries, checked = int(os.environ.get("GUESSES", "300")), []
    apart = max(60 / (tries // 2), 0.1)  # seconds: a minute of guesses, or at most ten a second
    monkeypatch.setattr(MD5PasswordHasher, "verify", lambda *_: checked.append(clock.now) or False)
    began = clock.now
    attacker = Client(REMOTE_ADDR="203.0.113.7")
    for number in range(tries // 2):
        sign_in(attacker, password=f"guess-{number}")
        clock.now += apart
    assert 0 < rate(checked, began, clock.now) < 6
    checked.clear()
    began = clock.now
    for number in range(tries // 2):  # sixty addresses
        sign_in(attacker, password=f"guess-{number}", REMOTE_ADDR=f"198.51.100.{number % 60}")
        clock.now += apart
    assert 0 < rate(checked, began, clock.now) < 20
    monkeypatch.undo()
    monkeypatch.setattr(ratelimit, "time", clock)
    # What is remembered expires by it, too: else a slow machine forgets guesses that were made just now.
    monkeypatch.setattr("django.core.cache.backends.base.time", clock)
    monkeypatch.setattr("django.core.cache.backends.db.tz_now", lambda: datetime.fromtimestamp(clock.now, UTC))
    clock.now += 61  # from one address alone the account is under attack again
    for number in range(20):
        sign_in(attacker, password=f"guess-{number}")
    owner = Client(REMOTE_ADDR="192.0.2.1")
    sign_in(owner)
    assert is_in(owner)


@pytest.mark.slow
def test_guesses_from_where_somebody_is_signed_in_and_from_elsewhere_are_under_twenty_a_minute(
    clock, alice, monkeypatch
):
    sign_in(Client(REMOTE_ADDR="192.0.2.1"))
    checked = []
    monkeypatch.setattr(MD5PasswordHasher, "verify", lambda *_: checked.append(clock.now) or False)
    attacker = Client()
    for number in range(60):
        for address in ("192.0.2.1", f"198.51.100.{number}"):
            sign_in(attacker, password="guess", REMOTE_ADDR=address)
    assert 0 < len(checked) < 20


def rate(checked, began, ended):
    return len(checked) / ((ended - began) / 60)


@pytest.mark.slow
def test_where_somebody_is_signed_in_no_attack_from_elsewhere_shuts_them_out(clock, alice):
    owner = Client(REMOTE_ADDR="192.0.2.1")
    sign_in(owner)
    for number in range(60):
        sign_in(Client(REMOTE_ADDR=f"198.51.100.{number}"), password="wrong")
    stranger = Client(REMOTE_ADDR="198.51.100.99")
    sign_in(stranger)
    assert not is_in(stranger)  # all addresses together have used up their tries
    again = Client(REMOTE_ADDR="192.0.2.1")
    sign_in(again)
    assert is_in(again)
    for one in (owner, again):
        one.session.flush()
    later = Client(REMOTE_ADDR="192.0.2.1")
    sign_in(later)
    assert not is_in(later)  # nobody is signed in there any more


def test_names_that_nobody_has_are_limited_alike(client, db, clock):
    for _ in range(5):
        assert "not correct" in sign_in(client, "nobody").content.decode()
    assert "Too many failed" in sign_in(client, "nobody").content.decode()


@pytest.mark.parametrize("told", ["junk", "", "203.0.113.9:443"])
def test_a_proxy_that_tells_no_address_keeps_nobody_out(client, alice, settings, told):
    settings.TRUSTED_PROXY_COUNT = 1
    sign_in(client, headers={"X-Forwarded-For": told})
    assert is_in(client)


def test_a_flood_of_names_does_not_wash_the_counts_away(client, db, clock):
    for _ in range(5):
        sign_in(client, "victim")
    for number in range(400):  # Django's cache keeps 300 entries unless it is told otherwise
        cache.set(f"another-{number}", [clock.now])
    assert "Too many failed" in sign_in(client, "victim").content.decode()


def test_sessions_are_listed_and_ended(alice):
    here, there, elsewhere = (Client(REMOTE_ADDR=f"192.0.2.{n}", HTTP_USER_AGENT=f"Browser {n}") for n in (1, 2, 3))
    for one in (here, there, elsewhere):
        sign_in(one)
    page = here.get("/account/sessions/").content.decode()
    assert all(f"Browser {n}" in page for n in (1, 2, 3))
    foreign = factories.user("mallory")
    mallory = Client()
    mallory.force_login(foreign)
    pk = UserSession.objects.get(ip="192.0.2.2").pk
    assert mallory.post(f"/account/sessions/{pk}/end/").status_code == 404
    assert is_in(there)
    here.post(f"/account/sessions/{pk}/end/")
    assert (is_in(here), is_in(there), is_in(elsewhere)) == (True, False, True)
    here.post("/account/sessions/")
    assert (is_in(here), is_in(elsewhere)) == (True, False)
    assert noted("Ended a session").count() == 2


@pytest.mark.parametrize(("minutes", "idle", "stays"), [(30, 29, True), (30, 31, False), (0, 300, True)])
def test_a_session_ends_when_nothing_is_asked_for(client, alice, settings, minutes, idle, stays):
    settings.SESSION_IDLE_SECONDS = minutes * 60
    sign_in(client)
    assert is_in(client)
    session = client.session
    session["seen_at"] = time.time() - idle * 60
    session.save()
    assert is_in(client) is stays
    assert is_in(client) is stays  # the one before counts
    assert stays or not client.session.keys()


def test_being_seen_is_written_once_a_minute(client, alice):
    sign_in(client)
    before = client.session["seen_at"]
    assert is_in(client)
    assert client.session["seen_at"] == before


def test_the_password_is_changed_by_djangos_validators(client, alice):
    client.force_login(alice)
    sign_in(client)  # as a form: allauth asks who has only come by a cookie
    given = {"oldpassword": "secret", "password1": "12345678", "password2": "12345678"}
    client.post("/account/password/change/", given)
    alice.refresh_from_db()
    assert alice.check_password("secret")
    client.post("/account/password/change/", {**given, "password1": "correct-horse-9", "password2": "correct-horse-9"})
    alice.refresh_from_db()
    assert alice.check_password("correct-horse-9")
    assert noted("Changed the password").exists()


def test_the_password_asked_for_again_cannot_be_guessed(client, alice, clock):
    client.force_login(alice)
    for _ in range(5):
        assert "This is not your password" in client.post("/confirm/", {"password": "wrong"}).content.decode()
    assert "Too many failed" in client.post("/confirm/", {"password": "secret"}).content.decode()


@pytest.mark.parametrize("age", [0, 400, 4000])
def test_deletions_want_a_password_of_the_last_hour_and_secrets_one_of_five_minutes(client, alice, account, age):
    store = factories.store(account)
    client.force_login(alice)
    session = client.session
    session["confirmed_at"] = time.time() - age
    session.save()
    for address, within in ((f"/stores/{store.pk}/delete/", 3600), ("/organisation/invite/", 300)):
        answer = client.get(address)
        assert (answer.status_code == 302 and answer["Location"].startswith("/confirm/")) == (age > within), address
