"""Reading a repository as it was at a time: a configuration for that alone, and the commands to run. Pure.

`repo-target-time` has pgBackRest read the versions that a store keeps (command reference; from 2.54 on, for S3, Google
and Azure). Of a repository it needs the right to list and to read versions, and nothing else: it never writes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clusters.pgbackrest.configuration import BY_NUMBER, Option, Target, release, rendered
from clusters.pgbackrest.layout import File
from clusters.pgbackrest.root_script import PRIVATE, PUBLIC, put, script

FOLDER = "/etc/pgbackrest-recovery"
LEAST = "2.54"  # 2.45 refuses the option: error 031
PORT = 5433  # of the server that is started on what was restored; beside 5432, which may be at work


@dataclass(frozen=True)
class Command:
    """Something to run, with what it is for."""

    title: str
    text: str


@dataclass(frozen=True)
class Rescue:
    """One stanza of one repository, as it was."""

    cluster: str
    node: str
    stanza: str
    target: Target  # its files in FOLDER
    at: datetime
    postgresql: str  # major version; "" when it is not known
    data_directory: str  # of the lost server; "" when it is not known

    @property
    def restored(self) -> str:
        """Return the data directory that the restore fills: beside the lost one, never it."""
        version = self.postgresql or "MAJOR"
        return f"{self.data_directory or f'/var/lib/postgresql/{version}/{self.stanza}'}-recovered"

    @property
    def configuration_file(self) -> str:
        """Return where the configuration is."""
        return f"{FOLDER}/{self.node}-{self.stanza}.conf"

    def configuration(self, *, secrets: bool) -> str:
        """Return a file with which pgBackRest reads this one repository; without secrets each is a row of dots."""
        return rendered(self._lines(), secrets=secrets)

    def _lines(self) -> Iterator[str | Option]:
        yield f"# {self.cluster}: reads what was deleted of {self.stanza} on {self.node}. It holds secrets."
        yield "[global]"
        yield Option("process-max", "4")
        yield Option("log-level-console", "warn")
        yield from self.target.access()
        yield from self.target.encryption()
        yield ""
        yield f"[{self.stanza}]"
        yield Option("pg1-path", self.restored)

    def setup(self) -> str:
        """Return the script that puts the configuration and what it names into their places, for root to run."""
        repository = self.target.repository
        files = [(File(self.target.place(one), one.content.strip() + "\n"), PRIVATE) for one in repository.files]
        if repository.ca_certificate:
            files.append((File(self.target.ca_file, repository.ca_certificate.strip() + "\n"), PUBLIC))
        files.append((File(self.configuration_file, self.configuration(secrets=True)), PRIVATE))
        checks = [f"becomes_root_s {FOLDER}", f"may_be_replaced {' '.join(file.path for file, _ in files)}"]
        changes = [
            f'install -d -o root -g "$group" -m 0750 {FOLDER}',
            *(line for file, how in files for line in put(file, how)),
            f"echo 'Storekeeper: {self.configuration_file} is there.'",
        ]
        title = f"{self.cluster}, {self.stanza} on {self.node}: run as root where it is restored. It holds secrets."
        return script(title, checks, changes)

    @property
    def time(self) -> str:
        """Return the time as pgBackRest takes it."""
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00"

    @property
    def commands(self) -> Sequence[Command]:
        """Return what to run, in this order; nothing of it writes to the store."""
        where, bin_ = shlex.quote(self.restored), f"/usr/lib/postgresql/{self.postgresql or 'MAJOR'}/bin"
        read = (
            f"sudo -u postgres pgbackrest --config={self.configuration_file} --stanza={self.stanza} "
            f'--repo={self.target.number} --repo-target-time="{self.time}"'
        )
        spaces = shlex.quote(f"{self.restored}-tablespaces")
        prepare = " ".join(f'[ -e {one}.conf ] || echo "{line}" > {one}.conf;' for one, line in SETTINGS.items())
        # Without hot_standby recovery asks for no setting to be as large as it was.
        options = f"-p {PORT} -c hot_standby=off -c archive_mode=off"
        return [
            Command("See what was there at that time", f"{read} info"),
            Command("Check that all of it is there and whole", f"{read} verify"),
            Command(
                "Restore it into a new folder; it archives nothing",
                f"{read} --archive-mode=off --tablespace-map-all={spaces} restore",
            ),
            Command(
                f"Start it on port {PORT}; it takes connections when it has read its WAL",
                f"sudo -u postgres sh -c {shlex.quote(f'cd {where}; {prepare}')}\n"
                f"sudo -u postgres {bin_}/pg_ctl -D {where} -w -t 3600 -l {shlex.quote(f'{self.restored}.log')} "
                f'-o "{options}" start',
            ),
            # 1: it is there, and takes no connections yet.
            Command(
                "Wait for that, and look",
                f"sudo -u postgres sh -c 'while pg_isready -q -p {PORT}; [ $? = 1 ]; do sleep 1; done'\n"
                f"sudo -u postgres psql -p {PORT} -l",
            ),
        ]


# What Debian keeps elsewhere, and a server does not start without.
SETTINGS = {"postgresql": "# as the backup had it", "pg_hba": "local all all peer", "pg_ident": "# none"}


def machine_words(node: str, reported: str, *, postgresql: str, whole_from: str) -> str:
    """Return on which machine the commands run, by the version that the node has, in sentences.

    `whole_from` is the release that reads folders with very many versions; "" when each does.
    """
    needs = f"PostgreSQL {postgresql}" if postgresql else "the PostgreSQL of the backup"
    version = release(reported) or BY_NUMBER[""]
    limit = (
        f" Before {whole_from}, pgBackRest ends with error 029 where one folder of the store has more than 1,000 "
        "versions: then install the newest, or undelete."
        if whole_from and not version.is_at_least(whole_from)
        else ""
    )
    if version.is_at_least(LEAST):
        return f"{node} itself can do it: it has pgBackRest {reported}, and {LEAST} is enough.{limit}"
    has = f"it has pgBackRest {reported}" if reported else "which pgBackRest it has is not known"
    return (
        f"Not on {node}: {has}, and before {LEAST} the option is refused (error 031). Run it on a machine with "
        f"pgBackRest {LEAST} or newer (Debian 13 has 2.55, PGDG's packages the newest), {needs}, and room for the "
        f"database.{limit}"
    )
