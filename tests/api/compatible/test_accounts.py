"""Cloud accounts, clients and the tenant, as pgEdge's clients know them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from console.accounts.models import Membership
from console.api import tokens
from console.api.compatible import accounts
from console.api.models import Token
from console.audit.models import AuditEvent
from console.cloud_accounts import actions
from console.cloud_accounts.models import Attempt, CloudAccount
from tests import factories
from tests.api.callers import give, give_service
from tests.api.compatible.clients import Caller
from tests.cloud_accounts.linking import make_role, work
from tests.clusters import judged

SCOPES = {"see_accounts", "manage_members"}


@pytest.fixture
def own_identity(amazon, monkeypatch):
    """The console's own keys, with which it assumes roles."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_access_key)


@pytest.fixture
def owner(alice):
    return Caller(give(alice)[1], "/byoc/v1")


@pytest.fixture
def at_account(alice):
    return Caller(give(alice)[1], "/account/v1")


@pytest.fixture
def at_once(monkeypatch):
    """Have the worker's part done where the call waits for it."""
    monkeypatch.setattr(accounts.database, "give_back", work)
    monkeypatch.setattr(accounts, "LOOK_EACH", 0)


def test_an_account_is_linked_by_its_role(owner, amazon, alice, own_identity, at_once):
    [tenant] = Caller(owner.client.defaults["HTTP_AUTHORIZATION"].split()[1], "/account/v1").get("/tenants").json()
    arn = make_role(amazon, tenant["external_id"], name="ours")
    given = {"type": "aws", "name": "prod", "description": "Ours", "credentials": {"role_arn": arn}}
    told = owner.post("/cloud-accounts", given).json()
    assert (told["name"], told["type"], told["description"]) == ("prod", "aws", "Ours")
    assert told["properties"]["role_arn"] == arn
    assert owner.get("/cloud-accounts").json() == [told] == [owner.get(f"/cloud-accounts/{told['id']}").json()]
    assert AuditEvent.objects.get(action="Linked cloud account").actor == alice
    assert owner.delete(f"/cloud-accounts/{told['id']}").status_code == 204
    assert owner.get("/cloud-accounts").json() == []


def test_what_the_cloud_refuses_is_said_and_nothing_is_kept(owner, amazon, own_identity, at_once):
    arn = make_role(amazon, "another-id", name="wrong")
    answer = owner.post("/cloud-accounts", {"type": "aws", "credentials": {"role_arn": arn}})
    assert (answer.status_code, answer.json()["message"][:10]) == (400, "role_arn: ")
    assert not CloudAccount.objects.exists()
    assert not Attempt.objects.exists()


def test_where_no_worker_answers_nothing_is_linked_later_either(owner, amazon, own_identity, alice, monkeypatch):
    monkeypatch.setattr(accounts, "WITHIN", 0)
    arn = make_role(amazon, actions.external_id(Membership.objects.get()), name="late")
    answer = owner.post("/cloud-accounts", {"type": "aws", "credentials": {"role_arn": arn}})
    assert (answer.status_code, "No worker" in answer.json()["message"]) == (400, True)
    work()
    assert not CloudAccount.objects.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "moon", "credentials": {}}, "type: "),
        ({"type": "google", "credentials": {}}, "project_id: "),
        ({"type": "aws", "credentials": {}}, "role_arn: "),
        ({"type": "aws", "credentials": {"role_arn": "x"}}, "role_arn: "),
        ({"type": "aws", "credentials": {"colour": "red"}}, "credentials: There is no field colour for aws."),
        ({"type": "azure", "credentials": {"tenant_id": "x"}}, "tenant_id: "),
        ({"type": "gcp", "credentials": {"project_id": "my-project", "provider": "gcp"}}, "workload_provider: "),
        ({"type": "s3", "credentials": {"endpoint": "http://a"}}, "endpoint: "),
        ({"type": "aws", "credentials": {"role_arn": 1}}, "credentials.role_arn: Send a text."),
        ({"type": "aws", "credentials": None}, "credentials: "),
        ({"type": "aws", "description": "a\u202eb", "credentials": {}}, "description: "),
    ],
    ids=lambda one: ascii(one)[:50],
)
def test_credentials_that_make_no_sense_are_refused(owner, given, said):
    answer = owner.post("/cloud-accounts", given)
    assert (answer.status_code, said in answer.json()["message"]) == (400, True), answer.content
    assert not Attempt.objects.exists()


def test_a_secret_that_is_refused_is_not_said_again(owner):
    given = {"tenant_id": "x", "client_secret": "hunter2-hunter2"}
    assert b"hunter2" not in owner.post("/cloud-accounts", {"type": "azure", "credentials": given}).content


def test_a_name_is_found_for_who_gives_none(owner, amazon, own_identity, at_once, account, alice):
    factories.account(account.organisation, name="AWS")
    arn = make_role(amazon, actions.external_id(Membership.objects.get()), name="unnamed")
    assert owner.post("/cloud-accounts", {"type": "aws", "credentials": {"role_arn": arn}}).json()["name"] == "aws-2"


def test_an_account_in_use_stays(owner, account):
    judged.cluster(account)
    answer = owner.delete(f"/cloud-accounts/{account.pk}")
    assert (answer.status_code, "in use: cluster orders" in answer.json()["message"]) == (400, True)
    assert owner.get(f"/cloud-accounts/{account.pk}").json()["properties"]["account_number"] == account.number


