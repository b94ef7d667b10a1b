"""Members, invitations, the organisation, tokens and service accounts: nobody gets more by a token than it may."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from console.accounts.models import Invitation, Membership, Organisation
from console.api import tokens
from console.api.models import SCOPES, KeptAnswer, ServiceAccount, Token
from console.audit.models import AuditEvent
from tests.api.callers import Caller, give, give_service


@pytest.fixture
def robot(acme, alice):
    account = acme.service_accounts.create(name="robot", role="owner")
    return Caller(give_service(account, alice)[1])


@pytest.fixture
def as_stranger(caller, charlie):
    """An owner of the other organisation, whose role is no reason to refuse anything."""
    charlie.memberships.update(role="owner")
    return caller(charlie)


@pytest.fixture
def narrow(caller, alice):
    """A token of an owner that manages members and may nothing else."""
    return caller(alice, "manage_members", "see_members")


def place(person):
    return person.memberships.get()


def test_a_members_role_is_changed_and_the_last_owner_stays(as_owner, robot, as_stranger, alice, bob):
    path = f"/members/{place(bob).pk}"
    assert as_owner.get(path).json()["role"] == "viewer"
    assert robot.send("PATCH", path, {"role": "admin"}).json()["role"] == "admin"
    assert AuditEvent.objects.get(action="Changed role").actor_name == "robot (service account)"
    assert as_stranger.send("PATCH", path, {"role": "viewer"}).status_code == 404
    answer = as_owner.send("PATCH", f"/members/{place(alice).pk}", {"role": "viewer"})
    assert (answer.status_code, "last one" in answer.json()["detail"]) == (409, True)
    for wrong in ({"role": "king"}, {"role": ""}, {}, {"role": 1}):
        assert as_owner.send("PATCH", path, wrong).json()["errors"][0]["pointer"] == "/role"
    assert as_owner.get("/members/99999999999999999999999").status_code == 404


def test_a_refusal_with_a_key_stays_in_the_audit_log(as_owner, alice):
    """What a rule refuses is written down, also where the answer would have been kept for a repeated call."""
    given = {"name": "x", "role": "king"}
    assert as_owner.post("/service-accounts", given, key="k1").status_code == 422
    assert not KeptAnswer.objects.exists()
    assert as_owner.send("PATCH", f"/members/{place(alice).pk}", {"role": "viewer"}).status_code == 409
    assert AuditEvent.objects.get(action="Changed role").outcome == "refused"


def test_a_member_is_removed_but_not_oneself(as_owner, as_viewer, alice, bob):
    answer = as_owner.send("DELETE", f"/members/{place(alice).pk}")
    assert (answer.status_code, "in the browser" in answer.json()["detail"]) == (409, True)
    assert as_viewer.send("DELETE", f"/members/{place(alice).pk}").status_code == 403
    assert as_owner.send("DELETE", f"/members/{place(bob).pk}").status_code == 204
    assert not Membership.objects.filter(user=bob).exists()
    assert as_viewer.get("/me").status_code == 401


def test_nobody_gets_a_role_that_may_more_than_the_token(narrow, as_owner, bob):
    for method, path, body in (
        ("PATCH", f"/members/{place(bob).pk}", {"role": "owner"}),
        ("POST", "/invitations", {"email": "carol@example.com", "role": "viewer"}),
        ("POST", "/service-accounts", {"name": "robot", "role": "viewer"}),
    ):
        answer = narrow.send(method, path, body)
        assert (answer.status_code, "lacks" in answer.json()["detail"]) == (403, True), path
    assert place(bob).role == "viewer"
    assert not Invitation.objects.exists()
    assert not ServiceAccount.objects.exists()


def test_invitations(as_owner, as_viewer, as_stranger, settings):
    settings.EMAIL_HOST = ""
    body = {"email": "carol@example.com", "role": "viewer"}
    answer = as_owner.post("/invitations", body, key="k1")
    link = answer.json()["link"]
    assert (answer.status_code, answer.json()["sent"]) == (201, "")
    assert as_owner.post("/invitations", body, key="k1").json()["link"] == link
    listed = as_viewer.get("/invitations")
    assert [one["email"] for one in listed.json()["items"]] == ["carol@example.com"]
    assert link.rsplit("/", 2)[1] not in listed.content.decode()
    for wrong, pointer in (
        ({"email": "carol"}, "/email"),
        ({"email": "alice@example.com\x00"}, "/email"),
        ({"role": "king"}, "/role"),
    ):
        assert as_owner.post("/invitations", {**body, **wrong}).json()["errors"][0]["pointer"] == pointer
    path = f"/invitations/{answer.json()['id']}"
    assert as_stranger.send("DELETE", path).status_code == 404
    assert as_viewer.send("DELETE", path).status_code == 403
    assert as_owner.send("DELETE", path).status_code == 204
    assert not Invitation.objects.exists()


def test_a_second_factor_is_asked_for(as_owner, robot, as_viewer, acme):
    assert as_viewer.get("/organisation").json()["second_factor_required"] is False
    answer = as_owner.send("PATCH", "/organisation", {"second_factor_required": True})
    assert (answer.status_code, "lock yourself out" in answer.json()["detail"]) == (409, True)
    assert robot.send("PATCH", "/organisation", {"second_factor_required": True}).json()["second_factor_required"]
    assert Organisation.objects.get(pk=acme.pk).second_factor_required
    assert as_owner.get("/me").status_code == 403
    robot.send("PATCH", "/organisation", {"second_factor_required": False})
    assert as_owner.get("/me").status_code == 200
    assert as_owner.send("PATCH", "/organisation", {"second_factor_required": "x"}).status_code == 422


# Tokens


def test_a_token_makes_one_that_is_shown_once(as_owner, alice):
    given = {"name": "report", "scopes": ["see_stores"], "days": 30}
    answer = as_owner.post("/tokens", given, key="k1")
    told = answer.json()
    assert (answer.status_code, told["scopes"], told["kind"]) == (201, ["see_stores"], "token")
    assert tokens.find(told["secret"]).membership == place(alice)
    assert told["secret"] not in as_owner.get("/tokens").content.decode()
    assert Caller(told["secret"]).get("/stores").status_code == 200
    assert as_owner.post("/tokens", given, key="k1").json() == told
    client = as_owner.post("/tokens", {**given, "kind": "client"}).json()
    assert tokens.grant(client["client_id"], client["secret"])


def test_no_token_makes_one_that_may_more_or_is_good_for_longer(alice):
    _, text = give(alice, "see_stores", "see_accounts", days=40)
    few = Caller(text)
    given = {"name": "more", "scopes": ["see_stores", "manage_stores"], "days": 30}
    answer = few.post("/tokens", given)
    assert (answer.status_code, "manage_stores" in answer.json()["detail"]) == (403, True)
    answer = few.post("/tokens", {**given, "scopes": ["see_stores"], "days": 90})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/until")
    assert Token.objects.count() == 1
    assert few.post("/tokens", {**given, "scopes": ["see_stores"]}).status_code == 201


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_that_a_token_lacks_it_gives_to_none(alice, scope):
    """Walked over all scopes: by no call does a token without a scope come to one that has it."""
    mine = [one for one in SCOPES if one != scope]
    calls = Caller(give(alice, *mine)[1])
    robot = ServiceAccount.objects.create(organisation=place(alice).organisation, name="robot", role="owner")
    before = Token.objects.count()
    for path in ("/tokens", f"/service-accounts/{robot.pk}/tokens"):
        for scopes in ([scope], [*SCOPES]):
            assert calls.post(path, {"name": "x", "scopes": scopes, "days": 30}).status_code == 403
    assert calls.post("/service-accounts", {"name": "new", "role": "owner"}).status_code == 403
    assert Token.objects.count() == before


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes"),
        ({"scopes": "see_stores"}, "/scopes"),
        ({"kind": "cookie"}, "/kind"),
        ({"days": 31}, "/days"),
        ({"days": None}, "/until"),
        ({"days": None, "until": "2020-01-01"}, "/until"),
        ({"days": None, "until": "soon"}, "/until"),
        ({"colour": "red"}, "/colour"),
    ],
    ids=str,
)
def test_a_token_is_refused_with_a_pointer(as_owner, given, pointer):
    answer = as_owner.post("/tokens", {"name": "x", "scopes": ["see_stores"], "days": 30, **given})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert Token.objects.count() == 1


def test_tokens_are_ones_own_but_for_who_manages_members(as_owner, as_viewer, as_stranger, narrow, alice, bob, caller):
    of_bob = Token.objects.get(membership=place(bob))
    few = caller(alice, "see_accounts")
    assert len(as_owner.get("/tokens").json()["items"]) == 4
    assert {one["owner"] for one in few.get("/tokens").json()["items"]} == {str(alice)}
    assert {one["owner"] for one in as_viewer.get("/tokens").json()["items"]} == {str(bob)}
    for other in (few, as_stranger):
        assert other.send("DELETE", f"/tokens/{of_bob.pk}").status_code == 404
    assert as_viewer.send("DELETE", f"/tokens/{of_bob.pk}").status_code == 204, "a token can end itself"
    assert as_viewer.get("/me").status_code == 401
    assert as_owner.send("DELETE", f"/tokens/{of_bob.pk}").status_code == 204


def test_service_accounts_have_tokens_of_their_own(as_owner, as_stranger, as_viewer):
    made = as_owner.post("/service-accounts", {"name": "terraform", "role": "admin"}).json()
    assert as_owner.post("/service-accounts", {"name": "Terraform", "role": "admin"}).status_code == 422
    path = f"/service-accounts/{made['id']}"
    given = {"name": "ci", "scopes": ["see_accounts", "see_stores"], "days": 365}
    for other, status in ((as_stranger, 404), (as_viewer, 403)):
        assert other.post(f"{path}/tokens", given).status_code == status
        assert other.send("DELETE", path).status_code == status
    told = as_owner.post(f"{path}/tokens", given).json()
    robot = Caller(told["secret"])
    assert robot.get("/me").json()["service_account"] == "terraform"
    assert [one["id"] for one in robot.get("/tokens").json()["items"]] == [told["id"]]
    assert robot.post("/tokens", {**given, "days": 30}).json()["service_account_id"] == made["id"]
    assert as_owner.send("DELETE", path).status_code == 204
    assert robot.get("/me").status_code == 401
    assert as_owner.get("/service-accounts").json()["items"] == []


def test_the_end_of_a_token_is_at_most_a_year_off(as_owner):
    far = (timezone.now() + timedelta(days=400)).date()
    answer = as_owner.post("/tokens", {"name": "x", "scopes": ["see_stores"], "until": str(far)})
    assert answer.json()["errors"] == [{"pointer": "/until", "detail": "At most a year from now."}]


def test_no_kept_answer_shows_a_secret_in_the_database(as_owner, settings):
    from django.db import connection

    as_owner.post("/tokens", {"name": "x", "scopes": ["see_stores"], "days": 30}, key="k1")
    as_owner.post("/invitations", {"email": "carol@example.com", "role": "viewer"}, key="k2")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {KeptAnswer._meta.db_table}")
        kept = b" ".join(
            bytes(one) if not isinstance(one, str | int) else str(one).encode()
            for row in cursor.fetchall()
            for one in row
            if one is not None and not hasattr(one, "year")
        )
    assert not re.search(rb"sk_[0-9A-Za-z]{12}|invitations/", kept)
    assert kept.count(b"gAAAA") == 2
