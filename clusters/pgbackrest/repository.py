"""Reading a pgBackRest repository as it lies in a bucket: its lists of backups, and the end of its archive. Pure.

The layout and the files are pgBackRest's own (its developer documentation, and `backup.info` as its releases write it);
encryption is OpenSSL's: "Salted__", eight bytes of salt, then AES-256-CBC with a key derived by one round of SHA-1.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from configparser import ConfigParser, Error
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from console.clouds import foreign
from console.clouds.contract import Entry, Objects

SALTED = b"Salted__"
BEGINNING = b"[backrest]"  # of each info file: longer than what a wrong passphrase ever makes of one by chance
INFO_AT_MOST = 16 * 1024 * 1024  # bytes; one backup takes about 600 of them
COUNTED_AT_MOST = 20_000  # objects of a stanza whose list cannot be read
FOLDERS_AT_MOST = 100  # nodes, and stanzas of a node
SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?")


class Unreadable(Exception):
    """The file cannot be read; the message says why."""


class NotOurs(Unreadable):
    """It is encrypted with another passphrase than the one at hand."""


@dataclass(frozen=True)
class Backup:
    """One backup, as the list of backups has it; sizes in bytes, times in seconds since 1970."""

    label: str
    kind: str  # full, diff or incr
    started: int
    stopped: int
    size: int  # of the database
    stored: int  # what this backup added to the repository
    first_wal: str  # the first and the last WAL segment that make it consistent
    last_wal: str
    system_id: str
    failed: bool  # pages with wrong checksums were copied
    db_id: int = 0  # which database of the stanza's history; 0 in what was read before this was kept
    timeline: int = 0  # of first_wal; 0 without one


@dataclass(frozen=True)
class PastDatabase:
    """A database of the stanza's history (`db:history`): each stanza-upgrade adds one, the last is the current one."""

    db_id: int  # 1 for the first
    system_id: str
    postgresql: str  # version, such as 15 or 9.6


@dataclass(frozen=True)
class Timeline:
    """The WAL of one timeline of one database, as it lies in the archive."""

    archive: str  # the folder, such as 15-1: PostgreSQL's version and the database's number in the history
    number: int
    first: str  # names of the segments
    last: str
    last_at: str  # ISO 8601, when the newest segment came
    segments: int
    bytes: int


@dataclass(frozen=True)
class StanzaState:
    """What a repository holds of one stanza of one node."""

    node: str
    stanza: str
    status: str  # read; encrypted: with a passphrase that the console does not have; damaged; empty: no backup yet
    note: str = ""
    system_id: str = ""  # of the database that writes to it now
    postgresql: str = ""
    backups: list[Backup] = field(default_factory=list)
    last_wal: str = ""  # the newest that arrived, on the live timeline
    last_wal_at: str = ""  # ISO 8601
    db_id: int = 0  # of the database that writes to it now
    history: list[PastDatabase] = field(default_factory=list)  # oldest first
    timelines: list[Timeline] = field(default_factory=list)
    wal_bytes: int = 0
    wal_segments: int = 0
    backup_bytes: int = 0  # what the backups take in the repository
    objects: int = 0  # counted only where the list cannot be read
    bytes: int = 0
    more: bool = False  # there are more than were counted


def as_json(stanza_states: list[StanzaState]) -> list[dict[str, Any]]:
    """Return the stanza_states as they are kept in the database."""
    return [asdict(one) for one in stanza_states]


def from_json(rows: list[dict[str, Any]]) -> list[StanzaState]:
    """Return the stanza_states that as_json() was given, also by a release that kept less."""
    parts = {"backups": Backup, "history": PastDatabase, "timelines": Timeline}
    return [
        StanzaState(**{**row, **{name: [kind(**one) for one in row.get(name, [])] for name, kind in parts.items()}})
        for row in rows
    ]


def look(objects: Objects, path: str, passphrase: str) -> list[StanzaState]:
    """Return what is below the path, by node and stanza; raises StepError when the bucket cannot be read."""
    found: list[StanzaState] = []
    for node in _names(objects, f"{path}/"):
        base = f"{path}/{node}"
        stanzas = {*_names(objects, f"{base}/backup/"), *_names(objects, f"{base}/archive/")}
        found.extend(_look_at(objects, base, node, stanza, passphrase) for stanza in sorted(stanzas)[:FOLDERS_AT_MOST])
    return found


def _names(objects: Objects, prefix: str) -> list[str]:
    """Return the folders below a prefix, but for names that cannot be shown: pgBackRest makes none of these."""
    return [name for name in objects.folders(prefix) if name == foreign.word(name)][:FOLDERS_AT_MOST]


