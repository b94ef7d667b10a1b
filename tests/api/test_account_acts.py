"""Cloud accounts by the API: linked, changed, verified, unlinked; what is secret never comes back."""

from __future__ import annotations

from uuid import uuid4

import pytest

from console.api import tokens
from console.api.models import KeptAnswer
from console.audit.models import AuditEvent
from console.cloud_accounts import actions
from console.cloud_accounts.models import Attempt, CloudAccount, LookBudget, Preflight
from console.clouds.contract import LinkError
from tests import factories
from tests.api.callers import Caller, give_service
from tests.cloud_accounts.linking import SECRET, make_role, work


@pytest.fixture
def own_identity(amazon, monkeypatch):
    """The console's own keys, with which it assumes roles."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_access_key)


@pytest.fixture
def body(amazon):
    """What links the emulated Amazon."""
    key = {"access_key_id": amazon.access_key_id, "secret_access_key": amazon.secret_access_key}
    return {"name": "prod", "type": "aws", "credentials": {"method": "access_key", **key}}


def test_an_account_is_linked_by_a_worker(as_owner, body, amazon, alice):
    answer = as_owner.post("/cloud-accounts", body, key="k1")
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert amazon.secret_access_key not in answer.content.decode()
    work()
    told = as_owner.client.get(answer["Location"]).json()
    assert told["state"] == "done"
    account = CloudAccount.objects.get()
    assert told["cloud_account_id"] == str(account.pk)
    shown = as_owner.get(f"/cloud-accounts/{account.pk}")
    assert (shown.json()["account_number"], shown.json()["problem"]) == (amazon.account_id, "")
    assert amazon.secret_access_key not in shown.content.decode()
    event = AuditEvent.objects.get(action="Linked cloud account")
    assert (event.actor, event.token[:6]) == (alice, "ci (sk")
    again = as_owner.post("/cloud-accounts", body, key="k1")
    assert (again["Idempotency-Replayed"], again.json(), Attempt.objects.count()) == ("true", answer.json(), 1)


@pytest.fixture
def refusing(monkeypatch):
    """A function after which the cloud refuses each key."""

    def refuse():
        def identify(*given):
            raise LinkError("This key is not known.", "secret_access_key")

        monkeypatch.setattr(actions, "_identify", identify)

    return refuse


def test_what_the_cloud_refuses_is_told_with_its_field(as_owner, body, refusing):
    refusing()
    body["credentials"]["secret_access_key"] = SECRET
    answer = as_owner.post("/cloud-accounts", body)
    work()
    told = as_owner.client.get(answer["Location"]).json()
    assert (told["state"], told["field"]) == ("refused", "secret_access_key")
    assert told["error"]
    assert SECRET not in str(told)
    assert not CloudAccount.objects.exists()


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"type": "cloud"}, "/type"),
        ({"colour": "red"}, "/colour"),
        ({"credentials": {}}, "/credentials/role_arn"),
        ({"credentials": {"method": "access_key", "colour": "red"}}, "/credentials/colour"),
        ({"credentials": {"method": "none"}}, "/credentials/method"),
        ({"credentials": {"access_key_id": True}}, "/credentials/access_key_id"),
        ({"credentials": "key"}, "/credentials"),
        ({"credentials": {"access_key_id": "a\x00"}}, "/credentials"),
    ],
    ids=str,
)
def test_linking_refuses_with_a_pointer(as_owner, body, changed, pointer):
    answer = as_owner.post("/cloud-accounts", {**body, **changed})
    assert answer.status_code == 422
    assert pointer in [one["pointer"] for one in answer.json()["errors"]]
    assert not Attempt.objects.exists()


@pytest.fixture
def robot(acme, alice):
    """An administrator that is no person, and who calls with its token."""
    made = tokens.make_service_account(acme, name="robot", role="admin", by=alice)
    return made, Caller(give_service(made, alice)[1])


def test_attempts_are_ones_own(as_owner, caller, acme, alice, body, as_stranger, robot):
    answer = as_owner.post("/cloud-accounts", body)
    path = f"/cloud-account-attempts/{answer.json()['id']}"
    adam = caller(factories.user("adam", acme, "admin"))
    other_robot = Caller(give_service(tokens.make_service_account(acme, name="b", role="admin", by=alice), alice)[1])
    for other in (adam, robot[1], as_stranger):
        assert other.get(path).status_code == 404
    answer = robot[1].post("/cloud-accounts", {**body, "name": "b"})
    path = f"/cloud-account-attempts/{answer.json()['id']}"
    for other in (as_owner, adam, other_robot, as_stranger):
        assert other.get(path).status_code == 404
    assert robot[1].get(path).status_code == 200


def test_a_service_account_links_changes_and_verifies(robot, body, amazon, acme):
    made, calls = robot
    answer = calls.post("/cloud-accounts", body, key="k1")
    assert calls.post("/cloud-accounts", {**body, "name": "prod"}).json()["id"] == answer.json()["id"], "sent twice"
    assert Attempt.objects.get().organisation == acme
    work()
    told = calls.get(answer["Location"].removeprefix("/api/v1")).json()
    account = CloudAccount.objects.get()
    assert (told["state"], told["cloud_account_id"]) == ("done", str(account.pk))
    event = AuditEvent.objects.get(action="Linked cloud account")
    assert (event.actor, event.actor_name, event.organisation) == (None, "robot (service account)", acme)
    assert calls.send("PATCH", f"/cloud-accounts/{account.pk}", {"name": "renamed"}).json()["name"] == "renamed"
    assert calls.send("POST", f"/cloud-accounts/{account.pk}/verify").status_code == 202
    work()
    assert [one.entered for one in Attempt.objects.exclude(done_at=None)] == [{}, {}]
    calls.post("/cloud-accounts", {**body, "name": "other"})
    tokens.remove_service_account(made, by=None)
    assert not Attempt.objects.filter(done_at=None).exists(), "what it has entered is gone with it"


def test_a_service_account_s_external_id_is_used_once_and_is_nobody_else_s(robot, amazon, own_identity, acme, alice):
    calls = robot[1]

    def shown(who=calls):
        items = who.get("/cloud-account-types").json()["items"]
        return next(one["external_id"] for one in items if one["type"] == "aws")

    mine = shown()
    assert shown() == mine
    other = tokens.make_service_account(acme, name="other", role="admin", by=alice)
    assert shown(Caller(give_service(other, alice)[1])) != mine
    arn = make_role(amazon, mine, name="of-robot")
    given = {"name": "role", "type": "aws", "credentials": {"method": "role", "role_arn": arn}}
    calls.post("/cloud-accounts", given)
    work()
    assert CloudAccount.objects.get().settings["external_id"] == mine
    assert shown() != mine
    with pytest.raises(LinkError, match="just linked with this external ID"):
        actions.link(
            acme, provider="aws", name="again", settings={"role_arn": arn, "external_id": mine}, secrets={}, by=None
        )


def test_an_account_is_renamed_and_gets_another_key(as_owner, as_viewer, body, amazon, refusing):
    as_owner.post("/cloud-accounts", body)
    work()
    account = CloudAccount.objects.get()
    path = f"/cloud-accounts/{account.pk}"
    answer = as_owner.send("PATCH", path, {"name": "production"})
    assert (answer.status_code, answer.json()["name"]) == (200, "production")
    refusing()
    answer = as_owner.send("PATCH", path, {"credentials": {"secret_access_key": SECRET}})
    assert answer.status_code == 202
    work()
    assert as_owner.client.get(answer["Location"]).json()["state"] == "refused"
    account.refresh_from_db()
    assert account.secrets == {"secret_access_key": amazon.secret_access_key}
    assert as_viewer.send("PATCH", path, {"name": "x"}).status_code == 403
    factories.server(account.organisation, name="taken")
    assert as_owner.send("PATCH", path, {"name": "taken"}).json()["errors"][0]["pointer"] == "/name"
    assert as_owner.send("PATCH", path, {"type": "s3"}).json()["errors"][0]["pointer"] == "/type"


def test_an_account_is_verified_and_unlinked(as_owner, as_stranger, body):
    as_owner.post("/cloud-accounts", body)
    work()
    account = CloudAccount.objects.get()
    answer = as_owner.send("POST", f"/cloud-accounts/{account.pk}/verify")
    work()
    assert as_owner.client.get(answer["Location"]).json()["state"] == "done"
    store = factories.store(account)
    answer = as_owner.send("DELETE", f"/cloud-accounts/{account.pk}")
    assert (answer.status_code, "in use" in answer.json()["detail"]) == (409, True)
    store.delete()
    assert as_stranger.send("DELETE", f"/cloud-accounts/{account.pk}").status_code == 404
    answer = as_owner.send("DELETE", f"/cloud-accounts/{account.pk}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not CloudAccount.objects.exists()


def test_what_each_cloud_asks_for_is_listed_with_its_files(as_owner, alice, account):
    items = {one["type"]: one for one in as_owner.get("/cloud-account-types").json()["items"]}
    assert {*items} == {"aws", "azure", "google", "s3"}
    [secret] = [one for one in items["aws"]["credentials"] if one["name"] == "secret_access_key"]
    assert secret["is_secret"]
    assert items["aws"]["external_id"] == alice.memberships.get().external_id
    assert any(items["aws"]["external_id"] in one["text"] for one in items["aws"]["files"])
    files = as_owner.get(f"/cloud-accounts/{account.pk}/files").json()["items"]
    assert all(one["text"] for one in files)


def test_how_often_backups_are_looked_for(as_owner, as_viewer, account):
    path = f"/cloud-accounts/{account.pk}/looking"
    assert as_viewer.get(path).json() == {
        "hours": 6,
        "calls_a_day": 50_000,
        "calls_today": 0,
        "is_exhausted": False,
    }
    assert as_owner.send("PUT", path, {"hours": 12, "calls_a_day": 1000}).json()["hours"] == 12
    for given in ({"hours": 0, "calls_a_day": 1000}, {"hours": 25, "calls_a_day": 1000}, {"hours": 1}):
        assert as_owner.send("PUT", path, given).status_code == 422
    assert LookBudget.objects.get().hours == 12
    assert as_viewer.send("PUT", path, {"hours": 1, "calls_a_day": 100}).status_code == 403


def test_what_the_console_may_do_in_an_account(as_owner, as_viewer, account):
    path = f"/cloud-accounts/{account.pk}/permissions"
    assert as_viewer.get(path).json()["checks"] == []
    answer = as_owner.send("POST", f"{path}/check", {"region": "Ireland"})
    assert (answer.status_code, answer.json()["is_awaited"]) == (202, True)
    assert Preflight.objects.get().chosen == ["eu-west-1"]
    assert as_owner.send("POST", f"{path}/check", {"region": "mars"}).json()["errors"][0]["pointer"] == "/region"
    line = {"label": "s3:PutObject", "on": "*", "outcome": "fail", "without": "w", "regions": ["eu-west-1"]}
    Preflight.objects.update(content=[line])
    assert as_viewer.get(path, {"region": "eu-west-1"}).json()["checks"][0]["outcome"] == "fail"
    assert as_viewer.get(path, {"region": "us-east-1"}).json()["checks"] == []
    assert as_viewer.get(f"/cloud-accounts/{uuid4()}/permissions").status_code == 404


def test_a_kept_answer_is_ciphertext(as_owner, body):
    from django.db import connection

    as_owner.post("/cloud-accounts", body, key="k1")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT sealed, content FROM {KeptAnswer._meta.db_table}")
        sealed, content = cursor.fetchone()
    assert b"waiting" not in bytes(sealed)
    assert content in {"{}", "null"}
