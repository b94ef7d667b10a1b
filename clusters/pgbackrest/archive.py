"""Looking into the WAL archive of a stanza: how much there is of each timeline, and what came last. Pure.

pgBackRest keeps a segment as `<version>-<number>/<16 digits>/<24 digits>-<SHA-1>[.zst]`, so a folder holds 4 GB of WAL:
256 segments of the usual 16 MB. The list of an archive with hundreds of thousands of them takes minutes; so each look
lists a bounded number of folders, and takes the others as they were counted before. A folder that is not its
timeline's newest changes only when something is deleted: by `expire`, which begins with the oldest one, or by a thief.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, groupby, islice
from typing import Any

from clusters.pgbackrest import holes
from clusters.pgbackrest.holes import GAPS_AT_MOST, Arrival, Gap
from clusters.pgbackrest.timelines import Timeline
from console.clouds.contents import Entry, Objects

ARCHIVES_AT_MOST = 100  # databases of a stanza
FOLDERS_AT_MOST = 10_000  # that are counted: 2,560,000 segments
FOLDERS_AT_ONCE = 100  # that one look lists: 25,600 segments
FOLDERS_AGAIN = 10  # of those which are known and should be as they were
ENTRIES_AT_MOST = 5_000  # of one folder; with segments of 1 MB it holds 4,096
ARCHIVE = re.compile(r"\d{1,3}(\.\d{1,2})?-\d{1,4}", re.ASCII)  # such as 15-1
FOLDER = re.compile(r"[0-9A-F]{16}")
# Neither a .partial, which pgBackRest keeps when a server is promoted, nor a .backup, a label.
SEGMENT = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(\.\w{1,8})?")
TIMELINES_AT_MOST = 100  # that are kept, the newest
TIMELINES_WATCHED = 2  # beside the newest, each with a list of its own
NEWS_AT_MOST = 5_000  # segments since the last look, with those in the folder that was the newest then


@dataclass(frozen=True)
class Wal:
    """What an archive holds, and what to remember of it for the next look."""

    timelines: list[Timeline] = field(default_factory=list)  # by database and number
    segments: int = 0
    bytes: int = 0
    more: bool = False  # there are more than were counted
    folders: list[list[Any]] = field(default_factory=list)  # such as 15-1/0000000100000000, segments, bytes
    turn: str = ""  # the folder that was listed again last
    gaps: list[Gap] = field(default_factory=list)  # by database and segment; the newest, if there are too many
    per_folder: int = 0  # segments that a whole folder has; 0 where nothing tells
    highest: list[list[str]] = field(default_factory=list)  # 15-1/00000001, its highest segment ever, and when it came


@dataclass(frozen=True)
class _Listed:
    """One folder as it was listed."""

    segments: int
    bytes: int
    first: str
    last: str
    newest: str
    newest_at: datetime
    oldest_at: datetime
    more: bool
    arrivals: Sequence[Arrival] = ()  # its segments, each once


def look(objects: Objects, prefix: str, before: Wal, segment: int | None = None) -> Wal:
    """Return what is below the prefix of a stanza's archive; raises StepError when the bucket cannot be read.

    `segment` is the size in bytes of a WAL segment, as far as the node has reported it.
    """
    archives = sorted((one for one in objects.folders(prefix) if ARCHIVE.fullmatch(one)), key=_number_of)
    there = [
        f"{archive}/{folder}"
        for archive in archives[-ARCHIVES_AT_MOST:]
        for folder in sorted(objects.folders(f"{prefix}{archive}/"))
        if FOLDER.fullmatch(folder)
    ]
    places = there[-FOLDERS_AT_MOST:]
    # What was its timeline's newest folder may have been counted half full.
    open_then = {f"{one.archive}/{one.last[:16]}" for one in before.timelines}
    counts = {place: (segments, size) for place, segments, size in before.folders if place not in open_then}
    counts = {place: counts[place] for place in places if place in counts}
    groups = {key: list(group) for key, group in groupby(places, lambda place: place[:-8])}
    if not before.per_folder:  # then nobody has looked for holes in those that are not full
        counts = {place: one for place, one in counts.items() if one[0] >= holes.per_folder(segment, (), 0)}
    again = _in_turn(sorted(counts), before.turn)
    wanted = dict.fromkeys(
        chain(_edges(list(groups.values())), (one for one in reversed(places) if one not in counts), again)
    )
    listed = {place: _list(objects, f"{prefix}{place}/") for place in islice(wanted, FOLDERS_AT_ONCE)}
    counts |= {place: (found.segments, found.bytes) if found else (0, 0) for place, found in listed.items()}
    then = {f"{one.archive}/{one.number:08X}": one for one in before.timelines}
    highest = _highest(before)
    timelines = []
    for key, group in groups.items():
        if one := _timeline(key, group, listed, counts, then.get(key), highest=highest.get(key)):
            timelines.append(one if one.began_at else _begun(objects, prefix, one))
    full, found = _gaps(groups, listed, counts, before, segment)
    return Wal(
        gaps=found,
        per_folder=full,
        timelines=timelines[-TIMELINES_AT_MOST:],
        segments=sum(segments for segments, _ in counts.values()),
        bytes=sum(size for _, size in counts.values()),
        more=len(counts) < len(there) or any(one.more for one in listed.values() if one),
        folders=[[place, *counted] for place, counted in counts.items()],
        turn=next((one for one in reversed(again) if one in listed), before.turn),
        highest=_higher(highest, timelines),
    )


def news(objects: Objects, prefix: str, before: Wal, segment: int | None = None) -> Wal | None:
    """Return what there is after a look at the newest folders alone; None where all has to be looked at.

    One call in the usual case, a list that begins with the newest known folder. Another timeline, another database, or
    a folder that is empty now says that all has to be looked at. What changes elsewhere is left to the next such look.
    """
    if not objects.begins_after or not before.timelines or not before.per_folder:
        return None
    known = {f"{one.archive}/{one.number:08X}": one for one in before.timelines}
    *others, newest = sorted(known)
    # Only of the present database: what the earlier ones wrote is not added to.
    watched = [one for one in others if known[one].archive == known[newest].archive][-TIMELINES_WATCHED:]
    found: dict[str, list[Entry]] = {}
    for key in (*watched, newest):
        folder = f"{known[key].archive}/{known[key].last[:16]}"
        below = prefix if key == newest else f"{prefix}{key}"
        found[folder] = []
        entries = list(islice(objects.entries(below, f"{prefix}{folder}/"), NEWS_AT_MOST + 1))
        if len(entries) > NEWS_AT_MOST:
            return None
        for entry in entries:
            place = entry.key.removeprefix(prefix).rpartition("/")[0]
            if place.count("/") == 1:
                found.setdefault(place, []).append(entry)
    listed = {place: _summed(entries, f"{prefix}{place}/") for place, entries in found.items()}
    if not all(listed.values()) or {place[:-8] for place in listed} - known.keys():
        return None
    counts = {place: (segments, size) for place, segments, size in before.folders}
    counts |= {place: (one.segments, one.bytes) for place, one in listed.items() if one}
    groups = {key: list(group) for key, group in groupby(sorted(counts), lambda place: place[:-8])}
    highest = _highest(before)
    timelines = [
        _timeline(key, groups.get(key, []), listed, counts, one, highest=highest.get(key)) or one
        for key, one in known.items()
    ]
    full, gaps = _gaps(groups, listed, counts, before, segment)
    return replace(
        before,
        gaps=gaps,
        per_folder=full,
        timelines=timelines,
        segments=sum(segments for segments, _ in counts.values()),
        bytes=sum(size for _, size in counts.values()),
        folders=[[place, *counted] for place, counted in counts.items()],
        highest=_higher(highest, timelines),
    )


def _highest(before: Wal) -> dict[str, tuple[str, datetime]]:
    """Return of each timeline the highest segment that was ever seen, also where nothing is left, and when it came."""
    found = {f"{one.archive}/{one.number:08X}": (one.last, one.arrived) for one in before.timelines}
    return found | {key: (name, datetime.fromisoformat(at)) for key, name, at in before.highest}


def _higher(highest: Mapping[str, tuple[str, datetime]], timelines: Sequence[Timeline]) -> list[list[str]]:
    found = dict(highest)
    for one in timelines:
        key = f"{one.archive}/{one.number:08X}"
        if key not in found or one.last > found[key][0]:
            found[key] = one.last, one.arrived
    return [[key, name, at.isoformat()] for key, (name, at) in sorted(found.items())][-TIMELINES_AT_MOST:]


def _number_of(archive: str) -> int:
    return int(archive.rsplit("-", 1)[1])


def _edges(groups: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the folders that change in the course of things: the newest two of each timeline, and its oldest one."""
    newest_first = list(reversed(groups))
    for index in (-1, 0, -2):
        yield from (group[index] for group in newest_first if len(group) >= -index)


