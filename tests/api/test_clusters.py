"""Clusters are changed by the rules of the pages: whole in one call, stale ETags refused, detaching told of first."""

from __future__ import annotations

import pytest

from clusters.health.verdicts import Verdict
from clusters.models import Attachment, BackupPolicy, Cluster, Database, Enrolment, Node, RemovedNode, Repository
from console.api import tokens
from console.api.models import KeptAnswer
from console.audit.models import AuditEvent
from console.operations.models import Operation
from tests import factories
from tests.api.callers import Caller, give_service
from tests.clusters import judged

MAIN = {"name": "main", "postgresql": "15", "data_directory": "/var/lib/postgresql/15/main", "port": 5432}


@pytest.fixture
def stores(account):
    return [factories.store(account, name=name) for name in ("a", "b")]


@pytest.fixture
def cluster(account, stores):
    return judged.cluster(account, stores=stores, nodes=("n1", "n2"), nodes_made=2)


@pytest.fixture
def there(cluster):
    return f"/clusters/{cluster.pk}"


def etag(caller, there):
    return {"If-Match": caller.get(there)["ETag"]}


def pointers(answer):
    assert answer.status_code == 422, answer.content
    return [one["pointer"] for one in answer.json()["errors"]]


# Created


@pytest.fixture
def body(account, stores):
    return {
        "name": "orders",
        "cloud_account_id": str(account.pk),
        "regions": ["eu-west-1", "Paris"],
        "store_ids": [str(stores[0].pk)],
        "databases": [MAIN],
    }


def test_a_cluster_is_created_whole_in_one_call(as_owner, body, alice):
    answer = as_owner.post("/clusters", body, key="k1")
    told, cluster = answer.json(), Cluster.objects.get()
    assert answer.status_code == 202
    assert (told["id"], told["state"]) == (str(cluster.pk), "creating")
    assert [(one["name"], one["region"]) for one in told["nodes"]] == [("n1", "eu-west-1"), ("n2", "eu-west-3")]
    assert told["databases"] == [{**MAIN, "folder": ""}]
    assert [one["store_id"] for one in told["attachments"]] == body["store_ids"]
    assert answer["Location"] == f"/api/v1/tasks/{cluster.operation_id}"
    assert as_owner.post("/clusters", body, key="k1").json() == told
    assert Cluster.objects.count() == 1
    event = AuditEvent.objects.get(action="Create Cluster")
    assert event.actor == alice
    assert event.token.startswith("ci (sk_")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"regions": []}, "/regions"),
        ({"regions": ["mars"]}, "/regions"),
        ({"regions": ["eu-west-1"] * 21}, "/regions"),
        ({"store_ids": ["00000000-0000-4000-8000-000000000000"]}, "/store_ids"),
        ({"cloud_account_id": "00000000-0000-4000-8000-000000000000"}, "/cloud_account_id"),
        ({"databases": [{**MAIN, "postgresql": "9"}]}, "/databases/0/postgresql"),
        ({"databases": [{**MAIN, "port": 10**100}]}, "/databases/0/port"),
        ({"databases": [MAIN, {**MAIN, "name": "more", "data_directory": "/var/lib/more"}]}, "/databases/1/port"),
        ({"databases": [{**MAIN, "colour": "red"}]}, "/databases/0/colour"),
    ],
    ids=lambda given: str(given)[:60],
)
def test_what_is_wrong_creates_nothing(as_owner, body, changed, pointer):
    assert pointers(as_owner.post("/clusters", {**body, **changed})) == [pointer]
    assert not Cluster.objects.exists()
    assert not Repository.objects.exists()
    assert not Operation.objects.exists()


def test_another_organisations_account_and_store_are_none(as_stranger, body):
    assert pointers(as_stranger.post("/clusters", body)) == ["/cloud_account_id"]


def test_a_name_that_is_taken_is_refused(as_owner, body, cluster):
    assert pointers(as_owner.post("/clusters", body)) == ["/name"]
    assert Cluster.objects.count() == 1


# ETags


