"""How strong passwords are: what a new one has to be, and what is told while it is typed."""

from __future__ import annotations

import random
import time

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis.strategies import characters, text

from console.accounts.models import User
from console.accounts.passwords import ENOUGH, strength
from tests.responses import HTMX

STRONG = ("correct-horse-9", "purple-lantern-42", "x7#kQ9vLm2Zp", "früh-am-Morgen-7", "鳥居と灯台と七つの猫")
WEAK = (
    "password1234",
    "qwertyuiop123",
    "aaaaaaaaaaaa",
    "abcdefghijkl",
    "hunter2hunter2",
    "storekeeper1",
    "1/1/1/1/1/1/",
)
ADDRESS = "/account/password/strength/"


@pytest.mark.parametrize("password", STRONG)
def test_strength_of_what_nobody_guesses(password):
    assert strength(password).score >= ENOUGH


@pytest.mark.parametrize("password", WEAK)
def test_strength_of_what_is_guessed_soon(password):
    found = strength(password)
    assert found.score < ENOUGH
    assert found.advice
    assert password not in found.advice


def test_strength_knows_whose_password_it_is():
    user = User(username="xantippina", email="xantippina@kroetenwald.example")
    assert strength("xantippinakroetenwald").score >= ENOUGH
    assert strength("xantippinakroetenwald", user).score < ENOUGH


def test_strength_of_nothing_and_of_much():
    assert strength("").score == 0
    assert strength("a" * 200).score == 0
    assert strength("1234567890!" * 12).score < ENOUGH
    assert strength("purple-lantern-42 " * 3 + "a" * 150).score >= ENOUGH


def test_strength_takes_no_time_whatever_is_typed():
    """zxcvbn tries each letter that a sign may stand for: 72 such signs take it 15 seconds."""
    signs, chosen = "4@8({[<369&#!1|0$5+7%2zZ", random.Random(7)
    for length in (20, 72, 200, 1_000_000):
        password = "".join(chosen.choice(signs) for _ in range(min(length, 1000))) * max(1, length // 1000)
        began = time.process_time()
        strength(password)
        assert time.process_time() - began < 2, length


@pytest.mark.slow
@given(text(alphabet=characters(), max_size=40) | text(alphabet=characters(categories=["Nd", "Nl", "No", "Sc"])))
def test_strength_of_whatever_is_typed(password):
    assert strength(password).level


@pytest.mark.parametrize("password", WEAK)
def test_validators_refuse_what_is_guessed_soon(password):
    with pytest.raises(ValidationError, match="guessed too soon"):
        validate_password(password, User(username="alice"))


def test_a_new_password_has_to_be_strong_everywhere(client, alice):
    client.force_login(alice)
    values = {"oldpassword": "secret", "password1": "hunter2hunter2", "password2": "hunter2hunter2"}
    client.post("/login/", {"login": "alice", "password": "secret"})
    page = client.post("/account/password/change/", values).content.decode()
    assert "guessed too soon" in page
    alice.refresh_from_db()
    assert alice.check_password("secret")


def test_the_meter_tells_while_it_is_typed(client, alice):
    client.force_login(alice)
    page = client.get("/account/password/change/").content.decode()
    assert f'hx-post="{ADDRESS}"' in page
    weak = client.post(ADDRESS, {"password1": "hunter2hunter2"}, headers=HTMX).content.decode()
    assert 'value="1"' in weak
    assert "Weak" in weak
    strong = client.post(ADDRESS, {"password1": "purple-lantern-42"}, headers=HTMX).content.decode()
    assert 'value="4"' in strong
    assert "purple" not in strong
    assert "<meter" not in client.post(ADDRESS, {"password1": ""}, headers=HTMX).content.decode()
    assert client.get(ADDRESS).status_code == 405


def test_the_meter_is_for_people_who_sign_in_or_join(client, acme, alice, mailoutbox):
    from console.accounts import members

    assert client.post(ADDRESS, {"password1": "x"}).status_code == 302
    assert client.post("/invitations/nothing/strength/", {"password": "x"}).status_code == 404
    _, token = members.invite(acme, email="nina@example.org", role="viewer", by=alice)
    page = client.get(f"/invitations/{token}/").content.decode()
    assert f'hx-post="/invitations/{token}/strength/"' in page
    told = client.post(f"/invitations/{token}/strength/", {"username": "ninaninanina", "password": "ninaninanina"})
    assert "Very weak" in told.content.decode()
