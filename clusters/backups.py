"""The backups that the repositories hold, as pages show them: whose they are, how old, and what only one store has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from django.utils.dateparse import parse_datetime

from clusters.models import Cluster, Inventory, Repository
from clusters.pgbackrest.repository import Backup, StanzaState, from_json
from clusters.pgbackrest.schedules import KINDS


@dataclass(frozen=True)
class Row:
    """One backup for the page; sizes in bytes."""

    backup: Backup
    known_id: str  # the system identifier of the node's own database; "" while it is not known

    @property
    def is_foreign(self) -> bool:
        """Return whether it is of another database than the node's own."""
        return bool(self.known_id and self.backup.system_id and self.known_id != self.backup.system_id)

    @property
    def kind(self) -> str:
        """Return the type in words."""
        return KINDS[self.backup.kind]

    @property
    def stopped_at(self) -> datetime:
        """Return when it was complete."""
        return datetime.fromtimestamp(self.backup.stopped, UTC)

    @property
    def seconds(self) -> int:
        """Return how long it took."""
        return self.backup.stopped - self.backup.started


@dataclass(frozen=True)
class StanzaView:
    """A stanza of a node in one repository."""

    stanza_state: StanzaState
    known_id: str  # the system identifier that the node reported for this database; "" when it never has
    is_gone: bool  # no such node or database is in the cluster any more

    @property
    def is_foreign(self) -> bool:
        """Return whether something else than the node's own database writes here."""
        return bool(self.known_id and self.stanza_state.system_id and self.known_id != self.stanza_state.system_id)

    @property
    def is_unconfirmed(self) -> bool:
        """Return whether nobody has said yet which database this should be."""
        return bool(self.stanza_state.system_id and not self.known_id and not self.is_gone)

    @cached_property
    def rows(self) -> list[Row]:
        """Return the backups, newest first."""
        return [Row(one, self.known_id) for one in reversed(self.stanza_state.backups)]

    @property
    def last_full(self) -> Row | None:
        """Return the newest full backup that is not of another database."""
        return next((row for row in self.rows if row.backup.kind == "full" and not row.is_foreign), None)

    @property
    def last_wal_at(self) -> datetime | None:
        """Return when the last WAL segment came."""
        return parse_datetime(self.stanza_state.last_wal_at)

    @property
    def stored(self) -> int:
        """Return the bytes that the backups take in the repository."""
        return sum(row.backup.stored for row in self.rows)


@dataclass(frozen=True)
class RepositoryView:
    """A repository of the cluster, with what was last seen in it."""

    repository: Repository
    inventory: Inventory | None
    stanza_views: Sequence[StanzaView]


def bookcases(cluster: Cluster) -> list[RepositoryView]:
    """Return what is known of the cluster's attached repositories, by number."""
    nodes = {node.pk: node.name for node in cluster.nodes.all()}
    databases = {database.pk: database.name for database in cluster.databases.all()}
    known = {(nodes[one.node_id], databases[one.database_id]): one.system_id for one in cluster.stanzas.all()}
    here = {(node, database) for node in nodes.values() for database in databases.values()}
    attached = {one.repository_id for one in cluster.attachments.all()}
    found = []
    for repository in cluster.repositories.all():
        if repository.pk not in attached:
            continue
        inventory = getattr(repository, "inventory", None)
        stanza_states = from_json(inventory.content) if inventory else []
        stanza_views = [
            StanzaView(one, known.get((one.node, one.stanza), ""), (one.node, one.stanza) not in here)
            for one in stanza_states
        ]
        found.append(RepositoryView(repository, inventory, stanza_views))
    return found


def only_full_backups(cluster: Cluster, repositories: set[int]) -> tuple[list[str], bool]:
    """Return what would be lost with these repositories, in sentences, and whether all of them have been looked into.

    Lost is a stanza whose full backups are in none of the cluster's other repositories, as far as those were read.
    """
    cases = bookcases(cluster)
    kept = {
        (view.stanza_state.node, view.stanza_state.stanza)
        for case in cases
        if case.repository.number not in repositories
        for view in case.stanza_views
        if view.last_full
    }
    going = [case for case in cases if case.repository.number in repositories]
    said = [
        f"{case.repository.store} (repo{case.repository.number}) holds the only full backups of "
        f"{view.stanza_state.stanza} on {view.stanza_state.node}, the newest {view.last_full.backup.label}."
        for case in going
        for view in case.stanza_views
        if view.last_full and (view.stanza_state.node, view.stanza_state.stanza) not in kept
    ]
    read = all(
        case.inventory
        and case.inventory.read_at
        and all(one.stanza_state.status in {"read", "empty"} for one in case.stanza_views)
        for case in going
    )
    return said, read
