"""Reading a node's pgbackrest.conf that the console made, and its report.sh, as somebody pastes them. Pure.

The file is the only place beside the database that has a repository's passphrase.
"""

from __future__ import annotations

import re
from base64 import b32decode
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.utils.translation import gettext

TEXT_AT_MOST = 64 * 1024  # characters
FIRST = re.compile(
    r"# (?P<cluster>[^\n]{1,60}), node (?P<node>n\d{1,8}): made by Storekeeper for pgBackRest (?P<release>[\d.]+)"
)
OWNER = re.compile(r"# Save as /\S+, owner root, group (?P<user>[a-z_][a-z0-9_-]{0,31}), ")
PLANNED = re.compile(r"# Backups are made by cron or timers: (?P<planned>[^\n]{1,400})\.$")
KIND = re.compile(r"(full|diff|incr) ([^;]+)")
OPTION = re.compile(r"repo(\d{1,3})-([a-z0-9-]+)")
PATH = re.compile(r"/(?P<prefix>(?P<cluster>c-[a-z2-7]{12})(?:/r\d{1,3})?)/(?P<folder>n\d{1,8})")
ADDRESS = re.compile(r"/clusters/([0-9a-f-]{36})/nodes/(n\d{1,8})/applied/")
TOKEN = re.compile(r"^token\(\) \{ echo '?([A-Za-z0-9_-]{20,100})'?; \}", re.MULTILINE)
ID_BITS = 58  # of a cluster's ID that its folder says


class NotOurs(Exception):
    """The text is no file that the console made for a node; the message says what is wrong with it."""


@dataclass
class RepositoryPart:
    """One repository of the file: its options without `repoN-`."""

    number: int
    options: dict[str, str] = field(default_factory=dict)
    prefix: str = ""  # where in the store, such as c-abcdefghijkl or c-abcdefghijkl/r3
    folder: str = ""  # the node's folder below

    @property
    def passphrase(self) -> str:
        """Return what pgBackRest encrypts it with."""
        return self.options.get("cipher-pass", "")


@dataclass
class Given:
    """All that was read."""

    cluster: str  # its name
    node: str
    release: str  # of pgBackRest that the file was made for; "" for any
    os_user: str
    schedules: dict[str, str]  # cron expressions by kind
    settings: dict[str, str]  # [global] without the repositories
    repositories: list[RepositoryPart]
    stanzas: dict[str, dict[str, str]]
    sha256_text: str  # the configuration alone, as it lies on the node
    cluster_id: UUID | None = None  # of report.sh
    token: str = ""

    @property
    def prefix(self) -> str:
        """Return the cluster's folder."""
        return self.repositories[0].prefix.partition("/")[0]


def read(text: str) -> Given:
    """Return what the text says; raises NotOurs."""
    text = text.replace("\r\n", "\n")
    if len(text) > TEXT_AT_MOST:
        raise NotOurs(gettext("That is too long for a pgbackrest.conf."))
    first = FIRST.search(text)
    if not first:
        raise NotOurs(
            gettext(
                "That does not begin as a pgbackrest.conf of this console does, with the names of cluster and node. "
                "Paste the whole file, as the command prints it."
            )
        )
    configuration = text[first.start() :]
    script = configuration.find("#!/bin/sh")
    configuration, report = (configuration, "") if script < 0 else (configuration[:script], configuration[script:])
    given = Given(
        cluster=first["cluster"],
        node=first["node"],
        release="" if " or newer" in text[first.end() : first.end() + 10] else first["release"].rstrip("."),
        os_user=((found := OWNER.search(configuration)) and found["user"]) or "postgres",
        schedules={},
        settings={},
        repositories=[],
        stanzas={},
        sha256_text=configuration,
    )
    _sections(given, configuration)
    _reporting(given, report)
    return given


def _sections(given: Given, configuration: str) -> None:
    parts: dict[int, RepositoryPart] = {}
    section = ""
    for line in configuration.splitlines():
        if planned := PLANNED.match(line):
            given.schedules = {kind: cron.strip() for kind, cron in KIND.findall(planned["planned"])}
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or line.startswith("#"):
            continue
        if section != "global":
            given.stanzas.setdefault(section, {})[key] = value
        elif named := OPTION.fullmatch(key):
            number = int(named[1])
            parts.setdefault(number, RepositoryPart(number)).options[named[2]] = value
        else:
            given.settings[key] = value
    given.repositories = [parts[number] for number in sorted(parts)]
    if not given.repositories:
        raise NotOurs(gettext("No repository is in it. Is it the whole file?"))
    for part in given.repositories:
        path = part.options.get("path", "")
        where = PATH.fullmatch(path)
        if path and not where:
            raise NotOurs(
                gettext(
                    "repo{number} is in {path}, which is no folder of the console's: that repository was "
                    "brought in. Bring it in once more with this file (Clusters, Bring in a Repository), and "
                    "hand its node over."
                ).format(number=part.number, path=path[:100])
            )
        if not where or not part.passphrase:
            raise NotOurs(
                gettext(
                    "repo{number} lacks its path or its passphrase: the file was cut, or its secrets hidden."
                ).format(number=part.number)
            )
        part.prefix, part.folder = where["prefix"], where["folder"]
    if len({part.prefix.partition("/")[0] for part in given.repositories}) > 1:
        raise NotOurs(
            gettext("Its repositories are in the folders of several clusters, which the console never makes.")
        )


def _reporting(given: Given, report: str) -> None:
    address, token = ADDRESS.search(report), TOKEN.search(report)
    if not address or not token:
        return
    if address[2] != given.node:
        raise NotOurs(
            gettext("The report.sh is of {address}, and the pgbackrest.conf of {node}.").format(
                address=address[2], node=given.node
            )
        )
    try:
        given.cluster_id, given.token = UUID(address[1]), token[1]
    except ValueError as error:
        raise NotOurs(gettext("The report.sh names no cluster.")) from error


def id_of(prefix: str) -> UUID:
    """Return a new ID for a cluster whose folder is known: it ends as the folder says, so it has that folder again."""
    end = int.from_bytes(b32decode(f"AAAA{prefix.removeprefix('c-')}".upper())) >> 2
    return UUID(int=(uuid4().int >> ID_BITS << ID_BITS) | end)
