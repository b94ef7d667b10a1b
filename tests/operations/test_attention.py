"""The support front page counts what needs attention, and each line leads to a list of exactly those rows."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from console.alerts.models import Alert, Channel
from console.cloud_accounts.models import CloudAccount
from console.operations.models import Operation
from stores.models import State
from tests import factories

LINE = re.compile(r'<li><a href="([^"]+)"><strong>(\d+)</strong> ([^<]+)</a>\s*<span class="quiet">(\d+) organisation')


def lines(client):
    return [(unescape(url), int(n), words, int(whose)) for url, n, words, whose in LINE.findall(page(client))]


def page(client):
    return client.get("/admin/").content.decode()


def operation(account, **values):
    pk = factories.store(account, name=f"s{Operation.objects.count()}").pk
    given = {"subject_kind": "store", "subject_id": pk, "subject_name": "s", "verb": "create", "title": "Create"}
    return Operation.objects.create(organisation=account.organisation, **given, **values)


@pytest.fixture
def as_support(client, db):
    client.force_login(factories.support())
    return client


@pytest.fixture
def troubles(account):
    """Two of each kind in one organisation, and what is no longer, or not yet, any trouble."""
    now = timezone.now()
    other = factories.account(factories.organisation("Other"))
    CloudAccount.objects.filter(pk=account.pk).update(verify_error="refused")
    for which, severity, closed in ((account, "critical", None), (other, "critical", None), (other, "warning", None),
                                    (other, "critical", now)):  # fmt: skip
        Alert.objects.create(
            organisation=which.organisation, key=f"k{Alert.objects.count()}", group="g", rule="r", severity=severity,
            weight=1, title="Gone", closed_at=closed,
        )  # fmt: skip
    operation(account, state="failed", error="no", finished_at=now - timedelta(hours=1))
    operation(account, state="failed", error="no", finished_at=now - timedelta(days=2))
    operation(account, state="running", retrying_since=now - timedelta(hours=2))
    operation(account, state="running", retrying_since=now - timedelta(minutes=2))
    factories.store(account, name="bad", state=State.FAILED)
    Channel.objects.create(organisation=account.organisation, name="c", kind="webhook", failing_since=now)


def test_each_line_leads_to_exactly_what_it_counts(as_support, troubles):
    found = lines(as_support)
    assert {words: (count, whose) for _, count, words, whose in found} == {
        "critical alerts open": (2, 2),
        "cloud account with a failed verification": (1, 1),
        "task failed or refused in the last 24 hours": (1, 1),
        "task trying again for more than an hour": (1, 1),
        "backup store failed or degraded": (1, 1),
        "alert channel that cannot be reached": (1, 1),
    }
    for url, count, words, _ in found:
        answer = as_support.get(url)
        assert answer.status_code == 200, words
        assert answer.context["cl"].result_count == count, words


def test_nothing_needs_attention(as_support):
    assert lines(as_support) == []
    assert "Nothing: no critical alert is open" in page(as_support)
