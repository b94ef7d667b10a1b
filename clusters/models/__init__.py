"""What is kept of clusters: nodes and databases, repositories in stores, and who may read what was deleted."""

from clusters.models.brought_in import Bringing, BroughtIn
from clusters.models.cluster import (
    NODES_AT_MOST,
    BackupPolicy,
    Cluster,
    Database,
    State,
)
from clusters.models.drill import DRILLS_AT_MOST, Drill, DrillRun
from clusters.models.enrolment import Enrolment, EnrolmentPlace
from clusters.models.health import Health
from clusters.models.node import (
    DOUBLE_FOR,
    MACHINE_SILENT,
    Node,
    NodeDatabase,
    RemovedNode,
    Stanza,
    new_token,
)
from clusters.models.recovery_identity import RecoveryIdentity
from clusters.models.repository import (
    REPOSITORIES_AT_MOST,
    Attachment,
    Inventory,
    KnownStanza,
    Repository,
    new_passphrase,
)

__all__ = [
    "DOUBLE_FOR",
    "DRILLS_AT_MOST",
    "MACHINE_SILENT",
    "NODES_AT_MOST",
    "REPOSITORIES_AT_MOST",
    "Attachment",
    "BackupPolicy",
    "Bringing",
    "BroughtIn",
    "Cluster",
    "Database",
    "Drill",
    "DrillRun",
    "Enrolment",
    "EnrolmentPlace",
    "Health",
    "Inventory",
    "KnownStanza",
    "Node",
    "NodeDatabase",
    "RecoveryIdentity",
    "RemovedNode",
    "Repository",
    "Stanza",
    "State",
    "new_passphrase",
    "new_token",
]
