"""Which nodes are hosts of one streaming replication, and which of them speaks for it.

All hosts write to one folder of each store, that of the first of them: so whichever is the primary, its WAL goes on
where the last one's ended, and nobody hands over anything at a failover. They share stores and policy too, since WAL
that went elsewhere would be a gap.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.models import Cluster, Database, Node, Stanza


def groups(cluster: Cluster) -> dict[str, list[Node]]:
    """Return the hosts of each folder by its name, the first of them first."""
    return grouped(cluster.nodes.all())


def grouped(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """Return these hosts by their folders, the first of each first."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        found.setdefault(node.repository_folder, []).append(node)
    return {folder: sorted(hosts, key=lambda one: one.name != folder) for folder, hosts in found.items()}


def hosts(cluster: Cluster, node: Node) -> list[Node]:
    """Return the node and all that share its folder, the first of them first."""
    return groups(cluster)[node.repository_folder]


def first_host(cluster: Cluster, node: Node) -> Node:
    """Return the one whose stores and policy are those of all its hosts: the folder's own, or the oldest that is left.

    The node itself where nothing is shared.
    """
    return hosts(cluster, node)[0]


def is_first(cluster: Cluster, node: Node) -> bool:
    """Return whether it is the first host of its folder."""
    return first_host(cluster, node).pk == node.pk


def followers(cluster: Cluster, node: Node) -> list[Node]:
    """Return the nodes that share the node's own folder."""
    return [one for one in cluster.nodes.all() if one.folder == node.name and one.pk != node.pk]


def replicating(cluster: Cluster, node: Node | None) -> list[Node]:
    """Return the hosts of the cluster that share a folder with another one; of those, the node's alone if one is given.

    They are who can choose on which of them backups are made.
    """
    shared = [there for there in groups(cluster).values() if len(there) > 1 and (node is None or node in there)]
    return [host for there in shared for host in there]


def folders_left(cluster: Cluster, names: Iterable[str]) -> set[str]:
    """Return the folders that no node writes to once these are removed, and those that they wrote to before."""
    going = {*names}
    staying = {one.repository_folder for one in cluster.nodes.all() if one.name not in going}
    theirs = {
        folder for one in cluster.nodes.all() if one.name in going for folder in (one.name, one.repository_folder)
    }
    return theirs - staying


def speaking(said: Iterable[Stanza]) -> Stanza | None:
    """Return the report that counts of those of one database: the primary's newest, or the newest of all.

    Only a primary is on a timeline of its own (clusters.handover.report_script).
    """
    return max(said, key=lambda one: (one.timeline is not None, one.reported_at), default=None)


def reports(cluster: Cluster) -> dict[tuple[str, str], Stanza]:
    """Return what the hosts of each folder have reported of each database, by folder and stanza.

    Nodes, databases and stanzas of the cluster are at hand (with_node_setup()).
    """
    folders = {node.pk: node.repository_folder for node in cluster.nodes.all()}
    databases: dict[int, Database] = {database.pk: database for database in cluster.databases.all()}
    found: dict[tuple[str, str], list[Stanza]] = {}
    for one in cluster.stanzas.all():
        found.setdefault((folders[one.node_id], databases[one.database_id].name), []).append(one)
    return {key: told for key, rows in found.items() if (told := speaking(rows))}


def primary(cluster: Cluster, folder: str) -> Node | None:
    """Return the host that last reported as a primary, or the first; None where the folder has no host any more."""
    there = groups(cluster).get(folder, [])
    pks = {node.pk: node for node in there}
    told = speaking(one for one in cluster.stanzas.all() if one.node_id in pks)
    return pks[told.node_id] if told and told.timeline is not None else next(iter(there), None)


def strangers(cluster: Cluster, node: Node) -> list[str]:
    """Return which other hosts have reported another database than the node has, in sentences: no copies of each other.

    They would archive into one folder; pgBackRest takes only one system identifier there.
    """
    there = {one.pk: one for one in hosts(cluster, node)}
    databases = {database.pk: database.name for database in cluster.databases.all()}
    said = {(one.node_id, one.database_id): one.system_id for one in cluster.stanzas.all() if one.node_id in there}
    return [
        f"{databases[database]} on {node} has the system identifier {own}, and on {there[pk]} {other}: these are two "
        "databases, and not hosts of one replication. Make one of them anew from the other, or give it its own folder."
        for (pk, database), other in sorted(said.items())
        if pk != node.pk and (own := said.get((node.pk, database))) and own != other
    ]


def holds_own(cluster: Cluster, node: Node) -> bool:
    """Return whether backups or WAL were seen in the node's own folder, in any store that the cluster has had."""
    return any(
        row["node"] == node.name and (row["backups"] or row.get("last_wal"))
        for repository in cluster.repositories.all()
        if (inventory := getattr(repository, "inventory", None))
        for row in inventory.content
    )


def _alone(cluster: Cluster, node: Node) -> str:
    if not (node.folder and getattr(cluster, "brought_in", None)):
        return ""
    return (
        f"The repositories of {cluster.name} were brought in for {first_host(cluster, node)}: with a folder of its own "
        f"{node} would write into the same stanzas. Remove it here, and make another cluster of it."
    )


def _two_sets(cluster: Cluster, node: Node, first: Node) -> str:
    own = [one.name for one in cluster.databases.all() if one.folder == node.repository_folder]
    if not own or node.repository_folder == first.repository_folder:
        return ""
    return (
        f"{node} has stanzas of its own, {' and '.join(own)}, and {first} has others: these are two machines, and not "
        "hosts of one replication."
    )


def refusal(cluster: Cluster, node: Node, first: Node | None) -> str:
    """Return why the node cannot share the folder of that one, or have its own again; "" when it can."""
    if first is None:
        return _alone(cluster, node)
    if node.folder and len(hosts(cluster, node)) == 1:
        return (
            f"{node} is the last host of the folder {node.folder}, which goes on with it. Let other nodes follow "
            f"{node} instead."
        )
    if first.pk == node.pk:
        return f"{node} cannot follow itself."
    if (leads := first_host(cluster, first)) != first:
        return f"{first} follows {leads} itself. Choose {leads}: all its hosts share one folder."
    if theirs := followers(cluster, node):
        return f"{' and '.join(map(str, theirs))} share the folder of {node}. Have them follow {first} first."
    return _two_sets(cluster, node, first)
