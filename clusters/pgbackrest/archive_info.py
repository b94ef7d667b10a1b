"""Reading an `archive.info`, which says whose WAL a stanza takes; its form is backup.info's (infoArchive.c). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from clusters.pgbackrest.backup_info import FORMAT, NOT_SIGNED, Unknown, Unreadable, sections_of


@dataclass(frozen=True)
class ArchiveInfo:
    """The database whose WAL is taken now."""

    db_id: int
    system_id: str
    postgresql: str  # version, such as 15 or 9.6


def parse(text: str) -> ArchiveInfo:
    """Return what an archive.info says; raises Unreadable, and Unknown for one of a newer pgBackRest."""
    if not text.startswith("[backrest]\n") or not text.endswith("\n"):
        raise Unreadable("it is cut off, or no archive.info.")
    sections, checksum = sections_of(text)
    head, current = sections["backrest"], sections.get("db", {})
    written = head.get("backrest-format")
    if type(written) is int and written > FORMAT:
        raise Unknown(f"it was written by a newer pgBackRest (format {written}); the console reads format {FORMAT}.")
    if written != FORMAT:
        raise Unreadable(f"it is not of pgBackRest 2, whose format is {FORMAT}.")
    if head.get("backrest-checksum") != checksum:
        raise Unreadable(NOT_SIGNED)
    db_id, system_id, version = (current.get(name) for name in ("db-id", "db-system-id", "db-version"))
    if type(db_id) is not int or type(system_id) is not int or not isinstance(version, str):
        raise Unreadable("it names no database.")
    return ArchiveInfo(db_id, str(system_id), version)
