"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import OMIT, Core, File, Omit
from .shapes import (
    AuditEvent,
    DrillRun,
)


class DatabaseEvidence(TypedDict):
    """The backups of one database in one store that were made in the period, and those that were missed."""

    cluster: str
    node: str
    database: str
    store: str
    bucket: str
    repository: int
    full: int
    diff: int
    incr: int
    lost: int
    stored_bytes: int
    first_at: str | None
    last_at: str | None
    is_planned: bool
    scheduled: int
    missed: int
    newest_missed: list[MissedBackup]
    is_cut: bool
    retention: str
    schedules: dict[str, str]
    protection: str
    verdict: str
    reason: str
    restorable_to: str | None
    proved_at: str | None


class Evidence(TypedDict):
    """What was backed up, missed, proved and changed in a period."""

    cluster_id: str | None
    since: str
    until: str
    made_at: str
    databases: list[DatabaseEvidence]
    more_databases: int
    drill_runs: list[DrillRun]
    more_drill_runs: int
    events: list[AuditEvent]
    more_events: int


class MissedBackup(TypedDict):
    type: str
    due_at: str


class EvidenceCalls(Core):
    """The calls of evidence."""

    def get_evidence(
        self,
        *,
        since: str | Omit = OMIT,
        until: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
    ) -> Evidence:
        """Show what was backed up, missed, proved and changed in a period; without one, in the last quarter.

        since: A day (UTC), such as 2026-11-30.
        until: A day (UTC), such as 2026-11-30.
        """
        found: Evidence = self.row("get_evidence", {"since": since, "until": until, "cluster_id": cluster_id})
        return found

    def export_backups_of_a_period(
        self,
        *,
        since: str | Omit = OMIT,
        until: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
    ) -> File:
        """Hand out the backups of a period as CSV, of a cluster or of all; without one, those of the last quarter.

        since: A day (UTC), such as 2026-11-30.
        until: A day (UTC), such as 2026-11-30.
        """
        return self.file("export_backups_of_a_period", {"since": since, "until": until, "cluster_id": cluster_id})
