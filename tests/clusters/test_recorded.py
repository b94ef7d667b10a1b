"""What is recorded is in English, in whatever language somebody reads the page on which they do it."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core import mail

from clusters.models import Drill
from console.accounts.models import Membership
from console.alerts.models import Channel
from console.audit.models import AuditEvent
from stores.models import Store
from tests import accents
from tests.clusters.conftest import work

GERMAN = {"Accept-Language": "de"}
OURS = {"accounts", "alerts", "audit", "cloud_accounts", "clusters", "operations", "stores"}
DRILL = {"what": "restore", "where": "nodes", "schedule": "0 3 * * 0", "is_amchecked": "on", "checks": "SELECT 1 => 1"}
PAGES = ("", "drills/", "nodes/add/", "policy/")


@pytest.fixture
def pseudo(monkeypatch, settings):
    """Offer a language of accents as German."""
    accents.speak(monkeypatch, settings)


def recorded():
    """Yield what has accents in the tables of our apps, but for the pages that wait for somebody."""
    for model in apps.get_models():
        if model._meta.app_label in {
            "accounts",
            "alerts",
            "audit",
            "cloud_accounts",
            "clusters",
            "operations",
            "stores",
        }:
            for row in model._default_manager.values():
                yield from ((model.__name__, name, value) for name, value in row.items() if accents.has_accents(value))


def test_what_is_recorded_is_in_english(make, stores, account, acme, alice, as_alice, pseudo):
    cluster, row = make(stores), Membership.objects.get(user=alice)
    acts = {
        f"/organisation/members/{row.pk}/role/": {"role": "viewer"},
        "/organisation/leave/": {},
        "/organisation/invite/": {"email": "nina@example.com", "role": "viewer"},
        "/alerts/channels/create/pagerduty/": {"name": "pd", "at_least": "warning", "key": "k" * 32, "region": "eu"},
        f"/clusters/{cluster.pk}/drills/add/": DRILL,
        f"/clusters/{cluster.pk}/alarm/": {"rpo": "2", "rpo_unit": "hours", "proof_days": "7"},
        f"/clusters/{cluster.pk}/backup-stores/": {"backup_stores": [str(stores[0].pk)], "confirmed": "on"},
        f"/stores/{stores[1].pk}/delete/": {"name": stores[1].name},
        "/stores/create/": {"provider": "aws", "cloud_account": account.pk, "name": "new", "region": "eu-west-1"},
        "/api-tokens/create/": {"name": "one", "good_for": "90", "scopes": ["see_stores"]},
    }
    answers = {address: as_alice.post(address, given, headers=GERMAN).status_code for address, given in acts.items()}
    work(cluster)
    said = " ".join(as_alice.get(f"/clusters/{cluster.pk}/{page}", headers=GERMAN).content.decode() for page in PAGES)
    assert accents.has_accents(said)
    assert Drill.objects.exists()
    assert Channel.objects.exists()
    assert Store.objects.filter(name="new").exists()
    assert AuditEvent.objects.filter(outcome="refused").count() >= 2
    assert {*answers.values()} <= {200, 204, 302, 422}
    assert not [*recorded()]
    assert not [
        one.subject for one in mail.outbox if accents.has_accents(one.subject) and one.to != ["nina@example.com"]
    ]
