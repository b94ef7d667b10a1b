"""The path to a first backup: each step is checked off by what is there, and nothing else."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from clusters.models import KnownStanza, Repository
from console.accounts.models import Membership
from console.overview.beginning import path
from stores.models import State, Store
from tests import factories
from tests.clusters import judged

KEYS = ["account", "store", "cluster", "database", "report", "backup", "kit"]


def shown(client):
    text = client.get("/").content.decode()
    current = re.search(r'aria-current="step">(.*?)</li>', text, re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", current[1]).split()) if current else "", text


@pytest.mark.slow
def test_each_step_is_checked_off_by_what_is_there(as_alice, alice, acme, client, bob):
    mine = Membership.objects.get(user=alice)
    client.force_login(bob)

    def expect(done, button):
        assert [one.key for one in path(mine).steps if one.done] == KEYS[:done]
        step, text = shown(as_alice)
        assert button in step, step
        asked, _ = shown(client)
        assert "Ask an owner or admin of Acme to do this." in asked
        assert "<a" not in asked
        return text

    expect(0, "Link Cloud Account")
    account = factories.account(acme)
    store = factories.store(account, state=State.CREATING)
    expect(1, "Create Backup Store")
    Store.objects.update(state=State.AVAILABLE)
    expect(2, "New Cluster")
    cluster = judged.cluster(account, databases=(), stores=[store])
    assert f"/clusters/{cluster.pk}/databases/add/" in expect(3, "Add Database")
    other = judged.cluster(account, "other", stores=[store])
    cluster.databases.create(name="main", version="15", data_directory="/var/lib/main", port=5432)
    other.nodes.update(reported_at=None)
    expect(4, "Open the cluster")
    other.nodes.update(reported_at=timezone.now())
    expect(5, "Open the cluster")
    KnownStanza.objects.create(repository=other.repositories.get(), node="n1", name="main", backup_at=timezone.now())
    expect(6, "Recovery Kit")
    Repository.objects.filter(cluster=other).update(kit_taken_at=timezone.now())
    assert path(mine).is_done
    assert "From here to a first backup" not in as_alice.get("/").content.decode()


def test_what_another_organisation_has_checks_nothing_off(alice, acme, db):
    theirs = factories.account(factories.organisation("Other"))
    cluster = judged.cluster(theirs, stores=[factories.store(theirs)])
    cluster.nodes.update(reported_at=timezone.now())
    KnownStanza.objects.create(repository=cluster.repositories.get(), node="n1", name="main", backup_at=timezone.now())
    Repository.objects.update(kit_taken_at=timezone.now())
    assert path(Membership.objects.get(user=alice)).done == 0


@pytest.mark.parametrize("state", [State.CREATING, State.FAILED])
def test_a_store_that_is_not_there_is_none(alice, account, state):
    factories.store(account, state=state)
    assert [one.key for one in path(Membership.objects.get(user=alice)).steps if one.done] == ["account"]
