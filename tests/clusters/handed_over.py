"""What a node is handed, made without a database."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from clusters.models import BackupPolicy, Cluster, Node
from clusters.node_setup import NodeSetup
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from console.clouds.contract import RepositoryOptions, SecretFile

REPOSITORY = RepositoryOptions(
    (("type", "gcs"),), ca_certificate="a certificate", files=(SecretFile("gcs-key", "gcs-1234.json", "{}"),)
)


def handed(
    name="orders",
    directory="/var/lib/postgresql/15/main",
    repository=REPOSITORY,
    path="/c-a/n1",
    *,
    number=7,
    schedules=None,
    **node,
):
    """What a node is handed; as it is, every kind of file."""
    stanza = StanzaConfiguration("main", 15, directory, 5432)
    node_setup = NodeSetup(Cluster(id=UUID(int=number), name=name), Node(name="n1", applied_targets=[], **node), None)
    layout = node_setup.layout
    target = Target(1, name, path, repository, "passphrase", "time", 14, None, folder=layout.folder)
    left = [replace(target, number=2)]
    configuration = Configuration(name, "n1", BY_NUMBER["2.45"], [target], [stanza], schedules or {}, layout, left)
    vars(node_setup).update(configuration=configuration, policy=BackupPolicy(), system_ids={})
    return node_setup
