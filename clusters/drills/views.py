"""Proof: what restore drills and verifications have shown, the plans of them, and what a drill machine is handed."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from clusters.addresses import console_address
from clusters.drills import actions, shown
from clusters.drills.forms import DrillForm
from clusters.drills.machines import MachineSetup
from clusters.models import Cluster, Drill, DrillRun
from clusters.node_setup import node_setups
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import dialog_done, dialog_form, file_download, fragment_or_page, paginate, posted, text_file

CHANGED = ("clusters-changed",)


def _cluster(request: MemberRequest, pk: UUID) -> Cluster:
    clusters = Cluster.objects.visible_to(request.membership)
    found: Cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    return found


def _drill(cluster: Cluster, pk: int) -> Drill:
    found = get_object_or_404(cluster.drills.all(), pk=pk)
    found.cluster = cluster
    return found


@require_GET
@require_permission(Permission.SEE_STORES)
def drill_list(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show what is proved of each database of a cluster, its plans, and all runs, newest first."""
    cluster = _cluster(request, pk)
    setups = node_setups(cluster)
    runs = DrillRun.objects.visible_to(request.membership).filter(cluster=cluster)
    context = {
        "cluster": cluster,
        "proofs": shown.rows(cluster, setups),
        "plans": shown.plan_views(cluster, setups),
        "page": paginate(request, runs),
    }
    return fragment_or_page(request, "clusters/drill_list.html", "drills", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def drill_add(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Plan a restore drill or a verification."""
    return _edit(request, _cluster(request, pk), None)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def drill_edit(request: MemberRequest, pk: UUID, drill: int) -> HttpResponse:
    """Change a plan."""
    cluster = _cluster(request, pk)
    return _edit(request, cluster, _drill(cluster, drill))


def _edit(request: MemberRequest, cluster: Cluster, drill: Drill | None) -> HttpResponse:
    form = DrillForm(posted(request), cluster=cluster, instance=drill or Drill(schedule="0 3 * * 0"))
    if form.is_bound and form.is_valid():
        try:
            saved = actions.save(form.save(commit=False), by=request.user)
        except actions.TooMany as error:
            form.add_error(None, str(error))
        else:
            where = f"run {saved.machine}'s set-up script" if saved.machine else "run the nodes' set-up scripts"
            return dialog_done(
                request,
                saved.get_absolute_url(),
                *CHANGED,
                message=gettext("Saved: now {where} again.").format(where=where),
            )
    return dialog_form(request, "clusters/drill_edit.html", {"form": form, "cluster": cluster, "drill": drill})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def drill_remove(request: MemberRequest, pk: UUID, drill: int) -> HttpResponse:
    """Remove a plan; its history stays."""
    cluster = _cluster(request, pk)
    found = _drill(cluster, drill)
    if request.method == "POST":
        machine, back = found.machine, found.get_absolute_url()
        undo = f"sudo sh {MachineSetup(cluster, found).layout.undo}" if machine else ""
        actions.remove(found, by=request.user)
        rest = f"On {machine} run: {undo}" if machine else "Run the nodes' set-up scripts again."
        return dialog_done(request, back, *CHANGED, message=gettext("The plan is removed. {rest}").format(rest=rest))
    return dialog_form(request, "clusters/drill_remove.html", {"cluster": cluster, "drill": found})


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def drill_setup(request: MemberRequest, pk: UUID, drill: int) -> HttpResponse:
    """Return the script that makes a machine the drill machine of a plan; it holds the nodes' key and passphrases."""
    cluster = _cluster(request, pk)
    found = get_object_or_404(cluster.drills.exclude(machine=""), pk=drill)
    setup = MachineSetup(cluster, found)
    if setup.missing:
        return HttpResponse(f"{setup.missing}\n", status=409, content_type="text/plain; charset=utf-8")
    actions.hand_out(found, by=request.user)
    address = console_address(request, reverse("clusters:drill_report", args=[pk, found.pk]))
    return text_file(setup.script(address), setup.script_name)
