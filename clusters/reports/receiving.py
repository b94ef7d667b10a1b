"""What the console keeps of a report, and when it takes none.

It goes by the row of the node and no more: what a node should have is made of twenty tables, and is only looked up
where somebody looks at it (NodeSetup.state), so it is as true as they are. What a report costs does not depend on how
large the cluster is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clusters.models import MACHINE_SILENT, Cluster, Database, Inventory, Node, RemovedNode, Stanza
from clusters.reports.primaries import primary_since
from clusters.reports.report import Report, of_status
from console.accounts import activity

SOON = timedelta(seconds=60)  # after the report of a backup that ended
APART = timedelta(seconds=2)  # who reports more often than that is put off


class Refused(Exception):
    """The report is not kept; the message says why."""


class OtherMachine(Refused):
    """Another machine reports as a node whose own machine reports, too: one of them is a copy."""


class Older(Refused):
    """A later report of the node is kept already."""


class TooSoon(Refused):
    """The node has just reported."""


def put_off(node: Node) -> None:
    """Raise TooSoon where the node has just reported: ask before anything is done for a report."""
    if node.reported_at and timedelta(0) <= timezone.now() - node.reported_at < APART:
        raise TooSoon(f"{node} has just reported. Wait for {APART.seconds} seconds.")


def receive(node: Node, said: Report) -> None:
    """Keep what a node says of itself; raises Refused, and then keeps nothing of it."""
    now = timezone.now()
    moved = said.machine and node.machine and said.machine != node.machine
    if moved and node.reported_at and now - node.reported_at < MACHINE_SILENT:
        Node.objects.filter(pk=node.pk).update(other_machine_at=now)
        raise OtherMachine(f"Another machine reports as {node}, too. Stop pgBackRest here unless it is to be {node}.")
    with transaction.atomic():
        _keep(node, said, now)
        _keep_stanzas(node, said, now)
        # After the commit: whoever changes a cluster holds its row first, and its nodes' rows then.
        transaction.on_commit(Cluster.objects.filter(pk=node.cluster_id).judge_now)
        if moved:
            organisation = node.cluster.organisation
            after = {"cluster": node.cluster.name}
            activity.record("Reported from another machine", node, organisation=organisation, by=None, after=after)


def receive_of_removed(removed: RemovedNode, said: Report) -> None:
    """Keep that a node which was removed still reports."""
    RemovedNode.objects.filter(pk=removed.pk).update(reported_at=timezone.now(), applied_sha256=said.sha256)


def _keep(node: Node, said: Report, now: datetime) -> None:
    """Keep it in the node's row, unless a later one is there: the update asks for that, so none gets in between.

    After three reports that were missed, any counts: then the node's clock was set back.
    """
    before = of_status(node.status)
    values = {
        "applied_sha256": said.sha256,
        "applied_version": said.pgbackrest,
        "machine": said.machine or node.machine,
        "reported_at": now,
        "sent_at": said.sent_at,
        "status": said.status() | {"primary_since": primary_since(before.primary_since, said, now)},
    }
    if said.repositories is not None:
        values["applied_targets"] = list(said.repositories)
    row = Node.objects.filter(pk=node.pk)
    if said.sent_at:
        row = row.filter(Q(sent_at=None) | Q(sent_at__lt=said.sent_at) | Q(reported_at__lt=now - MACHINE_SILENT))
    if not row.update(**values):
        raise Older(
            f"A report of {node} that was sent then or later is kept already. If its clock was set back, reports "
            f"count again {MACHINE_SILENT.seconds // 60} minutes after the last one that did."
        )
    _look_where_one_ended(node, before, said)


def _look_where_one_ended(node: Node, before: Report, said: Report) -> None:
    """Have the stores looked into in which a backup ended since the last report."""
    ended = {(one.repository, one.ended) for one in said.runs if one.ended}
    if new := ended - {(one.repository, one.ended) for one in before.runs}:
        numbers = {repository for repository, _ in new}
        Inventory.objects.filter(
            repository__cluster=node.cluster_id, repository__number__in=numbers, repository__attachment__isnull=False
        ).soon(SOON)


def _keep_stanzas(node: Node, said: Report, now: datetime) -> None:
    """Keep what database each stanza is of. A standby is on no timeline of its own, so none is kept."""
    told = {one.name: one for one in said.stanzas if one.system_id}
    mine = Database.objects.filter(cluster=node.cluster_id, name__in=told, folder__in=("", node.repository_folder))
    names = mine.values_list("pk", "name") if told else ()
    rows = [
        Stanza(
            cluster_id=node.cluster_id,
            node=node,
            database_id=pk,
            system_id=told[name].system_id,
            timeline=None if told[name].role == "standby" else told[name].timeline,
            reported_at=now,
        )
        for pk, name in names
    ]
    if rows:
        Stanza.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["node", "database"],
            update_fields=["system_id", "timeline", "reported_at"],
        )
