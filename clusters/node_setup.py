"""What a node is handed: which stores it writes to, its configuration, its schedule, and the commands to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from zoneinfo import ZoneInfo

from django.conf import settings

from clusters.drills import plans
from clusters.handover import left, schedule_files, steps
from clusters.handover.backup_script import backup_script
from clusters.handover.report_script import report_script
from clusters.handover.setup_script import Known, check_script, setup_script
from clusters.handover.timers_script import timers_script
from clusters.models import Attachment, BackupPolicy, Cluster, Database, Node, NodeDatabase, Repository
from clusters.pgbackrest import clocks, own_key
from clusters.pgbackrest.configuration import (
    BY_NUMBER,
    Archiving,
    Configuration,
    OtherHost,
    StanzaConfiguration,
    Target,
    troubles,
)
from clusters.pgbackrest.drill import Drills
from clusters.pgbackrest.drill import command as drill_command
from clusters.pgbackrest.kept import KeptLine
from clusters.pgbackrest.layout import File, Layout
from clusters.pgbackrest.restore import Command
from clusters.replication import first_host, groups, hosts, primary, reports, strangers
from clusters.reports.shown import ReportView
from console.clouds.contract import MachineStep
from console.clouds.regions import distance_km
from console.clouds.specs import AccessSpec
from stores.models import Store


def attached(cluster: Cluster) -> list[Attachment]:
    """Return the stores that nodes may write to now, by repository number; not those that come or go."""
    return [one for one in cluster.attachments.all() if one.state == Attachment.State.ATTACHED]


def nearest(cluster: Cluster, node: Node) -> Attachment | None:
    """Return the attached store that is nearest to the node; of two as near, the one with the lower number."""
    here = cluster.cloud_account.region(node.region)
    away = []
    for one in attached(cluster):
        there = cluster.cloud_account.region(one.store.region)
        away.append((distance_km(here, there) if here and there else float("inf"), one.repository.number, one))
    return min(away, key=lambda row: row[:2])[2] if away else None


def written_by(cluster: Cluster, node: Node) -> list[Attachment]:
    """Return the stores that the node writes to, by repository number: those of the first host of its replication."""
    there, node = attached(cluster), first_host(cluster, node)
    if node.writes_to == Node.WritesTo.ALL:
        return there
    if node.writes_to == Node.WritesTo.CHOSEN:
        chosen = {one.pk for one in node.chosen.all()}
        if found := [one for one in there if one.pk in chosen]:
            return found
    # Also when all that were chosen are detached: a node without a repository cannot archive.
    first = nearest(cluster, node)
    return [first] if first else []


def policy_of(cluster: Cluster, node: Node) -> BackupPolicy:
    """Return the node's own policy, that of the first host of its replication, or the cluster's."""
    first = first_host(cluster, node)
    return next((one for one in cluster.policies.all() if one.node_id == first.pk), None) or cluster.policy


def zone_of(nodes: Iterable[Node]) -> ZoneInfo | None:
    """Return the time zone that these nodes have reported; None when they differ, or one has not said."""
    names = {str(node.status.get("timezone", "")) for node in nodes}
    return clocks.zone(names.pop()) if len(names) == 1 else None


@dataclass(frozen=True)
class NodeSetup:
    """All that one node is handed."""

    cluster: Cluster
    node: Node
    access: AccessSpec

    @cached_property
    def attachments(self) -> list[Attachment]:
        """Return the stores that the node writes to, by repository number."""
        return written_by(self.cluster, self.node)

    @cached_property
    def policy(self) -> BackupPolicy:
        """Return how the node keeps and makes backups."""
        return policy_of(self.cluster, self.node)

    @property
    def layout(self) -> Layout:
        """Return where the node's files are."""
        return layout_of(self.cluster, self.node)

    @cached_property
    def configuration(self) -> Configuration:
        """Return the node's pgbackrest.conf."""
        stanzas = [replace(one, others=self._reached(one.name)) for one in databases_of(self.cluster, self.node)]
        targets = [self._target(one.store, one.repository) for one in self.attachments]
        return Configuration(
            self.cluster.name,
            self.node.name,
            BY_NUMBER[self.node.pgbackrest_version],
            targets,
            stanzas,
            self.policy.schedules,
            self.layout,
            [self._target(store, repository, folder) for store, repository, folder in self.left],
            archiving=Archiving(self.policy.queue_max, self.policy.io_timeout),
            backs_up_from_standby=self.policy.backup_from == BackupPolicy.BackupFrom.STANDBY,
            follows=str(primary(self.cluster, self.node.repository_folder)) if self.others else "",
            drills=self._drills(targets, stanzas),
            kept=kept_lines(self.cluster),
            is_watched_only=self.cluster.is_watched_only,
        )

    def _drills(self, targets: list[Target], stanzas: list[StanzaConfiguration]) -> Drills | None:
        """Return the restore drills and verifications that the node does itself; None without any."""
        mine = plans.of_node(self.cluster.drills.all(), self.node, is_first=self.hosts[0].pk == self.node.pk)
        if not (mine and targets and stanzas):
            return None
        folder, names = self.node.repository_folder, {one.pk: one.name for one in self.cluster.databases.all()}
        numbers = [one.number for one in targets]
        jobs = [(one, plans.jobs(one, folder, stanzas, numbers, names)) for one in mine]
        found = [plans.plan(one, its) for one, its in jobs if its]  # of a database that is on other nodes, none
        return Drills(found, [(folder, targets)], self.layout) if found else None

    def _reached(self, stanza: str) -> list[OtherHost]:
        """Return the other hosts as this one reaches the stanza's server on them."""
        found, is_before = [], True
        for one in self.hosts:
            if one.pk == self.node.pk:
                is_before = False
                continue
            there = next(each for each in databases_of(self.cluster, one) if each.name == stanza)
            found.append(
                OtherHost(
                    address=one.address,
                    user=one.os_user,
                    ssh_port=one.ssh_port,
                    configuration=layout_of(self.cluster, one).configuration,
                    data_directory=there.data_directory,
                    port=there.port,
                    is_before=is_before,
                )
            )
        return found

    @cached_property
    def hosts(self) -> list[Node]:
        """Return the hosts of the node's replication, the first of them first; the node alone without one."""
        return hosts(self.cluster, self.node)

    @property
    def first(self) -> NodeSetup:
        """Return that of the host whose stores and policy are those of all its hosts."""
        return NodeSetup(self.cluster, self.hosts[0], self.access)

    @property
    def others(self) -> list[Node]:
        """Return the other hosts."""
        return [one for one in self.hosts if one.pk != self.node.pk]

    def _target(self, store: Store, repository: Repository, folder: str = "") -> Target:
        account = self.cluster.cloud_account
        store.cloud_account = account  # which it has in common with the cluster
        options = account.cloud.access.repository(store.spec(), replace(self.access, kept=repository.reached))
        if key := self.cluster.own_keys.get(repository.number):
            options = own_key.signed_in(options, key)
        return Target(
            number=repository.number,
            store=f"{store.name}, {store.region}",
            path=f"/{repository.place_of(folder or self.node.repository_folder)}",
            repository=options,
            cipher_pass=repository.secrets["cipher_pass"],
            retention_type=self.policy.retention_type,
            retention_full=self.policy.retention_full,
            retention_diff=self.policy.retention_diff,
            folder=self.layout.folder,
            kept=own["kept"] if (own := repository.brought) else None,
            own_retention=own.get("retention") if own else None,
            more_retention=own.get("retention_rest", {}) if own else {},
        )

    @cached_property
    def left(self) -> list[tuple[Store, Repository, str]]:
        """Return the repositories in attached stores, with the folder there, that the node left and has backups in.

        The first host expires what its replication has left; each other host the folder that it had before.
        """
        folder, names = self.node.name, {one.name for one in self.cluster.databases.all()}
        if self.hosts[0] == self.node:
            folder = self.node.repository_folder
        mine = {one.repository_id for one in self.attachments} if folder == self.node.repository_folder else set()
        stores = {one.store_id: one.store for one in attached(self.cluster)}
        return [
            (stores[repository.store_id], repository, folder)
            for repository in self.cluster.repositories.all()
            if repository.store_id in stores and repository.pk not in mine
            if (inventory := getattr(repository, "inventory", None))
            and any(row["node"] == folder and row["stanza"] in names and row["backups"] for row in inventory.content)
        ]

    @property
    def left_files(self) -> list[File]:
        """Return the configuration with which the node expires what it has left, if there is any."""
        return [left.file(self.configuration)] if self.configuration.left else []

    @cached_property
    def masked(self) -> str:
        """Return the file with each secret hidden."""
        return self.configuration.render(secrets=False)

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the complete file."""
        return self.configuration.sha256

    @property
    def missing(self) -> str:
        """Return what has to be there before pgBackRest could work with its files, in a sentence; "" when all is."""
        if self.configuration.is_complete:
            return ""
        missing = "a database" if self.configuration.targets else "a backup store"
        return f"{self.cluster.name} has no configuration yet: give it {missing} first."

    @property
    def troubles(self) -> list[str]:
        """Return what will not work on the node, in sentences. One that is watched only is handed nothing."""
        if self.cluster.is_watched_only:
            return strangers(self.cluster, self.node)
        return [*strangers(self.cluster, self.node), *troubles(self.configuration, self.node.applied_version)]

    @property
    def numbers(self) -> list[int]:
        """Return the repository numbers in the file."""
        return [target.number for target in self.configuration.targets]

    @property
    def state(self) -> str:
        """Return applied, outdated or unknown: what the node itself said of its file, measured by ours."""
        if not self.node.reported_at:
            return "unknown"
        return "applied" if self.node.applied_sha256 == self.sha256 else "outdated"

    @cached_property
    def said(self) -> ReportView:
        """Return the node's last report."""
        return ReportView(self.node)

    @property
    def added(self) -> list[str]:
        """Return the repositories that the node, as it reported, has never had: without a stanza they take no WAL."""
        had = self.node.applied_targets
        return [f"repo{number}" for number in self.numbers if had and number not in had]

    @property
    def has_keys(self) -> bool:
        """Return whether what it is handed holds keys of stores, and not the passphrases alone."""
        found = [target.repository for target in self.configuration.targets]
        return any(one.files or one.secret & {name for name, _ in one.options} for one in found)

    @cached_property
    def system_ids(self) -> dict[str, str]:
        """Return the system identifiers that the hosts of the node's replication share, by stanza, as reported."""
        ours, said = self.node.repository_folder, reports(self.cluster)
        return {stanza: one.system_id for (folder, stanza), one in said.items() if folder == ours}

    # What it is handed, for pages

    @property
    def crontab(self) -> File:
        """Return the schedule for cron, with the report of what is applied."""
        return schedule_files.crontab(self.configuration)

    @property
    def backup(self) -> File:
        """Return the script that cron and the timers run for each backup."""
        return backup_script(self.configuration)

    @property
    def units(self) -> list[File]:
        """Return the same for systemd."""
        return schedule_files.units(self.configuration)

    @property
    def timers_script(self) -> str:
        """Return a shell script that installs the timers instead of the crontab, to be run as root on the node."""
        return timers_script(self.configuration)

    def report(self, address: str) -> File:
        """Return the script that tells the console, at that address, which file the node has; it holds a token."""
        known = self._known(address)
        return report_script(self.configuration, address, known.report_token, known.ca_file(self.layout))

    def setup(self, address: str) -> str:
        """Return a shell script that puts every file in its place, to be run as root on the node."""
        return setup_script(self.configuration, self._known(address))

    def check(self, address: str) -> str:
        """Return a shell script that says what that one would do; it holds no secrets."""
        return check_script(self.configuration, self._known(address))

    def _known(self, address: str) -> Known:
        node = self.node
        token = node.secrets["report_token"]
        drills = address.removesuffix("applied/") + "drill/"
        return Known(address, token, node.machine, self.system_ids, self.added, settings.PUBLIC_CA, drills)

    @property
    def try_now(self) -> list[tuple[int, str]]:
        """Return what does each of the node's drills by hand, with the plan's key."""
        found = self.configuration.drills
        return (
            [(one.id, self.layout.as_user(drill_command(self.layout, one.id))) for one in found.plans] if found else []
        )

    @property
    def archiving(self) -> list[str]:
        """Return PostgreSQL's archive_command for each database."""
        return [steps.archive_command(self.configuration, one.name) for one in self.configuration.stanzas]

    @property
    def preparation(self) -> list[str]:
        """Return the commands that prepare what was added; they leave alone what is there."""
        return steps.preparation(self.configuration)

    @property
    def machine_steps(self) -> Sequence[MachineStep]:
        """Return what the machine needs first, where it is the machine that signs in to the stores."""
        if {*self.numbers} <= {*self.cluster.own_keys} and self.numbers:  # it signs in as before
            return []
        return self.cluster.cloud.access.machine_steps(self.access, self.node.region)

    @property
    def copy_setup(self) -> str:
        """Return the command that brings the downloaded set-up script to the machine."""
        return steps.copy_setup(self.configuration, self.node.address or self.node.name)

    @property
    def run_setup(self) -> str:
        """Return the command that runs the set-up script where it was copied to."""
        return steps.run_setup(self.configuration)

    @property
    def remove_setup(self) -> str:
        """Return the command that removes the set-up script, which holds secrets."""
        return steps.remove_setup(self.configuration)

    def removal(self, database: Database) -> Sequence[Command]:
        """Return what to run on the node when the console is to forget a database."""
        return [
            command
            for one in self.configuration.stanzas
            if one.name == database.name
            for command in steps.removal(self.configuration, one)
        ]

    @property
    def commands(self) -> Sequence[Command]:
        """Return what to run on the node first, in this order."""
        return steps.commands(self.configuration, self._there)

    @property
    def _there(self) -> set[str]:
        """Return the node's stanzas that were brought in with it: they archived before the console."""
        brought = getattr(self.cluster, "brought_in", None)
        if not brought or self.node.created_at > brought.at:
            return set()
        found = [one.brought for one in self.cluster.repositories.all() if one.brought is not None]
        return {name for one in found for name in {*one["stanzas"]} - {*one.get("added", ())}}

    @property
    def drills(self) -> Sequence[Command]:
        """Return how a restore of each database is tried, from the nearest store that the node writes to."""
        first = nearest(self.cluster, self.node)
        near = [first.repository.number] if first in self.attachments else []  # type: ignore[union-attr]
        return [one for number in (near or self.numbers)[:1] for one in steps.drills(self.configuration, number)]