def test_an_etag_is_of_what_was_chosen_and_of_nothing_that_happens(as_owner, cluster, there):
    first = as_owner.get(there)["ETag"]
    Cluster.objects.update(state="updating")
    Attachment.objects.update(state="attaching")
    Node.objects.update(applied_version="2.55.1", applied_sha256="0" * 64)
    judged.judge(cluster, Verdict.AT_RISK)
    assert as_owner.get(there)["ETag"] == first
    seen = {first}
    for change in (
        lambda: Cluster.objects.update(rpo_minutes=60),
        lambda: Cluster.objects.update(version=2),
        lambda: Node.objects.filter(name="n2").update(address="db2"),
        lambda: Node.objects.filter(name="n2").delete(),
        lambda: Database.objects.update(port=5433),
        lambda: BackupPolicy.objects.update(full_schedule="0 2 * * 0"),
        lambda: Attachment.objects.filter(repository__number=2).update(state="detaching"),
    ):
        change()
        now = as_owner.get(there)["ETag"]
        assert now not in seen
        seen.add(now)


def test_of_two_with_the_same_etag_the_second_is_told(as_owner, there):
    match = etag(as_owner, there)
    assert as_owner.send("PATCH", there, {"rpo_minutes": 60}, **match).json()["rpo_minutes"] == 60
    stale = as_owner.send("PATCH", there, {"rpo_minutes": 120}, **match)
    assert stale.status_code == 412
    assert as_owner.get(there).json()["rpo_minutes"] == 60
    for other in ('"1-0000000000000000"', "W/x", "nothing"):
        assert as_owner.send("PATCH", there, {"rpo_minutes": 120}, **{"If-Match": other}).status_code == 412
    assert as_owner.send("PATCH", there, {"rpo_minutes": None}).json()["rpo_minutes"] is None


@pytest.mark.parametrize("path", ["", "/nodes/n2", "/databases/main"], ids=lambda path: path or "cluster")
def test_nothing_is_taken_away_without_an_etag(as_owner, there, path):
    assert as_owner.delete(f"{there}{path}").status_code == 428
    assert (Cluster.objects.count(), Node.objects.count(), Database.objects.count()) == (1, 2, 1)
    assert not Operation.objects.exists()


# Stores


@pytest.mark.slow
def test_detaching_says_what_it_means_and_wants_its_yes_and_an_etag(as_owner, cluster, stores, there):
    first, second = (str(one.pk) for one in stores)
    asked = {"store_ids": [first]}
    told = as_owner.post(f"{there}/attachments/preview", asked).json()
    assert (told["attach"], told["detach"]) == ([], [second])
    assert told["consequences"]
    assert as_owner.send("PUT", f"{there}/attachments", {**asked, "detach": [second]}).status_code == 428
    match = etag(as_owner, there)
    for detach in ([], [first], [first, second]):
        answer = as_owner.send("PUT", f"{there}/attachments", {**asked, "detach": detach}, **match)
        assert {*pointers(answer)} == {"/detach"}
        assert [one["detail"] for one in answer.json()["errors"]][1:] == told["consequences"]
    assert {one.state for one in Attachment.objects.all()} == {"attached"}
    assert not Operation.objects.exists()
    done = as_owner.send("PUT", f"{there}/attachments", {**asked, "detach": [second]}, **match)
    assert (done.status_code, done["Location"]) == (202, f"/api/v1/tasks/{Operation.objects.get().pk}")
    assert Attachment.objects.get(store=second).state == "detaching"
    assert as_owner.send("PUT", f"{there}/attachments", asked, **match).status_code == 412
    assert as_owner.send("PUT", f"{there}/attachments", {"store_ids": [first, second]}).status_code == 409, "busy"


def test_attaching_wants_no_etag_and_what_is_there_already_is_no_task(as_owner, cluster, stores, there, account):
    third = factories.store(account, name="c")
    has = [str(one.pk) for one in stores]
    same = as_owner.send("PUT", f"{there}/attachments", {"store_ids": has})
    assert same.status_code == 200
    assert "Location" not in same
    more = as_owner.send("PUT", f"{there}/attachments", {"store_ids": [*has, str(third.pk)]})
    assert (more.status_code, len(more.json()["attachments"])) == (202, 3)


