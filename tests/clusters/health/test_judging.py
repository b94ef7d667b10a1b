"""Verdicts are kept for each database in each store, by one worker or more, and only where something changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import actions
from clusters.health import judging
from clusters.models import BackupPolicy, Cluster, Health, Inventory, KnownStanza, Node
from clusters.repositories import memory
from clusters.tasks import judge_due
from console.cloud_accounts import actions as account_actions
from console.clouds.contract import Identity, LinkError
from tests.clusters.nodes import seen, standing, stanza_state
from tests.clusters.reports.sent import send

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def cluster(account, alice, stores):
    return standing(account, alice, stores[:1], regions=("eu-west-1", "us-east-1"))


def backed_up(node="n1", ago=HOUR, **values):
    stopped = int((timezone.now() - ago).timestamp())
    state = stanza_state(node)
    backup = type(state.backups[0])(**{**vars(state.backups[0]), "started": stopped - 60, "stopped": stopped})
    arrived = (timezone.now() - timedelta(minutes=1)).isoformat()
    return stanza_state(node, **{"backups": [backup], "last_wal_at": arrived, "db_id": 1, **values})


def health(cluster):
    return {one.node: one for one in Health.objects.filter(cluster=cluster)}


def test_judge_due_keeps_a_row_for_each_database_in_each_store(cluster):
    seen(cluster, backed_up())
    assert judge_due() == 1
    rows = health(cluster)
    assert {name: str(one.verdict) for name, one in rows.items()} == {"n1": "recoverable", "n2": "not_set_up"}
    assert rows["n1"].organisation_id == cluster.organisation_id
    assert rows["n1"].newest > timezone.now() - timedelta(minutes=2)
    assert rows["n1"].backup_at == rows["n1"].full_at == rows["n1"].oldest
    assert rows["n2"].problems[0]["code"] == "script"
    assert judge_due() == 0
    assert Cluster.objects.get(pk=cluster.pk).judge_at > timezone.now()


def test_an_account_that_lost_its_proof_has_its_clusters_judged_at_once(
    cluster, account, monkeypatch, django_capture_on_commit_callbacks
):
    seen(cluster, backed_up())
    judge_due()
    answers = {"value": LinkError("This link needs its external ID.")}

    def identify(account, tried, seconds=None):
        if isinstance(answers["value"], Exception):
            raise answers["value"]
        return answers["value"]

    monkeypatch.setattr(account_actions, "_identify", identify)

    def verify():
        with django_capture_on_commit_callbacks(execute=True):
            account_actions.verify(account)
        return Cluster.objects.to_judge().count()

    assert [verify(), judge_due(), verify()] == [1, 1, 0]  # the next day it is refused as before
    answers["value"] = Identity(account.number, "aws")
    assert [verify(), judge_due(), verify()] == [1, 1, 0]


def test_rows_go_with_what_they_are_of(cluster, alice, stores):
    seen(cluster, backed_up())
    judge_due()
    actions.remove_nodes(cluster, names=["n2"], by=alice)
    assert judge_due() == 1
    assert {*health(cluster)} == {"n1"}
    actions.remove_database(cluster.databases.get(), by=alice)
    judge_due()
    assert not health(cluster)


def test_only_rows_that_changed_are_written(cluster, django_assert_num_queries):
    seen(cluster, backed_up())
    judge_due()
    before = {one.pk: one.judged_at for one in health(cluster).values()}
    Cluster.objects.judge_now()
    judge_due()
    assert {one.pk: one.judged_at for one in health(cluster).values()} == before
    assert sum(one.coming != "" for one in health(cluster).values()) == 0


def test_a_vanished_backup_is_red_within_one_inventory(cluster):
    seen(cluster, backed_up())
    inventory = Inventory.objects.get()
    memory.remember(inventory)
    judge_due()
    assert health(cluster)["n1"].verdict == "recoverable"
    # A worker looks, and finds nothing any more.
    inventory.content, inventory.read_at = [], timezone.now()
    inventory.save()
    memory.remember(inventory)
    assert judge_due() == 1
    row = health(cluster)["n1"]
    assert (row.verdict, row.problems[0]["code"]) == ("not_recoverable", "gone")


def test_what_changes_a_verdict_has_it_judged_anew(cluster, alice, django_capture_on_commit_callbacks):
    judge_due()
    node = cluster.nodes.get(name="n1")

    def is_due():
        return bool(judge_due())

    assert not is_due()
    with django_capture_on_commit_callbacks(execute=True):
        assert send(cluster).status_code == 200
    assert is_due()
    actions.plan_backups(cluster, None, full_schedule="0 3 * * *", by=alice)
    assert is_due()
    actions.plan_backups(cluster, node, full_schedule="0 4 * * *", by=alice)
    actions.follow_cluster(node, by=alice)
    assert is_due()
    memory.note_setup(cluster)
    assert is_due()
    KnownStanza.objects.filter(node="n1").update(
        lost=[{"backup": {"label": "x"}, "missed_at": ""}], lost_since=timezone.now()
    )
    memory.forget_lost(cluster.repositories.get(), until=timezone.now(), by=alice)
    assert is_due()


def test_a_schedule_that_changed_says_since_when(cluster, alice):
    actions.plan_backups(cluster, None, retention_full=7, by=alice)
    assert BackupPolicy.objects.get().changed_at is None
    actions.plan_backups(cluster, None, full_schedule="0 3 * * *", by=alice)
    changed_at = BackupPolicy.objects.get().changed_at
    assert timezone.now() - changed_at < HOUR
    actions.plan_backups(cluster, None, full_schedule="0 3 * * *", by=alice)
    assert BackupPolicy.objects.get().changed_at == changed_at
    node = cluster.nodes.get(name="n1")
    actions.plan_backups(cluster, node, full_schedule="0 3 * * *", by=alice)
    assert BackupPolicy.objects.get(node=node).changed_at is None
    actions.follow_cluster(node, by=alice)
    assert Node.objects.get(pk=node.pk).follows_since


def test_a_schedule_that_was_changed_an_hour_ago_makes_nothing_missed(cluster, alice):
    Cluster.objects.update(created_at=timezone.now() - 30 * DAY)
    cluster.attachments.update(attached_at=timezone.now() - 30 * DAY)
    cluster.nodes.update(created_at=timezone.now() - 30 * DAY)
    BackupPolicy.objects.create(cluster=cluster, full_schedule="0 * * * *", incr_schedule="")
    seen(cluster, backed_up(ago=40 * HOUR))  # longer than a node's zone that is not known can be off
    judge_due()
    assert health(cluster)["n1"].verdict == "at_risk"
    assert len(health(cluster)["n1"].missed) > 5
    Health.objects.all().delete()
    BackupPolicy.objects.update(changed_at=timezone.now() - timedelta(minutes=10))
    Cluster.objects.judge_now()
    judge_due()
    assert health(cluster)["n1"].verdict == "recoverable"


def test_who_marks_a_cluster_while_it_is_judged_has_it_judged_again(cluster, monkeypatch):
    def meanwhile(facts, judge=judging.judge):
        Cluster.objects.filter(pk=cluster.pk).judge_now()
        return judge(facts)

    monkeypatch.setattr(judging, "judge", meanwhile)
    judging.judge_due(1)
    assert Cluster.objects.get(pk=cluster.pk).judge_at is None


def test_what_one_worker_judges_no_other_one_does(cluster, monkeypatch):
    again = []

    def meanwhile(facts, judge=judging.judge):
        again.append(judging.judge_due())
        return judge(facts)

    monkeypatch.setattr(judging, "judge", meanwhile)
    assert judging.judge_due() == 1
    assert again == [0, 0]
    # A worker that dies meanwhile leaves it to the next one, two minutes later.
    Cluster.objects.update(judge_at=timezone.now() - timedelta(seconds=1))
    monkeypatch.undo()
    assert judging.judge_due() == 1


def test_those_who_want_to_know_are_told_of_whose_verdicts_changed(
    cluster, monkeypatch, django_capture_on_commit_callbacks
):
    told = []
    monkeypatch.setattr(judging, "changed", [told.append])

    def judged():
        told.clear()
        with django_capture_on_commit_callbacks(execute=True):
            Cluster.objects.judge_now()
            judge_due()
        return told

    assert judged() == [{cluster.organisation_id}]
    assert judged() == []
    seen(cluster, backed_up())
    assert judged() == [{cluster.organisation_id}]


def test_judging_many_clusters_takes_no_more_queries_than_one(account, alice, stores, django_assert_max_num_queries):
    for number in range(3):
        made = standing(account, alice, stores[:1], name=f"c{number}", regions=("eu-west-1",) * 6)
        seen(made, backed_up())
    Node.objects.update(reported_at=timezone.now())  # then what each should have is compared with what it has
    judge_due()
    Cluster.objects.judge_now()
    with django_assert_max_num_queries(27):
        assert judge_due() == 3


def test_a_batch_asks_as_often_whatever_number_of_clusters_it_has(account, alice, stores):
    def asked(number):
        for n in range(number):
            made = standing(account, alice, stores, name=f"{number}-{n}", regions=("eu-west-1", "us-east-1"))
            send(made)
        judge_due()
        Cluster.objects.judge_now()
        with CaptureQueriesContext(connection) as queries:
            judge_due()
        return len(queries)

    few = asked(1)
    assert asked(4) == few


def test_what_cannot_be_judged_is_unknown_and_holds_up_nobody_else(
    cluster, account, alice, stores, monkeypatch, caplog
):
    other = standing(account, alice, stores[:1], name="other", regions=("eu-west-1",))
    for one in (cluster, other):
        seen(one, backed_up())
    judge_due()

    def broken(facts, judge=judging.judge):
        if facts.host.node == "n2":
            raise OverflowError("date value out of range")
        return judge(facts)

    monkeypatch.setattr(judging, "judge", broken)
    Cluster.objects.judge_now()
    assert judge_due() == 2
    assert {one.verdict for one in health(cluster).values()} == {"unknown"}
    assert health(other)["n1"].verdict == "recoverable"
    assert "could not be judged" in caplog.text
    assert judge_due() == 0


def test_what_is_lost_stays_red_where_it_cannot_be_judged(cluster, monkeypatch):
    seen(cluster, backed_up())
    judge_due()
    problem = {
        "code": "gone",
        "verdict": "not_recoverable",
        "words": "All backups are gone.",
        "advice": "",
        "since": "",
    }
    long_ago = timezone.now() - DAY
    Health.objects.filter(node="n1").update(verdict="not_recoverable", rank=0, problems=[problem], since=long_ago)
    Health.objects.filter(node="n2").update(since=long_ago)

    def broken(facts):
        raise OverflowError("date value out of range")

    monkeypatch.setattr(judging, "judge", broken)
    for _ in range(2):
        Cluster.objects.judge_now()
        judge_due()
        rows = health(cluster)
        assert (rows["n1"].verdict, rows["n1"].since) == ("not_recoverable", long_ago)
        assert [one["code"] for one in rows["n1"].problems] == ["gone", "error"]
        # What was not bad is unknown, and since now.
        assert (rows["n2"].verdict, rows["n2"].since > long_ago) == ("unknown", True)


def test_judge_due_is_in_the_schedule(settings):
    assert judge_due.name in {one["task"] for one in settings.CELERY_BEAT_SCHEDULE.values()}
