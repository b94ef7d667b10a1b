"""pgBackRest's configuration of one node, as text: what its versions differ in, and the file itself. Pure.

Options and their meaning: pgBackRest's configuration reference; what versions brought: its release notes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clusters.pgbackrest.grammar import is_a_line
from clusters.pgbackrest.layout import File, Layout
from console.clouds.contract import RepositoryOptions, SecretFile

if TYPE_CHECKING:
    from clusters.pgbackrest.drill import Drills
    from clusters.pgbackrest.kept import KeptLine

HIDDEN = "••••••••"
SSH_PORT = 22


def _parts(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))


@dataclass(frozen=True)
class Version:
    """A pgBackRest release, with what the configuration and the databases must know of it."""

    number: str  # "" stands for any: a file that each of them takes
    newest_postgresql: int
    has_block: bool = True  # block incremental backups: 2.45 ends each backup with error 31 (a beta), 2.46 has them

    def is_at_least(self, number: str) -> bool:
        """Return whether it is this release or a newer one; any is not, since it may be the oldest."""
        return bool(self.number) and _parts(self.number) >= _parts(number)

    def knows(self, postgresql: int) -> bool:
        """Return whether it backs up this major version; one that came later counts as the newest that is known."""
        return min(postgresql, VERSIONS[-1].newest_postgresql) <= self.newest_postgresql

    @property
    def label(self) -> str:
        """Return how people call it."""
        return self.number or f"{VERSIONS[1].number} to {VERSIONS[-1].number}"


# The releases that brought a PostgreSQL version: 2.48 for 16, 2.52 for 17, 2.55 for 18. Backups were made with files
# for 2.45 (by 2.45) and for 2.59 (by 2.55.1 and 2.60.0).
VERSIONS = (
    Version("", 18, has_block=False),
    Version("2.45", 15, has_block=False),
    *(Version(f"2.{minor}", 15) for minor in (46, 47)),
    *(Version(f"2.{minor}", 16) for minor in (48, 49, 50, 51)),
    *(Version(f"2.{minor}", 17) for minor in (52, 53, 54)),
    *(Version(f"2.{minor}", 18) for minor in (55, 56, 57, 58, 59, 60)),
)
BY_NUMBER = {version.number: version for version in VERSIONS}


def first_for(postgresql: int) -> Version:
    """Return the first release that knows this major version of PostgreSQL."""
    return next(version for version in VERSIONS if version.number and version.knows(postgresql))


@dataclass(frozen=True)
class Option:
    """A line of the file."""

    name: str
    value: str
    secret: bool = False

    def __post_init__(self) -> None:
        if not is_a_line(self.value):  # whatever let it pass: an option is one line, or it is two options
            raise ValueError(f"{self.name} is more than one line.")

    def shown(self, secrets: bool) -> str:
        """Return the line; a secret is a row of dots unless secrets are asked for."""
        return f"{self.name}={HIDDEN if self.secret and not secrets else self.value}"


def rendered(lines: Iterable[str | Option], *, secrets: bool) -> str:
    """Return the lines as a file; without secrets each of them is a row of dots."""
    return "".join(f"{line if isinstance(line, str) else line.shown(secrets)}\n" for line in lines)


@dataclass(frozen=True)
class Target:
    """A repository that the node writes to."""

    number: int
    store: str  # its name, for people
    path: str  # of this node's repository in the bucket, which on some clouds begins with a container
    repository: RepositoryOptions
    cipher_pass: str
    retention_type: str  # time (days) or count
    retention_full: int
    retention_diff: int | None
    folder: str  # where the configuration and the files that it names are
    # Of one that was there before its cluster: its own options, which nothing of ours joins, and how it expires, each
    # without repoN-.
    kept: Sequence[tuple[str, str]] | None = None
    own_retention: Mapping[str, str] | None = None
    more_retention: Mapping[str, str] = field(default_factory=dict)  # of its own, beside that of the policy

    def place(self, file: SecretFile) -> str:
        """Return where the node keeps a file with a secret that the configuration names."""
        return f"{self.folder}/repo{self.number}-{file.name}"

    @property
    def ca_file(self) -> str:
        """Return where the node keeps the certificate that the server's is checked against."""
        return f"{self.folder}/repo{self.number}-ca.pem"

    def access(self) -> Iterable[Option]:
        """Return the options with which pgBackRest finds the repository and signs in there."""
        for name, value in self.repository.options:
            yield Option(f"repo{self.number}-{name}", value, name in self.repository.secret)
            if name == "type":
                yield Option(f"repo{self.number}-path", self.repository.own_path(self.path))
        for file in self.repository.files:
            yield Option(f"repo{self.number}-{file.option}", self.place(file))
        if self.repository.ca_certificate:
            yield Option(f"repo{self.number}-storage-ca-file", self.ca_file)

    def retention(self) -> Iterable[Option]:
        """Return the options with which pgBackRest expires backups."""
        if self.own_retention is not None:
            for name, value in self.own_retention.items():
                yield Option(f"repo{self.number}-retention-{name}", value)
            return
        yield Option(f"repo{self.number}-retention-full-type", self.retention_type)
        yield Option(f"repo{self.number}-retention-full", str(self.retention_full))
        if self.retention_diff:
            yield Option(f"repo{self.number}-retention-diff", str(self.retention_diff))
        for name, value in self.more_retention.items():
            yield Option(f"repo{self.number}-retention-{name}", value)

    def encryption(self) -> Iterable[Option]:
        """Return the options with which pgBackRest encrypts and decrypts the repository; none where it does not."""
        if not self.cipher_pass:
            return
        yield Option(f"repo{self.number}-cipher-type", "aes-256-cbc")
        yield Option(f"repo{self.number}-cipher-pass", self.cipher_pass, secret=True)


