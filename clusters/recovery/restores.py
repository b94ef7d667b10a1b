"""What can be restored from where: the stanzas of a cluster's or of one retained repository, and the restore itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from clusters.models import Attachment, Cluster, Database, Health, KnownStanza, Node, Repository
from clusters.node_setup import databases_of, layout_of, node_setups
from clusters.pgbackrest import own_key, restore
from clusters.pgbackrest.configuration import BY_NUMBER, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout, called
from clusters.pgbackrest.repository import Backup, StanzaState, from_json
from clusters.pgbackrest.restore_script import restore_script
from clusters.pgbackrest.window import Window, database_of, is_prior, window
from clusters.pictures.recovery_window import Line, Seen, lines
from clusters.replication import groups, primary, reports
from clusters.repositories.backups import Row, StanzaView
from console.accounts import activity
from console.accounts.models import User
from console.clouds.contract import RepositoryOptions
from console.clouds.specs import AccessSpec

LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?", re.ASCII)  # as pgBackRest makes them


@dataclass(frozen=True)
class Source:
    """A stanza of a node in one repository, with what is known of the database that it is of."""

    repository: Repository
    state: StanzaState
    known: KnownStanza | None
    cluster: Cluster | None
    node: Node | None  # of the hosts that write there, the primary; None once there is none any more
    database: Database | None
    is_attached: bool
    node_has_it: bool  # the repository is in the node's configuration, as it is handed out now

    @property
    def name(self) -> str:
        """Return how people call the repository."""
        return f"{self.repository.store} (repo{self.repository.number})"

    @property
    def postgresql(self) -> int:
        """Return PostgreSQL's major version; 0 where nothing says it."""
        text = self.state.postgresql or (self.known.postgresql if self.known else "")
        text = text or (self.database.version if self.database else "")
        major = text.split(".")[0]
        return int(major) if major.isascii() and major.isdigit() and len(major) < 4 else 0

    @property
    def data_directory(self) -> str:
        """Return where the database is on its node; "" where nobody knows."""
        return self.there.data_directory if self.there else self.known.data_directory if self.known else ""

    @property
    def port(self) -> int:
        """Return the port of the database on its node."""
        found = self.there.port if self.there else self.known.port if self.known else None
        return found or 5432

    @cached_property
    def databases(self) -> list[StanzaConfiguration]:
        """Return the databases of the node; none once it is removed."""
        return databases_of(self.cluster, self.node) if self.cluster and self.node else []

    @property
    def there(self) -> StanzaConfiguration | None:
        """Return this one as the node has it."""
        return next((one for one in self.databases if self.database and one.name == self.database.name), None)

    @property
    def layout(self) -> Layout:
        """Return where the node's files are, or were."""
        if self.cluster and self.node:
            return layout_of(self.cluster, self.node)
        return Layout(called(self.repository.cluster_name, self.repository.prefix))

    @cached_property
    def view(self) -> StanzaView:
        """Return whose database writes there, and on which timeline, as far as the node has said it."""
        key = (self.state.node, self.state.stanza) if self.node and self.database else None
        told = reports(self.cluster).get(key) if self.cluster and key else None
        known_id = self.known.system_id if self.known else ""
        return StanzaView(
            stanza_state=self.state,
            known_id=told.system_id if told else known_id,
            is_gone=key is None,
            timeline=told.timeline if told else None,
            reported_at=told.reported_at if told else None,
            earlier_id=known_id,
        )

    @cached_property
    def backups(self) -> list[Backup]:
        """Return the backups, newest first."""
        return sorted((one for one in self.state.backups if LABEL.fullmatch(one.label)), key=lambda one: -one.stopped)

    @cached_property
    def window(self) -> Window | None:
        """Return to which moments the present database can go back."""
        return window(self.state)

    def is_foreign(self, backup: Backup) -> bool:
        """Return whether it is of a database that never was the node's own."""
        return Row(backup, self.view.own_ids, self.state.system_id).is_foreign

    def is_prior(self, backup: Backup) -> bool:
        """Return whether it is of the node's database before its last upgrade."""
        return is_prior(self.state, backup)

    @property
    def usual_timeline(self) -> str:
        """Return the timeline to follow: the newest, "", unless something else than the node has begun that."""
        return str(self.view.live.number) if self.view.live and self.view.strays else ""

    def postgresql_of(self, backup: Backup | None) -> int:
        """Return the major version that a backup needs."""
        if backup and self.is_prior(backup) and (past := database_of(self.state, backup)):
            major = past.postgresql.split(".")[0]
            return int(major) if major.isascii() and major.isdigit() else self.postgresql
        return self.postgresql

    @cached_property
    def options(self) -> RepositoryOptions:
        """Return how the repository is reached; with the nodes' key only where that opens it."""
        found, store = self.repository, self.repository.store
        assert store is not None  # sources() leaves the others out
        account = store.cloud_account
        if self.is_attached and self.cluster:
            access = self.cluster.spec()
        else:
            access = AccessSpec(store.pk, found.cluster_name, account.credentials(), found.cluster_prefix, ())
        options = account.cloud.access.repository(store.spec(), replace(access, kept=found.reached))
        key = self.cluster.own_keys.get(found.number) if self.is_attached and self.cluster else None
        return own_key.signed_in(options, key) if key else options

    @property
    def needs_key(self) -> bool:
        """Return whether no machine has a key or a role that opens the repository, so that somebody must bring one."""
        return not self.is_attached or bool(self.options.lacks)

    @property
    def target(self) -> Target:
        """Return the repository as pgBackRest's configuration names it."""
        found = self.repository
        return Target(
            number=found.number,
            store=str(found.store),
            path=f"/{found.place_of(self.state.node)}",
            repository=self.options,
            cipher_pass=found.passphrase,
            retention_type="count",
            retention_full=1,
            retention_diff=None,
            folder=self.layout.folder,
        )

    def least(self, backup: Backup | None) -> str:
        """Return the oldest pgBackRest that can restore it."""
        version = BY_NUMBER[self.node.pgbackrest_version] if self.node else BY_NUMBER[""]
        return restore.least_version(
            self.postgresql_of(backup),
            RepositoryOptions(()) if self.needs_key else self.options,
            self.node.applied_version if self.node else "",
            has_block=version.has_block and bool(version.number),
        )


