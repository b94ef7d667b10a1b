"""What a node says of itself, as its report script sends it: untrusted, so each part is checked or left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
VERSION = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}(dev)?", re.ASCII)
SYSTEM_ID = re.compile(r"\d{1,20}", re.ASCII)
TIMELINE = re.compile(r"[1-9]\d{0,8}", re.ASCII)


class Malformed(ValueError):
    """It is no report; the message says what one has."""


@dataclass(frozen=True)
class NodeReport:
    """One report: the digest of the configuration, the release of pgBackRest, and by stanza what PostgreSQL says."""

    sha256: str
    version: str = ""  # of pgBackRest, such as 2.59.1; "" where it is not installed
    machine: str = ""  # a digest of the machine-id; "" from a script that did not send one
    system_ids: Mapping[str, str] = field(default_factory=dict)
    timelines: Mapping[str, int] = field(default_factory=dict)  # none for a standby


def parse(sent: Mapping[str, str]) -> NodeReport:
    """Return the report in a form that was sent; raises Malformed."""
    sha256, version = sent.get("sha256", ""), sent.get("version", "")
    if not SHA256.fullmatch(sha256) or not (version == "" or VERSION.fullmatch(version)):
        raise Malformed("Send sha256 (64 hexadecimal digits) and version (as pgbackrest version says it).")
    machine = sent.get("machine", "")
    return NodeReport(
        sha256,
        version,
        machine if SHA256.fullmatch(machine) else "",
        _by_stanza(sent, "system_id.", SYSTEM_ID),
        {stanza: int(value) for stanza, value in _by_stanza(sent, "timeline.", TIMELINE).items()},
    )


def _by_stanza(sent: Mapping[str, str], prefix: str, grammar: re.Pattern[str]) -> dict[str, str]:
    return {
        key.removeprefix(prefix): value
        for key, value in sent.items()
        if key.startswith(prefix) and grammar.fullmatch(value)
    }
