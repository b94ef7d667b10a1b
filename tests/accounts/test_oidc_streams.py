"""A provider of sign-in that drips, floods and lies: whoever comes is told so, in time, and nothing large is kept."""

from __future__ import annotations

import itertools
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount

from console.accounts import members, oidc
from console.accounts.models import User
from tests import hostile
from tests.sampling import thorough_but

AT_MOST = 10.0  # seconds, on a machine that does other things too


@pytest.fixture
def peer(settings, monkeypatch):
    monkeypatch.setattr(oidc, "SECONDS", 1)  # for all of it; on a busy machine an honest answer takes its time
    peer = hostile.Peer()
    hostile.fifty_megabytes(peer.language)  # which takes a while to make
    app = {
        "provider_id": "company",
        "name": "Acme ID",
        "client_id": "storekeeper",
        "secret": "s",
        "settings": {"server_url": peer.url},
    }
    settings.OIDC_ISSUER, settings.OIDC_NAME = peer.url, "Acme ID"
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    peer.honest = {
        "/openid-configuration": {
            "issuer": peer.url,
            "authorization_endpoint": f"{peer.url}/authorize",
            "token_endpoint": f"{peer.url}/token",
            "userinfo_endpoint": f"{peer.url}/userinfo",
            "jwks_uri": f"{peer.url}/keys",
        },
        "/token": {"access_token": "a", "token_type": "Bearer"},
    }
    yield peer
    peer.close()


def come(client):
    sent = parse_qs(urlsplit(client.post("/account/company/login/?process=login")["Location"]).query)
    return client.get("/account/company/login/callback/", {"code": "c", "state": sent["state"][0]})


LAST = {"discovery": "/openid-configuration", "token": "/token", "person": "/userinfo"}
# Errors that are JSON of a few hundred kilobytes are read, and say that nobody is let in.
REFUSALS = {"long error", "error with controls"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "asked"), thorough_but(itertools.product(hostile.BEHAVIOURS, LAST), by=lambda cell: cell[0])
)
def test_sign_in_ends_whatever_the_provider_answers(client, db, peer, asked, behaviour):
    peer.behaviour, began = behaviour, time.monotonic()
    if asked == "discovery":
        peer.honest.pop(LAST[asked])
        answer = client.post("/account/company/login/?process=login")
    else:
        peer.honest.pop(LAST[asked], None)
        answer = come(client)
    assert time.monotonic() - began < AT_MOST
    assert peer.was_asked(LAST[asked])
    if answer.status_code != 302:
        assert behaviour in REFUSALS
        assert answer.status_code == 401
        assert len(answer.content) < 50_000
    else:
        assert answer["Location"] == "/login/"
        assert "Acme ID does not answer as it should" in client.get("/login/").content.decode()
    assert client.get("/stores/").status_code == 302
    assert not User.objects.exists()


def person(**values):
    said = {"sub": "1", "email": "nina@example.com", "email_verified": True, "name": "Nina Novak", **values}
    return lambda path: json.dumps(said).encode()


@pytest.mark.slow
def test_what_the_provider_says_of_a_person_is_kept_cut_and_cleaned(client, acme, alice, peer):
    members.invite(acme, email="nina@example.com", role="admin", by=alice)
    name = f"N\x00\u202eina{'x' * 100_000}"
    peer.honest["/userinfo"] = person(name=name, given_name=name, more=[name] * 2, deep={"a": {"b": name}})
    come(client)
    account = SocialAccount.objects.get()
    assert account.uid == "1"
    assert len(json.dumps(account.extra_data)) < 20_000
    assert "\\u0000" not in json.dumps(account.extra_data)
    assert account.user.first_name.startswith("N ina")
    assert len(account.user.first_name) <= 150


@pytest.mark.parametrize("sub", ["", "1" * 500, "a\x00b", "a\u202eb", None, True, ["1"]])
def test_a_person_without_a_proper_id_is_not_let_in(client, acme, alice, peer, sub):
    members.invite(acme, email="nina@example.com", role="admin", by=alice)
    peer.honest["/userinfo"] = person(sub=sub)
    assert come(client).status_code == 302
    assert not SocialAccount.objects.exists()
    assert client.get("/stores/").status_code == 302
