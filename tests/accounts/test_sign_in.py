"""Signing in: second factors, limits that lock nobody else out, sessions, and what is asked for again."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.usersessions.models import UserSession
from cryptography.fernet import Fernet
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from console.accounts.models import Membership, User
from console.accounts.security_views import browser
from console.audit.models import AuditEvent
from tests import factories


def code_of(secret, steps=0):
    counter = next(iter(yield_hotp_counters_from_time())) + steps
    return format_hotp_value(hotp_value(secret, counter))


def sign_in(client, username="alice", password="secret", **headers):
    return client.post("/login/", {"username": username, "password": password}, **headers)


def is_in(client):
    return client.get("/stores/").status_code == 200


@pytest.fixture
def totp(client, alice, django_capture_on_commit_callbacks):
    """Alice with an authenticator app; its secret. She is signed out again."""
    sign_in(client)
    page = client.get("/account/second-factor/totp/activate/")
    secret = page.context["form"].secret
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/account/second-factor/totp/activate/", {"code": code_of(secret)})
    assert answer.status_code == 302
    client.logout()
    return secret


@pytest.fixture
def clock(monkeypatch):
    """The clock of the limits, which can be moved on."""

    class Clock:
        now, monotonic, sleep = time.time(), time.monotonic, time.sleep

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(ratelimit, "time", clock)
    # What is remembered expires by it, too: else a slow machine forgets guesses that were made just now.
    monkeypatch.setattr("django.core.cache.backends.base.time", clock)
    monkeypatch.setattr("django.core.cache.backends.db.tz_now", lambda: datetime.fromtimestamp(clock.now, UTC))
    return clock


def noted(action):
    return AuditEvent.objects.filter(action=action)


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


def test_a_second_factor_is_asked_for(client, totp):
    assert sign_in(client)["Location"] == "/account/second-factor/authenticate/"
    assert not is_in(client)
    answer = client.post("/account/second-factor/authenticate/", {"code": "000000"})
    assert "Incorrect code" in answer.content.decode()
    assert not is_in(client)
    assert noted("Failed the second factor").get().outcome == "refused"
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    assert is_in(client)
    added = noted("Added a second factor").values_list("after", flat=True)
    assert {"second factor": "TOTP Authenticator"} in added


def test_a_code_is_taken_once(client, totp):
    code = code_of(totp, 1)
    for wanted in (True, False):
        sign_in(client)
        client.post("/account/second-factor/authenticate/", {"code": code})
        assert is_in(client) is wanted
        client.logout()


def test_codes_cannot_be_guessed(client, totp, clock):
    sign_in(client)
    for _ in range(30):
        client.post("/account/second-factor/authenticate/", {"code": "000000"})
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    assert not is_in(client)


def test_recovery_codes_are_shown_once_and_work_once(client, alice, totp):
    sign_in(client)
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    page = client.get("/account/second-factor/recovery-codes/").content.decode()
    codes = re.findall(r"^\s*([a-z0-9-]{8,})$", re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)[1], re.M)
    assert len(codes) == 10
    assert codes[0] not in client.get("/account/second-factor/recovery-codes/").content.decode()
    for wanted in (True, False):
        client.logout()
        sign_in(client)
        client.post("/account/second-factor/authenticate/", {"code": codes[0]})
        assert is_in(client) is wanted
    assert noted("Used a recovery code").get().actor == alice


def test_secrets_of_second_factors_are_encrypted_and_rotated(alice, totp, settings):
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert totp not in kept
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    with pytest.raises(CommandError, match="2 secrets still need an older key"):
        call_command("rotate_keys", "--check")
    call_command("rotate_keys")
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(totp, 1))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_guessing_is_slow_and_locks_nobody_else_out(clock, alice, monkeypatch):
    """Tries at one account, from one address and then from many, by the limits' own clock.

    GUESSES=10000 tries so often; what the limits let through is counted for each minute, so few tell as much.
    """
    tries, checked = int(os.environ.get("GUESSES", "1200")), []
    monkeypatch.setattr(MD5PasswordHasher, "verify", lambda *_: checked.append(clock.now) or False)
    began = clock.now
    attacker = Client(REMOTE_ADDR="203.0.113.7")
    for number in range(tries // 2):
        sign_in(attacker, password=f"guess-{number}")
        clock.now += 0.1  # ten a second
    assert 0 < rate(checked, began, clock.now) < 6
    checked.clear()
    began = clock.now
    for number in range(tries // 2):  # sixty addresses, ten a second
        sign_in(attacker, password=f"guess-{number}", REMOTE_ADDR=f"198.51.100.{number % 60}")
        clock.now += 0.1
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


def test_an_organisation_asks_its_members_for_a_second_factor(client, acme, alice, bob, totp):
    client.force_login(alice)
    assert client.post("/organisation/second-factor/").status_code == 302
    acme.refresh_from_db()
    assert acme.second_factor_required
    assert is_in(client)
    assert noted("Required a second factor").get().organisation == acme
    client.force_login(bob)
    answer = client.get("/stores/")
    assert answer["Location"] == "/account/second-factor/"
    assert "asks its members for a second factor" in client.get("/account/second-factor/").content.decode()
    assert client.get("/stores/", headers={"HX-Request": "true"})["HX-Redirect"] == "/account/second-factor/"


def test_an_owner_without_one_cannot_ask_for_it(client, acme, alice):
    client.force_login(alice)
    answer = client.post("/organisation/second-factor/")
    assert answer.status_code == 422
    assert "you would lock yourself out" in answer.content.decode()
    acme.refresh_from_db()
    assert not acme.second_factor_required


def test_the_admin_wants_a_second_factor(client, alice, totp, settings):
    settings.SUPPORT_SECOND_FACTOR = True
    sue = factories.user("sue", is_staff=True, is_superuser=True)
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/login/?next=")
    client.force_login(sue)
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/account/second-factor/"
    client.force_login(alice)
    assert client.get("/admin/login/").status_code == 403
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    assert client.get("/admin/").status_code == 200


def test_the_admin_has_no_password_page_of_its_own(client, db):
    client.force_login(factories.support())
    assert client.post("/admin/password_change/")["Location"] == "/account/password/change/"


def test_another_organisation_can_be_opened_from_one_that_asks_for_a_second_factor(client, acme, alice):
    other = factories.organisation("Other")
    Membership.objects.create(user=alice, organisation=other, role="viewer")
    acme.second_factor_required = True
    acme.save()
    client.force_login(alice)
    assert not is_in(client)
    client.post("/organisation/switch/", {"organisation": str(other.pk)})
    assert is_in(client)
    client.post("/organisation/switch/", {"organisation": str(acme.pk)})
    assert not is_in(client)


def test_who_comes_without_a_password_shows_the_second_factor_again(client, alice, totp):
    alice.set_unusable_password()
    alice.save()
    client.force_login(alice)
    answer = client.get("/confirm/?next=/organisation/invite/")
    assert answer["Location"].startswith("/account/second-factor/reauthenticate/")
    dialog = client.get("/confirm/?next=/organisation/invite/", headers={"HX-Request": "true"})
    assert dialog["HX-Redirect"] == answer["Location"]  # a page of its own, not one inside the dialog
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    client.post(answer["Location"], {"code": code_of(totp, 1), "next": "/organisation/invite/"})
    assert client.get("/organisation/invite/").status_code == 200
    assert Membership.objects.get(user=alice).role == "owner"
    assert time.time() - client.session["confirmed_at"] < timedelta(minutes=1).total_seconds()


def test_second_factors_want_a_proof(client, alice, totp):
    client.force_login(alice)
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    for name in ("mfa_deactivate_totp", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"):
        answer = client.post(reverse(name))
        assert answer.status_code in {302, 404}, name  # there are no codes to download
        assert answer.get("Location", "/account/reauthenticate/").startswith("/account/reauthenticate/")
    assert Authenticator.objects.filter(user=alice).exists()


# What owners see, and what people are told


def test_owners_see_who_signs_in_and_who_tries(client, acme, alice, bob):
    other = factories.organisation("Other")
    Membership.objects.create(user=bob, organisation=other, role="viewer")
    elsewhere = Client(REMOTE_ADDR="203.0.113.7")
    sign_in(elsewhere, "nobody", "wrong")
    sign_in(elsewhere, "BOB", "wrong")
    sign_in(elsewhere, "bob")
    client.force_login(alice)
    rows = [row[0] for row in client.get("/audit/").context["rows"]]
    assert [(one.action, one.outcome, one.address) for one in rows] == [
        ("Signed in", "done", "203.0.113.7"),
        ("Failed to sign in", "refused", "203.0.113.7"),
    ]
    assert noted("Signed in").filter(organisation=other).count() == 1
    assert noted("Failed to sign in").get(organisation=None).subject == "nobody"


@pytest.fixture
def mailed(settings, alice):
    """Alice has an address, and the console a mail server."""
    settings.EMAIL_HOST = "mail.example.com"
    alice.email = "alice@example.com"
    alice.save()
    return mail.outbox


def test_who_changes_how_they_sign_in_is_told_by_mail(client, alice, mailed, django_capture_on_commit_callbacks):
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
        page = client.get("/account/second-factor/totp/activate/")
        client.post("/account/second-factor/totp/activate/", {"code": code_of(page.context["form"].secret)})
        client.post("/account/second-factor/totp/deactivate/")
    assert {one.subject for one in mailed} == {
        "Storekeeper: your password was changed",
        "Storekeeper: a second factor was added: TOTP Authenticator",
        "Storekeeper: a second factor was added: Recovery codes",
        "Storekeeper: a second factor was removed: TOTP Authenticator",
        "Storekeeper: a second factor was removed: Recovery codes",
    }
    assert {one.to[0] for one in mailed} == {"alice@example.com"}
    assert "for your user name alice" in mailed[0].body
    assert "From: 127.0.0.1" in mailed[0].body
    assert "correct-horse-9" not in mailed[0].body


def test_a_mail_server_that_is_down_keeps_nobody_from_a_new_password(
    client, alice, mailed, monkeypatch, django_capture_on_commit_callbacks
):
    def down(*_, **__):
        raise OSError("nothing answers")

    monkeypatch.setattr("console.accounts.sign_in.send_mail", down)
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
    alice.refresh_from_db()
    assert alice.check_password("correct-horse-9")


@pytest.mark.parametrize(("host", "address"), [("", "alice@example.com"), ("mail.example.com", "")])
def test_nobody_is_told_where_no_mail_can_go(
    client, alice, settings, host, address, django_capture_on_commit_callbacks
):
    settings.EMAIL_HOST = host
    User.objects.filter(pk=alice.pk).update(email=address)
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
    assert not mail.outbox


@pytest.fixture
def as_operator(client, db):
    client.force_login(factories.user("op", is_staff=True, is_superuser=True))
    return client


def user_fields(user, **values):
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return {"username": user.username, "email": user.email, "is_active": "on", **joined, **values}


def test_what_the_operator_changes_of_a_person_is_written_down_and_told(
    as_operator, acme, alice, mailed, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        url = f"/admin/accounts/user/{alice.pk}"
        moved = as_operator.post(f"{url}/change/", user_fields(alice, email="mallory@example.com"))
        given = {"password1": "correct-horse-9", "password2": "correct-horse-9", "usable_password": "true"}
        changed = as_operator.post(f"{url}/password/", given)
    assert (moved.status_code, changed.status_code) == (302, 302)
    assert [(one.to[0], one.subject) for one in mailed] == [
        ("alice@example.com", "Storekeeper: your e-mail address was changed"),
        ("mallory@example.com", "Storekeeper: the operator of the console has changed your user"),
        ("mallory@example.com", "Storekeeper: the operator of the console has changed your user"),
    ]
    events = noted("Operator: changed the user").filter(organisation=acme, actor_name="op").order_by("created_at")
    assert ["mail" in events[0].after["what"], "assword" in events[1].after["what"]] == [True, True]
    as_operator.post(f"{url}/delete/", {"post": "yes"})
    assert not User.objects.filter(username="alice").exists()
    assert noted("Operator: deleted the user").get().organisation == acme


def memberships(acme, **values):
    mine = acme.memberships.order_by("pk")
    fields = {"memberships-TOTAL_FORMS": str(len(mine)), "memberships-INITIAL_FORMS": str(len(mine))}
    for number, one in enumerate(mine):
        for name, value in {"id": one.pk, "organisation": acme.pk, "user": one.user_id, "role": one.role}.items():
            fields[f"memberships-{number}-{name}"] = str(value)
    limits = {"stores_at_most": 50, "invitations_at_most": 20, "operations_at_once": 12}
    return {"name": acme.name, "edition": acme.edition, **limits, **fields, **values}


def test_what_the_operator_changes_of_memberships_is_written_down(as_operator, acme, alice, bob):
    url = f"/admin/accounts/organisation/{acme.pk}/change/"
    assert as_operator.post(url, memberships(acme, **{"memberships-1-role": "admin"})).status_code == 302
    assert as_operator.post(url, memberships(acme, **{"memberships-1-DELETE": "on"})).status_code == 302
    assert acme.memberships.get().user == alice
    for did in ("changed a membership", "removed a member"):
        event = noted(f"Operator: {did}").get()
        assert (event.organisation, event.subject, event.after) == (acme, "bob", {"role": "admin"})


@pytest.mark.parametrize("how", [{"memberships-0-role": "viewer"}, {"memberships-0-DELETE": "on"}])
def test_not_even_the_operator_takes_the_last_owner_away(as_operator, acme, alice, bob, how):
    answer = as_operator.post(f"/admin/accounts/organisation/{acme.pk}/change/", memberships(acme, **how))
    assert "An organisation always has an owner" in answer.content.decode()
    assert alice.memberships.get().role == "owner"


# The pages of one's own account


@pytest.mark.parametrize(("agent", "name"), [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),  # noqa: E501
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),  # noqa: E501
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),  # noqa: E501
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on macOS"),  # noqa: E501
    ("curl/8.5.0", "curl/8.5.0"),
    ("", ""),
])  # fmt: skip
def test_browser_is_what_people_call_it(agent, name):
    assert browser(agent) == name


def test_the_rules_of_passwords_are_told_before(client, alice):
    sign_in(client)
    page = client.get("/account/password/change/").content.decode()
    assert "At least twelve characters, none that many people use" in page
    assert 'aria-describedby="id_password1_helptext"' in page
    assert 'id="id_password1_helptext"' in page


def test_the_page_of_second_factors_says_what_is_on(client, alice, totp):
    sign_in(client)
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    page = client.get("/account/second-factor/").content.decode()
    assert "Signing in asks for the six digits" in page
    assert "10 of 10 left" in page


def test_passkeys_are_listed_by_their_names(client, alice):
    for name, alone in (("Laptop", True), ("Key in the safe", False)):
        results = {"clientExtensionResults": {"credProps": {"rk": alone}}}
        Authenticator.objects.create(user=alice, type="webauthn", data={"name": name, "credential": results})
    client.force_login(alice)
    page = client.get("/account/second-factor/webauthn/").content.decode()
    for name, alone in (("Laptop", "Yes"), ("Key in the safe", "No")):
        assert re.search(rf"<td>{name}</td>\s*<td>{alone}</td>", page)
    assert "2</span>" in client.get("/account/second-factor/").content.decode()
