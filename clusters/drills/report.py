"""What a machine says of a drill, as drill_script sends it: untrusted, each part by its type and range. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from clusters.pgbackrest.drill import CHECKS_AT_MOST
from clusters.reports.report import SHA256, STANZA, SYSTEM_ID, TIMELINE_AT_MOST, Malformed, Part, no_number

BYTES_AT_MOST = 16 * 1024
WORDS_AT_MOST, SAID_AT_MOST = 600, 300
SECONDS_AT_MOST = 10_000_000  # of one step
RUN = re.compile(r"[0-9a-f]{32}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{16}", re.ASCII)
LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?", re.ASCII)
SEGMENT = re.compile(r"[0-9A-F]{24}", re.ASCII)
LSN = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", re.ASCII)


@dataclass(frozen=True)
class Result:
    """What one check of the copy gave."""

    number: int
    ok: bool
    said: str = ""  # why it did not pass


@dataclass(frozen=True)
class DrillReport:
    """One report; times in seconds since 1970, by the machine's clock. What it does not say is "", None, or nothing."""

    event: str  # begin, end
    run: str
    plan: int
    what: str  # restore, verify
    node: str
    stanza: str
    repository: int
    sent: int
    begun: int
    digest: str = ""  # of the plan that the machine has
    machine: str = ""  # a digest of the machine-id
    ended: int | None = None
    ok: bool = False
    words: str = ""
    label: str = ""
    first_wal: str = ""
    target: str = ""
    system_id: str = ""
    timeline: int | None = None
    lsn: str = ""
    restored_to: int | None = None
    postgresql: int | None = None  # server_version_num
    size: int | None = None
    restore_seconds: int | None = None
    recovery_seconds: int | None = None
    check_seconds: int | None = None
    amcheck: str = ""
    results: Sequence[Result] = ()


def of_json(body: bytes) -> DrillReport:
    """Return the report in a body of JSON; raises Malformed."""
    try:
        content = json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Malformed("This is no JSON.") from None
    if not isinstance(content, dict):
        raise Malformed("Send one object of JSON.")
    part = Part("", content)
    for name in ("version", "event", "run", "plan", "what", "node", "stanza", "repository", "sent", "begun"):
        if content.get(name) in (None, ""):
            raise Malformed(f"{name} is missing.")
    if part.number("version", 1, 1000) != 1:
        raise Malformed("version has to be 1.")
    report = _report(part)
    if report.begun > report.sent or (report.ended is not None and not report.begun <= report.ended <= report.sent):
        raise Malformed("begun, ended and sent have to follow one another.")
    if report.event == "end" and report.ended is None:
        raise Malformed("ended is missing.")
    return report


def _report(part: Part) -> DrillReport:
    return DrillReport(
        event=part.one_of("event", "begin", "end"),
        run=part.text("run", RUN),
        plan=part.number("plan", 1) or 0,
        what=part.one_of("what", "restore", "verify"),
        node=part.text("node", STANZA),
        stanza=part.text("stanza", STANZA),
        repository=part.number("repository", 1, 256) or 0,
        sent=part.seconds("sent") or 0,
        begun=part.seconds("begun") or 0,
        digest=part.text("digest", DIGEST),
        machine=part.text("machine", SHA256),
        ended=part.seconds("ended"),
        ok=bool(part.flag("ok")),
        words=part.text("words", at_most=WORDS_AT_MOST),
        label=part.text("label", LABEL),
        first_wal=part.text("first_wal", SEGMENT),
        target=part.text("target", LSN),
        system_id=part.text("system_id", SYSTEM_ID),
        timeline=part.number("timeline", 1, TIMELINE_AT_MOST),
        lsn=part.text("lsn", LSN),
        restored_to=part.seconds("restored_to"),
        postgresql=part.number("postgresql", 90000, 9_999_999),
        size=part.number("size"),
        restore_seconds=part.number("restore_seconds", 0, SECONDS_AT_MOST),
        recovery_seconds=part.number("recovery_seconds", 0, SECONDS_AT_MOST),
        check_seconds=part.number("check_seconds", 0, SECONDS_AT_MOST),
        amcheck=part.one_of("amcheck", "passed", "failed", "absent", "off"),
        results=[
            Result(
                one.number("number", 1, CHECKS_AT_MOST) or 0,
                bool(one.flag("ok")),
                one.text("said", at_most=SAID_AT_MOST),
            )
            for one in part.parts("checks", CHECKS_AT_MOST)
        ],
    )
