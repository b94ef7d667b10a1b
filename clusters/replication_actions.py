"""What can be done to the hosts of a streaming replication, and to how they archive."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from clusters import replication
from clusters.models import BackupPolicy, Cluster, Node
from clusters.repositories import memory
from console.accounts import activity
from console.accounts.models import User


class FollowRefused(Exception):
    """The node cannot share that folder; the message says why, and what to do."""


class HoldsBackups(FollowRefused):
    """The node's own folder holds backups, and nobody has said that it may be left."""


def follow(
    node: Node, first: Node | None, *, address: str, ssh_port: int, leaves_own: bool = False, by: User | None
) -> None:
    """Have the node share the folder of another one, or have its own again (None); raises FollowRefused.

    Nothing in a store changes: the folder that it leaves is listed, restored from and expired as before.
    """
    with transaction.atomic():
        # The update locks the cluster: of two who do this at once, the second sees what the first has done.
        Cluster.objects.filter(pk=node.cluster_id).update(nodes_made=F("nodes_made"))
        memory.note_setup(node.cluster)
        cluster = Cluster.objects.with_node_setup().get(pk=node.cluster_id)
        here = next((one for one in cluster.nodes.all() if one.pk == node.pk), None)
        if here is None:
            raise FollowRefused(f"{node} was removed meanwhile.")
        # Who is the first host stays it, with the folder that it has: its own, or that of one that was removed.
        folder = first.repository_folder if first else here.folder if replication.is_first(cluster, here) else ""
        before = {"folder": here.repository_folder, "address": here.address, "ssh_port": here.ssh_port}
        if folder != here.folder:
            if why := replication.refusal(cluster, here, first):
                raise FollowRefused(why)
            if first and not here.folder and not leaves_own and replication.holds_own(cluster, here):
                raise HoldsBackups(
                    f"The folder of {node} holds backups or WAL of its own. Say below that it leaves it: what is there "
                    f"stays listed and can be restored, {node} goes on to expire it, and nothing new comes."
                )
        here.folder, here.address, here.ssh_port = folder, address, ssh_port
        here.save(update_fields=["folder", "address", "ssh_port"])
        memory.note_setup(cluster)
        after = {"folder": here.repository_folder, "address": address, "ssh_port": ssh_port, "cluster": cluster.name}
        said = {"organisation": cluster.organisation, "by": by, "before": before, "after": after}
        activity.record("Said which replication a node is of", here, **said)


def plan_archiving(cluster: Cluster, node: Node | None, *, by: User | None, **values: Any) -> None:
    """Set how the cluster, or one node of it with a policy of its own from now on, archives."""
    with transaction.atomic():
        found = BackupPolicy.objects.filter(cluster=cluster, node=node).first()
        found = found or BackupPolicy(cluster=cluster, node=node, **BackupPolicy.beginning(cluster))
        before = {name: getattr(found, name) for name in values}
        for name, value in values.items():
            setattr(found, name, value)
        found.save()
        memory.note_retentions(cluster)
        subject = node or cluster
        after = {**values, "cluster": cluster.name}
        activity.record(
            "Planned archiving", subject, organisation=cluster.organisation, by=by, before=before, after=after
        )