def _in_turn(known: Sequence[str], last: str) -> list[str]:
    """Return the next folders that are listed again, so that each has its turn."""
    return [*(one for one in known if one > last), *(one for one in known if one <= last)][:FOLDERS_AGAIN]


def _list(objects: Objects, prefix: str) -> _Listed | None:
    """Return what a folder holds; None when that is no segment."""
    return _summed(list(islice(objects.entries(prefix), ENTRIES_AT_MOST + 1)), prefix)


def _summed(entries: Sequence[Entry], prefix: str) -> _Listed | None:
    folder = prefix.rstrip("/").rsplit("/", 1)[1]
    found: list[tuple[str, Entry]] = []
    for entry in entries[:ENTRIES_AT_MOST]:
        match = SEGMENT.fullmatch(entry.key.removeprefix(prefix))
        if match and match[1].startswith(folder):
            found.append((match[1], entry))
    if not found:
        return None
    arrivals = [(entry.modified, name) for name, entry in found]
    return _Listed(
        segments=len(found),
        bytes=sum(entry.size for _, entry in found),
        first=min(name for name, _ in found),
        last=max(name for name, _ in found),
        newest=max(arrivals)[1],
        newest_at=max(arrivals)[0],
        oldest_at=min(arrivals)[0],
        more=len(entries) > ENTRIES_AT_MOST,
        arrivals=sorted({name: entry.modified for name, entry in reversed(found)}.items()),
    )


