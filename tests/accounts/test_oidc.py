"""Signing in by OpenID Connect, at an identity provider of the test's own on this machine."""

from __future__ import annotations

import base64
import itertools
import json
import time
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from console.accounts import members
from console.accounts.models import User
from tests import factories
from tests.sampling import thorough_but


@cache
def key_of_all():
    """Return a key that every issuer of these tests signs with: to find one takes longer than a test."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An identity provider: whoever is asked for is `person`."""

    def __init__(self):
        self.key = key_of_all()
        self.person, self.challenge = {}, ""
        self.told = {}  # in ID tokens alone
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, data, status=200):
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                match urlsplit(self.path).path:
                    case "/.well-known/openid-configuration":
                        self.answer(
                            {
                                "issuer": issuer.url,
                                "authorization_endpoint": f"{issuer.url}/authorize",
                                "token_endpoint": f"{issuer.url}/token",
                                "userinfo_endpoint": f"{issuer.url}/userinfo",
                                "jwks_uri": f"{issuer.url}/keys",
                            }
                        )
                    case "/keys":
                        self.answer(
                            {"keys": [{**json.loads(RSAAlgorithm.to_jwk(issuer.key.public_key())), "kid": "1"}]}
                        )
                    case _:
                        self.answer(issuer.person)

            def do_POST(self):
                given = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                digest = sha256(given.get("code_verifier", "").encode()).digest()
                if base64.urlsafe_b64encode(digest).decode().rstrip("=") != issuer.challenge:
                    return self.answer({"error": "invalid_grant"}, 400)
                claims = {"iss": issuer.url, "aud": "storekeeper", "iat": time.time(), "exp": time.time() + 60}
                token = jwt.encode(
                    {**claims, **issuer.person, **issuer.told}, issuer.key, "RS256", headers={"kid": "1"}
                )
                return self.answer({"access_token": "a", "token_type": "Bearer", "id_token": token})

        return Handler


@pytest.fixture
def issuer(settings):
    issuer = Issuer()
    app = {
        "provider_id": "company",
        "name": "Acme ID",
        "client_id": "storekeeper",
        "secret": "s",
        "settings": {"server_url": issuer.url},
    }
    settings.OIDC_ISSUER, settings.OIDC_NAME = issuer.url, "Acme ID"
    ours = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**ours, "APPS": [app]}}
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def come(client, issuer, *, verified=True, email="nina@example.com", sub="1", process="login", state=None, **claims):
    issuer.person = {"sub": sub, "email": email, "email_verified": verified, "name": "Nina Novak", **claims}
    asked = client.post(f"/account/company/login/?process={process}")
    sent = parse_qs(urlsplit(asked["Location"]).query)
    assert asked["Location"].startswith(f"{issuer.url}/authorize?")
    issuer.challenge = sent["code_challenge"][0]
    return client.get("/account/company/login/callback/", {"code": "c", "state": state or sent["state"][0]})


def is_in(client):
    return client.get("/stores/").status_code == 200


def test_the_button_is_there_where_a_provider_is_set(client, db, issuer, settings):
    page = client.get("/login/")
    assert "Sign in with Acme ID" in page.content.decode()
    settings.OIDC_ISSUER = ""
    assert "Sign in with Acme ID" not in client.get("/login/").content.decode()


def test_who_is_invited_comes_in_and_comes_back(client, acme, alice, issuer):
    members.invite(acme, email="Nina@example.com", role="admin", by=alice)
    come(client, issuer)
    assert is_in(client)
    nina = User.objects.get(first_name="Nina")
    assert not nina.has_usable_password()
    assert nina.memberships.get().role == "admin"
    client.logout()
    come(client, issuer)
    assert is_in(client)
    assert User.objects.count() == 2


@pytest.mark.parametrize(("verified", "email"), [(False, "nina@example.com"), (True, "olga@example.com")])
def test_who_is_not_invited_or_not_verified_stays_out(client, acme, alice, issuer, verified, email):
    members.invite(acme, email="nina@example.com", role="admin", by=alice)
    come(client, issuer, verified=verified, email=email)
    assert not is_in(client)
    assert User.objects.count() == 1
    assert acme.invitations.count() == 1


