"""The page for auditors: whose it is, which periods it takes, what stands on it, and the file."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from clusters.evidence.forms import LONGEST
from clusters.evidence.views import TITLES
from clusters.models import DrillRun, Health, KnownStanza
from console.accounts import activity
from console.audit.models import AuditEvent
from tests import factories
from tests.responses import text_of

PAGE, FILE = "/clusters/evidence/", "/clusters/evidence/backups.csv"
AT = timezone.now().replace(microsecond=0) - timedelta(days=3)


def made(label, at, state="kept"):
    return [label, int(at.timestamp()), 90, 1_000_000]


@pytest.fixture
def known(cluster):
    """A database of n1 in the first store: a full backup three days ago, and one a year ago that has expired."""
    label = f"{AT:%Y%m%d-%H%M%S}F"
    return KnownStanza.objects.create(
        repository=cluster.repositories.get(number=1),
        node="n1",
        name="orders",
        backups={label: {"label": label, "stopped": int(AT.timestamp())}},
        retentions=[{"by_time": True, "full": 14, "diff": None, "since": AT.isoformat()}],
        made=[made("20250101-000000F", AT - timedelta(days=365)), made(label, AT)],
    )


def test_who_may_see_the_audit_log_may_see_it(client, known, alice, bob, charlie):
    client.force_login(alice)
    page = text_of(client.get(PAGE))
    assert "orders on n1" in page
    assert "1 full, 0 differential, 0 incremental" in page
    client.force_login(bob)
    assert (client.get(PAGE).status_code, client.get(FILE).status_code) == (403, 403)
    client.force_login(charlie)
    for address in (PAGE, FILE):
        answer = client.get(address)
        found = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert (answer.status_code, b"orders" in found) == (200, False)
    assert client.get(f"{PAGE}?cluster={known.repository.cluster_id}").status_code == 422


def test_the_developer_edition_has_none(as_alice, acme, known):
    acme.edition = "developer"
    acme.save()
    assert (as_alice.get(PAGE).status_code, as_alice.get(FILE).status_code) == (403, 403)
    assert "orders" not in as_alice.get(PAGE).content.decode()


def test_it_says_who_made_it_when_of_what_and_by_which_settings(as_alice, cluster, known):
    Health.objects.create(
        organisation=cluster.organisation,
        cluster=cluster,
        repository=known.repository,
        node="n1",
        database="orders",
        verdict="at_risk",
        problems=[{"code": "x", "verdict": "at_risk", "words": "WAL is missing.", "advice": ""}],
        proved_at=datetime(2026, 11, 1, 2, 3, tzinfo=UTC),
    )
    page = text_of(as_alice.get(PAGE, {"cluster": str(cluster.pk)}))
    for words in (
        f"cluster orders ({cluster.pk})",
        "UTC by alice, with Storekeeper",
        "Kept 14 days",
        "At risk: WAL is missing.",
        "proved 2026-11-01 02:03",
        "0 1 * * 0",
    ):
        assert words in page, words


def test_a_period_is_from_its_first_day_to_the_end_of_its_last(as_alice, known):
    day = AT.date()
    for since, until, number in ((day, day, 1), (day - timedelta(days=9), day - timedelta(days=1), 0)):
        page = text_of(as_alice.get(PAGE, {"from": since, "to": until}))
        assert f"{number} full" in page, (since, until)


@pytest.mark.parametrize(
    ("period", "field", "words"),
    [
        ({"from": "yesterday"}, "from", "Enter a day"),
        ({"to": "2026-02-30"}, "to", "Enter a day"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to", "ends before it begins"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from", "Two years at most"),
        ({"from": "9999-12-31", "to": "9999-12-31"}, "from", "still to come"),
        ({"from": "0001-01-01", "to": "0001-01-02", "cluster": "x"}, "cluster", "Choose one of the clusters"),
        ({"from": "\x00"}, "from", "Enter a day"),
        ({"to": "9" * 5000}, "to", "Enter a day"),
    ],
)
def test_a_period_that_is_none_is_refused_beside_its_field(as_alice, known, period, field, words):
    answer = as_alice.get(PAGE, period)
    assert answer.status_code == 422
    assert any(words in one for one in answer.context["form"].errors[field])
    assert "orders on n1" not in answer.content.decode()
    refused = as_alice.get(FILE, period)
    assert (refused.status_code, words in refused.content.decode()) == (422, True)


def test_the_longest_period_and_the_first_day_of_all_are_taken(as_alice, known):
    today = timezone.now().date()
    assert as_alice.get(PAGE, {"from": today - LONGEST, "to": today}).status_code == 200
    assert as_alice.get(PAGE, {"from": "0001-01-01", "to": "0001-12-31"}).status_code == 200
    assert as_alice.get(PAGE, {"from": today, "to": "9999-12-31"}).status_code == 422


def test_what_was_done_in_the_period_to_the_cluster_stands_there_and_nothing_else(as_alice, alice, cluster):
    other = factories.store(cluster.cloud_account, name="other")
    for subject, action in ((cluster, "Stirred"), (cluster.nodes.get(name="n1"), "Shaken"), (other, "Elsewhere")):
        activity.record(action, subject, organisation=cluster.organisation, by=alice, after={"days": 7})
    page = text_of(as_alice.get(PAGE, {"cluster": str(cluster.pk)}))
    assert "Stirred" in page
    assert "Shaken" in page
    assert "days: 7" in page
    assert "Elsewhere" not in page
    assert "Elsewhere" in text_of(as_alice.get(PAGE))
    past = {"from": "2026-01-01", "to": "2026-01-02"}
    assert "Stirred" not in text_of(as_alice.get(PAGE, past))


@pytest.fixture
def run(cluster):
    """A function that makes a run of a drill three days ago, with these values."""

    def run(**values):
        usual = {"organisation": cluster.organisation, "cluster": cluster, "created_at": AT, "due_at": AT}
        return DrillRun.objects.create(
            cluster_name="orders",
            number=1,
            store="archive-dub",
            node="n1",
            database="orders",
            what="restore",
            run_id=f"run-{DrillRun.objects.count()}",
            **usual | values,
        )

    return run


def test_restores_that_were_tried_stand_there_and_those_of_others_and_other_times_do_not(as_alice, cluster, run):
    run(state="succeeded", restore_seconds=1200, recovery_seconds=34, label="20261122-140000F")
    run(state="failed", words="The copy did not start.")
    run(state="failed", words="Long ago.", created_at=AT - timedelta(days=200))
    run(state="failed", words="Somebody else's.", organisation=factories.organisation("Other"), cluster=None)
    page = text_of(as_alice.get(PAGE, {"cluster": str(cluster.pk)}))
    assert "1,234 s" in page
    assert "20261122-140000F" in page
    assert "The copy did not start." in page
    assert "Long ago." not in page
    assert "Somebody else" not in text_of(as_alice.get(PAGE))
    past = {"from": "2026-01-01", "to": "2026-01-02"}
    assert "None in this period" in text_of(as_alice.get(PAGE, past))


def test_restores_stand_there_when_their_cluster_is_gone(as_alice, cluster, run):
    run(state="succeeded", restore_seconds=1200, recovery_seconds=34, cluster=None)
    assert "1,234 s" in text_of(as_alice.get(PAGE))
    assert "1,234 s" not in text_of(as_alice.get(PAGE, {"cluster": str(cluster.pk)}))


def test_the_file_has_each_backup_and_who_took_it_is_written_down(as_alice, alice, known):
    known.node = "=HYPERLINK()"
    known.save()
    year = {"from": str((AT - timedelta(days=400)).date()), "to": str(AT.date())}
    answer = as_alice.get(FILE, year)
    lines = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert tuple(lines[0]) == TITLES
    assert [(one["label"][:8], one["type"], one["state"], one["seconds"]) for one in lines] == [
        ("20250101", "full", "expired", "90"),
        (f"{AT:%Y%m%d}", "full", "kept", "90"),
    ]
    assert lines[0]["node"] == "'=HYPERLINK()"
    event = AuditEvent.objects.get(action="Downloaded the backups of a period")
    assert (event.actor_name, event.after) == ("alice", {"from": year["from"], "to": year["to"]})


def test_more_databases_than_a_page_holds_are_told(as_alice, known, monkeypatch):
    monkeypatch.setattr("clusters.evidence.views.STANZAS_AT_MOST", 1)
    KnownStanza.objects.create(repository=known.repository, node="n2", name="orders")
    page = text_of(as_alice.get(PAGE))
    assert "1 more are not shown" in page
    assert "orders on n2" not in page


def test_it_asks_no_more_for_more_databases(as_alice, known, django_assert_max_num_queries):
    with django_assert_max_num_queries(60) as first:
        as_alice.get(PAGE)
    for number in range(5):
        KnownStanza.objects.create(repository=known.repository, node="n1", name=f"d{number}", made=[])
    with django_assert_max_num_queries(len(first)):
        as_alice.get(PAGE)