def of_cluster(cluster: Cluster) -> list[Source]:
    """Return what can be restored of the cluster (with_node_setup()), also from stores that it has left."""
    written = {
        one.node.repository_folder: {store.repository_id for store in one.attachments} for one in node_setups(cluster)
    }
    stores = {one.store_id for one in cluster.attachments.all() if one.state == Attachment.State.ATTACHED}
    attached = {one.pk for one in cluster.repositories.all() if one.store_id in stores}
    return _sources(cluster.repositories.all(), cluster, attached, written)


def of_repository(repository: Repository) -> list[Source]:
    """Return what can be restored of one repository that no cluster uses."""
    return _sources([repository], None, set(), {})


def _sources(
    repositories: Iterable[Repository], cluster: Cluster | None, attached: set[int], written: dict[str, set[int]]
) -> list[Source]:
    nodes = {folder: primary(cluster, folder) for folder in groups(cluster)} if cluster else {}
    databases = {(folder, one.name): one for folder in nodes for one in cluster.databases_in(folder)} if cluster else {}
    found = []
    for repository in repositories:
        if repository.store is None:
            continue
        if cluster:
            repository.store.cloud_account = cluster.cloud_account  # which they have in common
        inventory = getattr(repository, "inventory", None)
        states = {(one.node, one.stanza): one for one in from_json(inventory.content)} if inventory else {}
        known = {(one.node, one.name): one for one in repository.known_stanzas.all()}
        # What is set up and was never seen is nothing to restore, unless no look could be had.
        unread = inventory is not None and inventory.error and not inventory.read_at
        written_once = {key for key, one in known.items() if one.seen_at or unread}
        for node, stanza in sorted({*states, *written_once}):
            found.append(
                Source(
                    repository=repository,
                    state=states.get((node, stanza)) or StanzaState(node, stanza, "unknown"),
                    known=known.get((node, stanza)),
                    cluster=cluster,
                    node=nodes.get(node),
                    database=databases.get((node, stanza)),
                    is_attached=repository.pk in attached,
                    node_has_it=repository.pk in written.get(node, ()),
                )
            )
    return found


def drawn(sources: list[Source], health: Iterable[Health], moment: datetime | None = None) -> list[Line]:
    """Return the recovery window of each source as it is drawn, all on one scale, with the moment that was chosen."""
    judged = {(one.repository_id, one.node, one.database): one for one in health}
    rows = [
        Seen(
            one.repository,
            one.state,
            one.known,
            judged.get((one.repository.pk, one.state.node, one.state.stanza)),
            one.is_attached,
        )
        for one in sources
    ]
    return lines(rows, timezone.now(), moment)


def hand_out(found: restore.Restore, source: Source, subject: Cluster | Repository, *, by: User | None) -> str:
    """Return the complete script of a restore, with its secrets, and have it written down who was shown it."""
    after = {"database": f"{found.stanza} on {found.node}", "repository": source.name, "to": found.where}
    action = "Was shown a restore script with its secrets"
    activity.record(action, subject, organisation=subject.organisation, by=by, after=after)
    return restore_script(found, secrets=True)
