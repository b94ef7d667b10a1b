"""Tokens: made and shown once, found again, and worth what their member is worth at that moment."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.signing import Signer
from django.utils import timezone

from console.accounts import members
from console.accounts.models import Membership
from console.api import tokens
from console.api.models import SCOPES, KeptAnswer, Token
from console.audit.models import AuditEvent
from console.operations import housekeeping
from console.restoration import actions as restoration
from tests import factories
from tests.api.callers import Caller, give

TEXT = re.compile(r"sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
GIVEN = {"name": "ci", "kind": "token", "scopes": ["see_stores"], "days": "30"}


def test_a_token_is_shown_once_and_kept_as_a_digest(as_alice, alice):
    answer = as_alice.post("/api-tokens/create/", GIVEN)
    [text] = set(TEXT.findall(answer.content.decode()))
    token = Token.objects.get()
    assert "no-store" in answer["Cache-Control"]
    assert tokens.find(text) == token
    assert not any(text[16:] in str(value) or text == value for value in vars(token).values())
    page = as_alice.get("/api-tokens/").content.decode()
    assert token.key in page
    assert text not in page
    event = AuditEvent.objects.get(action="Created an API token")
    assert (event.actor, event.after["scopes"]) == (alice, ["see_stores"])
    assert text not in str(event.as_json())


def test_a_token_carries_a_checksum_that_scanners_can_compute(alice):
    _, text = give(alice)
    assert TEXT.fullmatch(text)
    assert tokens.is_whole(text)
    assert not tokens.is_whole(text[:-8] + ("a" if text[-8] != "a" else "b") + text[-7:])


def test_what_is_no_token_costs_no_query(alice, django_assert_num_queries):
    _, text = give(alice)
    wrong = text[:20] + ("a" if text[20] != "a" else "b") + text[21:]
    with django_assert_num_queries(0):
        for one in (wrong, text[:-1], f"{text}a", "sk_", "", "ska_", "ska_a.b.c", "é", "x" * 100_000, f"{text}\n"):
            with pytest.raises(tokens.TokenRefused, match="not known"):
                tokens.find(one)


def test_a_token_with_the_right_id_and_another_secret_is_refused(alice):
    _, text = give(alice)
    begins = text[: -tokens.CHECKSUM - 5] + "AAAAA"
    with pytest.raises(tokens.TokenRefused, match="not known"):
        tokens.find(begins + tokens.checksum(begins))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "Give it a name"),
        ({"name": "a\u202eb"}, "control characters"),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"scopes": []}, "Choose at least one"),
        ({"scopes": ["everything"]}, "not one of the available choices"),
        ({"kind": "cookie"}, "not one of the available choices"),
        ({"days": "", "until": ""}, "Say until when"),
        ({"days": "", "until": "2020-01-01"}, "This day is over"),
        ({"days": "", "until": "2099-01-01"}, "At most a year"),
        ({"days": "", "until": "tomorrow"}, "valid date"),
        ({"days": "4000"}, "not one of the available choices"),
    ],
)
def test_create_refuses_what_makes_no_sense(as_alice, given, said):
    answer = as_alice.post("/api-tokens/create/", {**GIVEN, **given})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Token.objects.exists()


def test_a_viewer_gets_no_scope_of_an_owners(client, bob):
    client.force_login(bob)
    page = client.get("/api-tokens/create/").content.decode()
    assert "see_stores" in page
    assert "manage_stores" not in page
    assert client.post("/api-tokens/create/", {**GIVEN, "scopes": ["manage_stores"]}).status_code == 422


def test_a_member_has_only_so_many(as_alice, alice, monkeypatch):
    monkeypatch.setattr(Token, "AT_MOST", 2)
    for _ in range(2):
        give(alice)
    answer = as_alice.post("/api-tokens/create/", GIVEN)
    assert answer.status_code == 422
    assert "There are 2 tokens" in answer.content.decode()
    tokens.revoke(Token.objects.first(), by=alice)
    assert as_alice.post("/api-tokens/create/", GIVEN).status_code == 200


def test_who_sees_which(client, alice, bob, charlie):
    of = {person: give(person)[0] for person in (alice, bob, charlie)}
    seen = {}
    for person in of:
        client.force_login(person)
        page = client.get("/api-tokens/").content.decode()
        seen[person] = {other for other, token in of.items() if token.key in page}
    assert seen == {alice: {alice, bob}, bob: {bob}, charlie: {charlie}}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 302), ("bob", 302), ("other viewer", 404), ("charlie", 404)], ids=str
)
def test_who_may_revoke(client, alice, bob, charlie, acme, who, status):
    token, text = give(bob)
    other = factories.user("zoe", acme, "viewer")
    client.force_login({"alice": alice, "bob": bob, "other viewer": other, "charlie": charlie}[who])
    assert client.post(f"/api-tokens/{token.pk}/revoke/").status_code == status
    assert Caller(text).get("/me").status_code == (401 if status == 302 else 200)
    assert AuditEvent.objects.filter(action="Revoked an API token").count() == (status == 302)


def test_a_revoked_token_is_revoked_once(alice):
    token, _ = give(alice)
    tokens.revoke(token, by=alice)
    first = Token.objects.get().revoked_at
    tokens.revoke(token, by=alice)
    assert Token.objects.get().revoked_at == first
    assert AuditEvent.objects.filter(action="Revoked an API token").count() == 1


def test_its_last_use_is_written_once_a_minute(alice, django_assert_num_queries):
    token, text = give(alice)
    tokens.find(text)
    first = Token.objects.get().last_used_at
    assert first
    with django_assert_num_queries(1):
        tokens.find(text)
    assert Token.objects.get().last_used_at == first
    Token.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    tokens.find(text)
    assert Token.objects.get().last_used_at > first
    assert token.last_used_at is None


def test_a_demoted_member_loses_at_once(alice, acme, account):
    adam = factories.user("adam", acme, "admin")
    calls = Caller(give(adam)[1])
    assert "manage_stores" in calls.get("/me").json()["permissions"]
    members.change_role(adam.memberships.get(), "viewer", by=alice)
    assert "manage_stores" not in calls.get("/me").json()["permissions"]
    body = {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}
    answer = calls.post("/stores", body)
    assert (answer.status_code, answer["X-Accepted-Permissions"]) == (403, "manage_stores")
    assert "your role here (viewer)" in answer.json()["detail"]
    assert AuditEvent.objects.filter(action="Was refused", actor=adam).exists()


def test_a_removed_member_loses_at_once_and_joining_again_gives_nothing_back(alice, bob, acme):
    calls = Caller(give(bob)[1])
    assert calls.get("/stores").status_code == 200
    members.remove(bob.memberships.get(), by=alice)
    assert calls.get("/stores").status_code == 401
    Membership.objects.create(user=bob, organisation=acme, role="owner")
    assert calls.get("/stores").status_code == 401


def test_who_may_not_sign_in_may_not_call(bob):
    calls = Caller(give(bob)[1])
    bob.is_active = False
    bob.save()
    assert calls.get("/me").status_code == 401


def test_a_second_factor_is_asked_for_as_by_the_pages(alice, bob, acme):
    calls = Caller(give(bob)[1])
    acme.second_factor_required = True
    acme.save()
    answer = calls.get("/stores")
    assert answer.status_code == 403
    assert "second factor" in answer.json()["detail"]


def test_the_developer_edition_has_no_stores_and_says_so(db):
    dora = factories.user("dora", factories.organisation("Starters", "developer"))
    calls = Caller(give(dora)[1])
    assert calls.get("/cloud-accounts").status_code == 200
    answer = calls.get("/stores")
    assert (answer.status_code, "Developer edition" in answer.json()["detail"]) == (403, True)


def test_a_token_may_only_what_it_names(alice, account):
    calls = Caller(give(alice, "see_stores")[1])
    assert calls.get("/stores").status_code == 200
    answer = calls.get("/members")
    assert (answer.status_code, answer["X-Accepted-Permissions"]) == (403, "see_members")
    assert calls.post("/stores", {"name": "a", "cloud_account_id": str(account.pk)}).status_code == 403


def test_secrets_are_a_scope_of_their_own():
    assert "secrets:read" in SCOPES
    assert "see_secrets" not in SCOPES


@pytest.fixture
def client_of(alice):
    """Client credentials of Alice's."""
    token, secret = give(alice, kind="client")
    return {"client_id": token.client_id, "client_secret": secret}


