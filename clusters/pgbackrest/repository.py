"""Reading a pgBackRest repository as it lies in a bucket: its lists of backups, and how its archive stands. Pure.

The layout is pgBackRest's own (its developer documentation): `<path>/<node>/backup/<stanza>` and `archive/<stanza>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from clusters.pgbackrest import archive
from clusters.pgbackrest.archive import Wal
from clusters.pgbackrest.backup_info import (
    BACKUPS_AT_MOST,
    Backup,
    NotOurs,
    PastDatabase,
    Unknown,
    Unreadable,
    decrypt,
    parse,
)
from clusters.pgbackrest.holes import Gap
from clusters.pgbackrest.timelines import Timeline, live
from console.clouds import foreign
from console.clouds.contents import Entry, Objects

__all__ = [
    "Backup",
    "Gap",
    "NotOurs",
    "PastDatabase",
    "StanzaState",
    "Timeline",
    "Unreadable",
    "as_json",
    "from_json",
    "look",
    "look_at_own",
]

INFO_AT_MOST = 16 * 1024 * 1024  # bytes; one backup takes about 600 of them
COUNTED_AT_MOST = 20_000  # objects of a stanza whose list cannot be read
FOLDERS_AT_MOST = 100  # nodes, and stanzas of a node
STANZAS_AT_MOST = 500  # of a repository
OTHERS = ("…", "…")  # the row that says how many more there are
BACKUPS_AT_LEAST = 10  # that are kept of each stanza, however many the others have


@dataclass(frozen=True)
class Report:
    """What a node said last of one of its databases."""

    system_id: str = ""
    timeline: int | None = None
    segment: int | None = None  # bytes of a WAL segment


@dataclass(frozen=True)
class Own:
    """A repository that was there before its cluster: its path holds the stanzas themselves, and maybe others'."""

    path: str  # without slashes at its ends; "": all of the bucket
    node: str  # whose they are
    stanzas: tuple[str, ...]
    nodes: Mapping[str, str] = field(default_factory=dict)  # whose a stanza is, where it is another's

    def key(self, stanza: str) -> tuple[str, str]:
        """Return what tells a stanza from all others: whose it is, and its name."""
        return self.nodes.get(stanza, self.node), stanza

    @property
    def base(self) -> str:
        """Return what the keys of its objects begin with."""
        return f"{self.path}/" if self.path else ""


@dataclass(frozen=True)
class StanzaState:
    """What a repository holds of one stanza of one node."""

    node: str
    stanza: str
    # read; empty: no backup yet; encrypted: with a passphrase that the console does not have; damaged; unknown: of a
    # newer pgBackRest, or too large. What is none of the first two is only counted.
    status: str
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
    tag: str = ""  # what the cloud called the list of backups that was read; "" where it has to be read again
    omitted: int = 0  # backups that the list has and `backups` has not, older than those: there are too many
    wal_more: bool = False  # there is more WAL than was counted
    wal_folders: list[list[Any]] = field(default_factory=list)  # what the next look needs (archive.Wal)
    wal_turn: str = ""
    confirmed: list[str] = field(default_factory=list)  # system identifiers of the history that the node has reported
    reported: str = ""  # the one that it reported last, as far as this look knew
    reported_since: str = ""  # ISO 8601, the first look that knew that
    wal_gaps: list[Gap] = field(default_factory=list)  # segments that are missing (archive.Wal)
    wal_per_folder: int = 0
    wal_highest: list[list[str]] = field(default_factory=list)
    wal_of: str = ""  # of which database those are: its system identifier
    without_files: list[str] = field(default_factory=list)  # labels that are listed, and whose folder is gone

    @property
    def archive(self) -> str:
        """Return the folder of the current database's WAL, such as 15-1; "" while the list of backups is not read."""
        return f"{self.postgresql}-{self.db_id}" if self.db_id else ""

    @property
    def wal(self) -> Wal:
        """Return what is known of the archive."""
        return Wal(
            self.timelines,
            self.wal_segments,
            self.wal_bytes,
            self.wal_more,
            self.wal_folders,
            self.wal_turn,
            self.wal_gaps,
            self.wal_per_folder,
            self.wal_highest,
        )


