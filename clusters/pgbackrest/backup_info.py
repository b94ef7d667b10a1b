"""Reading a `backup.info`, the list of backups that pgBackRest keeps for each stanza. Pure.

The file is pgBackRest's own (`info.c`, `infoBackup.c`): sections of `key=JSON`, and at its end a SHA-1 over them. The
encryption is OpenSSL's: "Salted__", eight bytes of salt, then AES-256-CBC with a key derived by one round of SHA-1.
Whoever has a node's key can write the file, so nothing in it is taken before its type and its range were looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from console.clouds import foreign

SALTED = b"Salted__"
BEGINNING = "[backrest]\n"  # of each info file, and of its end: longer than what a wrong passphrase makes by chance
FORMAT = 5  # REPOSITORY_FORMAT of every pgBackRest 2
BACKUPS_AT_MOST = 10_000  # that are kept; the oldest are left out
DATABASES_AT_MOST = 1_000  # in a history: each stanza-upgrade adds one
BYTES_AT_MOST = 2**60  # of anything that has a size
DAY = 86_400
KINDS = {"F": "full", "D": "diff", "I": "incr"}  # how a label ends
LABEL = re.compile(r"\d{8}-\d{6}(?:F|F_\d{8}-\d{6}[DI])", re.ASCII)
SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
POSTGRESQL = re.compile(r"\d{1,3}(\.\d{1,2})?", re.ASCII)
NOT_SIGNED = "Its checksum is wrong: somebody has changed it, or it is broken. pgBackRest refuses to read it."


class Unreadable(Exception):
    """The file cannot be read; the message says why, and `status` what a stanza is called for it."""

    status = "damaged"


class NotOurs(Unreadable):
    """It is encrypted with another passphrase than the one at hand."""

    status = "encrypted"


class Unknown(Unreadable):
    """Nothing is wrong with it as far as the console can tell: it is of a form that the console does not read."""

    status = "unknown"


@dataclass(frozen=True)
class Backup:
    """One backup, as the list of backups has it; sizes in bytes, times in seconds since 1970."""

    label: str
    kind: str  # full, diff or incr
    started: int
    stopped: int
    size: int  # of the database
    stored: int  # what this backup added to the repository
    first_wal: str  # the first and the last WAL segment that make it consistent; "" for an offline backup
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
        block = hashlib.sha1(block + passphrase.encode() + salt).digest()  # noqa: S324, what pgBackRest derives with
        key += block
    decryptor = Cipher(algorithms.AES256(key[:32]), modes.CBC(key[32:48])).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    try:
        return _text(unpadder.update(padded) + unpadder.finalize())
    except (ValueError, Unreadable) as error:
        # A broken block spoils itself and a part of the next one. The file begins and ends with the same words, so
        # whoever finds them has the right passphrase.
        if padded.startswith(BEGINNING.encode()):
            raise Unreadable("it is cut off, or broken.") from error
        if BEGINNING.encode() in padded:
            raise Unreadable("it is broken at its beginning.") from error
        raise NotOurs("It is encrypted with another passphrase than this cluster's.") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("it is not text.") from error


def parse(text: str, now: float | None = None) -> dict[str, Any]:
    """Return what a backup.info says, as fields of a StanzaState; raises Unreadable.

    `note` says that the checksum is wrong, which pgBackRest does not read; `now` is in seconds since 1970.
    """
    if not text.startswith(BEGINNING):
        raise Unreadable("it is cut off." if BEGINNING.startswith(text) else "it is not a list of backups.")
    if not text.endswith("\n"):
        raise Unreadable("it is cut off.")
    try:
        sections, checksum = sections_of(text)
    except RecursionError as error:
        raise Unreadable("it is not a list of backups.") from error
    written = sections["backrest"].get("backrest-format")
    if type(written) is int and written > FORMAT:
        raise Unknown(f"it was written by a newer pgBackRest (format {written}); the console reads format {FORMAT}.")
    # The checksum is its last line, so a file without it was cut off.
    if "backrest-checksum" not in sections["backrest"]:
        raise Unreadable("it is cut off.")
    if type(written) is not int or written != FORMAT:
        raise Unreadable(f"it is not of pgBackRest 2, whose format is {FORMAT}.")
    history = _history(sections)
    current = _number(sections.get("db", {}), "db-id", "[db]", 1, DATABASES_AT_MOST)
    if current not in history:
        raise Unreadable("its db-id is not in its history.")
    until = (time.time() if now is None else now) + DAY
    listed = sections.get("backup:current", {})
    backups = sorted((_backup(label, listed[label], history, until) for label in listed), key=lambda one: one.label)
    return {
        "system_id": history[current].system_id,
        "postgresql": history[current].postgresql,
        "db_id": current,
        "history": list(history.values()),
        "backups": backups[-BACKUPS_AT_MOST:],
        "backup_bytes": sum(one.stored for one in backups),
        "omitted": max(0, len(backups) - BACKUPS_AT_MOST),
        "note": "" if sections["backrest"]["backrest-checksum"] == checksum else NOT_SIGNED,
    }


def sections_of(text: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the values by section and key, and the checksum that they should have; raises Unreadable."""
    sections: dict[str, dict[str, Any]] = {}
    raw: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("["):
            name = line[1:-1] if line.endswith("]") else ""
            sections.setdefault(name, {})  # [backrest] stands in it twice: its format at the beginning, its checksum
        elif line:
            key, equals, value = line.partition("=")
            if not name or not equals:
                raise Unreadable(f"line {number:,} has no place in a list of backups.")
            if key in sections[name]:
                raise Unreadable(f"{foreign.word(key)} stands in it twice.")
            try:
                sections[name][key] = json.loads(value, object_pairs_hook=_once, parse_constant=_refuse)
            except ValueError as error:
                raise Unreadable(f"line {number:,} is not JSON.") from error
            if key != "backrest-checksum":
                raw.setdefault(name, []).append(f'"{key}":{value}')
    body = ",".join(f'"{section}":{{{",".join(rows)}}}' for section, rows in raw.items())
    return sections, hashlib.sha1(f"{{{body}}}".encode()).hexdigest()  # noqa: S324, pgBackRest's own


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raises ValueError for one that has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and the infinities are no JSON


