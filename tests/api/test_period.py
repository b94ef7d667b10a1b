"""Evidence of a period, and the distances of a choice of stores, by the API as on the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import DrillRun, KnownStanza
from tests import factories
from tests.clusters import judged

AT = timezone.now().replace(microsecond=0) - timedelta(days=3)


@pytest.fixture
def cluster(account):
    near = factories.store(account, name="near", region="eu-west-1")
    return judged.cluster(account, stores=[near, factories.store(account, name="far", region="us-east-1")])


@pytest.fixture
def known(cluster, acme):
    label = f"{AT:%Y%m%d-%H%M%S}F"
    judged.judge(cluster)
    of = {"organisation": acme, "cluster": cluster, "cluster_name": cluster.name, "store": "near", "number": 1}
    of["due_at"] = timezone.now()
    what = {"node": "n1", "database": "main", "what": "restore", "state": "failed", "words": "The disk is full."}
    DrillRun.objects.create(**of, **what)
    return KnownStanza.objects.create(
        repository=cluster.repositories.get(number=1),
        node="n1",
        name="main",
        backups={label: {"label": label, "stopped": int(AT.timestamp())}},
        retentions=[{"by_time": True, "full": 14, "diff": None, "since": AT.isoformat()}],
        made=[[label, int(AT.timestamp()), 90, 1_000_000]],
    )


def test_evidence_is_what_the_page_has(as_owner, known, cluster):
    told = as_owner.get("/evidence").json()
    [row] = told["databases"]
    assert (row["database"], row["full"], row["diff"], row["stored_bytes"]) == ("main", 1, 0, 1_000_000)
    assert (row["verdict"], row["retention"], row["is_planned"]) == ("recoverable", "14 days", True)
    assert [one["words"] for one in told["drill_runs"]] == ["The disk is full."]
    assert told["events"]
    earlier = f"{AT - timedelta(days=1):%Y-%m-%d}"
    told = as_owner.get("/evidence", {"since": earlier, "until": earlier, "cluster_id": str(cluster.pk)}).json()
    assert (told["databases"][0]["full"], told["drill_runs"], told["cluster_id"]) == (0, [], str(cluster.pk))


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-02-30"}, "/since"),
        ({"since": "2999-01-01"}, "/since"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "/until"),
        ({"since": "2000-01-01", "until": "2026-01-01"}, "/since"),
        ({"cluster_id": "00000000-0000-4000-8000-000000000000"}, "/cluster_id"),
    ],
    ids=str,
)
def test_a_period_that_cannot_be_is_refused(as_owner, known, asked, pointer):
    answer = as_owner.get("/evidence", asked)
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def test_evidence_is_the_organisation_s_own(as_viewer, as_stranger, as_owner, known, cluster, charlie, acme):
    charlie.memberships.update(role="owner")
    assert as_viewer.get("/evidence").status_code == 403
    told = as_stranger.get("/evidence")
    assert "main" not in str(told.json()["databases"])
    assert as_stranger.get("/evidence", {"cluster_id": str(cluster.pk)}).status_code == 422
    acme.edition = "developer"
    acme.save()
    assert as_owner.get("/evidence").status_code == 403


# Proximity


def stores(cluster, *names):
    return [str(one.pk) for one in cluster.stores.filter(name__in=names)]


def test_a_choice_is_judged_for_a_cluster_and_for_a_plan(as_viewer, cluster, account):
    told = as_viewer.post("/proximity", {"cluster_id": str(cluster.pk), "store_ids": stores(cluster, "near")}).json()
    assert (told["is_good"], told["nodes"][0]["km"]) == (True, 0)
    far = {"cloud_account_id": str(account.pk), "regions": ["Ireland"], "store_ids": stores(cluster, "far")}
    told = as_viewer.post("/proximity", far).json()
    [node] = told["nodes"]
    assert (told["is_good"], node["store_region"], node["nearer_km"]) == (False, "us-east-1", 0)
    assert node["nearer_store_id"] in stores(cluster, "near")
    assert (node["km"] > 4000, node["round_trip_ms"] > 50) == (True, True)
    told = as_viewer.post("/proximity", {**far, "store_ids": []}).json()
    assert (told["nodes"][0]["store_id"], told["nodes"][0]["km"]) == (None, None)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"cloud_account_id": None}, "/cluster_id"),
        ({"cluster_id": "00000000-0000-4000-8000-000000000000"}, "/cluster_id"),
        ({"cloud_account_id": "00000000-0000-4000-8000-000000000000"}, "/cloud_account_id"),
        ({"regions": ["Atlantis"]}, "/regions"),
        ({"store_ids": ["x"]}, "/store_ids/0"),
    ],
    ids=str,
)
def test_a_choice_that_cannot_be_is_refused(as_owner, cluster, account, changed, pointer):
    given = {"cloud_account_id": str(account.pk), "regions": ["eu-west-1"], "store_ids": [], **changed}
    answer = as_owner.post("/proximity", given)
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


def test_nobody_else_s_cluster_account_or_store_is_judged(as_stranger, cluster, account):
    for given in ({"cluster_id": str(cluster.pk)}, {"cloud_account_id": str(account.pk), "regions": ["eu-west-1"]}):
        answer = as_stranger.post("/proximity", {**given, "store_ids": stores(cluster, "near")})
        assert answer.status_code == 422
        assert "near" not in answer.json()["detail"]