def test_a_strangers_store_is_not_attached(as_owner, charlie, there):
    theirs = factories.store(factories.account(charlie.memberships.get().organisation), name="theirs")
    asked = {"store_ids": [str(theirs.pk)], "detach": []}
    assert pointers(as_owner.post(f"{there}/attachments/preview", asked)) == ["/store_ids"]
    assert pointers(as_owner.send("PUT", f"{there}/attachments", asked, **{"If-Match": "*"})) == ["/store_ids"]


# Nodes and databases


@pytest.mark.slow
def test_nodes_come_and_go(as_owner, caller, alice, there):
    assert as_owner.post(f"{there}/nodes", {"regions": ["eu-west-3"], "follows": "n1"}).status_code == 201
    told = as_owner.get(there).json()["nodes"]
    assert [(one["name"], one["folder"]) for one in told] == [("n1", "n1"), ("n2", "n2"), ("n3", "n1")]
    assert pointers(as_owner.post(f"{there}/nodes", {"regions": ["eu-west-3"], "follows": "n9"})) == ["/follows"]
    for name in ("n3", "n2"):
        assert as_owner.send("DELETE", f"{there}/nodes/{name}", **etag(as_owner, there)).status_code == 200
    assert as_owner.send("DELETE", f"{there}/nodes/n1", **etag(as_owner, there)).status_code == 409, "the last one"
    without = caller(alice, "see_stores", "manage_clusters")
    assert without.delete(f"{there}/removed-nodes/n2").status_code == 409, "nobody has looked into its folder"
    assert RemovedNode.objects.count() == 2
    assert as_owner.delete(f"{there}/removed-nodes/n2").status_code == 200, "who may let go may do so"
    assert as_owner.send("DELETE", f"{there}/removed-nodes/n7").status_code == 404


@pytest.mark.slow
def test_a_node_is_changed_in_all_or_in_nothing(as_owner, stores, there):
    given = {
        "os_user": "pg",
        "differences": [{"database": "main", "port": 5499, "service": "postgresql@15-main"}],
        "pgbackrest_version": "2.55",
        "address": "db1.example.com",
        "writes_to": "chosen",
        "store_ids": [str(stores[1].pk)],
    }
    wrong = as_owner.send("PATCH", f"{there}/nodes/n1", {**given, "store_ids": []})
    assert pointers(wrong) == ["/store_ids"]
    assert Node.objects.get(name="n1").os_user == "postgres", "nothing of it is kept"
    assert as_owner.send("PATCH", f"{there}/nodes/n1", given).status_code == 200
    told = as_owner.get(f"{there}/nodes/n1").json()
    for name in ("os_user", "address", "writes_to", "store_ids"):
        assert told[name] == given[name]
    assert told["pgbackrest_chosen"] == "2.55"
    assert told["differences"] == [{**given["differences"][0], "data_directory": ""}]
    assert "repo2-" in told["pgbackrest_conf"]
    as_owner.send("PATCH", f"{there}/nodes/n1", {"system": "rpm"})
    told = as_owner.get(f"{there}/nodes/n1").json()
    assert (told["system"], told["os_user"], told["address"]) == ("rpm", "pg", "db1.example.com")
    assert told["differences"], "what is not sent stays"


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"os_user": "a b"}, "/os_user"),
        ({"system": "plan9"}, "/system"),
        ({"differences": [{"database": "other"}]}, "/differences/0/database"),
        ({"differences": [{"database": "main", "port": 0}]}, "/differences/0/port"),
        ({"differences": [{"database": "main", "data_directory": "here"}]}, "/differences/0/data_directory"),
        ({"pgbackrest_version": "1"}, "/pgbackrest_version"),
        ({"follows": "n1"}, "/follows"),
        ({"ssh_port": 70_000}, "/ssh_port"),
        ({"address": "a b"}, "/address"),
        ({"writes_to": "everywhere"}, "/writes_to"),
        ({"writes_to": None}, "/writes_to"),
    ],
    ids=str,
)
def test_what_a_node_cannot_be_is_refused_where_it_stands(as_owner, there, given, pointer):
    assert pointers(as_owner.send("PATCH", f"{there}/nodes/n1", given)) == [pointer]


