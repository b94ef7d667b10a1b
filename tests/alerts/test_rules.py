"""What each rule finds, of whom, and with how many queries whatever number there is."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import F
from django.utils import timezone

from clusters.models import Cluster, KnownStanza, Node, Repository
from clusters.models.health import Health
from console.accounts.models import Invitation
from console.alerts import conditions
from console.alerts.evaluation import evaluate
from console.alerts.models import Alert
from console.cloud_accounts.models import CallsOfDay, CloudAccount
from console.operations.models import Heartbeat
from stores.models import State
from tests import factories


def found(rule, organisations=None):
    return list(conditions.rules()[rule].find(organisations))


@pytest.fixture
def cluster(acme, account):
    made = Cluster.objects.create(organisation=acme, cloud_account=account, name="orders", state="available")
    made.nodes.create(name="n1", region="eu-west-1")
    return made


@pytest.fixture
def health(acme, account, cluster):
    """A function that judges a database."""
    repository = Repository.objects.create(cluster=cluster, store=factories.store(account), number=1)

    def judge(verdict, database="ledger", code="gap", **values):
        problems = [{"code": code, "verdict": verdict, "words": "WAL is missing.", "advice": "Make a backup."}]
        return Health.objects.create(
            **{
                "organisation": acme,
                "cluster": cluster,
                "repository": repository,
                "node": "n1",
                "database": database,
                "verdict": verdict,
                "problems": problems,
                **values,
            }
        )

    return judge


@pytest.mark.parametrize(
    ("verdict", "severity", "title"),
    [
        ("not_recoverable", "critical", "orders: ledger on n1 is not recoverable from orders"),
        ("at_risk", "critical", "orders: ledger on n1 is at risk in orders"),
        ("behind", "warning", "orders: ledger on n1 is falling behind in orders"),
    ],
)
def test_a_verdict_is_told_by_how_bad_it_is(health, verdict, severity, title):
    health(verdict)
    [one] = found("verdict")
    assert (one.severity, one.title, one.words, one.advice) == (severity, title, "WAL is missing.", "Make a backup.")


def test_worse_verdicts_weigh_more(health):
    for verdict in ("not_recoverable", "at_risk", "behind", "unknown"):
        health(verdict, database=verdict, since=timezone.now() - timedelta(hours=2))
    by_name = {one.title.split(" ")[1]: one.weight for one in found("verdict")}
    order = ("not_recoverable", "at_risk", "behind", "unknown")
    assert [by_name[one] for one in order] == sorted(by_name.values(), reverse=True)
    assert len({*by_name.values()}) == 4


def test_what_is_well_or_not_set_up_or_unknown_for_a_moment_is_not_told(health):
    for verdict in ("recoverable", "not_set_up", "unknown"):
        health(verdict, database=verdict)
    assert found("verdict") == []


def test_a_recoverable_database_closes_its_alert(health, acme):
    row = health("at_risk")
    evaluate()
    row.verdict = "recoverable"
    row.save()
    evaluate()
    assert not Alert.objects.open().filter(rule="verdict").exists()


def test_archiving_is_told_once_for_all_stores(health, account, cluster):
    health("at_risk", code="archiver")
    other = Repository.objects.create(cluster=cluster, store=factories.store(account, name="second"), number=2)
    health("at_risk", code="archiver", repository=other)
    assert len({one.key for one in found("archiver")}) == 1
    assert len({one.key for one in found("verdict")}) == 2


def test_another_database_is_told(health):
    health("at_risk", code="foreign")
    [one] = found("foreign")
    assert one.severity == "critical"


def test_a_silent_node_is_told_and_one_that_never_reported_is_not(cluster):
    assert found("silent") == []
    Node.objects.update(reported_at=timezone.now() - timedelta(minutes=25))
    assert found("silent") == []
    Node.objects.update(reported_at=timezone.now() - timedelta(hours=1))
    [one] = found("silent")
    assert (one.severity, one.title) == ("warning", "orders: n1 is silent")
    Node.objects.update(reported_at=timezone.now() - timedelta(days=2))
    assert found("silent")[0].severity == "critical"


def ago(minutes):
    return timezone.now() - timedelta(minutes=minutes)


@pytest.mark.slow
def test_a_node_that_comes_and_goes_has_one_alert_that_ends_after_twenty_minutes_of_reports(cluster):
    Node.objects.update(reported_at=ago(27))
    evaluate()
    alert = Alert.objects.open().get(rule="silent")
    for _ in range(3):
        for reported in (1, 17):
            Node.objects.update(reported_at=ago(reported))
            evaluate()
            Alert.objects.update(changed_at=F("changed_at") - timedelta(minutes=19))
    assert Alert.objects.filter(rule="silent").get().closed_at is None
    Node.objects.update(reported_at=ago(1))
    evaluate()
    alert.refresh_from_db()
    assert (alert.closed_at, alert.words) == (None, "It reports again. This ends once it has done so for 20 minutes.")
    Alert.objects.update(changed_at=ago(21))
    evaluate()
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_what_the_console_did_not_hear_while_it_was_down_is_no_silence(cluster):
    def process(pid, started, seen):
        row = Heartbeat.objects.create(kind="worker", host="a", pid=pid, release="1", host_time=timezone.now())
        Heartbeat.objects.filter(pk=row.pk).update(started_at=ago(started), seen_at=ago(seen))

    Node.objects.update(reported_at=ago(40))
    process(1, 900, 38)
    process(2, 2, 0)
    assert found("silent") == []
    Heartbeat.objects.filter(pid=2).update(started_at=ago(27))
    assert len(found("silent")) == 1
    Heartbeat.objects.filter(pid=2).update(started_at=ago(2))
    process(3, 39, 3)  # one was at work all the time: the others' restart is no pause
    assert len(found("silent")) == 1


def test_a_second_machine_is_told(cluster):
    Node.objects.update(other_machine_at=timezone.now())
    [one] = found("foreign")
    assert one.title == "orders: another machine reports as n1"


def test_vanished_backups_are_told_until_their_store_is_gone(account, cluster):
    repository = Repository.objects.create(cluster=cluster, store=factories.store(account), number=1)
    KnownStanza.objects.create(
        repository=repository, node="n1", name="ledger", lost=[{}, {}], lost_since=timezone.now()
    )
    [one] = found("vanished")
    assert one.title == "orders: backups of ledger on n1 vanished from orders"
    assert one.words.startswith("2 that had not expired")
    Repository.objects.update(store=None)
    assert found("vanished") == []


def test_a_signature_that_was_not_renewed_is_told(acme):
    contoso = factories.azure(acme)
    ends = timezone.now() + timedelta(days=20)  # it should have been renewed ten days ago
    Cluster.objects.create(
        organisation=acme, cloud_account=contoso, name="o", state="available", keys={"b expires": ends.isoformat()}
    )
    [one] = found("key")
    assert (one.severity, one.title) == ("critical", "o: what its nodes sign in with ends soon")
    Cluster.objects.update(keys={"b expires": (ends + timedelta(days=9)).isoformat()})
    assert found("key") == []


def test_an_account_that_fails_is_told_and_an_old_key_too(account):
    assert found("account") == found("key") == []
    CloudAccount.objects.update(
        verify_error="AWS says no.", key_since=timezone.now() - CloudAccount.KEY_IS_OLD - timedelta(days=1)
    )
    [one] = found("account")
    assert (one.severity, one.words) == ("critical", "AWS says no.")
    assert [one.title for one in found("key")] == ["The key of the account prod is old"]


def test_a_server_that_does_less_is_told_for_a_while(account):
    assert found("server") == []
    now = timezone.now()
    CloudAccount.objects.update(changes={"at": now.isoformat(), "gained": ["Tags"], "lost": []})
    assert found("server") == []  # it does more
    CloudAccount.objects.update(changes={"at": now.isoformat(), "gained": [], "lost": ["Tags", "Object Lock"]})
    [one] = found("server")
    assert (one.title, one.url) == ("prod does less than it did", account.get_absolute_url())
    assert one.words == "It does not do any more what stores need: Tags, Object Lock."
    long_ago = now - CloudAccount.CHANGES_SHOWN
    CloudAccount.objects.update(changes={"at": long_ago.isoformat(), "gained": [], "lost": ["Tags"]})
    assert found("server") == []


def test_an_account_that_has_not_proved_itself_is_told(acme):
    factories.google(acme, external_id="8c1f-own", found_external_id="")
    CloudAccount.objects.update(settings={**CloudAccount.objects.get().settings, "external_id": "another"})
    [one] = found("account")
    assert "external ID" in one.words


def test_a_drifted_store_is_told(account):
    store = factories.store(account, state=State.DEGRADED)
    [one] = found("drift")
    assert (one.title, one.url) == ("orders differs from what it should be", store.get_absolute_url())


def test_a_failed_task_is_told_until_another_one_is_the_last(account):
    store = factories.failed_store(account)
    [one] = found("task")
    assert (one.title, one.words) == ("Create Backup Store failed: orders", "AWS refused it.")
    type(store).objects.update(operation=None)
    assert found("task") == []


def test_limits_are_told_when_near(acme, account):
    acme.stores_at_most, acme.invitations_at_most = 10, 1
    acme.save()
    for number in range(8):
        factories.store(account, name=f"s{number}")
    assert found("limit") == []
    factories.store(account, name="s9")
    Invitation.objects.create(
        organisation=acme,
        email="a@example.org",
        role="viewer",
        token_sha256="f" * 64,
        expires_at=timezone.now() + timedelta(days=1),
    )
    CallsOfDay.objects.create(cloud_account=account, day=timezone.now().date(), lists=30_000, reads=19_000)
    assert sorted(one.title for one in found("limit")) == [
        "1 of 1 open invitations are used",
        "49,000 of 50,000 calls of today in prod are used",
        "9 of 10 backup stores are used",
    ]


def test_rules_of_one_organisation_find_nothing_of_another(acme, account, health, cluster):
    health("at_risk", code="archiver")
    Node.objects.update(reported_at=timezone.now() - timedelta(hours=1), other_machine_at=timezone.now())
    factories.store(account, name="drifted", state=State.DEGRADED)
    factories.failed_store(account, name="failed")
    other = factories.organisation("Other")
    assert [one for rule in conditions.rules() for one in found(rule, [other.pk])] == []
    mine = {one.rule for rule in conditions.rules() for one in found(rule, [acme.pk])}
    assert {"verdict", "archiver", "silent", "foreign", "drift", "task"} <= mine


def test_a_pass_asks_as_much_for_many_as_for_one(acme, account, health, cluster, django_assert_max_num_queries):
    for number in range(20):
        health("at_risk", database=f"d{number}", code="archiver")
        factories.store(account, name=f"drifted{number}", state=State.DEGRADED)
        cluster.nodes.create(name=f"n{number + 2}", region="eu-west-1", reported_at=timezone.now() - timedelta(hours=1))
        factories.failed_store(account, name=f"failed{number}")
    with django_assert_max_num_queries(18):
        assert len(conditions.find(None).conditions) >= 100


def test_each_rule_names_what_there_is(health, account, cluster):
    """Else an alert would say on closing that what it is about is gone."""
    health("at_risk", code="archiver")
    factories.store(account, name="drifted", state=State.DEGRADED)
    evaluate()
    for alert in Alert.objects.all():
        from django.apps import apps

        assert apps.get_model(alert.subject_kind).objects.filter(pk=alert.subject_id).exists(), alert.rule
        assert alert.cluster is None or isinstance(alert.cluster, UUID)
