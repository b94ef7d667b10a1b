"""The recovery kit: all that restores a repository without the console, for a page, for paper and as a text.

It is written from what the console knows of the repository alone, so it is the same when the cluster is gone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.template.defaultfilters import filesizeformat

from clusters.models import KnownStanza, Repository
from clusters.pgbackrest.configuration import VERSIONS, first_for
from clusters.pgbackrest.grammar import Unfit, stanza
from clusters.pgbackrest.layout import ABOVE
from clusters.pgbackrest.repository import StanzaState
from clusters.repositories.retained import Holding, holding
from console.clouds.contract import RepositoryOptions
from console.clouds.specs import AccessSpec

PLACE = f"{ABOVE}/recovery"  # apart from what a node was handed: no cluster is called so
CIPHER = "aes-256-cbc"
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a folder that stands in commands; the console's own are n1, n2 …


@dataclass(frozen=True)
class StanzaKit:
    """One stanza of a node: how it was set up, what was seen of it, and how it comes back."""

    name: str
    postgresql: str  # major version; "" when it is not known
    data_directory: str
    port: int | None
    system_id: str
    seen: Holding  # of this stanza
    configuration_file: str
    repository_number: int

    @property
    def folder(self) -> str:
        """Return the new folder that it is restored into: never the one that a server runs on."""
        return (
            f"{self.data_directory}-recovered" if self.data_directory else f"/var/lib/postgresql/{self.name}-recovered"
        )

    @property
    def setup(self) -> str:
        """Return how it was set up, in words."""
        known = [
            f"PostgreSQL {self.postgresql}" if self.postgresql else "",
            f"data directory {self.data_directory}" if self.data_directory else "",
            f"port {self.port}" if self.port else "",
            f"system identifier {self.system_id}" if self.system_id else "",
        ]
        return ", ".join(one for one in known if one) or "how it was set up is not known"

    @property
    def last_seen(self) -> str:
        """Return what was last seen of it, in words."""
        newest = max(
            (one for state in self.seen.stanza_states for one in state.backups),
            key=lambda one: one.stopped,
            default=None,
        )
        if newest is None:
            return "no backup was seen"
        stopped = f"{datetime.fromtimestamp(newest.stopped, UTC):%Y-%m-%d %H:%M} UTC"
        size = filesizeformat(self.seen.size).replace("\xa0", " ")
        count = f"{self.seen.backups} backup{'' if self.seen.backups == 1 else 's'}"
        return f"{count}, {size}, the newest {newest.label} of {stopped}"

    @property
    def release(self) -> str:
        """Return the oldest pgBackRest that knows its PostgreSQL; "" when any does, or nobody knows."""
        if not self.postgresql.isdigit():
            return ""
        number = first_for(int(self.postgresql)).number
        return number if number != VERSIONS[1].number else ""

    @property
    def start(self) -> str:
        """Return how the restored server is started, in words."""
        which = f"PostgreSQL {self.postgresql}" if self.postgresql else "the PostgreSQL that it is of"
        port = f" on another port than {self.port}" if self.port else ""
        return f"Start {which} on {self.folder}{port}. What was in /etc/postgresql is in no backup."

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Return what lists and restores it, with what each is for."""
        given = f"sudo -u postgres pgbackrest --config={self.configuration_file} --stanza={self.name}"
        return [
            (f"List the backups of {self.name}", f"{given} info"),
            ("Make an empty folder", f"sudo install -d -o postgres -g postgres -m 0700 {shlex.quote(self.folder)}"),
            (
                f"Restore {self.name} into it, to the end of its archive",
                f"{given} --repo={self.repository_number} --archive-mode=off restore",
            ),
        ]