_PARTS: Mapping[str, type] = {"backups": Backup, "history": PastDatabase, "timelines": Timeline, "wal_gaps": Gap}
# What _listed() returns of a list that it could read.
_LISTED = (
    *("status", "note", "tag", "system_id", "postgresql", "db_id", "history"),
    *("backups", "backup_bytes", "omitted"),
)
_FIELDS = {kind: frozenset(one.name for one in fields(kind)) for kind in (StanzaState, *_PARTS.values())}


def as_json(stanza_states: list[StanzaState]) -> list[dict[str, Any]]:
    """Return the stanza_states as they are kept in the database."""
    return [asdict(one) for one in stanza_states]


def from_json(rows: list[dict[str, Any]]) -> list[StanzaState]:
    """Return the stanza_states that as_json() was given, also by a release that kept less, or more."""
    return [
        _made(
            StanzaState,
            {**row, **{name: [_made(kind, one) for one in row.get(name, [])] for name, kind in _PARTS.items()}},
        )
        for row in rows
    ]


def _made(kind: Any, row: dict[str, Any]) -> Any:
    return kind(**{key: value for key, value in row.items() if key in _FIELDS[kind]})


def look(
    objects: Objects,
    path: str,
    passphrase: str,
    before: Iterable[StanzaState] = (),
    reports: Mapping[tuple[str, str], Report] | None = None,
) -> list[StanzaState]:
    """Return what is below the path, by node and stanza; raises StepError when the bucket cannot be read.

    `before` is what the last look returned, which saves to count again what cannot have changed; `reports` is what the
    nodes have said, by node and stanza.
    """
    then, told = {(one.node, one.stanza): one for one in before}, reports or {}
    # Whoever has a node's key can make folders without end, so those that are known come first.
    known = {*told, *then}
    there = [
        (node, stanza)
        for node in _names(objects, {f"{path}/"}, {node for node, _ in known})
        for stanza in _names(
            objects,
            {f"{path}/{node}/{part}/" for part in ("backup", "archive")},
            {stanza for _, stanza in known},
        )
    ]
    there.sort(key=lambda key: (key not in told, key not in then, key))
    places = {key: f"{path}/{key[0]}/" for key in there[:STANZAS_AT_MOST]}
    found = _all_of(objects, places, passphrase, then, told)
    if others := len(there) - len(found):
        note = f"{others:,} more stanzas are here; the console looks into {STANZAS_AT_MOST} of a repository."
        found.append(StanzaState(*OTHERS, "unknown", note))
    return found


def look_at_own(
    objects: Objects,
    own: Own,
    passphrase: str,
    before: Iterable[StanzaState] = (),
    reports: Mapping[tuple[str, str], Report] | None = None,
) -> list[StanzaState]:
    """Return what is there of the stanzas of a repository with a path of its own, as look() does of all below one."""
    base, then = own.base, {(one.node, one.stanza): one for one in before}
    there = {part: set(objects.folders(f"{base}{part}/")) for part in ("backup", "archive")}
    places = {own.key(one): base for one in own.stanzas if any(one in names for names in there.values())}
    return _all_of(objects, places, passphrase, then, reports or {})


def _all_of(
    objects: Objects,
    places: Mapping[tuple[str, str], str],
    passphrase: str,
    then: Mapping[tuple[str, str], StanzaState],
    told: Mapping[tuple[str, str], Report],
) -> list[StanzaState]:
    """Return what is there of each stanza, in the order of the places while there is room, and by name."""
    found: list[StanzaState] = []
    room = BACKUPS_AT_MOST
    for key, base in places.items():
        last, report = then.get(key, StanzaState(*key, "")), told.get(key, Report())
        one = _cut(_look_at(objects, base, last, passphrase, report), room)
        room -= len(one.backups)
        found.append(one)
    return sorted(found, key=lambda one: (one.node, one.stanza))


