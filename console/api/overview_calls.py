"""How recoverable everything is, in numbers; and what is taken away as a file, for auditors."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from clusters.evidence.forms import EvidenceForm
from clusters.evidence.views import exported as exported_backups
from console.accounts.permissions import Permission
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


@exports("/evidence/backups.csv", Permission.SEE_AUDIT, asked=EvidenceFile)
def export_backups_of_a_period(request: CallRequest, asked: Query[EvidenceFile]) -> HttpResponseBase:
    """Hand out the backups of a period as CSV, of a cluster or of all; without one, those of the last quarter."""
    if not request.membership.organisation.is_enterprise:
        raise Problem(403, "The Developer edition does not have this. Backup stores are part of Enterprise.")
    given = {"from": asked.since, "to": asked.until, "cluster": str(asked.cluster_id or "")}
    form = EvidenceForm(given, membership=request.membership)  # type: ignore[arg-type]
    if not form.is_valid():
        raise of_form(form, {"from": "since", "to": "until", "cluster": "cluster_id"})
    return exported_backups(form, request.membership)
