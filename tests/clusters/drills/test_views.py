"""The pages of drills: who sees and who plans them, and what they show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Drill, DrillRun
from console.audit.models import AuditEvent
from tests.clusters.drills.said import begun, drill, ended, known, say
from tests.responses import HTMX

FORM = {"what": "restore", "where": "nodes", "schedule": "0 3 * * 0", "is_amchecked": "on", "checks": "SELECT 1 => 1"}


@pytest.fixture
def base(cluster):
    return f"/clusters/{cluster.pk}/drills/"


def test_drill_add_plans_one(cluster, base, as_alice):
    answer = as_alice.post(f"{base}add/", FORM, headers=HTMX)
    assert answer.status_code == 204
    plan = Drill.objects.get()
    assert (plan.machine, plan.checks, plan.keep_free, plan.folder) == (
        "",
        "SELECT 1 => 1",
        10,
        "/var/lib/postgresql/drill",
    )
    event = AuditEvent.objects.get(action="Planned a restore drill")
    assert event.after["checks"] == "SELECT 1 => 1"
    assert cluster.__class__.objects.get().judge_at is None
    page = as_alice.get(base).content.decode()
    assert "Restore drill of every database of every node" in page
    assert f"drill.sh {plan.pk}" in page


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schedule", "", "Give a cron expression"),
        ("schedule", "0 0 31 2 *", "This never comes"),
        ("checks", "\\! id => 1", "begins with a backslash"),
        ("folder", "/", "Give the whole path"),
        ("folder", "/tmp", "Give a folder for nothing else"),
        ("folder", "/var/lib/a b", "Give a folder for nothing else"),
        ("folder", "/var/" + "x" * 70, "at most 70 characters"),
        ("folder", "DATA", "in the data directory"),
        ("folder", "DATA/drill", "in the data directory"),
        ("check_database", "host=elsewhere", "Give the database"),
        ("machine", "a machine", "Give the machine"),
        ("hours", "0", "greater than or equal to 1"),
        ("node", "99999", "no such node"),
        ("database", "99999", "no such database"),
        ("what", "delete", "not one of the available choices"),
    ],
)
def test_drill_add_refuses(base, as_alice, cluster, field, value, words):
    value = value.replace("DATA", cluster.databases.get().data_directory)
    where = "machine" if field == "machine" else "nodes"
    answer = as_alice.post(f"{base}add/", FORM | {"where": where, field: value}, headers=HTMX)
    assert answer.status_code == 422
    form = answer.context["form"]
    assert words in " ".join(form.errors[field])
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Drill.objects.exists()


def test_a_drill_machine_has_a_name(base, as_alice):
    answer = as_alice.post(f"{base}add/", FORM | {"where": "machine"}, headers=HTMX)
    assert "Give the drill machine's name" in answer.context["form"].errors["machine"][0]
    as_alice.post(f"{base}add/", FORM | {"where": "machine", "machine": "drills-1"})
    plan = Drill.objects.get()
    assert f"{plan.pk}/setup.sh" in as_alice.get(base).content.decode()


def test_drill_edit_changes_and_drill_remove_removes(cluster, base, as_alice):
    plan = drill(cluster)
    assert as_alice.get(f"{base}{plan.pk}/edit/").status_code == 200
    as_alice.post(f"{base}{plan.pk}/edit/", FORM | {"what": "verify", "schedule": "0 4 * * *"})
    plan.refresh_from_db()
    assert (plan.what, plan.schedule, plan.checks) == ("verify", "0 4 * * *", "")
    assert as_alice.get(f"{base}{plan.pk}/remove/").status_code == 200
    assert as_alice.post(f"{base}{plan.pk}/remove/", headers=HTMX).status_code == 204
    assert not Drill.objects.exists()
    assert AuditEvent.objects.filter(action="Removed a restore drill").exists()


def test_there_is_a_limit_of_plans(cluster, base, as_alice, monkeypatch):
    monkeypatch.setattr("clusters.drills.actions.DRILLS_AT_MOST", 1)
    drill(cluster)
    answer = as_alice.post(f"{base}add/", FORM, headers=HTMX)
    assert "A cluster has at most 1 plans" in answer.content.decode()
    assert Drill.objects.count() == 1


def test_who_may_what(cluster, base, as_bob, as_charlie):
    plan = drill(cluster)
    assert as_bob.get(base).status_code == 200
    assert "add/" not in as_bob.get(base).content.decode()
    for rest in ("add/", f"{plan.pk}/edit/", f"{plan.pk}/remove/"):
        assert as_bob.post(f"{base}{rest}", FORM).status_code == 403
        assert as_charlie.post(f"{base}{rest}", FORM).status_code == 404
    assert as_charlie.get(base).status_code == 404


def test_the_history_shows_what_came_of_each_run(cluster, base, as_alice):
    known(cluster)
    plan = drill(cluster, checks="SELECT count(*) FROM orders => 7")
    say(cluster, begun(plan))
    say(cluster, ended(plan))
    failed = [{"number": 1, "ok": False, "said": "It answered: <b>8"}]
    say(
        cluster, ended(plan, ok=False, words="Check 1 did not pass. It answered: <b>8", checks=failed, amcheck="absent")
    )
    page = as_alice.get(base).content.decode()
    assert "40 s, 20 s, 30 s" in page
    assert "Check 1 did not pass. It answered: &lt;b&gt;8" in page
    assert "SELECT count(*) FROM orders" in page
    assert "pg_amcheck is not installed there" in page
    assert "Failed" in as_alice.get(cluster.get_absolute_url()).content.decode()


def test_a_proof_is_overdue_after_the_clusters_days(cluster, base, as_alice):
    known(cluster)
    cluster.__class__.objects.update(proof_days=7)
    plan = drill(cluster)
    say(cluster, ended(plan))
    assert "Overdue" not in as_alice.get(base).content.decode().split("History")[0].split("n2")[0]
    DrillRun.objects.update(ended_at=timezone.now() - timedelta(days=8))
    assert "Overdue" in as_alice.get(base).content.decode()


@pytest.mark.slow
def test_the_page_costs_the_same_for_any_number_of_runs(cluster, base, as_alice, django_assert_max_num_queries):
    known(cluster)
    plan = drill(cluster)
    say(cluster, ended(plan))
    as_alice.get(base)
    with django_assert_max_num_queries(30) as asked:
        as_alice.get(base)
        one = len(asked)
    for _ in range(5):
        say(cluster, ended(plan))
    with django_assert_max_num_queries(one):
        as_alice.get(base)