@pytest.mark.parametrize("letter", ["\u017f", "\u0131", "\u0130", "\u212a"])
def test_an_address_that_a_database_takes_for_another_lets_nobody_in(client, acme, alice, issuer, letter):
    """Also where an invitation has such a letter, and the provider the plain one."""
    plain = {"\u017f": "s", "\u0131": "i", "\u0130": "i", "\u212a": "k"}[letter]
    members.invite(acme, email=f"{plain}@example.com", role="admin", by=alice)
    other = factories.organisation("Other")
    invitation, _ = members.invite(other, email="x@example.com", role="admin", by=alice)
    other.invitations.filter(pk=invitation.pk).update(email=f"{letter}@example.com")
    come(client, issuer, email=f"{letter}@example.com")
    assert not is_in(client)
    come(client, issuer, email=f"{plain}@example.com")
    assert is_in(client)
    assert User.objects.get(first_name="Nina").memberships.get().organisation == acme


def test_an_invitation_that_is_gone_at_the_last_moment_makes_nobody(client, acme, alice, issuer, monkeypatch):
    members.invite(acme, email="nina@example.com", role="admin", by=alice)

    def join(invitation, user):
        raise members.MembershipRefused("The invitation was just used, or revoked. Ask for another one.")

    monkeypatch.setattr(members, "join", join)
    assert come(client, issuer)["Location"] == "/login/"
    assert not User.objects.filter(first_name="Nina").exists()


def test_an_address_makes_nobody_somebody_who_is_here(client, acme, alice, issuer):
    factories.user("taken", acme, "owner", email="nina@example.com")
    other = factories.organisation("Other")
    members.invite(other, email="nina@example.com", role="admin", by=alice)
    answer = come(client, issuer)
    assert answer["Location"] == "/login/"
    assert "connect it under Your account" in client.get("/login/").content.decode()
    assert not is_in(client)


def test_who_is_here_connects_it(client, alice, issuer):
    client.post("/login/", {"username": "alice", "password": "secret"})
    come(client, issuer, process="connect")
    client.logout()
    come(client, issuer)
    assert is_in(client)
    assert User.objects.get().username == "alice"


def test_an_answer_that_was_not_asked_for_lets_nobody_in(client, acme, alice, issuer):
    members.invite(acme, email="nina@example.com", role="admin", by=alice)
    come(client, issuer, state="forged")
    assert not is_in(client)
    assert User.objects.count() == 1


@pytest.fixture
def nina(client, acme, alice, issuer):
    """An owner who came by the provider: she has no password here."""
    members.invite(acme, email="nina@example.com", role="owner", by=alice)
    come(client, issuer)
    return User.objects.get(first_name="Nina")


def test_who_comes_by_the_provider_has_no_password_to_change(client, nina):
    answer = client.get("/account/password/change/")
    assert answer["Location"] == "/account/second-factor/"
    page = client.get(answer["Location"]).content.decode()
    assert "you have no password here" in page
    assert "/account/password/" not in page


def ask_again(client, issuer, query, **told):
    """Sign in at the provider once more, by a form that sends this query; its ID token has what is told."""
    issuer.told = told
    sent = client.post(f"/account/company/login/?{query}", {"next": "/organisation/invite/"})["Location"]
    asked = parse_qs(urlsplit(sent).query)
    issuer.challenge = asked["code_challenge"][0]
    back = client.get("/account/company/login/callback/", {"code": "c", "state": asked["state"][0]})
    assert back["Location"] == "/organisation/invite/"
    return asked


def is_confirmed(client):
    return client.get("/organisation/invite/").status_code == 200


@pytest.fixture
def forgotten(client, nina):
    """Nina, who signed in long ago."""
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    return nina


def test_who_has_nothing_else_shows_who_they_are_at_the_provider_again(client, forgotten, issuer):
    asked = client.get("/organisation/invite/", follow=True)
    page = asked.content.decode()
    query = "process=login&auth_params=prompt%3Dlogin%26max_age%3D0"
    assert asked.status_code == 200
    assert f'action="/account/company/login/?{query.replace("&", "&amp;")}"' in page
    sent = ask_again(client, issuer, query, auth_time=int(time.time()))
    assert (sent["prompt"], sent["max_age"]) == (["login"], ["0"])
    assert is_confirmed(client)