def kept_lines(cluster: Cluster) -> list[KeptLine] | None:
    """Return what the nodes' files have from the one that was brought in; None where none was."""
    brought = getattr(cluster, "brought_in", None)
    return [KeptLine(*one) for one in brought.file.get("lines", [])] if brought else None


def layout_of(cluster: Cluster, node: Node) -> Layout:
    """Return where the node's files are."""
    return Layout(cluster.called, node.os_user, node.system, cluster.prefix)


def databases_of(cluster: Cluster, node: Node) -> list[StanzaConfiguration]:
    """Return the databases of the node's folder as the node has them."""
    different = {one.database_id: one for one in node.differences.all()}
    return [stanza_configuration(one, different.get(one.pk)) for one in cluster.databases_in(node.repository_folder)]


def stanza_configuration(database: Database, difference: NodeDatabase | None) -> StanzaConfiguration:
    """Return a database as one node has it."""
    return StanzaConfiguration(
        name=database.name,
        postgresql=int(database.version),
        data_directory=(difference and difference.data_directory) or database.data_directory,
        port=(difference and difference.port) or database.port,
        service=difference.service if difference else "",
    )


def node_setups(cluster: Cluster) -> list[NodeSetup]:
    """Return what each node of the cluster is handed, in the order of their names."""
    access = cluster.spec_as_read()
    return [NodeSetup(cluster, node, access) for node in cluster.nodes.all()]


def pass_on(cluster: Cluster, names: Collection[str]) -> None:
    """Give the stores and the policy of each first host that is about to go to the next host of its replication.

    So nothing changes for those that stay.
    """
    cluster = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    for there in groups(cluster).values():
        staying = [one for one in there if one.name not in names]
        if not staying or there[0] in staying:
            continue
        gone, heir = there[0], staying[0]
        written, policy = written_by(cluster, gone), policy_of(cluster, gone)
        if policy.node_id:
            policy.pk, policy.node = None, heir
            policy.save(force_insert=True)
        heir.writes_to = gone.writes_to
        if gone.writes_to != Node.WritesTo.ALL and [nearest(cluster, heir)] != written:
            heir.writes_to = Node.WritesTo.CHOSEN
        heir.save(update_fields=["writes_to"])
        heir.chosen.set(written if heir.writes_to == Node.WritesTo.CHOSEN else [])
