"""For `/metrics`: whether each database can be restored, from which store, to when; and when each node last reported.

Names are close to those of pgbackrest_exporter, which knows the stanzas of one machine: `storekeeper_` stands for
`pgbackrest_`; `stanza`, `repo_key` and `backup_type` are its labels. It is written as text at once, since 1,800
databases are 28,000 lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Health, Node

# The value of storekeeper_stanza_status: 0 is good, more is worse. A number that was given is never given again.
STATUS = {
    Verdict.RECOVERABLE: 0,
    Verdict.NOT_SET_UP: 1,
    Verdict.UNKNOWN: 2,
    Verdict.BEHIND: 3,
    Verdict.AT_RISK: 4,
    Verdict.NOT_RECOVERABLE: 5,
}
FIELDS = (
    *("cluster__name", "cluster_id", "node", "database", "repository__store_name", "repository__number"),
    *("verdict", "since", "oldest", "newest", "backup_at", "full_at", "wal_at", "gaps", "missed", "read_at"),
    *("proved_at", "proof_seconds", "bytes", "judged_at"),
)
LABELS = ("cluster", "cluster_id", "node", "stanza", "store", "repo_key")


@dataclass(frozen=True)
class Gauge:
    """A figure of each database in each store; None where there is none, and then no line."""

    name: str
    text: str
    value: Callable[[dict[str, Any], float], float | None]
    more: str = ""  # another label, as it is written


def _of(field: str) -> Callable[[dict[str, Any], float], float | None]:
    def value(row: dict[str, Any], now: float) -> float | None:
        at = row[field]
        return at.timestamp() if isinstance(at, datetime) else at

    return value


def _ago(field: str) -> Callable[[dict[str, Any], float], float | None]:
    def value(row: dict[str, Any], now: float) -> float | None:
        return max(0.0, now - row[field].timestamp()) if row[field] else None

    return value


def _number(field: str) -> Callable[[dict[str, Any], float], float | None]:
    return lambda row, now: len(row[field])


LAST = "backup_since_last_completion_seconds"
GAUGES = (
    Gauge(
        "stanza_status",
        "0 recoverable, 1 not set up yet, 2 unknown, 3 falling behind, 4 at risk, 5 not recoverable.",
        lambda row, now: STATUS[Verdict(row["verdict"])],
    ),
    Gauge("stanza_status_since_timestamp_seconds", "Since when that is so.", _of("since")),
    Gauge("stanza_judged_timestamp_seconds", "When that was last looked at.", _of("judged_at")),
    Gauge("recovery_oldest_timestamp_seconds", "The oldest moment that can be restored.", _of("oldest")),
    Gauge("recovery_newest_timestamp_seconds", "The newest moment that can be restored.", _of("newest")),
    Gauge(LAST, "Since the last backup: full, or of any type (incr).", _ago("full_at"), 'backup_type="full"'),
    Gauge(LAST, "", _ago("backup_at"), 'backup_type="incr"'),
    Gauge("backups_missed", "Scheduled backups that were not made, of those last looked at.", _number("missed")),
    Gauge("wal_last_timestamp_seconds", "When the last WAL segment came into the store.", _of("wal_at")),
    Gauge("wal_gaps", "Places where WAL is missing within what is kept.", _number("gaps")),
    Gauge(
        "wal_archive_status",
        "1 where WAL comes and none is missing, 0 otherwise.",
        lambda row, now: int(bool(row["wal_at"] and not row["gaps"])),
    ),
    Gauge("repo_size_bytes", "What its backups and WAL take in the store.", _of("bytes")),
    Gauge("repo_read_timestamp_seconds", "When the store was last read.", _of("read_at")),
    Gauge("restore_proved_timestamp_seconds", "When a restore of it last succeeded.", _of("proved_at")),
    Gauge("restore_proof_seconds", "How long that took.", _of("proof_seconds")),
)


def exposition(*, with_names: bool) -> str:
    """Return all of it as Prometheus text; without names only how many databases have which verdict. Two queries."""
    if with_names:
        rows = list(Health.objects.order_by("pk").values(*FIELDS).iterator(chunk_size=2000))
        verdicts = Counter(row["verdict"] for row in rows)
    else:
        rows, verdicts = [], Counter(Health.objects.order_by().values_list("verdict", flat=True))
    lines = [*_head("databases", "Databases in stores, by their verdict.")]
    lines += [f'storekeeper_databases{{verdict="{one}"}} {verdicts[one]}' for one in Verdict.values]
    if with_names:
        lines += _lines(rows, timezone.now().timestamp())
        lines += _nodes()
    return "\n".join((*lines, ""))


def _lines(rows: Sequence[dict[str, Any]], now: float) -> Iterator[str]:
    labels = [labelled(zip(LABELS, (row[name] for name in FIELDS), strict=False)) for row in rows]
    for gauge in GAUGES:
        if gauge.text:
            yield from _head(gauge.name, gauge.text)
        more = f",{gauge.more}" if gauge.more else ""
        for row, label in zip(rows, labels, strict=True):
            if (value := gauge.value(row, now)) is not None:
                yield f"storekeeper_{gauge.name}{{{label}{more}}} {value:.15g}"


def _nodes() -> Iterator[str]:
    yield from _head("node_report_timestamp_seconds", "When each node last reported; 0 where it never has.")
    rows = Node.objects.order_by("pk").values_list("cluster__name", "cluster_id", "name", "reported_at")
    for *names, at in rows.iterator(chunk_size=2000):
        label = labelled(zip(LABELS, names, strict=False))
        yield f"storekeeper_node_report_timestamp_seconds{{{label}}} {at.timestamp() if at else 0:.15g}"


def _head(name: str, text: str) -> tuple[str, str]:
    return f"# HELP storekeeper_{name} {text}", f"# TYPE storekeeper_{name} gauge"


def labelled(pairs: Iterable[tuple[str, object]]) -> str:
    """Return labels as Prometheus reads them: people choose these names, and a quote ends nothing."""
    return ",".join(f'{name}="{str(value).translate(ESCAPED)}"' for name, value in pairs)


ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