@dataclass(frozen=True)
class OtherHost:
    """Another host of the same streaming replication, as this one reaches it by SSH."""

    address: str  # "": nobody has said it
    user: str
    ssh_port: int
    configuration: str  # the path of its pgbackrest.conf
    data_directory: str
    port: int
    is_before: bool = False  # of several standbys the first one backs up


@dataclass(frozen=True)
class Archiving:
    """What keeps one store that is out of reach from holding up the others; nothing: pgBackRest's defaults."""

    queue_max: int | None = None  # GiB of WAL that wait; beyond that pgBackRest drops it
    io_timeout: int | None = None  # seconds

    def options(self) -> Iterable[Option]:
        """Return the options of the file."""
        if self.queue_max:
            yield Option("archive-push-queue-max", f"{self.queue_max}GiB")
        if self.io_timeout:
            yield Option("io-timeout", str(self.io_timeout))


@dataclass(frozen=True)
class StanzaConfiguration:
    """A PostgreSQL database cluster of the node."""

    name: str
    postgresql: int  # major version
    data_directory: str
    port: int
    service: str = ""  # systemd's unit of the server; "": that of the packages
    others: Sequence[OtherHost] = ()  # of its replication

    @property
    def reachable(self) -> Sequence[OtherHost]:
        """Return the other hosts whose address is known."""
        return [one for one in self.others if one.address]

    @property
    def is_hidden(self) -> bool:
        """Return whether the address of another host is not known."""
        return len(self.reachable) < len(self.others)

    def options(self, *, names_others: bool) -> Iterable[Option]:
        """Return the options of its section; pg1 is always the host's own."""
        yield Option("pg1-path", self.data_directory)
        yield Option("pg1-port", str(self.port))
        for number, one in enumerate(self.reachable if names_others else (), 2):
            yield Option(f"pg{number}-host", one.address)
            yield Option(f"pg{number}-host-user", one.user)
            if one.ssh_port != SSH_PORT:
                yield Option(f"pg{number}-host-port", str(one.ssh_port))
            yield Option(f"pg{number}-host-config", one.configuration)
            yield Option(f"pg{number}-path", one.data_directory)
            yield Option(f"pg{number}-port", str(one.port))