def _look_at(objects: Objects, base: str, node: str, stanza: str, passphrase: str) -> StanzaState:
    wal = _last_wal(objects, f"{base}/archive/{stanza}/")
    ends: dict[str, Any] = {"last_wal": wal[0], "last_wal_at": wal[1].modified.isoformat()} if wal else {}
    note = ""
    # pgBackRest writes both files, one after the other, and reads the copy when the first is broken; so do we.
    for name in ("backup.info", "backup.info.copy"):
        data = objects.read(f"{base}/backup/{stanza}/{name}", INFO_AT_MOST)
        if data is None:
            continue
        try:
            info = parse(decrypt(data, passphrase))
        except NotOurs as error:
            return StanzaState(node, stanza, "encrypted", str(error), **_counted(objects, base, stanza), **ends)
        except Unreadable as error:
            note = note or f"{name} cannot be read: {error}"
            continue
        status = "read" if info["backups"] else "empty"
        return StanzaState(node, stanza, status, f"{note} Its copy was read." if note else "", **info, **ends)
    if note:
        return StanzaState(node, stanza, "damaged", note, **_counted(objects, base, stanza), **ends)
    return StanzaState(node, stanza, "empty", **ends)


def _counted(objects: Objects, base: str, stanza: str) -> dict[str, Any]:
    """Return how much there is of a stanza whose list cannot be read, as the fields of a Holding."""

    def everything() -> Iterator[Entry]:
        for part in ("archive", "backup"):
            yield from objects.entries(f"{base}/{part}/{stanza}/")

    sizes = [entry.size for entry in islice(everything(), COUNTED_AT_MOST + 1)]
    return {"objects": len(sizes), "bytes": sum(sizes), "more": len(sizes) > COUNTED_AT_MOST}


def _last_wal(objects: Objects, prefix: str) -> tuple[str, Entry] | None:
    """Return the last segment of the archive, and its object: that of the newest database, on its newest timeline."""
    # Such as 15-1: the version, and a number that grows with each upgrade of the stanza.
    databases = [name for name in objects.folders(prefix) if re.fullmatch(r"\d+(\.\d+)?-\d+", name)]
    if not databases:
        return None
    newest = prefix + max(databases, key=lambda name: int(name.rsplit("-", 1)[1])) + "/"
    for folder in sorted((f for f in objects.folders(newest) if re.fullmatch("[0-9A-F]{16}", f)), reverse=True)[:2]:
        segments = [
            (found[1], entry)
            for entry in objects.entries(f"{newest}{folder}/")
            if (found := SEGMENT.fullmatch(entry.key.rsplit("/", 1)[1]))
        ]
        if segments:
            return max(segments, key=lambda one: one[0])
    return None


def decrypt(data: bytes, passphrase: str) -> str:
    """Return the text of a file, which may be encrypted; raises NotOurs when the passphrase is not the right one."""
    if not data.startswith(SALTED):
        return _text(data)
    salt, body = data[8:16], data[16:]
    if not passphrase:
        raise NotOurs("It is encrypted, and the console has no passphrase for it.")
    if not body or len(body) % 16:
        raise Unreadable("it is cut off.")
    key, block = b"", b""
    while len(key) < 48:
        block = hashlib.sha1(block + passphrase.encode() + salt).digest()  # noqa: S324, what pgBackRest derives with  # nosec B324
        key += block
    decryptor = Cipher(algorithms.AES256(key[:32]), modes.CBC(key[32:48])).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    try:
        return _text(unpadder.update(padded) + unpadder.finalize())
    except (ValueError, Unreadable) as error:
        # A wrong passphrase and a file cut between two blocks look alike but for the beginning, which is decrypted.
        if padded.startswith(BEGINNING):
            raise Unreadable("it is cut off.") from error
        raise NotOurs("It is encrypted with another passphrase than this cluster's.") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("it is not text.") from error


def parse(text: str) -> dict[str, Any]:
    """Return what a backup.info says, as the fields of a Holding; raises Unreadable."""
    # [backrest] stands in it twice: the format at its beginning, the checksum at its end.
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=())
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
        values = {name: {key: json.loads(value) for key, value in parser[name].items()} for name in parser.sections()}
        # The checksum is its last line, so a file without it was cut off.
        if (
            not text.startswith("[backrest]")
            or not text.endswith("\n")
            or "backrest-checksum" not in values["backrest"]
        ):
            raise Unreadable("it is cut off.")
        history = {int(number): row for number, row in values.get("db:history", {}).items()}
        ids = {number: foreign.word(row["db-system-id"]) for number, row in history.items()}
        backups = [_backup(label, row, ids) for label, row in values.get("backup:current", {}).items()]
        return {
            "system_id": foreign.word(values["db"]["db-system-id"]),
            "postgresql": foreign.word(values["db"]["db-version"]),
            "backups": sorted(backups, key=lambda one: one.label),
        }
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("it is cut off, or not a list of backups.") from error


def _backup(label: str, row: dict[str, Any], ids: dict[int, str]) -> Backup:
    return Backup(
        label=foreign.word(label),
        kind=row["backup-type"],
        started=row["backup-timestamp-start"],
        stopped=row["backup-timestamp-stop"],
        size=row["backup-info-size"],
        stored=row.get("backup-info-repo-size-delta", row.get("backup-info-repo-size", 0)),
        first_wal=foreign.word(row.get("backup-archive-start") or ""),
        last_wal=foreign.word(row.get("backup-archive-stop") or ""),
        system_id=ids.get(row["db-id"], ""),
        failed=bool(row.get("backup-error")),
    )