@dataclass(frozen=True)
class NodeKit:
    """One node's folder of a repository: a configuration that reads it, and its stanzas."""

    name: str
    path: str
    file: str
    configuration: str
    certificate: str
    stanzas: Sequence[StanzaKit]

    @property
    def save(self) -> str:
        """Return the lines that put the configuration into its place, for root."""
        # The folder above has other things in it, of nodes and of hands.
        lines = [
            "umask 027",
            f"[ -d {ABOVE} ] || install -d -m 0755 {ABOVE}",
            f"install -d -o root -g postgres -m 0750 {PLACE}",
        ]
        files = [(self.file, self.configuration)]
        if self.certificate:
            files.append((f"{self.file}.pem", self.certificate))
        for path, content in files:
            lines += [f"cat > {path} <<'END_OF_FILE'", content.rstrip("\n"), "END_OF_FILE", f"chgrp postgres {path}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class RepositoryKit:
    """All of one repository."""

    repository: Repository
    seen: Holding
    facts: Sequence[tuple[str, str]]
    key_from: str  # where a key comes from that may read it
    needs: Sequence[str]  # of pgBackRest, in sentences
    nodes: Sequence[NodeKit]
    unfit: Sequence[str]  # what is there under a name that no configuration takes

    @property
    def qr(self) -> QRCode:
        """Return the passphrase as a QR code."""
        return QRCode.of(self.repository.passphrase)


@dataclass(frozen=True)
class QRCode:
    """A QR code as SVG draws it."""

    side: int  # of the square, in modules, with the quiet zone of four around it (ISO/IEC 18004)
    path: str  # one square for each dark module

    @classmethod
    def of(cls, text: str) -> QRCode:
        """Return the code of the text."""
        import qrcode  # noqa: PLC0415 - and Pillow with it, for a page that few ever open

        drawn = qrcode.QRCode(border=4)
        drawn.add_data(text)
        rows = drawn.get_matrix()
        dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
        return cls(len(rows), "".join(dark))


def kit_of(repository: Repository) -> RepositoryKit:
    """Return the recovery kit of a repository that was asked for with_inventory()."""
    options = _options(repository)
    known: dict[tuple[str, str], KnownStanza | None] = {
        (one.node, one.stanza): None for one in holding(repository).stanza_states
    }
    known |= {(one.node, one.name): one for one in repository.known_stanzas.all()}
    fit = {key: row for key, row in known.items() if _is_fit(*key)}
    nodes = [
        _node(repository, options, name, {stanza: row for (node, stanza), row in sorted(fit.items()) if node == name})
        for name in sorted({node for node, _ in fit})
    ]
    cloud = repository.store.cloud if repository.store else None
    return RepositoryKit(
        repository=repository,
        seen=holding(repository),
        facts=_facts(repository, options),
        key_from=cloud.access.key_from if cloud else "",
        needs=[f"pgBackRest before {need.release} does not {need.what}." for need in options.needs],
        nodes=nodes,
        unfit=[f"{stanza} on {node}" for node, stanza in sorted(known) if (node, stanza) not in fit],
    )


def expire_commands(repository: Repository, node: str = "") -> list[str]:
    """Return what keeps only the newest full backup of each stanza, or of a node's, with the recovery kit's files.

    Nobody else expires what no cluster uses any more. The key has to be one that may delete.
    """
    number = repository.number
    return [
        f"{_pgbackrest(repository, one)} "
        f"--repo={number} --repo{number}-retention-full-type=count --repo{number}-retention-full=1 expire"
        for one in _stanzas(repository, node)
        if one.backups
    ]


def delete_commands(repository: Repository, node: str) -> list[str]:
    """Return what deletes all backups and WAL of a node, with the recovery kit's files.

    Tried with 2.45 on a machine without the database: `stanza-delete` asks for `stop` before, and leaves no file.
    `stop` is for all that share a lock-path, so these have one of their own.
    """
    return [
        f"{_pgbackrest(repository, one)} --lock-path=/tmp/pgbackrest-removed {verb}"
        for one in _stanzas(repository, node)
        for verb in ("stop", f"--repo={repository.number} stanza-delete")
    ]


def _stanzas(repository: Repository, node: str) -> list[StanzaState]:
    found = holding(repository, nodes=[node] if node else None).stanza_states
    return [one for one in found if _is_fit(one.node, one.stanza)]


def _pgbackrest(repository: Repository, one: StanzaState) -> str:
    return f"sudo -u postgres pgbackrest --config={configuration_file(repository, one.node)} --stanza={one.stanza}"


def configuration_file(repository: Repository, node: str) -> str:
    """Return where the kit puts the configuration that reads a node's folder."""
    return f"{PLACE}/{repository.cluster_prefix}-repo{repository.number}-{node}.conf"


def _is_fit(node: str, name: str) -> bool:
    try:
        return bool(NODE.fullmatch(node) and stanza(name))
    except Unfit:
        return False


def _options(repository: Repository) -> RepositoryOptions:
    """Return how the store is reached, without anybody's keys."""
    store = repository.store
    if store is None:
        return RepositoryOptions(())
    access = AccessSpec(
        id=repository.cluster_id or store.id,
        name=repository.cluster_name,
        account=store.cloud_account.credentials(),
        prefix=repository.cluster_prefix,
        buckets=(store.bucket,),
        kept=repository.reached,
    )
    return store.cloud.access.repository(store.spec(), access)


def _facts(repository: Repository, options: RepositoryOptions) -> list[tuple[str, str]]:
    store = repository.store
    endpoints = [value for name, value in options.options if name.endswith("endpoint")]
    found = [("Cluster", repository.cluster_name), ("Backup Store", repository.store_name)]
    if store:
        exact = store.cloud.storage.facts(store.spec())
        found += [
            ("Cloud account", f"{store.cloud_account.name} ({store.cloud_account.number})"),
            *((label, value) for label, value in exact if repository.bucket in value and store.log_bucket not in value),
            ("Region", " · ".join(filter(None, (store.region, store.place)))),
        ]
    else:
        found += [("Held by", f"{repository.bucket}, in {repository.region}; the store is deleted")]
    found += [("Endpoint", one) for one in endpoints]
    return [*found, ("Folder", repository.folder), ("Cipher", CIPHER)]


def _node(
    repository: Repository, options: RepositoryOptions, name: str, stanzas: dict[str, KnownStanza | None]
) -> NodeKit:
    file = configuration_file(repository, name)
    found = []
    for one, known in stanzas.items():
        seen = holding(repository, nodes=[name], stanza=one)
        versions = [state.postgresql for state in seen.stanza_states]
        found.append(
            StanzaKit(
                name=one,
                postgresql=(known and known.postgresql) or next(iter(versions), ""),
                data_directory=known.data_directory if known else "",
                port=known.port if known else None,
                system_id=(known and known.system_id) or next((s.system_id for s in seen.stanza_states), ""),
                seen=seen,
                configuration_file=file,
                repository_number=repository.number,
            )
        )
    path = options.own_path(f"/{repository.place_of(name)}")
    lines = "".join(f"{line}\n" for line in _lines(repository, options, path, file, found))
    return NodeKit(name, path, file, lines, options.ca_certificate, found)


def _lines(
    repository: Repository, options: RepositoryOptions, path: str, file: str, stanzas: Iterable[StanzaKit]
) -> Iterable[str]:
    number, by_hand = repository.number, repository.store.cloud.access.key_options if repository.store else ()
    yield f"# {repository.cluster_name}, in {repository.store_name} ({repository.region}): a configuration that reads."
    yield "[global]"
    yield "process-max=4"
    yield "log-level-file=off"
    signs_in_alone = False
    for name, value in options.options:
        if name in options.secret or (name.endswith("key-type") and value != "auto"):
            continue
        yield f"repo{number}-{name}={value}"
        if name == "type":
            yield f"repo{number}-path={path}"
        signs_in_alone = signs_in_alone or name.endswith("key-type")
    for name, value in by_hand:
        yield f"{'# or: ' if signs_in_alone else ''}repo{number}-{name}={value}"
    if options.ca_certificate:
        yield f"repo{number}-storage-ca-file={file}.pem"
    if repository.passphrase:
        yield f"repo{number}-cipher-type={CIPHER}"
        yield f"repo{number}-cipher-pass={repository.passphrase}"
    for one in stanzas:
        yield ""
        yield f"[{one.name}]"
        yield f"pg1-path={one.folder}"


def as_text(kits: Sequence[RepositoryKit], *, organisation: str, at: datetime) -> str:
    """Return the kits as a text file."""
    lines = [
        f"RECOVERY KIT of {organisation}, taken {at:%Y-%m-%d %H:%M} UTC",
        "It holds passphrases: keep it where only those come who may read the backups, and not in the store itself.",
        f"It needs a machine with pgBackRest and PostgreSQL, and a key that may read. {NOTHING_IS_WRITTEN}",
    ]
    for kit in kits:
        lines += ["", "=" * 100, kit.repository.title, "=" * 100]
        lines += [f"{label + ':':<20} {value}" for label, value in kit.facts]
        lines += [f"{'Passphrase:':<20} {kit.repository.passphrase}", f"{'Last seen:':<20} {_plain(kit.seen.words)}"]
        lines += [f"{'Key:':<20} {kit.key_from}"] if kit.key_from else []
        lines += kit.needs
        for node in kit.nodes:
            lines += ["", f"---- Node {node.name}: {node.path}"]
            lines += ["", "Save the configuration, as root; then put in the key:", "", node.save]
            for one in node.stanzas:
                lines += ["", f"Stanza {one.name}: {one.setup}.", f"Last seen: {one.last_seen}."]
                lines += [f"It needs pgBackRest {one.release} or newer."] if one.release else []
                for title, command in one.commands:
                    lines += ["", f"{title}:", "", command]
                lines += ["", one.start]
        lines += [f"There is {name}, too, under a name that no configuration takes." for name in kit.unfit]
    return "\n".join([*lines, ""])


NOTHING_IS_WRITTEN = "No command of it writes to a store, or into a folder that a server runs on."


def _plain(text: str) -> str:
    return text.replace("\xa0", " ")