def test_databases_come_and_go(as_owner, there):
    more = {"name": "more", "postgresql": "15", "data_directory": "/var/lib/more", "port": 5433}
    assert as_owner.post(f"{there}/databases", more).status_code == 201
    assert {*pointers(as_owner.post(f"{there}/databases", more))} == {"/name", "/port", "/data_directory"}
    gone = as_owner.send("DELETE", f"{there}/databases/main", **etag(as_owner, there))
    assert [one["name"] for one in gone.json()["databases"]] == ["more"]


@pytest.mark.slow
def test_policies_of_a_cluster_and_of_a_node(as_owner, there):
    told = as_owner.send("PATCH", f"{there}/policy", {"retention_full": 30, "io_timeout": 5}).json()
    assert (told["policy"]["retention_full"], told["policy"]["io_timeout"]) == (30, 5)
    assert told["policy"]["full_schedule"] == "0 1 * * 0", "what is not sent stays"
    own = as_owner.send("PATCH", f"{there}/nodes/n2/policy", {"full_schedule": "0 3 * * 6"}).json()["nodes"][1]
    assert (own["policy"]["full_schedule"], own["policy"]["retention_full"]) == ("0 3 * * 6", 30)
    assert as_owner.send("DELETE", f"{there}/nodes/n2/policy").json()["nodes"][1]["policy"] is None
    for given, pointer in (
        ({"full_schedule": "each day"}, "/full_schedule"),
        ({"retention_full": 0}, "/retention_full"),
        ({"retention_type": "mood"}, "/retention_type"),
        ({"io_timeout": 10**9}, "/io_timeout"),
        ({"backup_from": "standby"}, "/backup_from"),
        ({"retention_full": 3, "io_timeout": 0}, "/io_timeout"),
    ):
        assert pointers(as_owner.send("PATCH", f"{there}/policy", given)) == [pointer]
    assert as_owner.get(there).json()["policy"]["retention_full"] == 30


# Deleted


def test_a_cluster_with_stores_is_not_deleted_and_one_with_backups_asks_for_its_kit(as_owner, cluster, there):
    match = etag(as_owner, there)
    assert pointers(as_owner.send("DELETE", there, **match)) == ["/kit_taken"]
    refused = as_owner.send("DELETE", f"{there}?kit_taken=true", **match)
    assert (refused.status_code, "are attached" in refused.json()["detail"]) == (409, True)
    assert Cluster.objects.get().state == "available"
    Attachment.objects.all().delete()
    done = as_owner.send("DELETE", f"{there}?kit_taken=true", **etag(as_owner, there))
    assert (done.status_code, done.json()["state"]) == (202, "deleting")
    assert as_owner.client.get(done["Location"]).status_code == 200


# Secrets


def test_files_with_secrets_are_written_down_and_are_for_their_scope(as_owner, caller, alice, there):
    files = ("setup.sh", "pgbackrest.conf")
    for name in files:
        text = as_owner.get(f"{there}/nodes/n1/{name}")
        assert Repository.objects.get(number=1).passphrase in text.content.decode()
        assert "no-store" in text["Cache-Control"]
    shown = AuditEvent.objects.filter(action__startswith="Was shown")
    assert shown.count() == len(files)
    assert all(one.token.startswith("ci (sk_") for one in shown)
    without = caller(alice, "see_stores", "manage_clusters")
    for name in files:
        assert without.get(f"{there}/nodes/n1/{name}").status_code == 403
    assert "passphrase" not in without.get(f"{there}/nodes/n1/crontab").content.decode()
    Database.objects.all().delete()
    assert as_owner.get(f"{there}/nodes/n1/setup.sh").status_code == 409


