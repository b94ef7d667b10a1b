"""One restore: what was chosen, the read-only configuration it needs, and the commands that are right for it. Pure.

Options and what they do: pgBackRest's command reference (restore) and PostgreSQL's documentation, "Recovery Target".
Where a copy goes, everything of it is below one folder of its own: `data`, `tablespaces`, the configuration, the log.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from clusters.pgbackrest.configuration import BY_NUMBER, VERSIONS, Option, Target, Version, first_for, release, rendered
from clusters.pgbackrest.layout import File, Layout
from console.clouds.contract import KeyPart, RepositoryOptions

IN_PLACE, FOLDER, MACHINE = "in_place", "folder", "machine"  # where to
LATEST, IMMEDIATE, TIME, NAME, LSN, XID = "latest", "immediate", "time", "name", "lsn", "xid"  # up to where
DEFAULT_TIMELINE = "latest"
OLDEST_WITH_ARCHIVE_MODE = 12  # --archive-mode: "not available on PostgreSQL < 12"
FOLDER_AT_MOST = 80  # characters: the copy's socket is in it, and the path of a socket has 107 at most


@dataclass(frozen=True)
class Point:
    """Where recovery ends; the value has passed its grammar (clusters.pgbackrest.grammar)."""

    kind: str = LATEST
    value: str = ""  # a time with its offset, the name of a restore point, an LSN, a transaction ID
    exclusive: bool = False  # of a time, an LSN or a transaction: just before it
    timeline: str = DEFAULT_TIMELINE  # or current (that of the backup), or a number

    @property
    def options(self) -> list[str]:
        """Return pgBackRest's options for it; at a target recovery waits, so that somebody can look first."""
        found = []
        if self.kind != LATEST:
            found.append(f"--type={self.kind}")
            if self.value:
                found.append(f"--target={self.value}")
            found.append("--target-action=pause")
        if self.exclusive and self.kind in {TIME, LSN, XID}:
            found.append("--target-exclusive")
        if self.timeline != DEFAULT_TIMELINE and self.kind != IMMEDIATE:
            found.append(f"--target-timeline={self.timeline}")
        return found


@dataclass(frozen=True)
class Command:
    """Something to run, with what it is for; without text it is only to be read."""

    title: str
    text: str = ""


