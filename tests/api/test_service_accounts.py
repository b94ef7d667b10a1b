"""Service accounts: no person's, made by owners, with a role of their own and tokens that end with them."""

from __future__ import annotations

import re

import pytest

from console.accounts import activity, members
from console.accounts.models import Membership
from console.api import tokens
from console.api.models import ServiceAccount, Token
from console.audit.models import AuditEvent
from console.operations.models import Operation
from tests import factories
from tests.api.callers import Caller, give_service

PATH = "/api-tokens/service-accounts/"
GIVEN = {"name": "pipeline", "kind": "token", "scopes": ["see_stores", "manage_stores"], "days": "30"}


@pytest.fixture
def deployer(acme, alice):
    """An administrator that is no person."""
    return tokens.make_service_account(acme, name="deployer", role="admin", by=alice)


def test_an_owner_makes_one_and_gives_it_a_token(as_alice, alice, account):
    assert as_alice.post(f"{PATH}create/", {"name": "deployer", "role": "admin"}).status_code == 302
    made = ServiceAccount.objects.get()
    page = as_alice.post(f"{PATH}{made.pk}/token/", GIVEN).content.decode()
    [text] = set(re.findall(r"sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", page))
    told = Caller(text).get("/me").json()
    assert (told["username"], told["service_account"], told["role"]) == ("", "deployer", "admin")
    assert "deployer" in as_alice.get("/api-tokens/").content.decode()
    body = {"name": "orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"}
    assert Caller(text).post("/stores", body, key="k1").status_code == 202
    event = AuditEvent.objects.get(action="Create Backup Store")
    assert (event.actor, event.actor_name) == (None, "deployer (service account)")
    assert event.token.startswith("pipeline (sk_")
    assert Operation.objects.get().requested_by is None
    assert AuditEvent.objects.get(action="Created a service account").actor == alice


def test_it_may_what_its_role_may_and_its_token_names(deployer, alice):
    calls = Caller(give_service(deployer, alice)[1])
    assert calls.get("/stores").status_code == 200
    assert calls.get("/members").status_code == 200
    ServiceAccount.objects.update(role="viewer")
    answer = calls.get("/audit")
    assert (answer.status_code, "(viewer)" in answer.json()["detail"]) == (403, True)
    assert AuditEvent.objects.get(action="Was refused").actor_name == "deployer (service account)"
    assert Caller(give_service(deployer, alice, "see_accounts")[1]).get("/stores").status_code == 403


def test_its_token_offers_no_scope_beyond_its_role(as_alice, deployer):
    page = as_alice.get(f"{PATH}{deployer.pk}/token/").content.decode()
    assert "manage_stores" in page
    assert "manage_members" not in page.split("<form")[-1]
    wanted = {**GIVEN, "scopes": ["manage_members"]}
    assert as_alice.post(f"{PATH}{deployer.pk}/token/", wanted).status_code == 422


def test_it_stays_when_its_maker_leaves_and_ends_with_its_removal(as_alice, alice, acme, deployer):
    zoe = factories.user("zoe", acme, "owner")
    made = tokens.make_service_account(acme, name="zoe's", role="viewer", by=zoe)
    calls = Caller(give_service(made, zoe)[1])
    members.remove(zoe.memberships.get(), by=alice)
    zoe.delete()
    assert calls.get("/stores").status_code == 200
    assert as_alice.post(f"{PATH}{made.pk}/remove/").status_code == 302
    assert calls.get("/stores").status_code == 401
    assert AuditEvent.objects.get(action="Removed a service account").before == {"role": "viewer", "tokens": 1}


def test_a_second_factor_is_asked_of_people_alone(deployer, alice, acme):
    acme.second_factor_required = True
    acme.save()
    assert Caller(give_service(deployer, alice)[1]).get("/stores").status_code == 200


@pytest.mark.parametrize("who", ["admin", "viewer", "charlie"])
def test_only_owners_have_to_do_with_them(client, acme, charlie, deployer, who):
    person = charlie if who == "charlie" else factories.user("adam", acme, who)
    client.force_login(person)
    assert client.post(f"{PATH}create/", {"name": "mine", "role": "viewer"}).status_code == 403
    assert client.post(f"{PATH}{deployer.pk}/token/", GIVEN).status_code == 403
    assert client.post(f"{PATH}{deployer.pk}/remove/").status_code == 403
    assert "deployer" not in client.get("/api-tokens/").content.decode()
    assert ServiceAccount.objects.count() == 1
    assert not Token.objects.exists()


def test_another_tenants_is_not_found(client, deployer):
    client.force_login(factories.user("otto", factories.organisation("Other"), "owner"))
    for page in ("token", "remove"):
        assert client.post(f"{PATH}{deployer.pk}/{page}/", GIVEN).status_code == 404
    assert ServiceAccount.objects.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "Give it a name"),
        ({"name": "Deployer"}, "exists"),
        ({"name": "a\x00"}, "Null characters"),
        ({"role": "support"}, "not one of the available choices"),
        ({"role": ""}, "Choose a role"),
    ],
    ids=["no name", "a taken name", "NUL", "a role that is none", "no role"],
)
def test_create_refuses_what_makes_no_sense(as_alice, deployer, given, said):
    answer = as_alice.post(f"{PATH}create/", {"name": "other", "role": "viewer", **given})
    assert (answer.status_code, said in answer.content.decode()) == (422, True)
    assert ServiceAccount.objects.count() == 1


def test_there_are_only_so_many(as_alice, deployer, monkeypatch):
    monkeypatch.setattr(ServiceAccount, "AT_MOST", 1)
    answer = as_alice.post(f"{PATH}create/", {"name": "other", "role": "viewer"})
    assert (answer.status_code, "There are 1" in answer.content.decode()) == (422, True)


def test_support_that_looks_sees_no_token_of_theirs(acme, alice, deployer):
    give_service(deployer, alice)
    looking = Membership(organisation=acme, user=factories.support(), role="support")
    assert Token.objects.shown_to(alice.memberships.get()).count() == 1
    assert not Token.objects.shown_to(looking).exists()


def test_what_one_is_refused_hides_nothing_of_another(deployer, alice, acme, monkeypatch):
    monkeypatch.setattr(activity, "REFUSALS_AN_HOUR", 2)
    other = tokens.make_service_account(acme, name="another", role="viewer", by=alice)
    for account in (deployer, deployer, deployer, other):
        ServiceAccount.objects.filter(pk=account.pk).update(role="viewer")
        account.refresh_from_db()
        assert Caller(give_service(account, alice)[1]).get("/audit").status_code == 403
    refused = AuditEvent.objects.filter(action="Was refused").order_by("created_at")
    assert [one.actor_name.partition(" ")[0] for one in refused] == ["deployer", "deployer", "another"]
