"""What can be read: whole, page by page, filtered as on the pages, and never another tenant's."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Inventory, Repository
from clusters.pgbackrest.repository import Backup, StanzaState, as_json
from console.accounts import rotation
from console.alerts.models import Alert
from console.audit.models import AuditEvent
from console.operations.models import Operation
from tests import factories
from tests.clusters import judged


def backup(label, at):
    return Backup(label, "full", at - 60, at, 1000, 100, "0" * 24, "0" * 24, "1", False)


@pytest.fixture
def cluster(account):
    """A cluster of two stores, of which something was judged and seen."""
    stores = [
        factories.store(account, name=name, region=region) for name, region in (("a", "eu-west-1"), ("b", "us-east-1"))
    ]
    made = judged.cluster(account, stores=stores, nodes=("n1", "n2"))
    judged.judge(made, Verdict.RECOVERABLE, number=1)
    judged.judge(made, Verdict.AT_RISK, number=2, words="A gap.", backup_at=timezone.now())
    for number, repository in enumerate(made.repositories.order_by("number")):
        backups = [backup(f"2026110{day}-010000F", 1_760_000_000 + day) for day in range(1, 4)]
        content = as_json([StanzaState("n1", "main", "read", backups=backups[number:])])
        Inventory.objects.create(repository=repository, content=content, read_at=timezone.now())
    return made


def walked(caller, path, **query):
    """Return all items of a list, page by page, as often as there are pages."""
    found, cursor = [], ""
    while True:
        page = caller.get(path, {**query, **({"cursor": cursor} if cursor else {})}).json()
        found += page["items"]
        assert len(page["items"]) <= int(query.get("limit", 50))
        if page["next"] is None:
            return found
        cursor = page["next"]


def test_a_list_of_50_stores_takes_six_queries_at_most(as_owner, account, django_assert_max_num_queries):
    made = [factories.store(account, name=f"s{number}") for number in range(51)]
    judged.cluster(account, stores=made[-3:])
    as_owner.get("/me")
    with django_assert_max_num_queries(6):
        found = as_owner.get("/stores").json()
    assert len(found["items"]) == 50
    assert found["next"]
    assert found["items"][0]["cluster_ids"]


@pytest.mark.parametrize("path", ["/clusters", "/verdicts", "/cloud-accounts", "/backups", "/tasks", "/members"])
def test_each_list_takes_as_many_queries_for_ten_as_for_one(
    path, as_owner, account, acme, django_assert_max_num_queries
):
    for number in range(10):
        store = factories.store(account, name=f"s{number}")
        made = judged.cluster(account, name=f"c{number}", stores=[store], databases=("a", "b"))
        judged.judge(made, database="a")
        Inventory.objects.create(repository=made.repositories.get(), content=as_json([StanzaState("n1", "a", "empty")]))
        factories.account(acme, name=f"a{number}")
        factories.user(f"u{number}", acme, "viewer")
        factories.failed_store(account, name=f"f{number}")
    as_owner.get("/me")
    with django_assert_max_num_queries(8):
        found = as_owner.get(path).json()["items"]
    assert len(found) >= 10 or path == "/backups"


def test_a_list_is_walked_by_its_cursor_once_each_newest_first(as_owner, account):
    now = timezone.now()
    for number in range(7):  # three of the same moment
        factories.store(account, name=f"s{number}", created_at=now - timedelta(seconds=number // 3))
    found = walked(as_owner, "/stores", limit="2")
    assert len(found) == len({one["id"] for one in found}) == 7
    assert [one["created_at"] for one in found] == sorted((one["created_at"] for one in found), reverse=True)


def test_a_store_that_comes_meanwhile_moves_no_page(as_owner, account):
    for number in range(4):
        factories.store(account, name=f"s{number}")
    first = as_owner.get("/stores", {"limit": "2"}).json()
    factories.store(account, name="new")
    second = as_owner.get("/stores", {"limit": "2", "cursor": first["next"]}).json()
    assert [one["name"] for one in first["items"] + second["items"]] == ["s3", "s2", "s1", "s0"]
    assert second["next"] is None


def test_stores_are_filtered_as_on_the_page(as_owner, account, acme):
    other = factories.account(acme, name="other")
    factories.store(account, name="orders")
    failed = factories.failed_store(other, name="ledger")
    for query, names in (
        ({"q": "ORD"}, ["orders"]),
        ({"q": str(failed.pk)}, ["ledger"]),
        ({"state": "failed"}, ["ledger"]),
        ({"cloud_account_id": str(account.pk)}, ["orders"]),
        ({"q": "nothing"}, []),
        ({"q": "other"}, ["ledger"]),
        ({"q": "dublin", "state": "available"}, ["orders"]),
        ({"provider": "aws", "region": "eu-west-1", "used": "no", "verdict": "none"}, ["ledger", "orders"]),
        ({"used": "yes"}, []),
    ):
        assert [one["name"] for one in as_owner.get("/stores", query).json()["items"]] == names
    choices = {"state": "available", "verdict": "not_recoverable", "provider": "google", "used": "yes, no"}
    for name, one in choices.items():
        answer = as_owner.get("/stores", {name: "nothing like it"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{name}")
        assert one in answer.json()["errors"][0]["detail"]
    assert as_owner.get(f"/stores/{failed.pk}").json()["task"]["state"] == "failed"


@pytest.mark.parametrize(
    ("region", "names"),
    [
        ("eu-west-1", ["orders"]),
        ("Dublin", ["orders"]),
        ("Ireland", ["orders"]),
        ("eu-west-3", ["ledger"]),
        ("paris", ["ledger"]),
        ("France", ["ledger"]),
        ("dc-1", ["own"]),
        ("eu-north-1", []),
    ],
)
def test_a_region_is_named_by_code_or_place(as_owner, account, region, names):
    for name, code in (("orders", "eu-west-1"), ("ledger", "eu-west-3"), ("own", "dc-1")):
        factories.store(account, name=name, region=code)
    assert [one["name"] for one in as_owner.get("/stores", {"region": region}).json()["items"]] == names


def test_a_server_is_found_by_the_place_where_it_stands(as_owner, account, acme):
    factories.store(account, name="cloud", region="eu-west-1")
    factories.store(account, name="far", region="us-east-1")
    factories.store(factories.server(acme), name="server", region="us-east-1")  # it signs so, and stands in Dublin
    for region, names in (("Dublin", {"cloud", "server"}), ("Ashburn", {"far"}), ("us-east-1", {"far", "server"})):
        assert {one["name"] for one in as_owner.get("/stores", {"region": region}).json()["items"]} == names, region


@pytest.mark.parametrize("region", ["bogus", "dc-1", "-", "\N{SNOWMAN}"])
def test_a_region_that_is_nowhere_is_refused_also_where_another_organisation_has_it(as_owner, charlie, region):
    factories.store(factories.account(charlie.memberships.get().organisation), name="theirs", region="dc-1")
    answer = as_owner.get("/stores", {"region": region})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/region")


def test_another_organisations_account_filters_as_one_that_is_nowhere(as_owner, account, charlie):
    factories.store(account, name="orders")
    theirs = factories.account(charlie.memberships.get().organisation)
    factories.store(theirs, name="theirs")
    answers = [as_owner.get("/stores", {"cloud_account_id": str(one)}) for one in (theirs.pk, uuid4())]
    assert [(one.status_code, one.json()) for one in answers] == [(200, {"items": [], "next": None})] * 2


def test_a_filter_of_alerts_names_its_choices(as_owner):
    for query, told in (({"state": "bogus"}, "open, closed."), ({"severity": "bogus"}, "critical")):
        answer = as_owner.get("/alerts", query).json()
        assert told in answer["errors"][0]["detail"]
    assert "recoverable" in as_owner.get("/verdicts", {"verdict": "bogus"}).json()["errors"][0]["detail"]


def test_a_store_without_access_logs_of_its_own_names_no_bucket_for_them(as_owner, account):
    made = factories.store(account, name="made")
    for name, logs in (("named", {"logs": "named", "logs_into": "elsewhere"}), ("none", {"logs": "none"})):
        factories.store(account, name=name, **logs)
    found = {one["name"]: one["log_bucket"] for one in as_owner.get("/stores").json()["items"]}
    assert found == {"made": made.log_bucket, "named": "elsewhere", "none": ""}


@pytest.mark.parametrize("path", ["/me", "/stores", "/stores/{pk}", "/nothing"])
def test_head_is_answered_as_get_is_without_a_body(as_owner, account, path):
    store = factories.store(account)
    address = f"/api/v1{path.format(pk=store.pk)}"
    got, told = as_owner.client.get(address), as_owner.client.head(address)
    assert (told.status_code, told.content) == (got.status_code, b"")
    assert told["Content-Length"] == str(len(got.content))
    for name in ("Content-Type", "RateLimit-Policy"):
        assert told[name] == got[name]
    assert as_owner.client.head("/api/v1/proximity").status_code == 405


def test_a_cluster_is_told_whole(as_owner, cluster):
    told = as_owner.get(f"/clusters/{cluster.pk}").json()
    assert told == as_owner.get("/clusters").json()["items"][0]
    assert [one["name"] for one in told["nodes"]] == ["n1", "n2"]
    assert told["databases"][0]["name"] == "main"
    assert [(one["store"], one["repository"]) for one in told["attachments"]] == [("a", 1), ("b", 2)]
    assert told["verdict"] == "at_risk"


def test_clusters_are_filtered_as_on_the_page(as_owner, cluster):
    for query, number in (
        ({"verdict": "at_risk", "stores": "yes", "provider": "aws", "state": cluster.state}, 1),
        ({"verdict": "recoverable"}, 0),
        ({"stores": "no"}, 0),
        ({"q": cluster.cloud_account.name}, 1),
        ({"q": "nothing"}, 0),
    ):
        assert len(as_owner.get("/clusters", query).json()["items"]) == number, query
    assert as_owner.get("/clusters", {"stores": "maybe"}).status_code == 422


def test_verdicts_are_the_data_of_the_overview_the_worst_first(as_owner, cluster):
    found = walked(as_owner, "/verdicts", limit="1")
    assert [(one["store"], one["verdict"]) for one in found] == [("b", "at_risk"), ("a", "recoverable")]
    assert found[0]["reasons"] == [{"code": "made_up", "words": "A gap.", "advice": "Do something about it."}]
    assert found[0]["restorable_to"]
    assert found[0]["newest_backup_at"]
    for query, stores in (
        ({"verdict": "recoverable"}, ["a"]),
        ({"store_id": found[0]["store_id"]}, ["b"]),
        ({"cluster_id": str(cluster.pk)}, ["b", "a"]),
        ({"q": "main"}, ["b", "a"]),
        ({"q": "n2"}, []),
    ):
        assert [one["store"] for one in as_owner.get("/verdicts", query).json()["items"]] == stores


def test_backups_are_listed_across_repositories(as_owner, cluster, monkeypatch):
    monkeypatch.setattr("console.api.reading.AT_ONCE", 1)
    found = walked(as_owner, "/backups", limit="2")
    assert [(one["store"], one["label"][6:8]) for one in found] == [
        ("a", "01"),
        ("a", "02"),
        ("a", "03"),
        ("b", "02"),
        ("b", "03"),
    ]
    assert found[0]["completed_at"] == "2025-10-09T08:53:21Z"
    store = found[-1]["store_id"]
    assert len(walked(as_owner, "/backups", store_id=store)) == 2
    assert len(walked(as_owner, "/backups", cluster_id=str(cluster.pk), node="n1", database="main")) == 5
    assert walked(as_owner, "/backups", node="n2") == []


def test_alerts_are_filtered_as_on_the_page(as_owner, acme):
    common = {"organisation": acme, "rule": "task", "group": "a", "weight": 1, "title": "A task failed"}
    opened = Alert.objects.create(key="a", severity="warning", **common)
    Alert.objects.create(key="b", severity="critical", closed_at=timezone.now(), **common)
    for query, states in (
        ({}, ["closed", "open"]),
        ({"state": "open"}, ["open"]),
        ({"severity": "critical"}, ["closed"]),
    ):
        assert [one["state"] for one in as_owner.get("/alerts", query).json()["items"]] == states
    assert as_owner.get(f"/alerts/{opened.pk}").json()["title"] == "A task failed"


def test_tasks_are_filtered_and_outlive_their_subject(as_owner, account):
    failed = factories.failed_store(account)
    for query, number in (
        ({"subject_id": str(failed.pk)}, 1),
        ({"subject_kind": "cluster"}, 0),
        ({"state": "failed"}, 1),
        ({"state": "done"}, 0),
        ({"q": "create"}, 1),
    ):
        found = as_owner.get("/tasks", query).json()["items"]
        assert len(found) == number, query
    told = as_owner.get(f"/tasks/{failed.operation_id}").json()
    assert (told["state"], told["is_finished"], told["error"]) == ("failed", True, "AWS refused it.")


def test_waiting_for_a_task_ends_with_it_and_gives_the_connection_back(as_owner, account, monkeypatch):
    failed = factories.failed_store(account)
    Operation.objects.update(state="running", finished_at=None, error="")
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            Operation.objects.update(state="done", finished_at=timezone.now())

    given_back = []
    monkeypatch.setattr("console.api.task_calls.time.sleep", sleep)
    monkeypatch.setattr("console.api.task_calls.database.give_back", lambda: given_back.append(len(looks)))
    told = as_owner.get(f"/tasks/{failed.operation_id}", {"wait": "30"}).json()
    assert told["state"] == "done"
    assert len(looks) == 3
    assert given_back == [0, 1, 2], "no connection while it sleeps"


def test_waiting_is_over_when_it_is_and_takes_few_threads(as_owner, account):
    failed = factories.failed_store(account)
    Operation.objects.update(state="running", finished_at=None, error="")
    assert as_owner.get(f"/tasks/{failed.operation_id}", {"wait": "1"}).json()["state"] == "running"
    from console.api.task_calls import WAITERS

    taken = 0
    while WAITERS.acquire(blocking=False):
        taken += 1
    try:
        began = timezone.now()
        as_owner.get(f"/tasks/{failed.operation_id}", {"wait": "30"})
        assert timezone.now() - began < timedelta(seconds=20), "too many wait: the answer comes at once"
    finally:
        for _ in range(taken):
            WAITERS.release()


def test_the_audit_log_is_for_who_may_see_it(as_owner, as_viewer):
    found = as_owner.get("/audit", {"action": "Created an API token"}).json()["items"]
    assert {one["who"] for one in found} == {"alice", "bob"}
    answer = as_viewer.get("/audit")
    assert (answer.status_code, answer["X-Accepted-Permissions"]) == (403, "see_audit")


def test_nothing_of_another_tenant_is_read(as_owner, as_stranger, cluster, account, acme):
    store = factories.failed_store(account, name="mine")
    alert = Alert.objects.create(
        organisation=acme, key="a", severity="warning", rule="task", group="a", weight=1, title="A"
    )
    paths = [
        f"/stores/{store.pk}",
        f"/cloud-accounts/{account.pk}",
        f"/clusters/{cluster.pk}",
        f"/alerts/{alert.pk}",
        f"/tasks/{store.operation_id}",
    ]
    for path in paths:
        assert as_owner.get(path).status_code == 200, path
        assert as_stranger.get(path).status_code == 404, path
    for path in ("/stores", "/cloud-accounts", "/clusters", "/verdicts", "/backups", "/alerts", "/tasks"):
        assert as_owner.get(path).json()["items"], path
        assert as_stranger.get(path).json()["items"] == [], path
    assert {one["who"] for one in as_stranger.get("/audit").json()["items"]} == {"charlie"}
    assert [one["username"] for one in as_stranger.get("/members").json()["items"]] == ["charlie"]
    for query in ({"cluster_id": str(cluster.pk)}, {"store_id": str(cluster.repositories.first().store_id)}):
        assert as_stranger.get("/backups", query).json()["items"] == []
        assert as_stranger.get("/verdicts", query).json()["items"] == []
    assert Repository.objects.exists()
    assert AuditEvent.objects.exists()


def test_no_call_shows_a_secret(as_owner, cluster, account):
    """Whatever is encrypted at rest, in all that the owner can read with every scope."""
    for model, name in rotation.fields():
        for row in model._base_manager.all():
            setattr(row, name, dict.fromkeys(getattr(row, name) or {"key": ""}, f"marked-secret-{model.__name__}"))
            row.save()
    assert cluster.repositories.first().passphrase == "marked-secret-Repository"
    factories.failed_store(account, name="failed")
    paths = ("/stores", "/cloud-accounts", "/clusters", "/verdicts", "/backups", "/alerts", "/tasks", "/audit", "/me")
    lists = {path: as_owner.get(path) for path in paths}
    rows = [f"{path}/{one['id']}" for path in (*paths[:3], "/tasks") for one in lists[path].json()["items"]]
    shown = [one.content.decode() for one in (*lists.values(), *map(as_owner.get, rows))]
    assert len(shown) > 12
    assert "marked-secret" not in "".join(shown)
