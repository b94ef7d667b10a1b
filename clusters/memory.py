"""What the console remembers of each stanza of a repository, whatever becomes of node, database and cluster."""

from __future__ import annotations

from clusters.models import Cluster, KnownStanza
from clusters.node_setup import node_setups


def note_setup(cluster: Cluster) -> None:
    """Keep how each stanza of the cluster is set up, for every repository that its node writes to or has written to.

    Call it before anything of that is taken away: a restore needs it afterwards.
    """
    cluster = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    reported = {(one.node_id, one.database_id): one.system_id for one in cluster.stanzas.all()}
    for node_setup in node_setups(cluster):
        node, written = node_setup.node, {one.repository_id for one in node_setup.attachments}
        for database in cluster.databases.all():
            setup = {
                "postgresql": database.version,
                "data_directory": database.data_directory,
                "port": database.port,
                "region": node.region,
                "system_id": reported.get((node.pk, database.pk), ""),
            }
            known = KnownStanza.objects.filter(repository__cluster=cluster, node=node.name, name=database.name)
            known.update(**setup)
            KnownStanza.objects.bulk_create(
                [
                    KnownStanza(repository_id=pk, node=node.name, name=database.name, **setup)
                    for pk in written - set(known.values_list("repository", flat=True))
                ],
                ignore_conflicts=True,
            )
