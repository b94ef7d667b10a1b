"""What `/metrics` says of each database: every verdict, nothing that is not known, and names that end nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from clusters.health.verdicts import Verdict
from clusters.metrics import LABELS, STATUS, exposition
from clusters.models import Cluster, Health, Node, Repository
from tests import factories

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOSTILE = 'a "b" \\ }\nstorekeeper_databases{verdict="recoverable"} 99'


@pytest.fixture
def judge(acme, account):
    """A function that makes a judged database, with a store and a node of its own."""
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="orders")

    def judge(store="archive", database="main", **values):
        made = factories.store(account, name=store)
        number = cluster.repositories.count() + 1
        repository = Repository.objects.create(cluster=cluster, number=number, store=made)
        Node.objects.create(
            cluster=cluster, name=f"n{number}", region="eu-west-1", reported_at=values.pop("said", None)
        )
        keys = {"organisation": acme, "cluster": cluster, "repository": repository, "node": f"n{number}"}
        return Health.objects.create(**keys, database=database, **values)

    return judge


def families(**values):
    text = exposition(**{"with_names": True, **values})
    return {one.name: one.samples for one in text_string_to_metric_families(text)}


def value(found, name, **labels):
    rows = [one.value for one in found[f"storekeeper_{name}"] if labels.items() <= one.labels.items()]
    assert len(rows) == 1, (name, labels, rows)
    return rows[0]


def test_each_database_is_told_with_its_cluster_store_and_number(judge):
    made = judge(
        said=AT,
        oldest=AT - timedelta(days=14),
        newest=AT,
        wal_at=AT,
        backup_at=timezone.now() - timedelta(hours=1),
        full_at=timezone.now() - timedelta(days=3),
        gaps=[{}],
        missed=[{}, {}],
        bytes=123,
        proved_at=AT - timedelta(days=1),
        proof_seconds=90,
        verdict=Verdict.AT_RISK,
    )
    found = families()
    own = {"cluster": "orders", "cluster_id": str(made.cluster_id), "node": "n1", "stanza": "main", "store": "archive"}
    own["repo_key"] = "1"
    assert {*own} == {*LABELS}
    for name, expected in (
        ("stanza_status", 4),
        ("recovery_oldest_timestamp_seconds", AT.timestamp() - 14 * 86400),
        ("recovery_newest_timestamp_seconds", AT.timestamp()),
        ("wal_last_timestamp_seconds", AT.timestamp()),
        ("wal_gaps", 1),
        ("wal_archive_status", 0),
        ("backups_missed", 2),
        ("repo_size_bytes", 123),
        ("restore_proved_timestamp_seconds", AT.timestamp() - 86400),
        ("restore_proof_seconds", 90),
    ):
        assert value(found, name, **own) == expected, name
    since = "backup_since_last_completion_seconds"
    assert value(found, since, backup_type="incr", **own) == pytest.approx(3600, abs=60)
    assert value(found, since, backup_type="full", **own) == pytest.approx(3 * 86400, abs=60)
    assert value(found, "node_report_timestamp_seconds", node="n1") == AT.timestamp()
    assert value(found, "databases", verdict="at_risk") == 1


def test_what_is_not_known_has_no_line(judge):
    judge()
    found = families()
    assert value(found, "stanza_status") == STATUS[Verdict.UNKNOWN]
    for name in ("recovery_newest_timestamp_seconds", "restore_proved_timestamp_seconds", "restore_proof_seconds"):
        assert found[f"storekeeper_{name}"] == []
    assert value(found, "node_report_timestamp_seconds") == 0


def test_every_verdict_has_a_number_that_grows_as_it_gets_worse():
    assert {*STATUS} == {*Verdict}
    assert sorted(Verdict, key=lambda one: -STATUS[one]) == sorted(Verdict, key=lambda one: one.rank)


def test_a_name_ends_nothing(judge):
    judge(store=HOSTILE[:60], database=HOSTILE)
    found = families()
    assert value(found, "stanza_status", stanza=HOSTILE, store=HOSTILE[:60]) == 2
    assert [one.value for one in found["storekeeper_databases"] if one.labels["verdict"] == "recoverable"] == [0]


def test_without_names_there_are_only_numbers(judge, settings, client):
    judge(database="payroll")
    settings.METRICS_TOKEN, settings.METRICS_WITHOUT_NAMES = "token", True
    page = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
    assert 'storekeeper_databases{verdict="unknown"} 1' in page
    assert not any(word in page for word in ("payroll", "archive", "stanza_status", "node_report"))
    settings.METRICS_WITHOUT_NAMES = False
    assert "payroll" in client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()


def test_it_asks_two_queries_however_many_there_are(judge, django_assert_num_queries):
    for number in range(3):
        judge(store=f"s{number}")
    with django_assert_num_queries(2):
        exposition(with_names=True)
    with django_assert_num_queries(1):
        exposition(with_names=False)