@dataclass(frozen=True)
class Restore:
    """All that a restore is made of."""

    cluster: str
    node: str  # that the backups are of
    stanza: str
    target: Target  # the repository to read from
    point: Point
    where: str
    folder: str  # in place: the data directory; else the copy's own folder, which is empty or not there
    port: int  # of the server that is started on it
    postgresql: int  # major version
    size: int = 0  # bytes of the database; 0: not known
    label: str = ""  # of the backup; "": pgBackRest takes the newest, or for a time and an LSN the newest before it
    least: str = VERSIONS[1].number  # the oldest pgBackRest that can read it
    node_has_it: bool = False  # in place: the repository is in the node's own configuration
    asks_key: bool = False  # the script asks for a key, since the machine has none that opens the store
    layout: Layout = field(default_factory=Layout)  # of the node; a copy asks it for the user alone
    service: str = ""  # in place: systemd's unit of the server, where the node has one of its own

    @property
    def is_in_place(self) -> bool:
        """Return whether the node itself goes back."""
        return self.where == IN_PLACE

    @property
    def home(self) -> str:
        """Return the folder of the restore's own files."""
        return f"{self.folder}-restore" if self.is_in_place else self.folder

    @property
    def data(self) -> str:
        """Return the data directory."""
        return self.folder if self.is_in_place else f"{self.folder}/data"

    @property
    def tablespaces(self) -> str:
        """Return the folder that gets the tablespaces, each by its name; in place they stay where they are."""
        return "" if self.is_in_place else f"{self.folder}/tablespaces"

    @property
    def has_own_configuration(self) -> bool:
        """Return whether the restore reads by a configuration of its own, with nothing else in it."""
        return not (self.is_in_place and self.node_has_it)

    @property
    def configuration_file(self) -> str:
        """Return where that is."""
        return f"{self.home}/pgbackrest.conf"

    @cached_property
    def source(self) -> Target:
        """Return the repository with its files in the restore's own folder, and without the key that is asked for."""
        target = replace(self.target, folder=self.home)
        brought = self.target.repository.brought_key
        if not (self.asks_key and brought):
            return target
        ca_certificate = self.target.repository.ca_certificate
        return replace(target, repository=RepositoryOptions(brought.options, ca_certificate=ca_certificate))

    @property
    def keys(self) -> Sequence[KeyPart]:
        """Return what the script asks for."""
        brought = self.target.repository.brought_key
        return brought.parts if self.asks_key and brought else ()

    def configuration(self, *, secrets: bool) -> str:
        """Return a file with which pgBackRest can read this one repository: no retention, no schedule, no other."""
        return rendered(self._lines(), secrets=secrets)

    def _lines(self) -> Iterator[str | Option]:
        yield f"# Reads the backups of {self.stanza} on {self.node}, for one restore. It holds secrets."
        yield f"[{self.stanza}]"
        yield Option("pg1-path", self.data)
        yield "[global]"  # last, so that the script can add the key that it asks for
        yield Option("process-max", "4")
        yield Option("log-level-console", "warn")
        for name in ("log-path", "lock-path", "spool-path"):  # those of the machine's other work are not touched
            yield Option(name, self.home)
        yield from self.source.access()
        yield from self.source.encryption()

    @property
    def files(self) -> list[File]:
        """Return the files that the configuration names, with their secrets."""
        found = [File(self.source.place(one), one.content.strip() + "\n") for one in self.source.repository.files]
        if self.source.repository.ca_certificate:
            found.append(File(self.source.ca_file, self.source.repository.ca_certificate.strip() + "\n"))
        return found

    @property
    def command(self) -> str:
        """Return pgBackRest's command, as postgres runs it."""
        file = self.configuration_file if self.has_own_configuration else self.layout.configuration
        parts = ["pgbackrest", f"--config={file}"]
        parts += [f"--stanza={self.stanza}", f"--repo={self.target.number}"]
        if self.label:
            parts.append(f"--set={self.label}")
        parts += self.point.options
        if not self.is_in_place:
            if self.postgresql >= OLDEST_WITH_ARCHIVE_MODE:
                parts.append("--archive-mode=off")
            parts.append(f"--tablespace-map-all={self.tablespaces}")
        return shlex.join([*parts, "restore"])

    @property
    def settings(self) -> str:
        """Return a copy's postgresql.conf, but for what has to be as large as where the backup was made."""
        return (
            f"# The copy of {self.stanza} on {self.node}: it archives nothing, and only postgres reaches it.\n"
            f"data_directory = {quoted(self.data)}\nhba_file = {quoted(f'{self.home}/pg_hba.conf')}\n"
            f"ident_file = {quoted(f'{self.home}/pg_ident.conf')}\n"
        )

    @property
    def overrides(self) -> str:
        """Return what a copy's postgresql.auto.conf must end with, since that counts more than the other file."""
        return (
            f"port = {self.port}\nlisten_addresses = ''\nunix_socket_directories = {quoted(self.home)}\n"
            "archive_mode = 'off'\nsynchronous_standby_names = ''\nssl = 'off'\nlogging_collector = 'off'\n"
        )

    # What people do with it

    @property
    def script_name(self) -> str:
        """Return what the script is called where it is downloaded."""
        return f"restore-{self.stanza}-of-{self.node}.sh"

    @property
    def run(self) -> str:
        """Return the command that runs the script where it was downloaded."""
        return f"sudo sh {shlex.quote(self.script_name)}"

    @property
    def steps(self) -> list[Command]:
        """Return everything to do, in its order."""
        before = [Command("Stop PostgreSQL", self.server("stop"))] if self.is_in_place else []
        what = "what is there moves aside" if self.is_in_place else f"everything goes into {self.folder}"
        return [
            *before,
            Command(f"Run the script as root, in the folder that you downloaded it to; {what}", self.run),
            *self.afterwards(),
        ]

    @property
    def programs(self) -> str:
        """Return where PostgreSQL's programs are; the script finds those of the machine."""
        return self.layout.programs(self.postgresql).rstrip("/") or f"/usr/lib/postgresql/{self.postgresql}/bin"

    def server(self, action: str) -> str:
        """Return the command that starts or stops the node's own server, and no other one of the machine."""
        if unit := self.service or self.layout.unit_of_server(self.postgresql, self.data):
            return f"sudo systemctl {action} {shlex.quote(unit)}"
        return self.layout.pg_ctl(self.postgresql, self.data, action)

    def start(self, programs: str = "") -> str:
        """Return the command that starts the server."""
        if self.is_in_place:
            return self.server("start")
        options = shlex.quote(f"-c config_file={shlex.quote(f'{self.home}/postgresql.conf')}")
        log = shlex.quote(f"{self.home}/postgresql.log")
        return self.layout.as_user(
            f"{programs or self.programs}/pg_ctl -D {self._quoted} -w -l {log} -o {options} start"
        )

    @property
    def _quoted(self) -> str:
        return shlex.quote(self.data)

    def psql(self, statement: str) -> str:
        """Return the command that runs a statement on the restored server."""
        host = "" if self.is_in_place else f" -h {shlex.quote(self.home)}"
        psql = self.layout.psql(self.postgresql)
        return self.layout.as_user(f'{psql}{host} -p {self.port} -d postgres -c "{statement}"')

    def afterwards(self, programs: str = "") -> list[Command]:
        """Return what to do once the files are there."""
        ended = "" if self.point.kind == LATEST else " Recovery waits there, and nothing can be written yet."
        found = [
            Command("Start PostgreSQL", self.start(programs)),
            Command(
                f"See how far it is: recovery (t or f), and the last WAL position.{ended}",
                self.psql("SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()"),
            ),
        ]
        if self.point.kind != LATEST:
            promote = self.layout.as_user(f"{programs or self.programs}/pg_ctl -D {self._quoted} -w promote")
            found.append(Command("Is it as you want it? Promote it, and it can be written to", promote))
        if self.is_in_place:
            return [*found, *self._after_in_place()]
        return [*found, *self._after_copy(programs or self.programs)]

    def _after_in_place(self) -> Iterator[Command]:
        # pgBackRest reads the timeline in pg_control, which is the old one until a checkpoint is complete (error 58).
        checkpoint = self.psql("CHECKPOINT")
        full = self.layout.as_user(f"{self.layout.pgbackrest} --stanza={self.stanza} --type=full backup")
        yield Command(
            "It is on a new timeline. Make a full backup at once",
            f"{checkpoint} && {full}",
        )
        if self.has_own_configuration:
            yield Command("Remove the secrets", f"sudo rm -rf {shlex.quote(self.home)}")
        aside = f"{self.folder}.before-restore-"
        yield Command(f"The data of before stay in {aside}…. Remove them when you are sure.")

    def _after_copy(self, programs: str) -> Iterator[Command]:
        home = shlex.quote(self.home)
        yield Command(
            "Once it is promoted it needs the store no more. Remove the secrets",
            f"sudo rm -f {shlex.quote(self.configuration_file)} {shlex.quote(f'{self.home}/repo')}*",
        )
        yield Command(
            "Throw it away: stop it, and remove its folder with everything in it",
            f"{self.layout.as_user(f'{programs}/pg_ctl -D {self._quoted} -m immediate stop')}; sudo rm -rf {home}",
        )

    @property
    def signs_in_as_machine(self) -> bool:
        """Return whether it is the machine that may read the store, and no key."""
        found = self.target.repository
        given = {name for name, _ in found.options}
        return bool(found.brought_key) and not found.files and not found.secret & given

    @property
    def needs(self) -> list[str]:
        """Return what the machine must have first, in this order."""
        user = self.layout.user
        found = [
            f"PostgreSQL {self.postgresql}, and the user {user}"
            f"{' that its package makes' if user == 'postgres' else ''}"
        ]
        found.append(f"pgBackRest {self.least} or newer")
        found.append("The extensions and the locales that the database uses")
        if self.keys:
            asked = ", ".join(one.words for one in self.keys if not one.may_lack)
            found.append(f"A key that may read {self.target.path} in the store; the script asks for it: {asked}")
        elif self.signs_in_as_machine:
            found.append(
                "The cluster's own role or identity on the machine (the cluster's page, Details), which opens the store"
            )
        else:
            found.append("Nothing else: the script brings the key of the nodes along")
        return found


