"""How recoverable everything is, in numbers; and what is taken away as a file, for auditors."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from clusters.evidence.forms import EvidenceForm
from clusters.evidence.report import MISSED_SHOWN, Row
from clusters.evidence.views import exported as exported_backups
from clusters.evidence.views import gathered
from console.accounts.permissions import Permission
from console.api import cluster_shapes, shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, exports, reads
from console.api.problems import Problem
from console.api.reading import CLOSED, DAY, of_form
from console.api.shapes import Shape
from console.api.shown import moment
from console.audit.views import FilterForm
from console.audit.views import exported as exported_events
from console.overview import fleet, states, troubles
from console.web import notices


class Verdicts(Shape):
    """How many databases have a verdict: each counts once, by the best of its stores."""

    verdict: str
    count: int


class NoticeSubject(Shape):
    name: str
    url: str


class NoticeShown(Shape):
    """Something that somebody should do."""

    key: str
    level: Annotated[str, Field(description="bad, warn or info.")]
    title: str
    words: str
    count: Annotated[int, Field(description="Of what it is about; at most five are named.")]
    subjects: list[NoticeSubject]


class Place(Shape):
    """A place with nodes or stores."""

    place: str
    regions: list[str]
    nodes: int
    stores: int
    verdict: Annotated[str, Field(description="The worst of its nodes'; empty: there is none.")]


class Overview(Shape):
    """How recoverable the organisation's databases are."""

    databases: int
    recoverable: int
    partly: Annotated[int, Field(description="Recoverable from one of their stores, and not from another.")]
    by_verdict: list[Verdicts]
    clusters: int
    bytes: int
    grown_bytes: Annotated[int | None, Field(description="In a week.")]
    judged_at: datetime | None
    notices: list[NoticeShown]
    places: list[Place]


@reads("/overview", Permission.SEE_STORES, Overview)
def get_overview(request: CallRequest) -> HttpResponse:
    """Show in numbers how recoverable the databases are, what somebody should do, and where nodes and stores are."""
    member = request.membership
    found = troubles.rows(member)
    told = sorted([*troubles.notices(found, member), *notices.notices(member)], key=notices.by_level)
    summary = states.summary(member, nowhere=troubles.nowhere(found))
    return answered(
        {
            "databases": summary.total,
            "recoverable": summary.recoverable,
            "partly": summary.half,
            "by_verdict": [{"verdict": one.value, "count": count} for one, count in summary.counts.items()],
            "clusters": summary.clusters,
            "bytes": summary.bytes,
            "grown_bytes": summary.grown,
            "judged_at": moment(summary.judged_at),
            "notices": [_notice(one) for one in told],
            "places": [_place(one) for one in fleet.places(member)],
        }
    )


def _notice(one: notices.Notice) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("key", "level", "title", "words")},
        "count": max(one.total, len(one.subjects)),
        "subjects": [{"name": each.name, "url": each.url} for each in one.shown],
    }


def _place(one: fleet.Place) -> dict[str, Any]:
    return {
        "place": one.region.place,
        "regions": sorted(one.codes),
        "nodes": one.nodes,
        "stores": len(one.stores),
        "verdict": one.verdict.value if one.verdict else "",
    }


# Files


class AuditFile(Schema):
    model_config = ConfigDict(extra="forbid")

    who: str = ""
    action: str = ""
    subject: Annotated[str, Field(description="An ID, or the beginning of a name.")] = ""
    outcome: Annotated[str, CLOSED] = ""
    since: Annotated[str, DAY] = ""
    until: Annotated[str, DAY] = ""


@exports("/audit.csv", Permission.SEE_AUDIT, asked=AuditFile)
def export_audit_events(request: CallRequest, asked: Query[AuditFile]) -> HttpResponseBase:
    """Hand out the events that the filter names as CSV; who takes the log away is in the log."""
    form = FilterForm(asked.dict())
    if not form.is_valid():
        raise of_form(form)
    return exported_events(form, request.membership)


class EvidenceFile(Schema):
    model_config = ConfigDict(extra="forbid")

    since: Annotated[str, DAY] = ""
    until: Annotated[str, DAY] = ""
    cluster_id: UUID | None = None


def _period(request: CallRequest, asked: EvidenceFile) -> EvidenceForm:
    """Return the form of the period that is asked for; raises Problem."""
    if not request.membership.organisation.is_enterprise:
        raise Problem(403, "The Developer edition does not have this. Backup stores are part of Enterprise.")
    given = {"from": asked.since, "to": asked.until, "cluster": str(asked.cluster_id or "")}
    form = EvidenceForm(given, membership=request.membership)  # type: ignore[arg-type]
    if not form.is_valid():
        raise of_form(form, {"from": "since", "to": "until", "cluster": "cluster_id"})
    return form


