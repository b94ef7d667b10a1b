"""Files of repositories that pgBackRest wrote, in the folder `repository`, and such files as anybody could write."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from clusters.pgbackrest.repository import Backup
from clusters.pgbackrest.retention import DAY
from console.clouds.contents import Entry, Reading

FILES = Path(__file__).parent / "repository"
PLAIN = (FILES / "plain/backup.info").read_bytes()
ENCRYPTED = (FILES / "encrypted/backup.info").read_bytes()
PASSPHRASE = (FILES / "encrypted/passphrase.txt").read_text()


class Bucket:
    """Objects in memory; `times` says when each came."""

    begins_after = True

    def __init__(self, objects, times=None):
        self.objects, self.times, self.calls = objects, times or {}, []

    def folders(self, prefix):
        self.calls.append(("folders", prefix))
        below = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        return sorted({key.split("/")[0] for key in below if "/" in key})

    def entries(self, prefix, after=""):
        self.calls.append(("entries", prefix))
        for key in sorted(self.objects):
            if key.startswith(prefix) and (key > after or not self.begins_after):
                yield Entry(key, len(self.objects[key]), self.times.get(key, datetime(2026, 11, 22, tzinfo=UTC)))

    def read(self, key, at_most, known=""):
        self.calls.append(("read", key))
        if key not in self.objects:
            return Reading()
        tag = hashlib.md5(self.objects[key]).hexdigest()
        return Reading(tag=tag, is_known=True) if tag == known else Reading(self.objects[key][:at_most], tag)


def signed(text):
    """Return an info file with the checksum that pgBackRest would give it; it has none, or a wrong one."""
    sections, name = {}, ""
    for line in text.split("\n"):
        if line.startswith("["):
            name = line[1:-1]
        elif line and not line.startswith("backrest-checksum="):
            key, _, value = line.partition("=")
            sections.setdefault(name, []).append(f'"{key}":{value}')
    body = ",".join(f'"{section}":{{{",".join(rows)}}}' for section, rows in sections.items())
    kept = text.split("[backrest]\nbackrest-checksum=")[0].rstrip("\n")
    digest = hashlib.sha1(f"{{{body}}}".encode()).hexdigest()
    return f'{kept}\n\n[backrest]\nbackrest-checksum="{digest}"\n'


def row(label, **values):
    """Return a line of a list of backups."""
    kind = {"F": "full", "D": "diff", "I": "incr"}[label[-1]]
    known = {
        "backrest-format": 5,
        "backrest-version": "2.45",
        "backup-archive-start": "000000010000000000000002",
        "backup-archive-stop": "000000010000000000000003",
        "backup-error": False,
        "backup-info-repo-size": 2810272,
        "backup-info-repo-size-delta": 2810272,
        "backup-info-size": 22992556,
        "backup-info-size-delta": 22992556,
        "backup-timestamp-start": 1795388478,
        "backup-timestamp-stop": 1795388480,
        "backup-type": kind,
        "db-id": 1,
        **{f"option-{name}": True for name in ("archive-check", "compress", "online")},
        **{f"option-{name}": False for name in ("archive-copy", "backup-standby", "checksum-page", "hardlink")},
        **({} if kind == "full" else {"backup-prior": label.split("_")[0], "backup-reference": [label.split("_")[0]]}),
        **{key.replace("_", "-"): value for key, value in values.items()},
    }
    return f"{label}={json.dumps(dict(sorted(known.items())), separators=(',', ':'), ensure_ascii=False)}"


def info(*rows, ids=(7711134786693777346,), current=None, version="15"):
    """Return a whole backup.info with these lines, of a stanza whose databases had these system identifiers."""
    at = current or len(ids)
    history = [
        f'{number}={{"db-catalog-version":202209061,"db-control-version":1300,"db-system-id":{one},"db-version":"{version}"}}'
        for number, one in enumerate(ids, 1)
    ]
    lines = [
        *("[backrest]", "backrest-format=5", 'backrest-version="2.45"', ""),
        *("[backup:current]", *rows, ""),
        *("[db]", "db-catalog-version=202209061", "db-control-version=1300", f"db-id={at}"),
        *(f"db-system-id={ids[at - 1]}", f'db-version="{version}"', "", "[db:history]", *history, ""),
    ]
    return signed("\n".join(lines))


def encrypted(data, passphrase=PASSPHRASE):
    """Return the bytes as pgBackRest, and `openssl enc -md sha1`, encrypt them."""
    salt, key, block = os.urandom(8), b"", b""
    while len(key) < 48:
        block = hashlib.sha1(block + passphrase.encode() + salt).digest()
        key += block
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(key[:32]), modes.CBC(key[32:48])).encryptor()
    return b"Salted__" + salt + encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def label(at, kind, full=""):
    moment = f"{datetime.fromtimestamp(at, UTC):%Y%m%d-%H%M%S}{kind}"
    return f"{full}_{moment}" if full else moment


def backup_row(kind, started, stopped):
    """Return what backup.info says of a backup of this kind (F, D or I) and time."""
    [row] = [json.loads(line.partition("=")[2]) for line in PLAIN.decode().splitlines() if '"full"' in line]
    row |= {"backup-timestamp-start": int(started), "backup-timestamp-stop": int(stopped)}
    return row | {"backup-type": {"F": "full", "D": "diff", "I": "incr"}[kind]}


def backup_info(rows):
    """Return a backup.info with these backups: label to row."""
    lines = {name: json.dumps(row, separators=(",", ":")) for name, row in rows.items()}
    return with_checksum({**sections_of(PLAIN.decode()), "backup:current": lines})


def with_checksum(sections):
    """Return an info file as pgBackRest writes it: the checksum is of its sections as one JSON object (info.c)."""
    inner = ",".join(
        f'"{name}":{{{",".join(f"{json.dumps(key)}:{value}" for key, value in rows.items())}}}'
        for name, rows in sections.items()
    )
    digest = hashlib.sha1(f"{{{inner}}}".encode()).hexdigest()
    text = "\n".join(
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in rows.items()), ""])
        for name, rows in sections.items()
    )
    return f'{text}\n[backrest]\nbackrest-checksum="{digest}"\n'


def sections_of(text):
    """Return the lines of an info file by section and key, without its checksum."""
    found, name = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            found.setdefault(name, {})
        elif line and not line.startswith("backrest-checksum="):
            key, _, value = line.partition("=")
            found[name][key] = value
    return found


def backup(kind, days, full=None, stored=1000):
    """Return a backup of so many days ago, built on a full one."""
    at = int(time.time() - days * DAY)
    kinds = {"F": "full", "D": "diff", "I": "incr"}
    name = label(at, kind, full.label if full else "")
    return Backup(name, kinds[kind], at - 60, at, 9000, stored, "0" * 24, "0" * 24, "7711", False)


def name_of(timeline, number):
    """Return the name of a timeline's segment, counted from 0."""
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"
