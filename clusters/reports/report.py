"""A node's report, as its script sends it: untrusted, so each part is taken by its type and range. Pure.

Version 2 is an object of JSON; parts that nobody here knows are left alone. Version 1 is a form with sha256, version,
machine, and system_id.<stanza> and timeline.<stanza>: nodes have its script until they are set up anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from console.clouds import foreign

BYTES_AT_MOST = 16 * 1024
STANZAS_AT_MOST, RUNS_AT_MOST, OTHERS_AT_MOST = 64, 64, 16
NUMBER_AT_MOST = 2**53 - 1  # what every reader of JSON takes exactly
SECONDS_AT_MOST = 2**33 - 1  # since 1970: until the year 2242
TIMELINE_AT_MOST = 2**32 - 1  # PostgreSQL's TimeLineID
TEXT_AT_MOST, PATH_AT_MOST = 200, 300

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
VERSION = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}(dev)?", re.ASCII)
SYSTEM_ID = re.compile(r"\d{1,20}", re.ASCII)
TIMELINE = re.compile(r"[1-9]\d{0,8}", re.ASCII)
STANZA = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
WAL = re.compile(r"[0-9A-F]{8,24}(\.[0-9A-Za-z.]{1,40})?", re.ASCII)  # a segment, a history file, a backup label
ZONE = re.compile(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,3}", re.ASCII)
OFFSET = re.compile(r"[+-][01]\d[0-5]\d", re.ASCII)


class Malformed(ValueError):
    """It is no report; the message says what is wrong with it."""


@dataclass(frozen=True)
class Archiver:
    """PostgreSQL's pg_stat_archiver; times in seconds since 1970."""

    archived: int = 0
    last_wal: str = ""
    last_at: int | None = None
    failed: int = 0
    failed_wal: str = ""
    failed_at: int | None = None
    since: int | None = None  # when it began to count


@dataclass(frozen=True)
class StanzaReport:
    """What a node says of one of its PostgreSQL servers."""

    name: str
    server: str = ""  # up, down; "" from a script that does not say
    role: str = ""  # primary, standby
    postgresql: int | None = None  # server_version_num, such as 150008
    system_id: str = ""
    timeline: int | None = None
    archive_mode: str = ""
    is_archived_here: bool | None = None  # whether archive_command is the one that the console hands out
    archiver: Archiver | None = None
    segment: int | None = None  # bytes of a WAL segment
    archive_timeout: int | None = None  # seconds after which a segment is closed; 0: only when it is full
    waiting: int | None = None  # segments in pg_wal that archive_command has not taken
    spooled: int | None = None  # segments that pgBackRest has pushed, and PostgreSQL has not asked for yet
    spool_errors: int | None = None  # segments that pgBackRest could not push
    error: str = ""  # what it said of one of them
    free: int | None = None  # bytes in the file system of the data directory

    @property
    def major(self) -> int | None:
        """Return PostgreSQL's major version."""
        return self.postgresql // 10000 if self.postgresql else None

    @property
    def waiting_bytes(self) -> int | None:
        """Return the size of the WAL that waits; None where its segments' is not known."""
        return self.waiting * self.segment if self.waiting is not None and self.segment else None


@dataclass(frozen=True)
class Run:
    """The last run of one schedule in one repository; times in seconds since 1970."""

    stanza: str
    kind: str  # full, diff, incr, or what else is scheduled
    repository: int
    begun: int | None
    ended: int | None  # None: it had not ended
    code: int | None
    line: str = ""  # the last one of its error

    @property
    def has_failed(self) -> bool:
        """Return whether it ended with an error."""
        return bool(self.code)


@dataclass(frozen=True)
class OtherServer:
    """A PostgreSQL server of the machine that is none of the cluster's databases."""

    port: int
    postgresql: int | None = None
    data_directory: str = ""
    is_archived: bool | None = None  # by whatever archive_command

    @property
    def major(self) -> int | None:
        """Return PostgreSQL's major version."""
        return self.postgresql // 10000 if self.postgresql else None


