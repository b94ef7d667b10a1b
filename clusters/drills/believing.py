"""Whether a restore that a machine says it has made is what the store's own list of backups makes possible. Pure.

The facts come out of the restored copy, and a machine that did not open the backup does not know them. They are
compared with what the console has read in the store by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

CLOCKS = timedelta(minutes=10)  # that two of them may differ by
WAL = re.compile(r"[0-9A-F]{24}", re.ASCII)
SEGMENT_SIZE = 16 * 2**20  # bytes, where nobody has said another


def doubts(
    said: Mapping[str, Any],
    backup: Mapping[str, Any],
    *,
    restored_to: datetime | None,
    ended: datetime,
    segment: int = SEGMENT_SIZE,
) -> str:
    """Return why a successful restore is not believed, in a sentence; "" where nothing speaks against it.

    `said` are the facts of the copy (system_id, timeline, first_wal, lsn, target, postgresql, major), `backup` is the
    row of the store's list that it says it has restored; `segment` is the size of a WAL segment in bytes.
    """
    if not all(said.get(name) for name in ("system_id", "timeline", "first_wal", "lsn")):
        return "It does not say what only the restored copy knows: its system identifier, timeline, first WAL and LSN."
    return next(iter((*_of_copy(said, backup, segment), *_of_time(backup, restored_to, ended), "")))


def _of_copy(said: Mapping[str, Any], backup: Mapping[str, Any], segment: int) -> Iterator[str]:
    version, reached = (said.get("postgresql") or 0) // 10000, _position(said["lsn"])
    if said["system_id"] != backup["system_id"]:
        yield f"The copy has the system identifier {said['system_id']}, and the backup is of {backup['system_id']}."
    if backup["first_wal"] and said["first_wal"] != backup["first_wal"]:
        yield f"The copy began at WAL segment {said['first_wal']}, and the backup begins at {backup['first_wal']}."
    if version and said.get("major") and version != said["major"]:
        yield f"The copy was run by PostgreSQL {version}, and the backup is of {said['major']}."
    if backup.get("timeline") and said["timeline"] < backup["timeline"]:
        yield f"The copy is on timeline {said['timeline']}, and the backup was made on {backup['timeline']}."
    if WAL.fullmatch(backup["last_wal"]) and reached < _begin(backup["last_wal"], segment):
        yield f"The copy was recovered to {said['lsn']}, which is before the backup was consistent."
    if said.get("target") and reached < _position(said["target"]):
        yield f"The copy was recovered to {said['lsn']}, and was to be to {said['target']}."


def _of_time(backup: Mapping[str, Any], restored_to: datetime | None, ended: datetime) -> Iterator[str]:
    started = datetime.fromtimestamp(backup["started"], UTC)
    if restored_to is None:
        yield "It does not say to which moment the copy was recovered."
    elif not started - CLOCKS <= restored_to <= ended + CLOCKS:
        yield (
            f"The copy was recovered to {restored_to:%Y-%m-%d %H:%M:%S} UTC, and with this backup that can be from "
            f"{started:%Y-%m-%d %H:%M:%S} on, until the drill ended."
        )


def _position(lsn: str) -> int:
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _begin(wal: str, segment: int) -> int:
    """Return the LSN at which a segment begins, as a number."""
    return (int(wal[8:16], 16) << 32) + int(wal[16:24], 16) * segment
