"""A cluster with three nodes, made by the product's own action."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from clusters import actions, enrolment
from clusters.models import Cluster, Database, Drill
from console.alerts.models import Alert, Channel
from console.api import tokens
from console.operations.models import Operation
from tests import factories
from tests.delivery import deliver
from tests.node_machine import Machine

REGIONS = ("eu-west-1", "us-east-1", "eu-central-1")


def work(cluster):
    """Do what a worker does with the cluster's operation, until it is finished or put off."""
    cluster.refresh_from_db()
    Operation.objects.filter(pk=cluster.operation_id).update(due_at=timezone.now() - timedelta(seconds=1))
    deliver(cluster.operation_id)
    return Cluster.objects.with_story().filter(pk=cluster.pk).first()


@pytest.fixture(autouse=True)
def reports_at_once(monkeypatch):
    """Let nodes report as often as a test has them."""
    monkeypatch.setattr("clusters.reports.receiving.APART", timedelta(0))


@pytest.fixture
def stores(account):
    """Two available stores, as the database knows them."""
    return [
        factories.store(account, name="archive-dub", region="eu-west-1"),
        factories.store(account, name="archive-iad", region="us-east-1"),
    ]


@pytest.fixture
def make(account, alice, amazon):
    """A function that makes a cluster and does its work."""

    def make(stores=(), name="orders", regions=REGIONS, run=True, account=account):
        cluster = actions.create(account, name=name, regions=list(regions), stores=list(stores), by=alice)
        return work(cluster) if run else Cluster.objects.with_story().get(pk=cluster.pk)

    return make


@pytest.fixture
def given(make, stores, account, acme, alice, bob):
    """What stands in the addresses below each of these, the longest first."""
    cluster = make(stores)
    database = Database(cluster=cluster, name="main", version="17", data_directory="/var/lib/postgresql/17/main")
    actions.add_database(cluster, database, by=alice)
    alert = Alert.objects.create(
        organisation=acme, key="open", group="open", rule="silent", severity="warning", weight=10, title="n1 is silent"
    )
    hook = {"url": "https://hooks.example.org/x", "secret": "whsec_x"}
    channel = Channel.objects.create(organisation=acme, kind="webhook", name="hook", shown="x", secrets=hook)
    enrolled, _ = enrolment.begin(acme, nodes=list(cluster.nodes.all()), hostnames={}, hours=1, by=alice)
    drill = Drill.objects.create(cluster=cluster, schedule="0 3 * * 0", machine="drills-1")
    service = tokens.make_service_account(acme, name="deployer", role="viewer", by=alice)
    good = {"kind": "token", "scopes": ["see_stores"], "expires_at": timezone.now() + timedelta(days=1)}
    token, _ = tokens.issue(service, name="pipeline", **good, by=alice)
    return {
        "api-tokens/service-accounts/": {"pk": service.pk},
        "api-tokens/": {"pk": token.pk},
        "organisation/members/": {"pk": acme.memberships.get(user=bob).pk, "user_id": bob.pk},
        "organisation/": {"token": "t" * 32, "pk": account.pk},
        "clusters/repositories/": {"pk": cluster.repositories.first().pk},
        "clusters/enrolment/": {"pk": enrolled.pk, "place": enrolled.places.first().pk},
        "clusters/": {"pk": cluster.pk, "name": "n1", "kind": "crontab", "database": database.pk, "drill": drill.pk},
        "stores/": {"pk": stores[0].pk},
        "restoration/": {"pk": cluster.operation_id},
        "alerts/channels/create/": {"kind": "webhook"},
        "alerts/channels/": {"pk": channel.pk},
        "alerts/": {"pk": alert.pk},
        "cloud-accounts/": {"pk": account.pk, "provider": "aws", "filename": account.documents[0].filename},
    }


@pytest.fixture
def cluster(make, stores):
    """Three nodes (eu-west-1, us-east-1, eu-central-1), two stores (eu-west-1, us-east-1), one database."""
    made = make(stores)
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    return Cluster.objects.with_node_setup().get(pk=made.pk)


@pytest.fixture
def machine(tmp_path):
    """A function that runs a script on a machine whose / is tmp_path, and returns the lines that it says."""
    if os.geteuid():
        pytest.skip("is root on a machine of its own")
    node = Machine(tmp_path)

    def run(script):
        ran = node.run(script)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.splitlines()

    return run