def news(
    objects: Objects,
    path: str,
    passphrase: str,
    before: Iterable[StanzaState],
    *,
    reports: Mapping[tuple[str, str], Report],
    expected: Iterable[tuple[str, str]] = (),
    own: Own | None = None,
) -> list[StanzaState] | None:
    """Return what is below the path by a look at that alone which changes day by day; None where look() has to.

    A read and a list for each stanza: its list of backups, if it is another than before, and the newest WAL. `expected`
    are those, by node and stanza, that somebody should write to. Raises StepError when the bucket cannot be read.
    """
    then = {(one.node, one.stanza): one for one in before}
    for node, stanza in sorted({*expected} - then.keys()):
        base = own.base if own else f"{path}/{node}/"
        if objects.read(f"{base}backup/{stanza}/backup.info", 1).data is not None:
            return None
    found: list[StanzaState] = []
    for key, last in then.items():
        if key == OTHERS:
            found.append(last)
        elif one := _news_of(
            objects, own.base if own else f"{path}/{key[0]}/", last, passphrase, reports.get(key, Report())
        ):
            found.append(one)
        else:
            return None
    room = BACKUPS_AT_MOST
    for number, one in enumerate(found):
        found[number] = _cut(one, room)
        room -= len(found[number].backups)
    return found


def _news_of(objects: Objects, base: str, before: StanzaState, passphrase: str, report: Report) -> StanzaState | None:
    """Return what there is of a stanza now; None where it is not as it was, so that all has to be looked at."""
    # First the archive, as in _look_at(): `expire` takes backups from the list before it deletes their WAL, so that one
    # in between would else leave backups on the list with WAL that is gone.
    prefix = f"{base}archive/{before.stanza}/"
    wal = archive.news(objects, prefix, before.wal, report.segment) or archive.look(
        objects, prefix, before.wal, report.segment
    )
    listed = _listed(objects, f"{base}backup/{before.stanza}/", passphrase, before.tag)
    if listed is None:
        listed = {name: getattr(before, name) for name in _LISTED}
    elif listed["status"] not in {"read", "empty"} or (before.backups and not listed.get("backups")):
        return None
    # Only look() lists the folders.
    labels = {one.label for one in listed.get("backups", [])}
    gone = [one for one in before.without_files if one in labels]
    return _told(StanzaState(before.node, before.stanza, **listed, without_files=gone), wal, before, report)


def _cut(stanza_state: StanzaState, room: int) -> StanzaState:
    """Return it with no more backups than the repository's row has room for, the newest."""
    backups = stanza_state.backups[-max(room, BACKUPS_AT_LEAST) :]
    omitted = stanza_state.omitted + len(stanza_state.backups) - len(backups)
    return replace(stanza_state, backups=backups, omitted=omitted)


def _names(objects: Objects, prefixes: Iterable[str], known: set[str]) -> list[str]:
    """Return the folders below the prefixes, but for names that cannot be shown: pgBackRest makes none of these."""
    names = {name for prefix in prefixes for name in objects.folders(prefix) if name == foreign.word(name)}
    return sorted(names, key=lambda name: (name not in known, name))[:FOLDERS_AT_MOST]


def _look_at(objects: Objects, base: str, before: StanzaState, passphrase: str, report: Report) -> StanzaState:
    node, stanza = before.node, before.stanza
    wal = archive.look(objects, f"{base}archive/{stanza}/", before.wal, report.segment)
    folder = f"{base}backup/{stanza}/"
    # Before the list is read: pgBackRest takes a backup that expires off the list first, and then deletes its files.
    folders = set(objects.folders(folder))
    found = StanzaState(node, stanza, **(_listed(objects, folder, passphrase) or {}))
    if gone := [one.label for one in found.backups if one.label not in folders]:
        folders = set(objects.folders(folder))  # one may have been begun and ended since
        found = replace(found, without_files=[label for label in gone if label not in folders])
    if found.status not in {"read", "empty"}:
        found = replace(found, **_counted(objects, base, stanza))
    return _told(found, wal, before, report)


