"""Evidence of a period: a page to be printed, and the backups as a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from clusters.evidence.forms import EvidenceForm
from clusters.evidence.report import STANZAS_AT_MOST, backups, rows, stanzas
from clusters.models import Cluster, DrillRun, KnownStanza
from console.accounts import activity
from console.accounts.access import MemberRequest, require_permission
from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.audit.models import AuditEvent, AuditEventQuerySet
from console.audit.views import Line, safe
from console.web.pages import file_download

EVENTS_AT_MOST = 200
RUNS_AT_MOST = 200
TITLES = (
    *("cluster", "store", "repository", "node", "database", "label", "type"),
    *("began", "finished", "seconds", "stored_bytes", "state"),
)


@require_GET
@require_permission(Permission.SEE_AUDIT)
@require_permission(Permission.SEE_STORES)  # which only the Enterprise edition has, as other pages of clusters
def evidence(request: MemberRequest) -> HttpResponse:
    """Show what was backed up, missed, proved and changed in a period, to be printed."""
    form = EvidenceForm(request.GET, membership=request.membership)
    if not form.is_valid():
        return render(request, "clusters/evidence.html", {"form": form}, status=422)
    cluster = form.cleaned_data["cluster"]
    asked = {"from": form.cleaned_data["from"], "to": form.cleaned_data["to"], "cluster": cluster.pk if cluster else ""}
    context = {**gathered(form, request.membership), "form": form, "query": urlencode(asked)}
    return render(request, "clusters/evidence.html", context)


def gathered(form: EvidenceForm, membership: Membership) -> dict[str, Any]:
    """Return what is known of the period that a valid form asks for, and of how much more there is.

    The cluster, or None; since and until; at, which is now; rows of databases; runs of drills; events of the audit log.
    """
    cluster, since, until = form.cleaned_data["cluster"], form.since, form.until
    found = stanzas(membership, cluster)
    events = _events(membership, cluster).filter(created_at__gte=since, created_at__lt=until)
    tried = _tried(membership, cluster).filter(created_at__gte=since, created_at__lt=until)
    return {
        "cluster": cluster,
        "since": since,
        "until": until,
        "at": timezone.now(),
        "rows": list(rows(found.defer(None)[:STANZAS_AT_MOST], membership, since, until)),
        "others": max(0, found.count() - STANZAS_AT_MOST),
        "runs": list(tried.order_by("created_at", "pk")[:RUNS_AT_MOST]),
        "more_runs": max(0, tried.count() - RUNS_AT_MOST),
        "events": list(events.order_by("-created_at", "-pk")[:EVENTS_AT_MOST]),
        "more_events": max(0, events.count() - EVENTS_AT_MOST),
    }


@require_GET
@require_permission(Permission.SEE_AUDIT)
@require_permission(Permission.SEE_STORES)
@file_download
def evidence_csv(request: MemberRequest) -> HttpResponseBase:
    """Hand out the backups of a period as a file, row by row; who takes it is written down."""
    form = EvidenceForm(request.GET, membership=request.membership)
    if not form.is_valid():
        wrong = "\n".join(str(one) for found in form.errors.values() for one in found)
        return HttpResponse(f"{wrong}\n", status=422, content_type="text/plain; charset=utf-8")
    return exported(form, request.membership)


def exported(form: EvidenceForm, membership: Membership) -> StreamingHttpResponse:
    """Return the backups of the period that a valid form asks for as a file, and note who takes it away."""
    cluster, since, until = form.cleaned_data["cluster"], form.since, form.until
    period = {name: str(form.cleaned_data[name]) for name in ("from", "to")}
    organisation, by = membership.organisation, membership.person
    activity.record("Downloaded the backups of a period", cluster or "", organisation=organisation, by=by, after=period)
    found = stanzas(membership, cluster).defer(None).iterator(chunk_size=50)
    lines = _csv((known, one) for known in found for one in backups(known) if since <= one.stopped < until)
    answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="backups-{period["from"]}-{period["to"]}.csv"'
    return answer


def _csv(found: Iterable[tuple[KnownStanza, Any]]) -> Iterator[str]:
    writer: Any = csv.writer(Line())
    yield writer.writerow(TITLES)
    for known, one in found:
        repository = known.repository
        values = (
            *(repository.cluster_name, repository.store_name, f"repo{repository.number}", known.node, known.name),
            *(one.label, one.kind, one.started.isoformat(), one.stopped.isoformat()),
            *(one.seconds, one.stored, one.state),
        )
        yield writer.writerow(safe(value) for value in values)


def _tried(membership: Membership, cluster: Cluster | None) -> QuerySet[DrillRun]:
    """Return the restores and verifications of the organisation, or of a cluster."""
    runs = DrillRun.objects.visible_to(membership)
    return runs.filter(cluster=cluster) if cluster else runs


def _events(membership: Membership, cluster: Cluster | None) -> AuditEventQuerySet:
    """Return what was done in the organisation, or to a cluster and what belongs to it."""
    events = AuditEvent.objects.visible_to(membership)
    if cluster is None:
        return events
    kinds = {
        "clusters.cluster": [cluster.pk],
        "clusters.node": cluster.nodes.values_list("pk", flat=True),
        "clusters.database": cluster.databases.values_list("pk", flat=True),
        "clusters.repository": cluster.repositories.values_list("pk", flat=True),
        "stores.store": cluster.stores.values_list("pk", flat=True),
    }
    of = Q()
    for kind, keys in kinds.items():
        of |= Q(subject_kind=kind, subject_id__in=[str(key) for key in keys])
    return events.filter(of)