def test_zones_are_of_no_account_but_one_s_own(owner, account, charlie):
    path = f"/cloud-accounts/{account.pk}/regions/eu-west-1/availability-zones"
    assert owner.get(path).json() == {"availability_zones": []}
    assert Caller(give(charlie)[1]).get(path).status_code == 404


def test_a_service_account_links_with_an_external_id_of_its_own(acme, alice, amazon, own_identity, at_once):
    service = tokens.make_service_account(acme, name="ci", role="owner", by=alice)
    text = give_service(service, alice)[1]
    [tenant] = Caller(text, "/account/v1").get("/tenants").json()
    arn = make_role(amazon, tenant["external_id"], name="of-ci")
    answer = Caller(text, "/byoc/v1").post(
        "/cloud-accounts", {"type": "aws", "name": "a", "credentials": {"role_arn": arn}}
    )
    assert (answer.status_code, CloudAccount.objects.get().settings["role_arn"]) == (200, arn)
    [after] = Caller(text, "/account/v1").get("/tenants").json()
    assert after["external_id"] != tenant["external_id"]


def test_only_so_many_wait_for_a_cloud(owner, monkeypatch):
    monkeypatch.setattr(accounts, "WAITERS", threading.BoundedSemaphore(1))
    accounts.WAITERS.acquire()
    given = {"role_arn": "arn:aws:iam::012345678910:role/storekeeper"}
    assert owner.post("/cloud-accounts", {"type": "aws", "credentials": given}).status_code == 409
    assert connection.vendor


# Clients and the tenant


def test_a_client_is_made_with_a_secret_that_is_shown_once(at_account, client, alice):
    told = at_account.post("/clients", {"name": "ci", "description": "Builds"}).json()
    shown = {name: told[name] for name in told if name != "auth0_secret"}
    assert at_account.get(f"/clients/{told['id']}").json() == shown
    assert at_account.get("/clients").json() == [shown]
    given = {"client_id": told["auth0_id"], "client_secret": told["auth0_secret"]}
    access = client.post("/account/v1/oauth/token", given, content_type="application/json").json()["access_token"]
    calls = Caller(access, "/byoc/v1")
    assert calls.get("/backup-stores").json() == []
    path = f"/clients/{told['id']}"
    changed = at_account.patch(path, {"name": "build", "description": "Ours"}).json()
    assert (changed["name"], changed["description"], changed["updated_at"] > told["updated_at"]) == (
        "build",
        "Ours",
        True,
    )
    assert at_account.delete(path).status_code == 204
    assert calls.get("/backup-stores").status_code == 401
    assert at_account.get(path).status_code == 404
    assert AuditEvent.objects.filter(action="Renamed an API token", actor=alice).count() == 1


def test_a_client_may_no_more_and_lives_no_longer_than_its_maker(alice):
    token, text = give(alice, *SCOPES)
    until = timezone.now() + timedelta(hours=3)
    Token.objects.filter(pk=token.pk).update(expires_at=until)
    made = Token.objects.get(
        pk=Caller(text, "/account/v1").post("/clients", {"name": "a", "description": ""}).json()["id"]
    )
    assert (set(made.scopes), made.expires_at, made.membership_id) == (SCOPES, until, token.membership_id)


def test_who_sees_which_clients(acme, alice, bob, charlie, at_account):
    mine = at_account.post("/clients", {"name": "a", "description": ""}).json()["id"]
    theirs, _ = give(bob, kind="client")
    assert {one["id"] for one in at_account.get("/clients").json()} == {mine, str(theirs.pk)}
    viewer, stranger = (Caller(give(one)[1], "/account/v1") for one in (bob, charlie))
    assert [one["id"] for one in viewer.get("/clients").json()] == [str(theirs.pk)]
    assert stranger.get("/clients").json() == []
    assert viewer.get(f"/clients/{mine}").status_code == stranger.get(f"/clients/{mine}").status_code == 404
    service = tokens.make_service_account(acme, name="ci", role="viewer", by=alice)
    calls = Caller(give_service(service, alice)[1], "/account/v1")
    assert calls.get("/clients").json() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a"},
        {"name": "", "description": ""},
        {"name": "a\u202e", "description": ""},
        {"name": "x" * 61, "description": ""},
        {"name": "a", "description": "b\nc"},
    ],
    ids=lambda one: ascii(one)[:40],
)
def test_clients_without_a_name_that_can_be_read_are_refused(at_account, body):
    assert at_account.post("/clients", body).status_code == 400
    assert not Token.objects.filter(kind="client").exists()


def test_the_tenant_is_the_organisation(at_account, acme, bob, alice):
    [told] = at_account.get("/tenants").json()
    assert (told["id"], told["name"], told["plan"]) == (str(acme.pk), "Acme", "enterprise")
    assert told["external_id"] == Membership.objects.get(user=alice).external_id
    assert at_account.get(f"/tenants/{acme.pk}").json() == told
    other = factories.organisation("Other")
    assert at_account.get(f"/tenants/{other.pk}").status_code == 404
    [seen] = Caller(give(bob)[1], "/account/v1").get("/tenants").json()
    assert "external_id" not in seen
