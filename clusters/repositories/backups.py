"""The backups that the repositories hold, as pages show them: whose they are, how old, and what only one store has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters import replication
from clusters.models import Cluster, Inventory, KnownStanza, Repository
from clusters.pgbackrest import timelines
from clusters.pgbackrest.repository import Backup, StanzaState, from_json
from clusters.pgbackrest.schedules import KINDS
from clusters.pgbackrest.timelines import Timeline
from clusters.repositories.growth import Growth, growth

OVERDUE = timedelta(minutes=10)


@dataclass(frozen=True)
class Row:
    """One backup for the page; sizes in bytes."""

    backup: Backup
    own_ids: frozenset[str]  # the system identifiers of the node's database and its predecessors; none: not known
    current_id: str  # that of the database which writes to the repository now

    @property
    def is_foreign(self) -> bool:
        """Return whether it is of another database than the node's own and those that came before it."""
        return bool(self.own_ids and self.backup.system_id and self.backup.system_id not in self.own_ids)

    @property
    def is_prior(self) -> bool:
        """Return whether it is of an earlier database of the stanza: what pgBackRest calls "db (prior)"."""
        return not self.is_foreign and self.backup.system_id not in {"", self.current_id}

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
        """Return how long it took; nothing for one that ended before it began, by a clock that was set back."""
        return max(0, self.backup.stopped - self.backup.started)


class Descent(StrEnum):
    """What the node's database has to do with the one that writes to the repository, as far as both are known."""

    UNKNOWN = "unknown"
    OWN = "own"
    EARLIER = "earlier"  # the node reported a database that the stanza had before
    UPGRADED = "upgraded"  # the node reports a database that the stanza never had, and has reported one that it had
    FOREIGN = "foreign"


@dataclass(frozen=True)
class StanzaView:
    """A stanza of a node in one repository."""

    stanza_state: StanzaState
    known_id: str  # the system identifier that the node reported for this database; "" when it never has
    is_gone: bool  # no such node or database is in the cluster any more
    timeline: int | None = None  # the one that the node reported with it
    reported_at: datetime | None = None
    earlier_id: str = ""  # what the console knew of the stanza before (KnownStanza.system_id)
    version: str = ""  # PostgreSQL's, as the cluster has it
    known: KnownStanza | None = None  # what the console remembers of it
    hosts: Sequence[str] = ()  # the nodes that share the folder

    @cached_property
    def descent(self) -> Descent:
        """Return whose database writes here: `db:history` is the proof of what follows on what."""
        if not self.known_id or not self.stanza_state.system_id:
            return Descent.UNKNOWN
        if self.known_id == self.stanza_state.system_id:
            return Descent.OWN
        if any(past.system_id == self.known_id for past in self.stanza_state.history):
            return Descent.EARLIER
        return Descent.UPGRADED if self._anchor else Descent.FOREIGN

    @property
    def _anchor(self) -> int:
        """Return the number of the newest database of the history that the node has ever reported; 0 for none."""
        said = {self.known_id, self.earlier_id, *self.stanza_state.confirmed} - {""}
        return max((past.db_id for past in self.stanza_state.history if past.system_id in said), default=0)

    @cached_property
    def own_ids(self) -> frozenset[str]:
        """Return the system identifiers that are the node's own: what it reported, and all that came before that."""
        if not self.known_id:
            return frozenset()
        before = {past.system_id for past in self.stanza_state.history if past.db_id <= self._anchor}
        return frozenset({self.known_id, *before})

    @property
    def is_foreign(self) -> bool:
        """Return whether something else than the node's own database writes here."""
        return self.descent == Descent.FOREIGN

    @property
    def is_unconfirmed(self) -> bool:
        """Return whether nobody has said yet which database this should be."""
        return bool(self.stanza_state.system_id and not self.known_id and not self.is_gone)

    @property
    def still_writes(self) -> bool:
        """Return whether WAL came for this database after the node had begun to report another one."""
        since, arrived = parse_datetime(self.stanza_state.reported_since), self.last_wal_at
        told = self.stanza_state.reported == self.known_id
        return bool(told and since and arrived and arrived > since)

    @property
    def is_newer(self) -> bool:
        """Return whether the cluster has the database with a newer PostgreSQL than the one that wrote here."""
        here = self.stanza_state.postgresql.partition(".")[0]
        return bool(self.version.isdecimal() and here.isdecimal() and int(self.version) > int(here))

    @property
    def stanza_upgrade(self) -> str:
        """Return the command that tells pgBackRest of a database that follows on this one."""
        return f"sudo -u postgres pgbackrest --stanza={self.stanza_state.stanza} stanza-upgrade"

    @cached_property
    def live(self) -> Timeline | None:
        """Return the timeline that the database is on."""
        told = self.timeline if self.descent == Descent.OWN else None
        return timelines.live(self.stanza_state.timelines, self.stanza_state.archive, told)

    @property
    def is_live_reported(self) -> bool:
        """Return whether the node itself said that it is on that timeline."""
        return bool(self.live and self.descent == Descent.OWN and self.live.number == self.timeline)

    @property
    def _reported_live_at(self) -> datetime | None:
        return self.reported_at if self.is_live_reported else None

    @property
    def strays(self) -> list[Timeline]:
        """Return the timelines that something else than the node's own database archives."""
        if self.live is None:
            return []
        return timelines.strays(self.stanza_state.timelines, self.live, self._reported_live_at, timezone.now())

    @property
    def unreported(self) -> list[Timeline]:
        """Return the timelines that began after the node's last report."""
        return timelines.unreported(self.stanza_state.timelines, self.live, self._reported_live_at) if self.live else []

    @property
    def strange_archives(self) -> list[str]:
        """Return the folders with WAL of databases that the stanza never had."""
        known = [f"{past.postgresql}-{past.db_id}" for past in self.stanza_state.history]
        return timelines.strangers((one.archive for one in self.stanza_state.timelines), known)

    @property
    def is_bad(self) -> bool:
        """Return whether something is wrong that somebody must look at: a copy, or WAL that nothing takes."""
        wrong = {Descent.FOREIGN, Descent.EARLIER, Descent.UPGRADED}
        return self.descent in wrong or bool(self.strays or self.strange_archives)

    @property
    def query(self) -> str:
        """Return which stanza it is, as the page that restores is asked for it."""
        return urlencode({"node": self.stanza_state.node, "stanza": self.stanza_state.stanza})

    @cached_property
    def rows(self) -> list[Row]:
        """Return the backups, newest first."""
        return [Row(one, self.own_ids, self.stanza_state.system_id) for one in reversed(self.stanza_state.backups)]

    @property
    def backups_listed(self) -> int:
        """Return how many backups the list has, also those that are not kept here."""
        return len(self.rows) + self.stanza_state.omitted

    @cached_property
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
        return self.stanza_state.backup_bytes or sum(row.backup.stored for row in self.rows)

    @property
    def total(self) -> int:
        """Return the bytes that backups and WAL take in the repository, or all objects where the list is not read."""
        return self.stanza_state.bytes or self.stored + self.stanza_state.wal_bytes


