"""What of somebody's pgbackrest.conf the console's own file goes on with, what replaces which, and what is left. Pure.

The repository goes on as it is: path, stanzas, retention, bundling, compression and whatever else was set, or not set,
stay. Access, the places of locks, spool and logs, and asynchronous archiving are the console's, as its scripts need it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clusters.pgbackrest.config_file import GLOBAL, ConfigFile, Line
from clusters.pgbackrest.grammar import is_a_line
from clusters.pgbackrest.options import ACCESS, BUCKETS, CONTAINERS, CUSTOMER_KEY, ENDPOINTS, SIGNS_IN

PLACES = frozenset({"archive-async", "spool-path", "lock-path", "log-path", "log-level-console", "log-level-file"})
RETENTION = "retention-"
REPOSITORY_COMMANDS = ("archive-get", "archive-push", "backup", "expire", "restore")  # whose options it is kept by
HOST = re.compile(r"pg1-(?:path|port)")
WARNINGS = {
    "expire-auto": ("n", "No backup expires by itself."),
    "archive-check": ("n", "Backups are made without a look at whether their WAL has come."),
    "archive-header-check": ("n", "WAL of another database is taken, too."),
    "archive-copy": ("y", ""),
    "resume": ("n", ""),
}


@dataclass(frozen=True)
class KeptLine:
    """A line that the console's file has from the former one."""

    section: str
    name: str
    value: str
    secret: bool = False

    def as_json(self) -> list[Any]:
        """Return it as it is kept."""
        return [self.section, self.name, self.value, self.secret]


@dataclass(frozen=True)
class Remark:
    """Something that people should know of an option before the hand-over; no value of it is a secret."""

    what: str
    why: str


@dataclass(frozen=True)
class FormerRepository:
    """A repository of the file; options are without their repoN-."""

    number: int
    type: str
    path: str  # without slashes at its ends; "": the root
    bucket: str  # the bucket, or Azure's storage account; "" where it is in none
    container: str  # Azure's; "" elsewhere
    passphrase: str = field(repr=False)  # "": it is not encrypted
    cipher: str
    behind: str  # the host that it is reached through; "" without one
    retention: Mapping[str, str] = field(default_factory=dict)  # such as full-type and full
    kept: tuple[tuple[str, str], ...] = ()  # the rest that is kept
    sse_key: bool = False  # objects are encrypted with a key of the customer's own
    server: str = ""  # host and port at which it is reached; "" where its options do not say


@dataclass(frozen=True)
class FormerStanza:
    """A stanza of the file."""

    name: str
    data_directory: str
    port: int


@dataclass(frozen=True)
class Former:
    """What a file says, in the console's words."""

    repositories: tuple[FormerRepository, ...]
    stanzas: tuple[FormerStanza, ...]
    lines: tuple[KeptLine, ...]
    remarks: tuple[Remark, ...]


def former(file: ConfigFile, stanzas: Collection[str]) -> Former:
    """Return what the file says of these stanzas."""
    names = [one for one in file.stanzas if one in stanzas]
    seen = file.seen_by(names[0]) if names else {}
    sections = {GLOBAL, *names}
    # A stanza's own goes before that of a command in [global:command]; where it is put into [global], it would not.
    own = {name for each in names for name in file.of_section(each)}
    mine = [
        one
        for one in file.lines
        if one.section.partition(":")[0] in sections
        and not (one.section.startswith(f"{GLOBAL}:") and one.name.canonical in own and _option(one))
    ]
    return Former(
        repositories=tuple(_repository(number, seen) for number in file.numbers("repo")),
        stanzas=tuple(_stanza(name, file.seen_by(name)) for name in names),
        lines=tuple(each for one in mine for each in _kept(one)),
        remarks=tuple(dict.fromkeys(each for one in mine for each in _remarks(one))),
    )


def with_passphrase(found: Former, passphrase: str) -> Former:
    """Return it with this passphrase for each repository that has none: those that are encrypted, if any lacks its own.

    Who takes the passphrase out may take the line before it out, too.
    """
    lacks = [one.number for one in found.repositories if not one.passphrase]
    named = [one.number for one in found.repositories if one.number in lacks and one.cipher != "none"]
    ours = (
        replace(one, passphrase=passphrase) if one.number in (named or lacks) else one for one in found.repositories
    )
    return replace(found, repositories=tuple(ours))


def unprintable(file: ConfigFile) -> Line | None:
    """Return an option with a value that is not one line of what can be seen, or in such a section, if there is any."""
    return next(
        (
            one
            for one in file.lines
            if not (one.section.isprintable() and all(map(is_a_line, (one.name.written, *one.values))))
        ),
        None,
    )


