"""What tests of nodes ask of the console, and what they make it see."""

from __future__ import annotations

from django.test import Client
from django.utils import timezone

from clusters import actions
from clusters.models import Cluster, Database, Inventory, Node
from clusters.node_setup import node_setups
from clusters.pgbackrest.repository import Backup, StanzaState, as_json
from console.operations.models import Operation
from tests.clusters.conftest import work

SYSTEM_ID, FOREIGN_ID = "7711134786693777346", "7000000000000000001"
POLICY = {
    "retention_full": "14",
    "retention_type": "time",
    "retention_diff": "",
    "full_schedule": "0 1 * * 0",
    "diff_schedule": "",
    "incr_schedule": "0 1 * * 1-6",
}


def node_setup(cluster, name="n1"):
    fresh = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    return next(one for one in node_setups(fresh) if one.node.name == name)


def standing(account, by, stores, name="orders", regions=("eu-west-1", "us-east-1", "eu-central-1")):
    """A cluster as a worker would have left it, without one: with its stores attached, and one database."""
    made = actions.create(account, name=name, regions=list(regions), stores=list(stores), by=by)
    made.attachments.update(state="attached")
    Operation.objects.filter(pk=made.operation_id).update(state="done", finished_at=timezone.now())
    Cluster.objects.filter(pk=made.pk).update(state="available")
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    return Cluster.objects.with_node_setup().get(pk=made.pk)


def at(cluster, rest="", name="n1"):
    return f"/clusters/{cluster.pk}/nodes/{name}/{rest}"


def report(cluster, name="n1", client=None, token=None, **data):
    token = token or Node.objects.get(cluster=cluster, name=name).secrets["report_token"]
    return (client or Client()).post(
        at(cluster, "applied/", name), {"version": "2.45", **data}, headers={"Authorization": f"Bearer {token}"}
    )


def seen(cluster, *stanza_states, number=1, **values):
    """Keep what a look into a repository would have found."""

    repository = cluster.repositories.get(number=number)
    now = timezone.now()
    Inventory.objects.update_or_create(
        repository=repository,
        defaults={"content": as_json(list(stanza_states)), "read_at": now, "tried_at": now, **values},
    )


def stanza_state(node="n1", system_id=SYSTEM_ID, kind="full", **values):
    backup = Backup("20261122-140000F", kind, 1795358980, 1795358985, 2_000_000, 300_000, "A", "B", system_id, False)
    return StanzaState(
        **{
            "node": node,
            "stanza": "orders",
            "status": "read",
            "system_id": system_id,
            "postgresql": "15",
            "backups": [backup],
            "last_wal": "000000010000000000000007",
            "last_wal_at": "2026-11-22T14:00:00+00:00",
            **values,
        }
    )


def detach(cluster, *left):
    actions.update_stores(cluster, stores=left, by=None)
    work(cluster)


def kit_text(client, subject):
    kind = "" if isinstance(subject, Cluster) else "repositories/"
    return client.get(f"/clusters/{kind}{subject.pk}/kit.txt").content.decode()