@dataclass(frozen=True)
class RepositoryView:
    """A repository of the cluster, with what was last seen in it."""

    repository: Repository
    inventory: Inventory | None
    stanza_views: Sequence[StanzaView]

    @property
    def is_overdue(self) -> bool:
        """Return whether a look was due some minutes ago: the account's budget is spent, or no worker runs."""
        due_at = self.inventory.due_at if self.inventory else None
        return due_at is not None and timezone.now() - due_at > OVERDUE

    @property
    def total(self) -> int:
        """Return the bytes that all its stanzas take."""
        return sum(one.total for one in self.stanza_views)

    @property
    def growth(self) -> Growth | None:
        """Return how it grew; nothing while nothing was ever seen in it."""
        return growth(self.repository.known_stanzas.all())

    @property
    def more(self) -> bool:
        """Return whether there is more than was counted."""
        return any(one.stanza_state.wal_more or one.stanza_state.more for one in self.stanza_views)


def states(repository: Repository) -> list[StanzaState]:
    """Return what was last seen in the repository, by node and stanza."""
    inventory = getattr(repository, "inventory", None)
    return from_json(inventory.content) if inventory else []


def bookcases(cluster: Cluster) -> list[RepositoryView]:
    """Return what is known of the cluster's attached repositories, by number."""
    attached = {one.repository_id for one in cluster.attachments.all()}
    return _cases(cluster, [one for one in cluster.repositories.all() if one.pk in attached])


def _cases(cluster: Cluster, repositories: Iterable[Repository]) -> list[RepositoryView]:
    hosts, said = replication.groups(cluster), replication.reports(cluster)
    versions = {database.name: database.version for database in cluster.databases.all()}
    here = {(folder, database) for folder in hosts for database in versions}
    found = []
    for repository in repositories:
        seen_states = states(repository)
        then = {(one.node, one.name): one for one in repository.known_stanzas.all()}
        seen = {(one.node, one.stanza) for one in seen_states}
        # Whose folder is gone is told of, too: it is not as if nothing had ever been there.
        gone = sorted(key for key, one in then.items() if one.seen_at and key not in seen)
        stanza_views = [
            StanzaView(
                stanza_state=one,
                known_id=reported.system_id if (reported := said.get((one.node, one.stanza))) else "",
                is_gone=(one.node, one.stanza) not in here,
                timeline=reported.timeline if reported else None,
                reported_at=reported.reported_at if reported else None,
                earlier_id=known.system_id if (known := then.get((one.node, one.stanza))) else "",
                version=versions.get(one.stanza, ""),
                known=then.get((one.node, one.stanza)),
                hosts=[node.name for node in hosts.get(one.node, [])],
            )
            for one in (*seen_states, *(StanzaState(*key, "empty") for key in gone))
        ]
        found.append(RepositoryView(repository, getattr(repository, "inventory", None), stanza_views))
    return found


def retained_case(repository: Repository, cluster: Cluster | None) -> RepositoryView:
    """Return what is known of a repository that no cluster uses; its nodes say which database is theirs, if it has any.

    The cluster, which is there or deleted, comes with_node_setup().
    """
    if cluster:
        return _cases(cluster, [repository])[0]
    views = [StanzaView(one, known_id="", is_gone=True) for one in states(repository)]
    return RepositoryView(repository, getattr(repository, "inventory", None), views)
