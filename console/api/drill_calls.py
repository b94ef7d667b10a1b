"""Restore drills and verifications: their plans, what a drill machine is handed, and the runs."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.cache import never_cache
from ninja import Query

from clusters.addresses import console_address
from clusters.drills import actions
from clusters.drills.forms import MACHINE, NODES, DrillForm
from clusters.drills.machines import MachineSetup
from clusters.models import Cluster, Drill, DrillRun
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, changes, creates, hands_out, reads, takes_away
from console.api.cluster_rows import changing, find
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shown import moment
from console.web.pages import text_file

SEE, MANAGE = Permission.SEE_STORES, Permission.MANAGE_CLUSTERS
ALL, ONE = "/clusters/{uuid:pk}/drills", "/clusters/{uuid:pk}/drills/{int:drill}"
SAME = (
    *("what", "machine", "schedule", "backup", "folder", "keep_free", "hours", "is_amchecked", "checks"),
    "check_database",
)


def _shown(row: Drill) -> dict[str, Any]:
    return {
        "id": row.pk,
        **{name: getattr(row, name) for name in SAME},
        "database": row.database.name if row.database else "",
        "node": row.node.name if row.node else "",
        "created_at": moment(row.created_at),
        "reported_at": moment(row.reported_at),
    }


def _save(request: CallRequest, cluster: Cluster, row: Drill, given: dict[str, Any]) -> Drill:
    """Keep a plan with what is given of it; raises Problem."""
    sent = {**_shown(row), **given} if row.pk else given
    kept: dict[str, Any] = {name: sent[name] for name in SAME}
    for name, rows in (("database", cluster.databases.all()), ("node", cluster.nodes.all())):
        found = next((one.pk for one in rows if one.name == sent[name]), None)
        if sent[name] and found is None:
            raise fields([(f"/{name}", f"The cluster has no such {name}.")])
        kept[name] = "" if found is None else str(found)
    kept["where"] = MACHINE if sent["machine"] else NODES
    form = DrillForm(kept, cluster=cluster, instance=row)
    if not form.is_valid():
        raise of_form(form)
    return actions.save(form.save(commit=False), by=request.person)


@reads(ALL, SEE, shapes.Page[asks.Drill], asked=ListQuery)
def list_drills(request: CallRequest, pk: UUID, asked: Query[ListQuery]) -> HttpResponse:
    """List the plans of a cluster, newest first."""
    cluster = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    rows = Drill.objects.filter(cluster=cluster).defer("secrets").select_related("database", "node")
    return answered(page(rows, asked, _shown))


@creates(ALL, MANAGE, asks.Drill, status=201)
@once
def add_drill(request: CallRequest, pk: UUID, asked: asks.NewDrill) -> HttpResponse:
    """Plan a restore drill or a verification: it is in the next set-up script of its machine."""
    with changing(request, pk) as cluster:
        made = _save(request, cluster, Drill(schedule="0 3 * * 0"), asked.model_dump())
        return answered(_shown(made), status=201)


@changes(ONE, MANAGE, asks.Drill)
def change_drill(request: CallRequest, pk: UUID, drill: int, asked: asks.NewDrill) -> HttpResponse:
    """Change a plan; what is not sent stays."""
    with changing(request, pk) as cluster:
        row = get_object_or_404(cluster.drills.select_related("database", "node"), pk=drill)
        return answered(_shown(_save(request, cluster, row, asked.model_dump(exclude_unset=True))))


@takes_away(ONE, MANAGE, asks.Drill)
def remove_drill(request: CallRequest, pk: UUID, drill: int) -> HttpResponse:
    """Remove a plan; its history stays. Answered with what it was."""
    with changing(request, pk) as cluster:
        row = get_object_or_404(cluster.drills.select_related("database", "node"), pk=drill)
        was = _shown(row)
        actions.remove(row, by=request.person)
        return answered(was)


@hands_out(f"{ONE}/setup.sh", Permission.SEE_SECRETS)
@never_cache
def get_drill_script(request: CallRequest, pk: UUID, drill: int) -> HttpResponse:
    """Hand out the script that makes a machine the drill machine of a plan, with its secrets; it is written down."""
    cluster = find(request, pk)
    found = get_object_or_404(cluster.drills.exclude(machine=""), pk=drill)
    setup = MachineSetup(cluster, found)
    if setup.missing:
        raise Problem(409, setup.missing)
    actions.hand_out(found, by=request.person)
    address = console_address(request, reverse("clusters:drill_report", args=[pk, found.pk]))
    return text_file(setup.script(address), setup.script_name)


class RunList(ListQuery):
    cluster_id: UUID | None = None


@reads("/drill-runs", SEE, shapes.Page[asks.DrillRun], asked=RunList)
def list_drill_runs(request: CallRequest, asked: Query[RunList]) -> HttpResponse:
    """List what drills and verifications have shown, newest first."""
    rows = DrillRun.objects.visible_to(request.membership)
    if asked.cluster_id:
        rows = rows.filter(cluster=asked.cluster_id)
    return answered(page(rows, asked, shown.drill_run))
