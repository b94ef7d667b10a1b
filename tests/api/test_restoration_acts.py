"""After a copy was restored, by the API: what differs is shown, settled and ended; and the overview, and files."""

from __future__ import annotations

import csv
from datetime import timedelta
from io import StringIO

import pytest
from django.utils import timezone

from console.audit.models import AuditEvent
from console.restoration import actions
from console.restoration.models import Decision, NodeFile, Restoration
from tests import factories
from tests.api.callers import Caller, give, give_service
from tests.clusters import judged
from tests.restoration.pasted import FILE
from tests.restoration.work import at_work


@pytest.fixture
def held(account):
    return at_work(account, "delete", "deleting")


@pytest.fixture
def begun(acme, alice, held):
    """What a copy begins; tokens of before are ended by it."""
    actions.begin("A test said so")
    return Restoration.objects.get(organisation=acme)


@pytest.fixture
def owner(begun, alice):
    return Caller(give(alice)[1])


def test_nothing_is_to_be_settled_where_no_copy_was_restored(as_owner, as_viewer):
    assert as_viewer.get("/restoration").json()["is_open"] is False
    for path, body in (("look", None), ("end", None), ("settle", {"key": "members"})):
        answer = as_owner.send("POST", f"/restoration/{path}", body)
        assert (answer.status_code, "not restored" in answer.json()["detail"]) == (409, True), path


def test_what_differs_is_shown_and_settled(owner, begun, alice, charlie):
    told = owner.get("/restoration").json()
    keys = {one["key"]: one for one in told["open"]}
    assert told["is_open"]
    assert keys["members"]["can_be_left"]
    [task] = [one for one in told["open"] if one["kind"] == "task"]
    answer = owner.send("POST", "/restoration/settle", {"key": task["key"]})
    assert (answer.status_code, "cannot be left" in answer.json()["detail"]) == (409, True)
    assert owner.send("POST", "/restoration/settle", {"key": "a\x00"}).status_code == 422
    few = Caller(give(alice, "see_stores", "manage_stores")[1])
    answer = few.send("POST", "/restoration/settle", {"key": "members"})
    assert (answer.status_code, answer["X-Accepted-Permissions"]) == (403, "manage_members")
    robot = Caller(give_service(begun.organisation.service_accounts.create(name="robot", role="owner"), alice)[1])
    told = robot.send("POST", "/restoration/settle", {"key": "members"}).json()
    assert [one["settled_by"] for one in told["settled"]] == ["robot (service account)"]
    assert Decision.objects.get().by is None
    answer = owner.send("POST", "/restoration/end")
    assert (answer.status_code, "not settled yet" in answer.json()["detail"]) == (409, True)
    assert owner.send("POST", "/restoration/look").status_code == 202


@pytest.mark.parametrize(("verb", "state"), [("go-on", "waiting"), ("give-up", "cancelled")])
def test_a_held_task_goes_on_or_is_given_up(owner, held, verb, state, charlie, alice):
    pk = held.pk
    stranger = Caller(give(charlie)[1])
    assert stranger.send("POST", f"/restoration/tasks/{pk}/{verb}").status_code == 404
    answer = owner.send("POST", f"/restoration/tasks/{pk}/{verb}")
    assert (answer.status_code, answer.json()["state"]) == (202, state)
    assert answer["Location"] == f"/api/v1/tasks/{pk}"
    assert owner.send("POST", f"/restoration/tasks/{pk}/{verb}").status_code == 409


def test_a_nodes_file_is_brought_and_never_shown(owner, account, as_viewer):
    body = {"cloud_account_id": str(account.pk), "text": FILE, "name": "orders"}
    for wrong, pointer in (
        ({"text": "nothing"}, "/text"),
        ({"text": ""}, "/text"),
        ({"cloud_account_id": "x"}, "/cloud_account_id"),
        ({"cloud_account_id": "00000000-0000-4000-8000-000000000000"}, "/cloud_account_id"),
    ):
        answer = owner.post("/restoration/node-file", {**body, **wrong})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    answer = owner.post("/restoration/node-file", body, key="k1")
    assert (answer.status_code, answer.json()["is_awaited"]) == (202, True)
    assert NodeFile.objects.get().entered == {"text": FILE}
    assert "cipher" not in owner.get("/restoration").content.decode()


# Numbers and files


def test_the_overview_in_numbers(as_viewer, as_stranger, account):
    judged.judge(judged.cluster(account, stores=[factories.store(account)]))
    told = as_viewer.get("/overview").json()
    assert told["databases"] == sum(one["count"] for one in told["by_verdict"]) > 0
    assert told["places"][0]["stores"] == 1
    assert as_stranger.get("/overview").json()["databases"] == 0


def test_audit_events_are_taken_away_as_a_file(as_owner, as_viewer, as_stranger, account):
    as_owner.post("/stores", {"name": "=orders", "cloud_account_id": str(account.pk), "region": "eu-west-1"})
    answer = as_owner.get("/audit.csv", {"action": "Create Backup Store"})
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert [one["name"] for one in rows] == ["'=orders"]
    assert AuditEvent.objects.get(action="Downloaded audit events").token.startswith("ci (sk_")
    assert as_viewer.get("/audit.csv").status_code == 403
    assert "orders" not in as_stranger.get("/audit.csv").getvalue().decode()
    assert as_owner.get("/audit.csv", {"since": "2026-02-30"}).json()["errors"][0]["pointer"] == "/since"
    assert as_owner.get("/audit.csv", {"format": "xls"}).status_code == 422


def test_backups_of_a_period_are_taken_away_as_a_file(as_owner, as_viewer, acme):
    answer = as_owner.get("/evidence/backups.csv")
    assert answer.getvalue().decode().startswith("cluster,store,")
    assert AuditEvent.objects.filter(action="Downloaded the backups of a period").exists()
    tomorrow = str((timezone.now() + timedelta(days=2)).date())
    for query, pointer in (
        ({"since": tomorrow}, "/since"),
        ({"cluster_id": "00000000-0000-4000-8000-000000000000"}, "/cluster_id"),
        ({"until": "2020-01-01"}, "/until"),
    ):
        assert as_owner.get("/evidence/backups.csv", query).json()["errors"][0]["pointer"] == pointer
    assert as_viewer.get("/evidence/backups.csv").status_code == 403
    acme.edition = "developer"
    acme.save()
    assert as_owner.get("/evidence/backups.csv").status_code == 403
