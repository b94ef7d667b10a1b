"""What a node is handed: which stores it writes to, its configuration, its schedule, and the commands to run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from clusters.models import Attachment, BackupPolicy, Cluster, Node
from clusters.pgbackrest import left, schedules
from clusters.pgbackrest.configuration import (
    BY_NUMBER,
    FILE,
    FOLDER,
    SPOOL,
    Configuration,
    StanzaConfiguration,
    Target,
    troubles,
)
from clusters.pgbackrest.restore import Command, drill_command
from clusters.pgbackrest.root_script import EXECUTABLE, MACHINE, PRIVATE, PUBLIC, put, script
from clusters.pgbackrest.schedules import MARK, UNITS, File
from console.clouds.contract import AccessSpec
from console.clouds.regions import distance_km

CRON = "/etc/cron.d"
REPORT = f"{FOLDER}/report.sh"
REPORT_UNIT = f"{UNITS}/pgbackrest-report"
WANTS = f"{UNITS}/timers.target.wants"  # where systemctl links what is enabled
KEYS = f"{FOLDER}/repo*.json"  # files of keys, also of those that were replaced
# What a node is asked for its report. A standby is on no timeline of its own.
SYSTEM_ID = "SELECT system_identifier FROM pg_control_system()"
TIMELINE = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int WHERE NOT pg_is_in_recovery()"
WRITTEN_BY_POSTGRES = ("/var/log/pgbackrest", SPOOL)  # pgBackRest's log-path, which is its default, and spool-path


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
    """Return the stores that the node writes to, by repository number."""
    there = attached(cluster)
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
    """Return the node's own policy, or the cluster's."""
    return next((one for one in cluster.policies.all() if one.node_id == node.pk), None) or cluster.policy


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

    @cached_property
    def configuration(self) -> Configuration:
        """Return the node's pgbackrest.conf."""
        stanzas = [
            StanzaConfiguration(one.name, int(one.version), one.data_directory, one.port)
            for one in self.cluster.databases.all()
        ]
        return Configuration(
            self.cluster.name,
            self.node.name,
            BY_NUMBER[self.node.pgbackrest_version],
            [self._target(one) for one in self.attachments],
            stanzas,
            self.policy.schedules,
            [self._target(one) for one in self.left],
        )

    def _target(self, one: Attachment) -> Target:
        account = self.cluster.cloud_account
        one.store.cloud_account = account  # which it has in common with the cluster
        return Target(
            number=one.repository.number,
            store=f"{one.store.name}, {one.store.region}",
            path=f"{self.cluster.repository_path}/{self.node.name}",
            repository=account.cloud.access.repository(one.store.spec(), self.access),
            cipher_pass=one.repository.secrets["cipher_pass"],
            retention_type=self.policy.retention_type,
            retention_full=self.policy.retention_full,
            retention_diff=self.policy.retention_diff,
        )

    @cached_property
    def left(self) -> list[Attachment]:
        """Return the attached stores that the node writes to no more while backups of its databases were seen there."""
        mine, names = {one.pk for one in self.attachments}, {one.name for one in self.cluster.databases.all()}
        seen = {
            repository.pk
            for repository in self.cluster.repositories.all()
            if (inventory := getattr(repository, "inventory", None))
            for row in inventory.content
            if row["node"] == self.node.name and row["stanza"] in names and row["backups"]
        }
        return [one for one in attached(self.cluster) if one.pk not in mine and one.repository_id in seen]

    @property
    def left_files(self) -> list[File]:
        """Return the configuration with which the node expires what it has left, if there is any."""
        found = self.configuration.left
        return [left.configuration(self.cluster.name, self.node.name, found)] if found else []

    @cached_property
    def masked(self) -> str:
        """Return the file with each secret hidden."""
        return self.configuration.render(secrets=False)

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the complete file."""
        return self.configuration.sha256

    @property
    def troubles(self) -> list[str]:
        """Return what will not work on the node, in sentences."""
        return troubles(self.configuration, self.node.applied_version)

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

    @property
    def added(self) -> list[str]:
        """Return the repositories that the node, as it reported, has never had: without a stanza they take no WAL."""
        had = self.node.applied_targets
        return [f"repo{number}" for number in self.numbers if had and number not in had]

    @property
    def preparation(self) -> list[str]:
        """Return the commands that prepare what was added; they leave alone what is there."""
        return [_as_postgres(f"--stanza={name} {verb}") for name in self.stanzas for verb in ("stanza-create", "check")]

    @property
    def stanzas(self) -> list[str]:
        """Return the names of the stanzas."""
        return [stanza.name for stanza in self.configuration.stanzas]

    @property
    def crontab(self) -> File:
        """Return the schedule for cron, with the report of what is applied."""
        lines = schedules.crontab(self.cluster.name, self.stanzas, self.numbers, self.policy.schedules)
        lines += left.crontab(self.stanzas) if self.configuration.left else ""
        return File(f"{CRON}/pgbackrest", f"{lines}*/5 * * * * postgres {REPORT} >/dev/null\n")

    @property
    def units(self) -> list[File]:
        """Return the same for systemd."""
        made = schedules.units(self.cluster.name, self.stanzas, self.numbers, self.policy.schedules)
        return [
            *made,
            *(left.units(self.stanzas) if self.configuration.left else ()),
            File(
                f"{REPORT_UNIT}.service",
                f"{MARK}\n[Unit]\nDescription=Tell Storekeeper what is applied\n\n"
                f"[Service]\nType=oneshot\nUser=postgres\nExecStart={REPORT}\n",
            ),
            File(
                f"{REPORT_UNIT}.timer",
                f"{MARK}\n[Unit]\nDescription=Tell Storekeeper what is applied\n\n[Timer]\nOnCalendar=*:0/5\n\n"
                "[Install]\nWantedBy=timers.target\n",
            ),
        ]

    @property
    def timers_script(self) -> str:
        """Return a shell script that installs the timers instead of the crontab, to be run as root on the node."""
        timers = [file.path.rsplit("/", 1)[1] for file in self.units if file.path.endswith(".timer")]
        checks = [
            f"only_root_changes {UNITS}",
            f"! is_there {WANTS} || only_root_changes {WANTS}",
            f"! is_there {CRON} || only_root_changes {CRON}",
            f"may_be_replaced {' '.join(file.path for file in self.units)} {self.crontab.path}",
            f"may_be_replaced {' '.join(f'{WANTS}/{timer}' for timer in timers)}",
            f"""is_earlier() {{ [ -f "$1" ] && [ ! -L "$1" ] && grep -q '^{MARK}' "$1"; }}""",
            f"for unit in {UNITS}/pgbackrest-*.timer; do",
            '  ! is_earlier "$unit" || may_be_replaced "${unit%.timer}.service"',
            "done",
        ]
        changes = [
            "# Those of an earlier schedule go first.",
            f"for unit in {UNITS}/pgbackrest-*.timer; do",
            '  if is_earlier "$unit"; then',
            '    systemctl disable --now "${unit##*/}"',
            '    rm -f "$unit" "${unit%.timer}.service"',
            "  fi",
            "done",
            *(line for file in self.units for line in put(file, PUBLIC)),
            f"rm -f {self.crontab.path}",
            "systemctl daemon-reload",
            f"systemctl enable --now {' '.join(timers)}",
        ]
        return script(f"{self.cluster.name}, node {self.node.name}: run as root on the node.", checks, changes)

    @property
    def certificates(self) -> list[File]:
        """Return the certificates that the node needs to know the servers by."""
        return [
            File(target.ca_file, target.repository.ca_certificate.strip() + "\n")
            for target in self._all_targets
            if target.repository.ca_certificate
        ]

    @property
    def keys(self) -> list[File]:
        """Return the files with secrets that the configuration names."""
        return [
            File(target.place(one), one.content.strip() + "\n")
            for target in self._all_targets
            for one in target.repository.files
        ]

    @property
    def _all_targets(self) -> list[Target]:
        return [*self.configuration.targets, *self.configuration.left]

    @property
    def has_keys(self) -> bool:
        """Return whether what it is handed holds keys of stores, and not the passphrases alone."""
        found = [target.repository for target in self.configuration.targets]
        return any(one.files or one.secret & {name for name, _ in one.options} for one in found)

    def report(self, address: str) -> File:
        """Return the script that tells the console, at that address, which file the node has; it holds a token."""
        ids = "".join(
            f'  --data-urlencode "{what}.{stanza.name}=$(psql -XAtq -p {stanza.port} -d postgres -c "{query}")" \\\n'
            for stanza in self.configuration.stanzas
            for what, query in (("system_id", SYSTEM_ID), ("timeline", TIMELINE))
        )
        token = self.node.secrets["report_token"]
        # The token goes in by standard input: a command line can be read by every user of the node.
        return File(
            REPORT,
            "#!/bin/sh\n# Tells Storekeeper which pgBackRest configuration this node has.\n"
            "curl -fsS --max-time 20 --config - \\\n"
            f'  --data-urlencode "sha256=$(sha256sum < {FILE} | cut -d" " -f1)" \\\n'
            '  --data-urlencode "version=$(pgbackrest version | cut -d" " -f2)" \\\n'
            f'  --data-urlencode "machine=$({MACHINE})" \\\n'
            f'{ids}  {shlex.quote(address)} <<END\nheader = "Authorization: Bearer {token}"\nEND\n',
        )

    def setup(self, address: str) -> str:
        """Return a shell script that puts every file in its place, to be run as root on the node."""
        files = [
            *((one, PRIVATE) for one in self.keys),  # before the configuration that names them
            (File(FILE, self.configuration.render(secrets=True)), PRIVATE),
            *((one, PRIVATE) for one in self.left_files),
            *((one, PUBLIC) for one in self.certificates),
            (self.report(address), EXECUTABLE),
        ]
        has_timers = f"[ -e {REPORT_UNIT}.timer ]"  # else each backup would be begun twice
        checks = [
            *self._identity,
            f"becomes_root_s {FOLDER}",
            *(f"is_postgres_s {folder}" for folder in WRITTEN_BY_POSTGRES),
            f"{has_timers} || only_root_changes {CRON}",
            f"may_be_replaced {' '.join(file.path for file, _ in files)}",
            f"{has_timers} || may_be_replaced {self.crontab.path}",
        ]
        changes = [
            f"install -d -o root -g postgres -m 0750 {FOLDER}",
            'for one in $missing; do install -d -o postgres -g postgres -m 0750 "$one"; done',
            *(line for file, how in files for line in put(file, how)),
            *([] if self.configuration.left else [f"is_folder {left.FILE} || rm -f {left.FILE}"]),
            f"if {has_timers}; then",
            f"  echo 'Timers make the backups here: run {self.node.name}-timers.sh too.'",
            "else",
            *put(self.crontab, PUBLIC),
            "fi",
        ]
        if self.added:
            changes += [f"echo '{' and '.join(self.added)}: no WAL leaves this node until you have run'"]
            changes += [f"echo '  {command}'" for command in self.preparation]
        if self.keys:
            kept = "|".join(shlex.quote(one.path) for one in self.keys)
            removed = '[ -d "$old" ] && [ ! -L "$old" ] || rm -f "$old"'
            changes.append(f"for old in {KEYS}; do case $old in {kept}) ;; *) {removed} ;; esac; done")
        changes.append(f"echo 'Storekeeper: {self.node.name} has its files.'")
        title = f"{self.cluster.name}, node {self.node.name}: run as root on the node. It holds secrets."
        return script(title, checks, changes)

    @cached_property
    def system_ids(self) -> dict[str, str]:
        """Return the system identifiers that the node has reported, by stanza."""
        return {one.database.name: one.system_id for one in self.cluster.stanzas.all() if one.node_id == self.node.pk}

    @property
    def _identity(self) -> list[str]:
        """Return the lines that refuse another machine than the node's, and another database, as far as it reported."""
        name, known = self.node.name, self.system_ids
        return [
            *([f"same_machine {self.node.machine} {name}"] if self.node.machine else []),
            *(
                f"same_database {shlex.quote(one.data_directory)} {known[one.name]} '{one.name} on {name}'"
                for one in self.configuration.stanzas
                if one.name in known
            ),
        ]

    report_path = REPORT

    @property
    def archiving(self) -> list[str]:
        """Return PostgreSQL's archive_command for each database."""
        return [archive_command(name) for name in self.stanzas]

    @property
    def run_setup(self) -> str:
        """Return the command that runs the set-up script where it was downloaded."""
        return f"sudo sh {self.node.name}-setup.sh"

    @property
    def commands(self) -> Sequence[Command]:
        """Return what to run on the node first, in this order."""
        found = [
            Command(f"Have PostgreSQL archive the WAL of {stanza.name}", self._archiving(stanza))
            for stanza in self.configuration.stanzas
        ]
        found.append(Command("Restart PostgreSQL, which archive_mode needs once", "sudo systemctl restart postgresql"))
        for name in self.stanzas:
            found.append(Command(f"Create the stanza {name}", _as_postgres(f"--stanza={name} stanza-create")))
            found.append(
                Command(f"Check that WAL of {name} reaches the stores", _as_postgres(f"--stanza={name} check"))
            )
            found.extend(
                Command(f"Make a first backup of {name}", f"sudo -u postgres {line}")
                for line in schedules.commands(name, "full", self.numbers)
            )
        found.append(Command("Tell the console", f"sudo -u postgres {REPORT}"))
        return found

    @property
    def drills(self) -> Sequence[Command]:
        """Return how a restore of each database is tried, from the nearest store that the node writes to."""
        first = nearest(self.cluster, self.node)
        near = [first.repository.number] if first in self.attachments else []  # type: ignore[union-attr]
        return [
            Command(
                f"Restore {stanza.name} into a folder of its own",
                drill_command(stanza.name, stanza.data_directory, number),
            )
            for stanza in self.configuration.stanzas
            for number in (near or self.numbers)[:1]
        ]

    @staticmethod
    def _archiving(stanza: StanzaConfiguration) -> str:
        return (
            f'sudo -u postgres psql -p {stanza.port} -c "ALTER SYSTEM SET archive_mode = on" '
            f"-c \"ALTER SYSTEM SET archive_command = '{archive_command(stanza.name)}'\""
        )


def node_setups(cluster: Cluster) -> list[NodeSetup]:
    """Return what each node of the cluster is handed, in the order of their names."""
    access = cluster.spec()
    return [NodeSetup(cluster, node, access) for node in cluster.nodes.all()]


def archive_command(stanza: str) -> str:
    """Return PostgreSQL's archive_command for the stanza."""
    return f"pgbackrest --stanza={stanza} archive-push %p"


def _as_postgres(arguments: str) -> str:
    return f"sudo -u postgres pgbackrest {arguments}"