def differing(file: ConfigFile, stanzas: Collection[str]) -> str:
    """Return an option of a repository that does not go for all of these stanzas alike; "" when there is none.

    The console keeps those of a repository once: of two retentions one would be lost, and backups with it.
    """
    names = [one for one in file.stanzas if one in stanzas]
    for command in ("", *REPOSITORY_COMMANDS):
        seen = [
            {key: one for key, one in file.seen_by(name, command).items() if key.startswith("repo")} for name in names
        ]
        keys = dict.fromkeys(key for each in seen for key in each)
        if found := next((key for key in keys if any(each.get(key) != seen[0].get(key) for each in seen)), ""):
            return found
    return ""


def _repository(number: int, seen: Mapping[str, tuple[str, ...]]) -> FormerRepository:
    begins = f"repo{number}-"
    options = {name.removeprefix(begins): values for name, values in seen.items() if name.startswith(begins)}
    first = {name: values[0] for name, values in options.items()}
    kind = first.get("type", "posix")
    return FormerRepository(
        number=number,
        type=kind,
        path=first.get("path", "/var/lib/pgbackrest").strip("/"),
        bucket=first.get(BUCKETS.get(kind, ""), ""),
        container=first.get(CONTAINERS.get(kind, ""), ""),
        passphrase=first.get("cipher-pass", ""),
        cipher=first.get("cipher-type", "none"),
        behind=first.get("host", ""),
        retention={name.removeprefix(RETENTION): value for name, value in first.items() if name.startswith(RETENTION)},
        kept=tuple(
            (name, value)
            for name, values in options.items()
            if not ACCESS.fullmatch(name) and not name.startswith(RETENTION) and name != CUSTOMER_KEY
            for value in values
        ),
        sse_key=CUSTOMER_KEY in options,
        server=server(first),
    )


def server(options: Mapping[str, str]) -> str:
    """Return host and port at which a repository with these options is reached, such as minio.example:9000; "" unknown.

    Options are without their repoN-. A host that is given for the storage goes before the endpoint's.
    """
    named = options.get("storage-host") or options.get(ENDPOINTS.get(options.get("type", ""), ""), "")
    host, _, port = named.rpartition("://")[2].strip("/").lower().partition(":")
    return f"{host}:{options.get('storage-port') or port or 443}" if host else ""


def _stanza(name: str, seen: Mapping[str, tuple[str, ...]]) -> FormerStanza:
    return FormerStanza(name, seen.get("pg1-path", ("",))[0], int(seen.get("pg1-port", ("5432",))[0]))


def _option(line: Line) -> str:
    """Return the option without its number and its group, such as retention-full; "" where it is of no repository."""
    option = line.name.option
    return option.name.removeprefix("repo-") if option and option.group == "repo" else ""


def _kept(line: Line) -> Iterator[KeptLine]:
    option, of_repository = line.name.option, _option(line)
    if option is None:
        # Nobody knows it, so it may be of a newer pgBackRest, and its value a secret.
        yield from (KeptLine(line.section, line.name.written, one, secret=True) for one in line.values)
        return
    is_plain = ":" not in line.section
    if line.ignored or option.name in PLACES or (option.group == "pg" and not _is_of_own_host(line)):
        return
    # Those of a repository are kept with it, those of a command here.
    if of_repository and (is_plain or ACCESS.fullmatch(of_repository) or option.is_secret):
        return
    yield from (KeptLine(line.section, line.name.canonical, one, option.is_hidden) for one in line.values)


def _is_of_own_host(line: Line) -> bool:
    name = line.name.canonical
    return name.startswith("pg1-") and not name.startswith("pg1-host") and not HOST.fullmatch(name)


def _remarks(line: Line) -> Iterator[Remark]:
    option, name = line.name.option, line.name.canonical
    what = f"[{line.section}] {name}"
    if option is None:
        yield Remark(what, "pgBackRest knows no such option up to 2.60. It is handed over as it is, its value hidden.")
    elif line.ignored:
        yield Remark(what, f"pgBackRest ignores it, since {line.ignored}. It is left out.")
    elif option.name in PLACES:
        yield Remark(what, "The console's own replaces it.")
    elif option.name == "repo-storage-verify-tls" and line.values == ("n",):
        yield Remark(what, "Whoever is in between could read the key. It is left out: the certificate is checked.")
    elif option.name in SIGNS_IN:
        yield Remark(what, "The node signs in as its cluster's access has it. It is left out.")
    elif option.group == "pg" and line.name.number > 1:
        yield Remark(what, "Another host: say under Replication which nodes are hosts of one replication. Left out.")
    elif option.group == "pg" and name.startswith("pg1-host"):
        yield Remark(what, "It is of another machine. The hand-over is for the one that runs PostgreSQL. Left out.")
    elif (warning := WARNINGS.get(option.name)) and line.values == (warning[0],) and warning[1]:
        yield Remark(what, f"{warning[1]} It is kept.")
    elif option.name == "archive-push-queue-max":
        yield Remark(what, "WAL beyond it is dropped, and with it what could be restored. It is kept.")
    elif ":" in line.section and option.name.startswith("repo-retention"):
        yield Remark(what, "It goes for this command alone, and the console does not know when to expect it. Kept.")
