"""What is known of a database in a store, for tests: all is well, but for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from clusters.health.facts import Facts, Host, Look
from clusters.health.schedule import Plan
from clusters.pgbackrest.clocks import zone
from clusters.pgbackrest.repository import Backup, Gap, StanzaState, Timeline
from clusters.reports.report import Archiver, Report, StanzaReport

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)  # a Thursday
OURS, THEIRS = "7711134786693777346", "7000000000000000001"
NIGHTLY = {"full": "0 1 * * 0", "incr": "0 1 * * 1-6"}


def segment(number, timeline=1):
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"


def backup(kind, stopped, at=10, *, lasted=10 * MINUTE, timeline=1, **values):
    letter = {"full": "F", "diff": "D", "incr": "I"}[kind]
    started, first = stopped - lasted, f"{stopped - lasted:%Y%m%d-%H%M%S}"
    return Backup(
        **{
            "label": f"{first}F" if letter == "F" else f"20261122-010000F_{first}{letter}",
            "kind": kind,
            "started": int(started.timestamp()),
            "stopped": int(stopped.timestamp()),
            "size": 2_000_000,
            "stored": 300_000,
            "first_wal": segment(at, timeline),
            "last_wal": segment(at + 1, timeline),
            "system_id": OURS,
            "failed": False,
            "db_id": 1,
            "timeline": timeline,
            **values,
        }
    )


SUNDAY = datetime(2026, 11, 22, 1, 10, tzinfo=UTC)
BACKUPS = [backup("full", SUNDAY), *(backup("incr", SUNDAY + n * DAY, 10 + 10 * n) for n in range(1, 5))]
WAL_AT = NOW - 5 * MINUTE
LINE = Timeline("15-1", 1, segment(10), segment(60), WAL_AT.isoformat(), 51, 10_000, segment(60), segment(10), "")


def state(**values):
    return StanzaState(
        **{
            "node": "n1",
            "stanza": "orders",
            "status": "read",
            "system_id": OURS,
            "postgresql": "15",
            "db_id": 1,
            "backups": BACKUPS,
            "last_wal": LINE.last,
            "last_wal_at": LINE.last_at,
            "timelines": [LINE],
            "wal_per_folder": 256,
            **values,
        }
    )


def gap(after, before, at=NOW - HOUR, timeline=1):
    segments = before - after - 1
    came = (at - MINUTE).isoformat(), at.isoformat()
    return Gap("15-1", timeline, segment(after, timeline), segment(before, timeline), segments, *came)


def archiver(at=NOW - 4 * MINUTE, **values):
    return Archiver(archived=51, last_wal=segment(60), last_at=int(at.timestamp()), **values)


def server(**values):
    return StanzaReport(
        **{
            "name": "orders",
            "server": "up",
            "role": "primary",
            "system_id": OURS,
            "timeline": 1,
            "archive_mode": "on",
            "is_archived_here": True,
            "archiver": archiver(),
            "segment": 2**24,
            "archive_timeout": 0,
            "waiting": 0,
            "spooled": 0,
            "spool_errors": 0,
            **values,
        }
    )


def host(said=None, *, runs=(), reported_at=NOW - 2 * MINUTE, **values):
    report = Report(version=2, stanzas=(said or server(),), runs=tuple(runs))
    return Host("n1", **{"reported_at": reported_at, "report": report, "has_store": True, **values})


def facts(**values):
    return Facts(
        **{
            "now": NOW,
            "database": "orders",
            "store": "dublin",
            "host": host(),
            "look": Look(read_at=NOW - MINUTE, due_at=NOW + HOUR),
            "state": state(),
            "own": frozenset({OURS}),
            "known_at": SUNDAY + 4 * DAY,
            "since": SUNDAY - 30 * DAY,
            "plan": Plan(NIGHTLY, zone("UTC"), SUNDAY - 30 * DAY),
            **values,
        }
    )


def never(**values):
    """A database of which nothing was ever backed up, with all that comes before that done."""
    nothing = state(status="empty", backups=[])
    plan = Plan(NIGHTLY, zone("UTC"), NOW - HOUR)
    return facts(**{"state": nothing, "known_at": None, "since": NOW - HOUR, "plan": plan, **values})


def later(known, delta):
    """The same, read again so much later; nothing came."""
    at = known.now + delta
    look = replace(known.look, read_at=at - MINUTE, due_at=at + HOUR)
    return replace(known, now=at, look=look, host=replace(known.host, reported_at=at - 2 * MINUTE))