@pytest.mark.parametrize("path", ["/v1/oauth/token", "/account/v1/oauth/token"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_client_credentials_give_an_access_token_of_a_day(client, client_of, path, kind):
    given = {} if kind == "multipart/form-data" else {"content_type": kind}
    data = client_of
    if kind.endswith("urlencoded"):
        data = "&".join(f"{name}={value}" for name, value in client_of.items())
    answer = client.post(path, data, **given)
    told = answer.json()
    assert (answer.status_code, told["token_type"], told["expires_in"]) == (200, "Bearer", 86_400)
    assert answer["Cache-Control"] == "no-store"
    assert answer["RateLimit-Policy"] == '"default";q=30;w=60'
    assert Caller(told["access_token"]).get("/me").json()["username"] == "alice"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"client_id": "skc_AAAAAAAAAAAA"}, "are wrong"),
        ({"client_id": ""}, "client_id is missing"),
        ({"client_secret": "sks_nothing"}, "are wrong"),
        ({"client_secret": None}, "client_secret is a text"),
        ({"client_secret": ["a"]}, "client_secret is a text"),
        ({"client_secret": "a\x00b"}, "are wrong"),
        ({"grant_type": "password"}, "grant_type is client_credentials"),
        ({"scope": "everything"}, "There is no field 'scope'"),
    ],
    ids=lambda given: str(given)[:40].encode("ascii", "backslashreplace").decode().replace("\x00", "NUL"),
)
def test_wrong_credentials_are_a_400_that_says_what(client, client_of, given, said):
    answer = client.post("/v1/oauth/token", {**client_of, **given}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert said in answer.json()["message"]


def test_a_token_page_of_pgedges_answers_errors_as_its_clients_read_them(client):
    for body in (b"{", b"[]", b"[" * 100_000, b'"a"'):
        answer = client.post("/v1/oauth/token", body, content_type="application/json")
        assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (400, "application/json", 400)
    answer = client.get("/v1/oauth/token")
    assert (answer.status_code, answer.json()["code"], answer["Allow"]) == (405, 405, "POST")
    assert client.get("/v1/nothing").json() == {"message": "Not Found"}
    answer = client.post("/v1/oauth/token", b"x" * (11 * 1024 * 1024), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


def test_an_access_token_ends_with_its_client_and_by_its_time(alice, client, client_of):
    token = Token.objects.get()
    access = client.post("/v1/oauth/token", client_of).json()["access_token"]
    over = tokens.access_token(token, timezone.now().timestamp() - 1)
    assert "is over" in Caller(over).get("/me").json()["detail"]
    assert Caller(access).get("/me").status_code == 200
    tokens.revoke(token, by=alice)
    assert Caller(access).get("/me").status_code == 401
    assert client.post("/v1/oauth/token", client_of).status_code == 400


def test_an_access_token_is_not_longer_good_than_its_client(client, alice):
    token, secret = give(alice, kind="client")
    Token.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    told = client.post("/v1/oauth/token", {"client_id": token.client_id, "client_secret": secret}).json()
    assert 3500 < told["expires_in"] <= 3600


def test_one_kind_of_secret_does_not_pass_for_another(alice, client):
    token, secret = give(alice, kind="client")
    _, text = give(alice)
    assert Caller(secret).get("/me").status_code == 401
    given = {"client_id": f"skc_{text[3:15]}", "client_secret": f"sks{text[2:]}"}
    assert client.post("/v1/oauth/token", given).status_code == 400
    forged = f"ska_{Signer(salt='another', sep='.', algorithm='sha256').sign(f'{token.key}.9999999999')}"
    assert Caller(forged).get("/me").status_code == 401
    of_a_token = tokens.access_token(Token.objects.get(kind="token"), 9_999_999_999)
    assert Caller(of_a_token).get("/me").status_code == 401


def test_expired_tokens_are_refused_and_thrown_away_after_90_days(alice):
    token, text = give(alice)
    KeptAnswer.objects.create(token=token, key="a", asked_sha256="")
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = Caller(text).get("/me")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert dict(housekeeping.tidy())["api_token"] == 0
    Token.objects.update(expires_at=timezone.now() - timedelta(days=91))
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    gone = dict(housekeeping.tidy())
    assert gone["api_token"] == 1
    assert not Token.objects.exists()


def test_a_copy_of_the_database_that_is_restored_revives_no_token(alice):
    calls = Caller(give(alice)[1])
    assert calls.get("/me").status_code == 200
    restoration.begin("A test said so")
    assert calls.get("/me").status_code == 401