FORMS = [
    "process=login&auth_params=prompt%3Dlogin%26max_age%3D0",
    "process=login",
    "process=login&auth_params=prompt%3Dnone",
    "process=login&auth_params=max_age%3D999999999",
    "",
]


TOLD = {
    "nothing": {},
    "long ago": {"auth_time": lambda: time.time() - 301},
    "a text": {"auth_time": lambda: str(int(time.time()))},
    "a truth": {"auth_time": lambda: True},
    "a number without end": {"auth_time": lambda: 1e300},
    "no number": {"auth_time": lambda: float("nan")},
    "a list": {"auth_time": lambda: [time.time()]},
    "of somebody else": {"auth_time": time.time, "sub": lambda: "2"},
}


@pytest.mark.parametrize(("told", "query"), thorough_but(itertools.product(TOLD, FORMS), by=lambda cell: cell[0]))
def test_a_sign_in_there_counts_only_with_the_time_of_the_proof(client, forgotten, issuer, told, query):
    client.get("/organisation/invite/", follow=True)
    ask_again(client, issuer, query, **{name: value() for name, value in TOLD[told].items()})
    assert not is_confirmed(client)
    assert is_in(client)
    assert "does not count" in client.get("/organisation/invite/", follow=True).content.decode()


def test_any_form_counts_from_when_the_proof_was_given(client, forgotten, issuer):
    for query in FORMS:
        ask_again(client, issuer, query, auth_time=time.time() - 200)
        assert is_confirmed(client), query
        assert 190 < time.time() - client.session["confirmed_at"] < 260


def test_a_clock_that_is_fast_lengthens_nothing(client, forgotten, issuer):
    ask_again(client, issuer, "process=login", auth_time=time.time() + 9999)
    assert client.session["confirmed_at"] <= time.time()


def test_a_time_among_facts_of_the_person_is_no_proof(client, forgotten, issuer):
    """Only the ID token is about the sign-in."""
    issuer.person["auth_time"], issuer.told = time.time(), {}
    ask_again(client, issuer, "process=login", auth_time=None)
    assert not is_confirmed(client)


def test_the_first_sign_in_counts_from_when_it_was_made_there(client, acme, alice, issuer):
    members.invite(acme, email="nina@example.com", role="owner", by=alice)
    issuer.told = {"auth_time": time.time() - 4000}
    come(client, issuer)
    assert is_in(client)
    assert not is_confirmed(client)


def test_what_the_provider_says_is_kept_only_as_far_as_it_is_used(client, acme, alice, issuer):
    members.invite(acme, email="nina@example.com", role="owner", by=alice)
    issuer.told = {"groups": ["x"] * 1000, "auth_time": float("inf")}
    come(client, issuer, name="Ni\x00na " + "n" * 999, given_name="Ni\x00na", picture="x" * 99_999)
    assert is_in(client)
    kept = SocialAccount.objects.get().extra_data
    assert {*kept["userinfo"]} <= {"sub", "name", "email"}
    assert {*kept["id_token"]} <= {"sub", "name", "email"}
    assert "\x00" not in kept["userinfo"]["name"]
    assert len(kept["userinfo"]["name"]) == 254


def test_every_sign_in_asks_for_the_time(client, nina, issuer):
    assert ask_again(client, issuer, "process=login")["max_age"] == ["43200"]


def test_connecting_it_wants_a_proof_of_who_is_at_the_keyboard(client, alice, issuer):
    client.post("/login/", {"username": "alice", "password": "secret"})
    session = client.session
    session["confirmed_at"] = 0
    session["account_authentication_methods"] = []
    session.save()
    assert come(client, issuer, process="connect")["Location"].startswith("/account/reauthenticate/")
    assert not SocialAccount.objects.exists()


def test_disconnecting_it_wants_a_proof_of_who_is_at_the_keyboard(client, alice, issuer):
    client.post("/login/", {"username": "alice", "password": "secret"})
    come(client, issuer, process="connect")
    connected = SocialAccount.objects.get()
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    answer = client.post("/account/connections/", {"account": connected.pk})
    assert answer["Location"].startswith("/account/reauthenticate/")
    assert SocialAccount.objects.exists()