@dataclass(frozen=True)
class Configuration:
    """All that a node's file says."""

    cluster: str
    node: str
    version: Version
    targets: Sequence[Target]
    stanzas: Sequence[StanzaConfiguration]
    schedules: Mapping[str, str] = field(default_factory=dict)  # cron expressions by type of backup
    layout: Layout = field(default_factory=Layout)
    left: Sequence[Target] = ()  # what the node writes to no more, and goes on to expire with another file
    archiving: Archiving = field(default_factory=Archiving)
    backs_up_from_standby: bool = False
    follows: str = ""  # the primary of its replication, which may be the node itself; "": it has no other host
    drills: Drills | None = None  # what the node tries of its own backups
    kept: Sequence[KeptLine] | None = None  # of the file that the node had before, whose options stay as they were
    is_watched_only: bool = False  # the repositories were brought in, and nothing writes there by this file yet

    @property
    def is_standby(self) -> bool:
        """Return whether another host is the primary, as far as they have reported."""
        return self.follows not in {"", self.node}

    def render(self, *, secrets: bool) -> str:
        """Return the file; without secrets each of them is a row of dots."""
        return rendered(self._lines(), secrets=secrets)

    @property
    def sha256(self) -> str:
        """Return the hex digest of the whole file, as sha256sum prints it on a node that has it."""
        return hashlib.sha256(self.render(secrets=True).encode()).hexdigest()

    @property
    def is_complete(self) -> bool:
        """Return whether pgBackRest can work with it: there is somewhere to write to, and something to write."""
        return bool(self.targets and self.stanzas) and not self.is_watched_only

    @property
    def keys(self) -> list[File]:
        """Return the files with secrets that the configuration names."""
        return [
            File(target.place(one), one.content.strip() + "\n")
            for target in (*self.targets, *self.left)
            for one in target.repository.files
        ]

    @property
    def certificates(self) -> list[File]:
        """Return the certificates that the node needs to know the servers by."""
        return [
            File(target.ca_file, target.repository.ca_certificate.strip() + "\n")
            for target in (*self.targets, *self.left)
            if target.repository.ca_certificate
        ]

    def _lines(self) -> Iterable[str | Option]:
        release = self.version.number or f"{VERSIONS[1].number} or newer"  # not the newest known: that would change
        yield f"# {self.cluster}, node {self.node}: made by Storekeeper for pgBackRest {release}."
        layout = self.layout
        yield f"# Save as {layout.configuration}, owner root, group {layout.user}, mode 0640: it holds secrets."
        yield "# Leave it as it is: its SHA-256 tells the console whether it is up to date."
        # pgBackRest makes nothing of the schedule, but who changes that has to bring the node its files.
        planned = "; ".join(f"{kind} {expression}" for kind, expression in self.schedules.items())
        yield f"# Backups are made by cron or timers: {planned or 'none'}."
        if self.left:
            yield f"# With left.conf it expires {', '.join(f'repo{one.number}' for one in self.left)}."
        if self.drills:
            yield f"# Restore drills and verifications are run by cron or timers: {self.drills.digest}."
        yield "[global]"
        if self.kept is None:
            yield Option("process-max", "4")
            yield Option("start-fast", "y")
            yield Option("compress-type", "zst")
        yield Option("archive-async", "y")
        yield Option("spool-path", layout.spool)
        yield Option("lock-path", layout.locks)
        yield Option("log-path", layout.logs)
        archiving = [*self.archiving.options()]
        yield from archiving
        yield Option("log-level-console", "warn")
        yield Option("log-level-file", "detail")
        yield from (one for one in self._kept("global") if one.name not in {each.name for each in archiving})
        for target in self.targets:
            yield ""
            yield f"# {target.store}"
            yield from self._target(target)
        for stanza in self.stanzas:
            yield ""
            yield f"[{stanza.name}]"
            yield from stanza.options(names_others=self.backs_up_from_standby)
            yield from self._kept(stanza.name)
        mine = {"global", *(one.name for one in self.stanzas)}
        for section in dict.fromkeys(one.section for one in self.kept or () if ":" in one.section):
            if section.partition(":")[0] in mine:
                yield ""
                yield f"[{section}]"
                yield from self._kept(section)

    def _kept(self, section: str) -> Iterable[Option]:
        """Return what a section has from the file that the node had before."""
        return (Option(one.name, one.value, one.secret) for one in self.kept or () if one.section == section)

    def _target(self, target: Target) -> Iterable[str | Option]:
        def option(name: str, value: str) -> Option:
            return Option(f"repo{target.number}-{name}", value)

        yield from target.access()
        yield from target.retention()
        if target.kept is None:
            yield option("bundle", "y")
            if self.version.has_block:
                yield option("block", "y")
        yield from (option(name, value) for name, value in target.kept or ())
        yield from target.encryption()


