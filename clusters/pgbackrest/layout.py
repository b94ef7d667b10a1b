"""Where everything of one cluster is on a node's machine, and as whom it runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CRON = "/etc/cron.d"
UNITS = "/etc/systemd/system"
LOGS = "/var/log/pgbackrest"  # pgBackRest's log-path, which is its default


@dataclass(frozen=True)
class File:
    """A file that a machine is handed."""

    path: str
    content: str


@dataclass(frozen=True)
class Layout:
    """The places of one node's files; every other module asks here, and none writes a path of its own."""

    cluster: str = ""  # names what two clusters on one machine must not share
    user: str = "postgres"  # of the operating system, that PostgreSQL and pgBackRest run as

    @property
    def folder(self) -> str:
        """Return the folder of the configuration and of the files that it names."""
        return "/etc/pgbackrest"

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
    def spool(self) -> str:
        """Return pgBackRest's spool-path."""
        return "/var/spool/pgbackrest"

    @property
    def left_locks(self) -> str:
        """Return the lock-path with which left repositories are expired; pgBackRest makes it."""
        return f"{self.spool}/left"

    @property
    def logs(self) -> str:
        """Return pgBackRest's log-path."""
        return LOGS

    @property
    def crontab(self) -> str:
        """Return the path of the schedule for cron."""
        return f"{CRON}/pgbackrest"

    def unit(self, name: str) -> str:
        """Return the path of a systemd unit, without its suffix."""
        return f"{UNITS}/pgbackrest-{name}"

    @property
    def pgbackrest(self) -> str:
        """Return how pgBackRest is called, up to its own options."""
        return "pgbackrest"

    def as_user(self, command: str) -> str:
        """Return how an administrator runs a command as the user of PostgreSQL."""
        return f"sudo -u {self.user} {command}"