def _told(found: StanzaState, wal: Wal, before: StanzaState, report: Report) -> StanzaState:
    """Return it with the WAL, and what follows from what the node has said of itself."""
    found = replace(
        found,
        timelines=wal.timelines,
        wal_segments=wal.segments,
        wal_bytes=wal.bytes,
        wal_more=wal.more,
        wal_folders=wal.folders,
        wal_turn=wal.turn,
        wal_gaps=wal.gaps,
        wal_per_folder=wal.per_folder,
    )
    # A stanza that was deleted and made anew counts from the first segment again.
    if not (found.system_id and before.wal_of and found.system_id != before.wal_of):
        found = replace(found, wal_highest=wal.highest)
    found = replace(found, wal_of=found.system_id or before.wal_of)
    # Only the current database's own report says on which timeline that is.
    own = report.timeline if found.system_id in {"", report.system_id} else None
    if newest := live(found.timelines, found.archive, own):
        found = replace(found, last_wal=newest.newest, last_wal_at=newest.last_at)
    return replace(found, **_reported(found, before, report))


def _reported(found: StanzaState, before: StanzaState, report: Report) -> dict[str, Any]:
    """Return what the node has said of itself up to now, as fields of a StanzaState."""
    same = report.system_id == before.reported
    since = before.reported_since if same else datetime.now(UTC).isoformat()
    said = {*before.confirmed, report.system_id}
    # A list that cannot be read takes nothing back.
    known = [one.system_id for one in found.history if one.system_id in said] if found.history else before.confirmed
    return {"reported": report.system_id, "reported_since": since, "confirmed": list(dict.fromkeys(known))}


def _listed(objects: Objects, folder: str, passphrase: str, known: str = "") -> dict[str, Any] | None:
    """Return what the list of backups says, or why it cannot be read, as fields of a StanzaState; None of the known.

    pgBackRest writes it twice, one after the other, and reads the copy when the first is broken; so does this.
    """
    failed: list[tuple[str, Unreadable]] = []
    unsigned: dict[str, Any] = {}
    for name in ("backup.info", "backup.info.copy"):
        there = objects.read(f"{folder}{name}", INFO_AT_MOST + 1, "" if failed or unsigned else known)
        if there.is_known:
            return None
        known, data = "", there.data
        if data is None:
            continue
        try:
            if len(data) > INFO_AT_MOST:
                raise Unknown(
                    f"it is too large: more than {INFO_AT_MOST // 2**20} MB, which nobody's list of backups is."
                )
            info = {**parse(decrypt(data, passphrase)), "status": "read"}
        except Unreadable as error:
            failed.append((name, error))
            continue
        if not info["note"]:
            # Of a copy nothing would be known by the first one's tag.
            tag = "" if failed or unsigned or name != "backup.info" else there.tag
            return {**info, "status": _status(info), "note": _note(failed, unsigned), "tag": tag}
        unsigned = unsigned or info
    if unsigned:
        return {**unsigned, "status": _status(unsigned)}
    # Whoever could open one of the two has the right passphrase.
    opened = [one for one in failed if not isinstance(one[1], NotOurs)]
    for name, why in (opened or failed)[:1]:
        note = str(why) if isinstance(why, NotOurs) else f"{name} cannot be read: {why}"
        return {"status": why.status, "note": note}
    return {"status": "empty"}


def _status(info: Mapping[str, Any]) -> str:
    return "read" if info["backups"] else "empty"


def _note(failed: list[tuple[str, Unreadable]], unsigned: Mapping[str, Any]) -> str:
    if failed:
        return f"{failed[0][0]} cannot be read: {failed[0][1]} Its copy was read."
    return f"{unsigned['note']} Its copy was read." if unsigned else ""


def _counted(objects: Objects, base: str, stanza: str) -> dict[str, Any]:
    """Return how much there is of a stanza whose list cannot be read, as fields of a StanzaState."""

    def everything() -> Iterator[Entry]:
        for part in ("archive", "backup"):
            yield from objects.entries(f"{base}{part}/{stanza}/")

    sizes = [entry.size for entry in islice(everything(), COUNTED_AT_MOST + 1)]
    return {"objects": len(sizes), "bytes": sum(sizes), "more": len(sizes) > COUNTED_AT_MOST}