def test_a_kit_holds_the_passphrases_of_its_cluster_alone(as_owner, account, stores, cluster, there):
    other = judged.cluster(account, name="other", stores=stores[:1])
    kit = as_owner.get(f"{there}/kit").content.decode()
    assert all(one.passphrase in kit for one in cluster.repositories.all())
    assert other.repositories.get().passphrase not in kit
    one = cluster.repositories.get(number=2)
    assert one.passphrase in as_owner.get(f"/repositories/{one.pk}/kit").content.decode()
    assert Repository.objects.exclude(kit_taken_at=None).count() == 2


def test_an_enrolments_token_is_shown_once_kept_nowhere_and_is_a_persons(as_owner, acme, alice, cluster):
    asked = {"cluster_ids": [str(cluster.pk)], "hours": 8, "machines": "db1 n1"}
    made = as_owner.post("/enrolments", asked, key="k1")
    assert made.status_code == 201
    token, told = made.json()["token"], as_owner.get(f"/enrolments/{made.json()['id']}").json()
    assert "token" not in told
    assert [(one["node"], one["hostname"]) for one in told["places"]] == [("n1", "db1")]
    assert not KeptAnswer.objects.exists(), "it would keep the token"
    assert token not in str([*Enrolment.objects.values(), *AuditEvent.objects.values()])
    again = as_owner.post(f"/enrolments/{told['id']}/places/{told['places'][0]['id']}/again", {})
    assert again.status_code == 409, "it was not taken"
    assert as_owner.post(f"/enrolments/{told['id']}/revoke", {}).json()["is_open"] is False
    for given, pointer in (
        ({"hours": 3}, "/hours"),
        ({"cluster_ids": []}, "/cluster_ids"),
        ({"machines": "x"}, "/machines"),
    ):
        assert pointers(as_owner.post("/enrolments", {**asked, **given})) == [pointer]
    account = tokens.make_service_account(acme, name="ci", role="admin", by=alice)
    refused = Caller(give_service(account, alice)[1]).post("/enrolments", asked)
    assert (refused.status_code, "person" in refused.json()["detail"]) == (409, True)


def test_a_report_token_and_a_passphrase_are_replaced(as_owner, cluster, there):
    before = Node.objects.get(name="n1").secrets["report_token"]
    assert as_owner.post(f"{there}/nodes/n1/token", {"how": "at_once"}).status_code == 200
    assert Node.objects.get(name="n1").secrets["report_token"] != before
    assert pointers(as_owner.post(f"{there}/nodes/n1/token", {"how": "never"})) == ["/how"]
    old = cluster.repositories.get(number=1)
    made = as_owner.post(f"/repositories/{old.pk}/passphrase", {}).json()
    assert (made["repository"], made["in_use"]) == (3, True)
    left = as_owner.get("/repositories", {"in_use": "false"}).json()["items"]
    assert [one["id"] for one in left] == [old.pk]
    kept = as_owner.delete(f"/repositories/{old.pk}")
    assert kept.status_code == 409, "nobody has seen its folder empty"
    assert Repository.objects.filter(pk=old.pk).exists()


def test_drills_are_planned_changed_and_removed(as_owner, there):
    plan = as_owner.post(f"{there}/drills", {"what": "verify", "database": "main", "schedule": "0 4 * * 0"}).json()
    assert (plan["what"], plan["database"], plan["machine"]) == ("verify", "main", "")
    changed = as_owner.send("PATCH", f"{there}/drills/{plan['id']}", {"machine": "drills-1"}).json()
    assert (changed["machine"], changed["schedule"], changed["database"]) == ("drills-1", "0 4 * * 0", "main")
    assert as_owner.get(f"{there}/drills").json()["items"] == [changed]
    for given, pointer in (({"node": "n7"}, "/node"), ({"schedule": "x"}, "/schedule"), ({"what": "hope"}, "/what")):
        assert pointers(as_owner.post(f"{there}/drills", given)) == [pointer]
    assert as_owner.get(f"{there}/drills/{plan['id']}/setup.sh").status_code == 200
    assert as_owner.delete(f"{there}/drills/{plan['id']}").json() == changed
    assert as_owner.get(f"{there}/drills").json()["items"] == []
