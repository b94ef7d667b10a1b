"""What is thrown away, what stays, and how large everything is."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from clusters.models import KnownStanza
from clusters.repositories import memory
from console.accounts.models import Invitation
from console.audit.models import AuditEvent
from console.cloud_accounts.models import CallsOfDay
from console.operations import housekeeping
from console.operations.models import Operation, RateSlot
from stores import actions
from tests import factories
from tests.responses import words_of

NOW = timezone.now()


def days(number):
    return NOW - timedelta(days=number)


def finished(store, ago):
    """An operation of the store that ended so many days ago."""
    values = {"organisation": store.organisation, "subject_kind": "store", "subject_id": store.pk, "verb": "create"}
    return Operation.objects.create(**values, state="done", created_at=days(ago), finished_at=days(ago))


def tidied():
    return {table: number for table, number in housekeeping.tidy() if number}


def test_sessions_go_when_they_are_over_and_what_was_known_of_their_browsers(client, alice):
    client.force_login(alice)
    there = Session.objects.get()
    over = Session.objects.create(session_key="o" * 32, session_data="", expire_date=days(1))
    for one in (there, over):
        UserSession.objects.update_or_create(session_key=one.pk, defaults={"user": alice, "ip": "10.0.0.1"})
    assert tidied() == {"django_session": 1, "usersessions_usersession": 1}
    assert UserSession.objects.get().session_key == there.pk


def test_tasks_go_a_year_after_their_end_but_for_the_last_of_each_store(account, settings):
    store = factories.store(account)
    old, kept = finished(store, 366), finished(store, 364)
    store.operation = finished(store, 1000)
    store.save()
    assert tidied() == {"operations_operation": 1}
    assert {*Operation.objects.all()} == {kept, store.operation}
    assert old.pk not in Operation.objects.values_list("pk", flat=True)
    settings.OPERATIONS_KEPT_DAYS = 30
    assert tidied() == {"operations_operation": 1}


def test_a_task_that_goes_on_stays_however_old_it_is(account, alice):
    store = actions.create(account, name="archive", region="eu-west-1", by=alice)
    Operation.objects.update(created_at=days(1000))
    assert tidied() == {}
    assert Operation.objects.get() == store.operation


def test_places_links_counts_and_strangers_go_in_their_time(acme, account, alice, make_repository):
    RateSlot.objects.create(rate_key="reads 8d7c 0", free_at=days(2))
    RateSlot.objects.create(rate_key="reads 8d7c 1", free_at=NOW)
    RateSlot.objects.create(rate_key="buckets of a-project", free_at=days(2))
    for ago, name in ((91, "a"), (89, "b")):
        Invitation.objects.create(
            organisation=acme, email=f"{name}@example.org", role="viewer", token_sha256=name * 64, expires_at=days(ago)
        )
    for ago in (401, 399):
        CallsOfDay.objects.create(cloud_account=account, day=days(ago).date())
    found = make_repository()
    for name, values in {
        "stranger": {"seen_at": days(91)},
        "seen": {"seen_at": days(89)},
        "ours": {"seen_at": days(91), "postgresql": "15"},
        "there": {"seen_at": days(91), "backups": {"x": {}}},
        "lost": {"seen_at": days(91), "lost_since": days(91), "lost": [{}]},
    }.items():
        KnownStanza.objects.create(repository=found, node="n1", name=name, **values)
    assert tidied() == {
        "operations_rateslot": 1,
        "accounts_invitation": 1,
        "cloud_accounts_callsofday": 1,
        "clusters_knownstanza": 1,
    }
    assert not memory.outdated().exists()
    assert "stranger" not in KnownStanza.objects.values_list("name", flat=True)


@pytest.fixture
def make_repository(acme, account):
    """A function that makes a repository that no cluster uses."""
    from clusters.models import Repository

    return lambda: Repository.objects.create(
        organisation=acme, cluster_name="orders", prefix="c-x", number=1, store=factories.store(account)
    )


def test_the_cache_loses_what_has_run_out(db):
    cache.set("there", 1, 600)
    cache.set("over", 1, 600)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_cache SET expires = %s WHERE cache_key LIKE %s", [days(1), "%over"])
    assert tidied() == {"accounts_cache": 1}
    assert cache.get("there") == 1


def test_many_go_in_batches(db, monkeypatch):
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    for number in range(7):
        Session.objects.create(session_key=str(number), session_data="", expire_date=days(1))
    assert tidied() == {"django_session": 7}


def test_what_fails_keeps_nothing_else_from_going(db, monkeypatch, caplog):
    def fails():
        raise RuntimeError("planted")

    monkeypatch.setitem(housekeeping._rules, "aaa", housekeeping.Rule("aaa", "", fails))
    Session.objects.create(session_key="o", session_data="", expire_date=days(1))
    assert tidied() == {"django_session": 1}
    assert "aaa: what is outdated could not be thrown away" in caplog.text


def test_audit_events_stay(account, alice):
    actions.create(account, name="archive", region="eu-west-1", by=alice)
    before = AuditEvent.objects.count()
    assert before
    list(housekeeping.tidy())
    assert AuditEvent.objects.count() == before


def test_the_command_says_what_would_go_and_then_throws_it_away(db, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    Session.objects.create(session_key="o", session_data="", expire_date=days(1))

    def said(*options):
        out = StringIO()
        call_command("housekeeping", *options, stdout=out)
        return out.getvalue()

    assert said("--dry-run") == "django_session: 1 rows would go\n"
    assert said() == "django_session: 1 rows\n"
    assert said() == "Nothing is outdated.\n"


def test_sizes_are_on_the_support_s_page_and_in_the_metrics(client, account, alice, settings):
    finished(factories.store(account), 3)
    client.force_login(alice)
    assert client.get("/admin/sizes/").status_code in {302, 403}
    client.force_login(factories.support())
    page = words_of(client.get("/admin/sizes/"))
    assert "operations_operation 1 " in page
    assert f"{days(3):%Y-%m-%d} 365 days after the end (OPERATIONS_KEPT_DAYS)" in page
    assert "for ever: nobody may delete them" in page
    assert 'href="/admin/sizes/"' in client.get("/admin/").content.decode()
    settings.METRICS_TOKEN = "t" * 32
    told = client.get("/metrics", headers={"Authorization": f"Bearer {'t' * 32}"}).content.decode()
    assert 'storekeeper_table_rows{table="operations_operation"} 1.0' in told
    if connection.vendor == "postgresql":
        assert 'storekeeper_table_bytes{table="operations_operation"}' in told