def release(reported: str) -> Version | None:
    """Return the version that a node reported, such as 2.59.1 or 2.61dev; None when it reported none.

    One that nobody knows yet does what the newest does, and one from before all others no more than the oldest.
    """
    if not reported:
        return None
    number = ".".join(reported.removesuffix("dev").split(".")[:2])
    oldest, newest = VERSIONS[1], VERSIONS[-1]
    return BY_NUMBER.get(number) or replace(newest if _parts(number) > _parts(newest.number) else oldest, number=number)


def unknown(version: Version, postgresql: int, stanza: str) -> str:
    """Return why a release cannot back the stanza up, and what can, without a full stop."""
    return (
        f"pgBackRest {version.label} does not know PostgreSQL {postgresql}, which {stanza} runs. "
        f"Install {first_for(postgresql).number} or newer"
    )


def least(configuration: Configuration) -> tuple[str, str]:
    """Return the oldest release that works with the file, and what asks for it, in words."""
    asks = [(BY_NUMBER[VERSIONS[1].number].number, "the console's files are made for that or newer ones")]
    asks += [
        (first_for(one.postgresql).number, f"{one.name} runs PostgreSQL {one.postgresql}")
        for one in configuration.stanzas
    ]
    asks += [
        (need.release, f"older ones do not {need.what}")
        for one in configuration.targets
        for need in one.repository.needs
    ]
    if configuration.version.has_block:
        asks.append((next(one.number for one in VERSIONS if one.number and one.has_block), "the file has repo-block"))
    return max(asks, key=lambda one: _parts(one[0]))


def troubles(configuration: Configuration, reported: str = "") -> list[str]:
    """Return what will not work with the node's version of pgBackRest, each in a sentence that says what to do.

    `reported` is the version that the node said it has; it counts more than the one that the file was made for.
    """
    version = release(reported) or configuration.version
    said = []
    if configuration.backs_up_from_standby and any(one.is_hidden for one in configuration.stanzas):
        said.append(
            "Backups are to be made on a standby, and not every host has an address: the others cannot reach it. Give "
            "each one its address (Replication), or have backups made on the primary."
        )
    if configuration.version.has_block and not version.has_block:
        said.append(
            f"The node reports pgBackRest {reported}, and this file is for {configuration.version.number}: each backup "
            f"would end with an error, since {reported} knows no repo-block. Change the version of the node."
        )
    said += [
        f"{unknown(version, one.postgresql, one.name)} on the node."
        for one in configuration.stanzas
        if not version.knows(one.postgresql)
    ]
    for target in configuration.targets:
        said += [
            f"pgBackRest {version.label} does not {need.what}. Install {need.release} or newer on the node and say so, "
            f"or {need.otherwise}."
            for need in target.repository.needs
            if not version.is_at_least(need.release)
        ]
        if target.repository.lacks:
            said.append(target.repository.lacks)
    return said