def _gaps(
    groups: Mapping[str, Sequence[str]],
    listed: Mapping[str, _Listed | None],
    counts: Mapping[str, tuple[int, int]],
    before: Wal,
    segment: int | None,
) -> tuple[int, list[Gap]]:
    """Return how many segments a whole folder has, and which are missing."""
    open_now = {group[-1] for group in groups.values()}
    lasts = [one.last for place, one in listed.items() if one and place not in open_now]
    full = holes.per_folder(segment, lasts, before.per_folder)
    # Of a folder that has more than was listed, nothing is known.
    arrivals = {place: one.arrivals if one else None for place, one in listed.items() if not (one and one.more)}
    counted = {place: number for place, (number, _) in counts.items() if not ((one := listed.get(place)) and one.more)}
    found = [gap for group in groups.values() for gap in holes.gaps(group, arrivals, counted, before.gaps, full)]
    return full, found[-GAPS_AT_MOST:]


def _timeline(
    key: str,
    group: Sequence[str],
    listed: Mapping[str, _Listed | None],
    counts: Mapping[str, tuple[int, int]],
    then: Timeline | None,
    *,
    highest: tuple[str, datetime] | None,
) -> Timeline | None:
    """Return a timeline by those of its folders that were listed now, and by what it was before; None of no segment.

    What was deleted and is brought back has new times. So no segment up to the highest that was ever seen came later.
    """
    archive, _, digits = key.partition("/")
    number = int(digits, 16)
    seen = [found for place in group if (found := listed.get(place))]
    names = [name for found in seen for name in (found.first, found.last)]
    if highest is None:
        arrivals = [(found.newest_at, found.newest) for found in seen]
    else:
        high, came = highest
        each = ((name, at) for found in seen for name, at in found.arrivals if at)
        arrivals = [(min(at, came) if name <= high else at, name) for name, at in each]
    if then:
        kept = {place for place in group if place not in listed}
        names += [name for name in (then.first, then.last) if f"{archive}/{name[:16]}" in kept]
        arrivals += [(then.arrived, then.newest)] if f"{archive}/{then.newest[:16]}" in kept else []
    if not names or not arrivals:
        return None
    counted = [counts[place] for place in group if place in counts]
    began_at = min((found.oldest_at for found in seen), default=max(arrivals)[0]).isoformat() if number == 1 else ""
    return Timeline(
        archive=archive,
        number=number,
        first=min(names),
        last=max(names),
        last_at=max(arrivals)[0].isoformat(),
        segments=sum(segments for segments, _ in counted),
        bytes=sum(size for _, size in counted),
        newest=max(arrivals)[1],
        began=then.began if then and then.began else min(names),
        began_at=then.began_at if then and then.began_at else began_at,
    )


def _begun(objects: Objects, prefix: str, timeline: Timeline) -> Timeline:
    """Return the timeline with when it began: its history file is the first of it that a server archives.

    The file is not read, since the console may read the lists of backups only; its name and time do.
    """
    key = f"{prefix}{timeline.archive}/{timeline.number:08X}.history"
    history = next((one for one in islice(objects.entries(key), 1) if one.key == key), None)
    return replace(timeline, began_at=history.modified.isoformat() if history else timeline.last_at)