def drill_command(stanza: str, data_directory: str, repository: int, layout: Layout) -> str:
    """Return the shortest command that tries a restore on the node and cannot hurt it: the copy archives nothing."""
    restored = f"{data_directory}-drill"
    options = [
        f"--stanza={stanza}",
        f"--repo={repository}",
        f"--pg1-path={restored}",
        f"--tablespace-map-all={restored}-tablespaces",
        "--archive-mode=off",
    ]
    return layout.as_user(f"{layout.pgbackrest} {shlex.join([*options, 'restore'])}")


def quoted(text: str) -> str:
    """Return a value as PostgreSQL's configuration file takes it."""
    return "'" + text.replace("'", "''") + "'"


def least_version(
    postgresql: int, repository: RepositoryOptions, written_by: str = "", *, has_block: bool = False
) -> str:
    """Return the oldest pgBackRest that reads such a repository and knows such a PostgreSQL.

    `written_by` is the release of the node that writes it, as it reported it; blocks are read by that or a newer one.
    """
    known = [one for one in VERSIONS if one.number]
    needed = [known[0]]
    needed.append(first_for(postgresql))
    needed += [BY_NUMBER[one.release] for one in repository.needs if one.release in BY_NUMBER]
    if has_block:
        needed.append(next(one for one in known if one.has_block))
        needed += [one for one in [release(written_by)] if one and one.has_block]
    return max(needed, key=_key).number


def too_old(have: str, least: str) -> bool:
    """Return whether a version that a node reported, such as 2.45 or 2.59.1, is older than the least one."""
    return bool(have) and _numbers(have) < _numbers(least)


def _key(version: Version) -> tuple[int, ...]:
    return _numbers(version.number)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.removesuffix("dev").split(".") if part.isdigit())