@dataclass(frozen=True)
class Report:
    """One report; what it does not say is "", None, or nothing."""

    version: int = 1
    sent: int | None = None  # by the node's clock, in seconds since 1970
    by_hand: bool = False  # somebody waits for the answer
    sha256: str = ""  # of pgbackrest.conf; "" where there is none
    repositories: tuple[int, ...] | None = None  # whose numbers are in it
    pgbackrest: str = ""  # its release, such as 2.59.1; "" where it is not installed
    machine: str = ""  # a digest of the machine-id
    hostname: str = ""
    timezone: str = ""  # IANA's name
    utc_offset: str = ""  # such as +0130
    spool_free: int | None = None  # bytes
    stanzas: Sequence[StanzaReport] = ()
    runs: Sequence[Run] = ()
    others: Sequence[OtherServer] = ()
    primary_since: Mapping[str, int] = field(default_factory=dict)  # by stanza; what the console adds in `status`

    def of(self, stanza: str) -> StanzaReport | None:
        """Return what it says of one stanza."""
        return next((one for one in self.stanzas if one.name == stanza), None)

    @property
    def sent_at(self) -> datetime | None:
        """Return when it was sent, by the node's clock."""
        return None if self.sent is None else datetime.fromtimestamp(self.sent, UTC)

    def status(self) -> dict[str, Any]:
        """Return it as Node.status keeps it, which `of_status` reads."""
        return asdict(self)


def of_json(body: bytes) -> Report:
    """Return the report in a body of JSON; raises Malformed."""
    try:
        content = json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Malformed("This is no JSON.") from None
    if not isinstance(content, dict):
        raise Malformed("Send one object of JSON.")
    part = Part("", content)
    if part.number("version", 2, 1000) is None:
        raise Malformed("version has to be 2.")
    if "sha256" not in content:
        raise Malformed("sha256 is missing: 64 hexadecimal digits, or nothing where there is no pgbackrest.conf.")
    return _report(part)


def of_form(sent: Mapping[str, str]) -> Report:
    """Return the report in a form; raises Malformed."""
    sha256, version, machine = (sent.get(name, "") for name in ("sha256", "version", "machine"))
    if not SHA256.fullmatch(sha256) or not (version == "" or VERSION.fullmatch(version)):
        raise Malformed("Send sha256 (64 hexadecimal digits) and version (as pgbackrest version says it).")
    ids = _by_stanza(sent, "system_id.", SYSTEM_ID)
    timelines = _by_stanza(sent, "timeline.", TIMELINE)
    return Report(
        sha256=sha256,
        pgbackrest=version,
        machine=machine if SHA256.fullmatch(machine) else "",
        stanzas=[
            StanzaReport(name, system_id=system_id, timeline=int(timelines[name]) if name in timelines else None)
            for name, system_id in [*ids.items()][:STANZAS_AT_MOST]
        ],
    )


def of_status(status: Any) -> Report:
    """Return the report that Node.status keeps; an empty one where there is none that this release reads."""
    try:
        return _report(Part("", status)) if isinstance(status, dict) else Report()
    except Malformed:
        return Report()


def _by_stanza(sent: Mapping[str, str], prefix: str, grammar: re.Pattern[str]) -> dict[str, str]:
    return {
        name: value
        for key, value in sent.items()
        if key.startswith(prefix) and STANZA.fullmatch(name := key.removeprefix(prefix)) and grammar.fullmatch(value)
    }


def no_number(text: str) -> Any:
    """Raise ValueError for NaN and the infinities, which are no JSON."""
    raise ValueError(f"{text} is no number in JSON.")


@dataclass(frozen=True)
class Part:
    """An object in a report; what is not there is null, and what is something else than it should be, Malformed."""

    path: str
    content: Mapping[str, Any]

    def _wrong(self, name: str, wanted: str) -> Malformed:
        return Malformed(f"{self.path}{name} has to be {wanted}.")

    def number(self, name: str, low: int = 0, high: int = NUMBER_AT_MOST) -> int | None:
        """Return a whole number in this range; None where it is not there."""
        value = self.content.get(name)
        if value is None:
            return None
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return value

    def seconds(self, name: str) -> int | None:
        """Return seconds since 1970; None where it is not there."""
        return self.number(name, 0, SECONDS_AT_MOST)

    def flag(self, name: str) -> bool | None:
        """Return true or false; None where it is not there."""
        value = self.content.get(name)
        if value is not None and type(value) is not bool:
            raise self._wrong(name, "true or false")
        return value

    def text(self, name: str, grammar: re.Pattern[str] | None = None, at_most: int = TEXT_AT_MOST) -> str:
        """Return a text that is nothing, or as the grammar has it; without a grammar, cut and cleaned."""
        value = self.content.get(name)
        if value is None or value == "":
            return ""
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        if grammar and not grammar.fullmatch(value):
            raise self._wrong(name, f"text like {grammar.pattern}")
        return value if grammar else foreign.text(value, at_most)

    def one_of(self, name: str, *choices: str) -> str:
        """Return one of the choices; nothing where it is not there."""
        value = self.content.get(name)
        if value is None or value == "":
            return ""
        if value not in choices:
            raise self._wrong(name, " or ".join(choices))
        return str(value)

    def part(self, name: str) -> Part | None:
        """Return an object; None where it is not there."""
        value = self.content.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Part(f"{self.path}{name}.", value)

    def parts(self, name: str, at_most: int) -> list[Part]:
        """Return a list of objects; nothing where it is not there."""
        value = self.content.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > at_most or not all(isinstance(one, dict) for one in value):
            raise self._wrong(name, f"a list of at most {at_most} objects")
        return [Part(f"{self.path}{name}[{at}].", one) for at, one in enumerate(value)]

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """Return repositories' numbers; None where it is not there."""
        value = self.content.get(name)
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or len(value) > 256
            or not all(type(one) is int and 0 < one <= 256 for one in value)
        ):
            raise self._wrong(name, "a list of repositories' numbers, from 1 to 256")
        return tuple(value)


