"""Which hosts of one streaming replication say that they are its primary. Pure.

After a failover the report of the server that is gone still says primary, so a word alone proves nothing: two of them
are primaries when each has said so after the other one had begun to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations

from clusters.reports.report import Report

SILENT = timedelta(minutes=16)  # three reports missed: what a server said before says nothing about now


@dataclass(frozen=True)
class Host:
    """A node, in whose folder it writes, and its last report with when that came."""

    node: str
    folder: str
    report: Report
    reported_at: datetime | None


@dataclass(frozen=True)
class TwoPrimaries:
    """The hosts that are all primary of one stanza: each archives into the same folder."""

    folder: str
    stanza: str
    nodes: Sequence[str]

    @property
    def names(self) -> str:
        """Return the nodes, such as "n1 and n2"."""
        return " and ".join(self.nodes)


def primary_since(before: Mapping[str, int], report: Report, received: datetime) -> dict[str, int]:
    """Return since when the node has said of each stanza that it is primary, in seconds since 1970.

    `before` is what this gave for its last report. A server that is down says nothing, and may come back as it was.
    """
    found = {}
    for one in report.stanzas:
        if one.role == "primary":
            found[one.name] = before.get(one.name, int(received.timestamp()))
        elif one.server == "down" and one.name in before:
            found[one.name] = before[one.name]
    return found


def two_primaries(hosts: Iterable[Host]) -> list[TwoPrimaries]:
    """Return where more than one host of a folder is primary of a stanza, by folder and stanza.

    That one of them loses the console does not end it, since it may write on: only its own word does that it is standby
    or down, or that it is removed.
    """
    saying: dict[tuple[str, str], list[tuple[str, int, int]]] = {}  # node, since, last said
    for host in hosts:
        if host.reported_at is None:
            continue
        for one in host.report.stanzas:
            if one.role == "primary":
                last = int(host.reported_at.timestamp())
                since = host.report.primary_since.get(one.name, last)
                saying.setdefault((host.folder, one.name), []).append((host.node, since, last))
    found = []
    for (folder, stanza), said in sorted(saying.items()):
        both = {
            node
            for (a, a_since, a_last), (b, b_since, b_last) in combinations(said, 2)
            if a_last >= b_since and b_last >= a_since
            for node in (a, b)
        }
        if both:
            found.append(TwoPrimaries(folder, stanza, sorted(both)))
    return found
