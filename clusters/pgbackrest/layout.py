"""Where everything of one cluster is on a node's machine, and as whom it runs. Pure.

Every place carries the cluster's name, so that two clusters share a machine, and a configuration that somebody made by
hand goes on beside them. With `--config` pgBackRest reads that one file: neither `/etc/pgbackrest.conf`,
`/etc/pgbackrest/pgbackrest.conf` nor `conf.d` beside them (tried with 2.45, each of them with an option in it).
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

ABOVE = "/etc/pgbackrest"  # the folder of all clusters' folders, and of what people made by hand
CRON = "/etc/cron.d"
UNITS = "/etc/systemd/system"
LOGS = "/var/log/pgbackrest"  # pgBackRest's log-path, which is its default
SPOOL = "/var/spool/pgbackrest"
ROTATION = "/etc/logrotate.d"
DEBIAN, RPM, OTHER = "debian", "rpm", "other"  # whose packages PostgreSQL is of
SLUG_AT_MOST = 20  # characters


def slug(name: str) -> str:
    """Return what is left of a cluster's name in the names of files and units."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:SLUG_AT_MOST].rstrip("-") or "cluster"


def called(name: str, prefix: str) -> str:
    """Return what the cluster with this name and this folder in its stores is called on machines."""
    return f"{slug(name)}-{prefix[-4:]}"


@dataclass(frozen=True)
class File:
    """A file that a machine is handed."""

    path: str
    content: str


@dataclass(frozen=True)
class Layout:
    """The places of one node's files; every other module asks here, and none writes a path of its own."""

    cluster: str = "cluster"  # names what two clusters on one machine must not share, such as orders-7q4t
    user: str = "postgres"  # of the operating system, that PostgreSQL and pgBackRest run as
    system: str = DEBIAN
    prefix: str = ""  # the cluster's folder in its stores, which no other cluster has

    @property
    def folder(self) -> str:
        """Return the folder of the configuration and of the files that it names."""
        return f"{ABOVE}/{self.cluster}"

    @property
    def configuration(self) -> str:
        """Return the path of pgbackrest.conf."""
        return f"{self.folder}/pgbackrest.conf"

    @property
    def left(self) -> str:
        """Return the path of the configuration that expires what the node writes to no more."""
        return f"{self.folder}/left.conf"

    @property
    def report(self) -> str:
        """Return the path of the script that reports."""
        return f"{self.folder}/report.sh"

    @property
    def console_ca(self) -> str:
        """Return the path of the certificate that the console's is checked against, where it is of a private CA."""
        return f"{self.folder}/console-ca.pem"

    @property
    def undo(self) -> str:
        """Return the path of the script that takes everything back."""
        return f"{self.folder}/undo.sh"

    @property
    def installed(self) -> str:
        """Return the path of the list of what our scripts wrote, each file with its digests."""
        return f"{self.folder}/installed"

    @property
    def backup(self) -> str:
        """Return the path of the script that makes the backups."""
        return f"{self.folder}/backup.sh"

    @property
    def promoted(self) -> str:
        """Return the path of the script that archives what an earlier primary had not."""
        return f"{self.folder}/promoted.sh"

    @property
    def drill(self) -> str:
        """Return the path of the script that tries restores and verifies repositories."""
        return f"{self.folder}/drill.sh"

    def drill_configuration(self, folder: str) -> str:
        """Return the path of the configuration with which it reads the backups of a node."""
        return f"{self.folder}/drill-{folder}.conf"

    @property
    def drills(self) -> str:
        """Return the folder in which it keeps its locks, and the reports that did not get through."""
        return f"{self.spool}/drill"

    @property
    def spool(self) -> str:
        """Return pgBackRest's spool-path."""
        return self._beside(SPOOL)

    @property
    def locks(self) -> str:
        """Return pgBackRest's lock-path, which pgBackRest makes; `pgbackrest stop` leaves its mark there."""
        return f"{self.spool}/lock"

    @property
    def left_locks(self) -> str:
        """Return the lock-path with which left repositories are expired; pgBackRest makes it."""
        return f"{self.spool}/left"

    @property
    def runs(self) -> str:
        """Return the folder in which the backup script writes down what became of each run."""
        return f"{self.spool}/runs"

    @property
    def logs(self) -> str:
        """Return pgBackRest's log-path."""
        return self._beside(LOGS)

    def _beside(self, folder: str) -> str:
        # Debian's package gives the folder to postgres, who lets nobody else in.
        return f"{folder}{'/' if self.user == 'postgres' else '-'}{self.cluster}"

    @property
    def rotation(self) -> str:
        """Return the path of the file for logrotate: that of the packages names no folder below its own."""
        return f"{ROTATION}/pgbackrest-{self.cluster}"

    @property
    def crontab(self) -> str:
        """Return the path of the schedule for cron."""
        return f"{CRON}/pgbackrest-{self.cluster}"

    def unit(self, name: str) -> str:
        """Return the path of a systemd unit, without its suffix."""
        return f"{UNITS}/pgbackrest-{self.cluster}-{name}"

    def script(self, node: str, what: str = "setup") -> str:
        """Return what a script for a node is called where it is downloaded."""
        return f"{self.cluster}-{node}-{what}.sh"

    @property
    def pgbackrest(self) -> str:
        """Return how pgBackRest is called, up to its own options."""
        return f"pgbackrest --config={self.configuration}"

    def as_user(self, command: str) -> str:
        """Return how an administrator runs a command as the user of PostgreSQL."""
        return f"sudo -u {self.user} {command}"

    def programs(self, postgresql: int) -> str:
        """Return the folder of PostgreSQL's programs, with a slash at its end; "" where PATH has to have it."""
        return {DEBIAN: f"/usr/lib/postgresql/{postgresql}/bin/", RPM: f"/usr/pgsql-{postgresql}/bin/"}.get(
            self.system, ""
        )

    def psql(self, postgresql: int) -> str:
        """Return how psql is called: Debian has one for all versions in PATH, PGDG's RPMs one beside each server."""
        return f"{self.programs(postgresql)}psql" if self.system == RPM else "psql"

    def unit_of_server(self, postgresql: int, data_directory: str) -> str:
        """Return systemd's unit of the server that the packages made there; "" when it is somewhere else."""
        if self.system == DEBIAN and (found := re.fullmatch(r"/var/lib/postgresql/(\d+)/([\w.-]+)", data_directory)):
            return f"postgresql@{found[1]}-{found[2]}"
        if self.system == RPM and data_directory == f"/var/lib/pgsql/{postgresql}/data":
            return f"postgresql-{postgresql}"
        return ""

    def pg_ctl(self, postgresql: int, data_directory: str, action: str) -> str:
        """Return the command that starts, stops or restarts a server that no unit is known of."""
        # Else what it says later on comes into the terminal.
        log = "" if action == "stop" else f" -l {shlex.quote(f'{data_directory}/pg_ctl.log')}"
        data = shlex.quote(data_directory)
        return self.as_user(f"{self.programs(postgresql)}pg_ctl -D {data}{log} -w {action}")