@exports("/evidence/backups.csv", Permission.SEE_AUDIT, asked=EvidenceFile)
def export_backups_of_a_period(request: CallRequest, asked: Query[EvidenceFile]) -> HttpResponseBase:
    """Hand out the backups of a period as CSV, of a cluster or of all; without one, those of the last quarter."""
    return exported_backups(_period(request, asked), request.membership)


# Evidence of a period


class MissedBackup(Shape):
    type: str
    due_at: datetime


class DatabaseEvidence(Shape):
    """The backups of one database in one store that were made in the period, and those that were missed."""

    cluster: str
    node: str
    database: str
    store: str
    bucket: str
    repository: Annotated[int, Field(description="N of pgBackRest's repoN.")]
    full: int
    diff: int
    incr: int
    lost: Annotated[int, Field(description="Of them, those that are gone and had not expired.")]
    stored_bytes: int
    first_at: datetime | None
    last_at: datetime | None
    is_planned: Annotated[bool, Field(description="Something backs it up there now; else nothing can be missed.")]
    scheduled: Annotated[int, Field(description="Backups that the schedule of now would have had.")]
    missed: int
    newest_missed: Annotated[list[MissedBackup], Field(description="The last ten.")]
    is_cut: Annotated[bool, Field(description="More were due than are counted.")]
    retention: str
    schedules: Annotated[dict[str, str], Field(description="Cron expressions of now, by type.")]
    protection: Annotated[str, Field(description="Of the store; empty: none.")]
    verdict: Annotated[str, Field(description="Of now; empty: not judged.")]
    reason: str
    restorable_to: datetime | None
    proved_at: datetime | None


class Evidence(Shape):
    """What was backed up, missed, proved and changed in a period."""

    cluster_id: UUID | None
    since: datetime
    until: datetime
    made_at: datetime
    databases: list[DatabaseEvidence]
    more_databases: Annotated[int, Field(description="That are not listed: ask for one cluster, or take the CSV.")]
    drill_runs: list[cluster_shapes.DrillRun]
    more_drill_runs: int
    events: list[shapes.AuditEvent]
    more_events: int


def _missed(row: Row) -> list[dict[str, Any]]:
    return [{"type": kind, "due_at": moment(at)} for kind, at in row.kept.missed[-MISSED_SHOWN:]]


def _evidence(row: Row) -> dict[str, Any]:
    known, repository, health = row.known, row.known.repository, row.health
    kinds = [one.kind for one in row.made]
    return {
        "cluster": repository.cluster_name,
        "node": known.node,
        "database": known.name,
        "store": repository.store_name,
        "bucket": repository.bucket,
        "repository": repository.number,
        **{kind: kinds.count(kind) for kind in ("full", "diff", "incr")},
        "lost": row.lost,
        "stored_bytes": row.stored,
        "first_at": moment(row.first.stopped if row.first else None),
        "last_at": moment(row.last.stopped if row.last else None),
        "is_planned": row.schedule is not None,
        "scheduled": row.kept.scheduled,
        "missed": len(row.kept.missed),
        "newest_missed": _missed(row),
        "is_cut": row.kept.is_cut,
        "retention": row.retention,
        "schedules": row.schedule.expressions if row.schedule else {},
        "protection": repository.store.protection if repository.store and repository.store.versions_days else "",
        "verdict": health.verdict if health else "",
        "reason": health.reason if health else "",
        "restorable_to": moment(health.newest if health else None),
        "proved_at": moment(health.proved_at if health else None),
    }


@reads("/evidence", Permission.SEE_AUDIT, Evidence, asked=EvidenceFile)
def get_evidence(request: CallRequest, asked: Query[EvidenceFile]) -> HttpResponse:
    """Show what was backed up, missed, proved and changed in a period; without one, in the last quarter."""
    found = gathered(_period(request, asked), request.membership)
    content = {
        "cluster_id": str(found["cluster"].pk) if found["cluster"] else None,
        "since": moment(found["since"]),
        "until": moment(found["until"]),
        "made_at": moment(found["at"]),
        "databases": [_evidence(row) for row in found["rows"]],
        "more_databases": found["others"],
        "drill_runs": [shown.drill_run(one) for one in found["runs"]],
        "more_drill_runs": found["more_runs"],
        "events": [shown.audit_event(one) for one in found["events"]],
        "more_events": found["more_events"],
    }
    return answered(content)