def _history(sections: Mapping[str, Mapping[str, Any]]) -> dict[int, PastDatabase]:
    """Return the databases of the stanza by number, oldest first."""
    listed = sections.get("db:history", {})
    if not 1 <= len(listed) <= DATABASES_AT_MOST:
        raise Unreadable(f"its history lists {len(listed):,} databases.")
    found = {}
    for key, row in listed.items():
        where = f"database {foreign.text(key, 20)} of its history"
        number = int(key) if re.fullmatch(r"[1-9]\d{0,3}", key, re.ASCII) else 0
        if not 1 <= number <= DATABASES_AT_MOST or not isinstance(row, dict):
            raise Unreadable(f"{where} is none.")
        version = row.get("db-version")
        if not isinstance(version, str) or not POSTGRESQL.fullmatch(version):
            raise Unreadable(f"{where} has no version of PostgreSQL.")
        found[number] = PastDatabase(number, str(_number(row, "db-system-id", where, 1, 2**64 - 1)), version)
    return dict(sorted(found.items()))


def _backup(label: str, row: Any, history: Mapping[int, PastDatabase], until: float) -> Backup:
    if not LABEL.fullmatch(label):
        raise Unreadable(f"{foreign.text(label, 60)} is no label of a backup.")
    if not isinstance(row, dict) or row.get("backup-type") != KINDS[label[-1]]:
        raise Unreadable(f"{label} is not listed as {KINDS[label[-1]]}, which its label says.")
    db_id = _number(row, "db-id", label, 1, DATABASES_AT_MOST)
    if db_id not in history:
        raise Unreadable(f"{label} is of a database that is not in its history (db-id {db_id}).")
    failed = row.get("backup-error", False)
    if not isinstance(failed, bool):
        raise Unreadable(f"backup-error of {label} is neither true nor false.")
    first, last = _segment(row, "backup-archive-start", label), _segment(row, "backup-archive-stop", label)
    # With repo-block there is no size of the whole, only what was added.
    added = "backup-info-repo-size-delta" if "backup-info-repo-size-delta" in row else "backup-info-repo-size"
    return Backup(
        label=label,
        kind=row["backup-type"],
        started=_time(row, "backup-timestamp-start", label, until),
        stopped=_time(row, "backup-timestamp-stop", label, until),
        size=_number(row, "backup-info-size", label, 0, BYTES_AT_MOST),
        stored=_number(row, added, label, 0, BYTES_AT_MOST),
        first_wal=first,
        last_wal=last,
        system_id=history[db_id].system_id,
        failed=failed,
        db_id=db_id,
        timeline=int(first[:8] or "0", 16),
    )


def _number(row: Mapping[str, Any], key: str, where: str, least: int, most: int) -> int:
    value = row.get(key)
    if type(value) is not int or not least <= value <= most:  # True is an int too
        raise Unreadable(f"{key} of {where} is no whole number from {least:,} to {most:,}.")
    return value


def _time(row: Mapping[str, Any], key: str, label: str, until: float) -> int:
    value = _number(row, key, label, 0, 253_402_300_799)  # the end of the year 9999
    if value > until:
        at = datetime.fromtimestamp(value, UTC)
        raise Unreadable(f"{key} of {label} is in the future ({at:%Y-%m-%d %H:%M} UTC).")
    return value


def _segment(row: Mapping[str, Any], key: str, label: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not SEGMENT_NAME.fullmatch(value):
        raise Unreadable(f"{key} of {label} is no WAL segment.")
    return value
