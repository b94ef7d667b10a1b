"""Signing in by OpenID Connect, at an identity provider of the test's own on this machine."""

from __future__ import annotations

import base64
import json
import time
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


class Issuer:
    """An identity provider: whoever is asked for is `person`."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person, self.challenge = {}, ""
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
                token = jwt.encode({**claims, **issuer.person}, issuer.key, "RS256", headers={"kid": "1"})
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
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def come(client, issuer, *, verified=True, email="nina@example.com", sub="1", process="login", state=None):
    issuer.person = {"sub": sub, "email": email, "email_verified": verified, "name": "Nina Novak"}
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


def test_who_has_nothing_else_shows_who_they_are_at_the_provider_again(client, nina, issuer):
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    asked = client.get("/organisation/invite/", follow=True)
    page = asked.content.decode()
    action = "/account/company/login/?process=login&amp;auth_params=prompt%3Dlogin"
    assert asked.status_code == 200
    assert f'action="{action}"' in page
    sent = client.post(action.replace("&amp;", "&"), {"next": "/organisation/invite/"})["Location"]
    query = parse_qs(urlsplit(sent).query)
    assert query["prompt"] == ["login"]
    issuer.challenge = query["code_challenge"][0]
    back = client.get("/account/company/login/callback/", {"code": "c", "state": query["state"][0]})
    assert back["Location"] == "/organisation/invite/"
    assert client.get("/organisation/invite/").status_code == 200


def test_connecting_it_wants_a_proof_of_who_is_at_the_keyboard(client, alice, issuer):
    client.post("/login/", {"username": "alice", "password": "secret"})
    session = client.session
    session["confirmed_at"] = 0
    session["account_authentication_methods"] = []
    session.save()
    assert come(client, issuer, process="connect")["Location"].startswith("/account/reauthenticate/")
    assert not SocialAccount.objects.exists()