def _report(part: Part) -> Report:
    return Report(
        version=part.number("version", 1, 1000) or 1,
        sent=part.seconds("sent"),
        by_hand=bool(part.flag("by_hand")),
        sha256=part.text("sha256", SHA256),
        repositories=part.numbers("repositories"),
        pgbackrest=part.text("pgbackrest", VERSION),
        machine=part.text("machine", SHA256),
        hostname=part.text("hostname"),
        timezone=part.text("timezone", ZONE),
        utc_offset=part.text("utc_offset", OFFSET),
        spool_free=part.number("spool_free"),
        stanzas=_stanzas(part),
        runs=tuple(_run(one) for one in part.parts("runs", RUNS_AT_MOST)),
        others=tuple(_other(one) for one in part.parts("others", OTHERS_AT_MOST)),
        primary_since=_since(part.part("primary_since")),
    )


def _stanzas(part: Part) -> tuple[StanzaReport, ...]:
    found = tuple(_stanza(one) for one in part.parts("stanzas", STANZAS_AT_MOST))
    if len({one.name for one in found}) < len(found):
        raise Malformed("stanzas has one of them twice.")
    return found


def _stanza(part: Part) -> StanzaReport:
    if not (name := part.text("name", STANZA)):
        raise Malformed(f"{part.path}name is missing.")
    archiver = part.part("archiver")
    return StanzaReport(
        name=name,
        server=part.one_of("server", "up", "down"),
        role=part.one_of("role", "primary", "standby"),
        postgresql=part.number("postgresql", 90000, 9_999_999),
        system_id=part.text("system_id", SYSTEM_ID),
        timeline=part.number("timeline", 1, TIMELINE_AT_MOST),
        archive_mode=part.one_of("archive_mode", "on", "off", "always"),
        is_archived_here=part.flag("is_archived_here"),
        archiver=_archiver(archiver) if archiver else None,
        segment=part.number("segment", 1, 2**30),
        archive_timeout=part.number("archive_timeout", 0, 2**30),
        waiting=part.number("waiting"),
        spooled=part.number("spooled"),
        spool_errors=part.number("spool_errors"),
        error=part.text("error"),
        free=part.number("free"),
    )


def _archiver(part: Part) -> Archiver:
    return Archiver(
        archived=part.number("archived") or 0,
        last_wal=part.text("last_wal", WAL),
        last_at=part.seconds("last_at"),
        failed=part.number("failed") or 0,
        failed_wal=part.text("failed_wal", WAL),
        failed_at=part.seconds("failed_at"),
        since=part.seconds("since"),
    )


def _run(part: Part) -> Run:
    return Run(
        stanza=part.text("stanza", STANZA),
        kind=part.text("kind", STANZA),
        repository=part.number("repository", 0, 256) or 0,  # 0: it does not say
        begun=part.seconds("begun"),
        ended=part.seconds("ended"),
        code=part.number("code", 0, 255),
        line=part.text("line"),
    )


def _other(part: Part) -> OtherServer:
    port = part.number("port", 1, 65535)
    if port is None:
        raise Malformed(f"{part.path}port is missing.")
    return OtherServer(
        port=port,
        postgresql=part.number("postgresql", 90000, 9_999_999),
        data_directory=part.text("data_directory", at_most=PATH_AT_MOST),
        is_archived=part.flag("is_archived"),
    )


def _since(part: Part | None) -> dict[str, int]:
    if part is None:
        return {}
    found = {name: part.seconds(name) for name in part.content if STANZA.fullmatch(name)}
    return {name: seconds for name, seconds in found.items() if seconds is not None}
