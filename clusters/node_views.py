"""One node: which stores it writes to, when it backs up, what it is handed, and what it says of itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from clusters import actions, keys
from clusters.addresses import report_address
from clusters.forms import ForgetNodeForm, NodeForm, NodeStoresForm, PolicyForm
from clusters.models import Cluster, Node
from clusters.node_setup import NodeSetup, attached, nearest, node_setups, policy_of, zone_of
from clusters.pgbackrest.configuration import BY_NUMBER
from clusters.pgbackrest.schedules import times
from clusters.pictures.recovery_window import of_cases
from clusters.pictures.week import of_cluster, weeks
from clusters.proximity import round_trip_ms
from clusters.recovery.kit import delete_commands, expire_commands
from clusters.reports.shown import primaries
from clusters.repositories.backups import bookcases
from clusters.repositories.detaching import held_for
from clusters.repositories.losses import losses
from clusters.repositories.removed import Removed, removed_nodes
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.clouds.regions import distance_km
from console.web.pages import dialog_done, dialog_form, file_download, fragment_or_page, posted, text_file


def _node_setup(request: MemberRequest, pk: UUID, name: str) -> NodeSetup:
    clusters = Cluster.objects.visible_to(request.membership)
    cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    found = next((one for one in node_setups(cluster) if one.node.name == name), None)
    if found is None:
        raise Http404
    return found


@require_GET
@require_permission(Permission.SEE_STORES)
def node_detail(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Show one node and what it is handed, with each secret hidden; of one that was removed, what it has left."""
    if removed := _removed_node(request, pk, name):
        return _removed_detail(request, removed)
    node_setup = _node_setup(request, pk, name)
    folders = {name, node_setup.node.repository_folder}  # the first of which it may have left
    cluster = node_setup.cluster
    cases = bookcases(cluster)
    windows, more_windows = of_cases(cases, cluster.health.all(), timezone.now(), node_setup.node.repository_folder)
    planned, more_weeks = weeks(of_cluster(cluster, cases, node_setup.node.repository_folder), timezone.now())
    context = {
        "weeks": planned,
        "more_weeks": more_weeks,
        "windows": windows,
        "more_windows": more_windows,
        "cluster": node_setup.cluster,
        "node": node_setup.node,
        "node_setup": node_setup,
        "health": node_setup.cluster.health.filter(node=node_setup.node.repository_folder)
        .select_related("repository")
        .worst_first(),
        "losses": [loss for loss in losses(node_setup.cluster.repositories.all()) if loss.node in folders],
        "stanzas": [one for one in node_setup.cluster.stanzas.all() if one.node_id == node_setup.node.pk],
        "zone": (zone := zone_of([node_setup.node])),
        "times": times(node_setup.policy.schedules, timezone.now(), zone),
        "two_primaries": [one for one in primaries(node_setup.cluster) if name in one.nodes],
        "replacement": keys.replacement(node_setup.cluster),
    }
    return fragment_or_page(request, "clusters/node.html", "node", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_stores(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Choose which of the cluster's stores the node writes to."""
    node_setup = _node_setup(request, pk, name).first
    cluster, node = node_setup.cluster, node_setup.node
    form = NodeStoresForm(posted(request), cluster=cluster, node=node)
    if form.is_bound and form.is_valid():
        try:
            chosen_stores = form.cleaned_data["backup_stores"]
            actions.write_to(node, choice=form.cleaned_data["choice"], stores=chosen_stores, by=request.user)
        except actions.NotAttachable as error:
            form.add_error("backup_stores", str(error))
        else:
            message = gettext("{node} has a new configuration: apply it on the node.").format(node=node.name)
            return dialog_done(request, node.get_absolute_url(), "clusters-changed", message=message)
    written = {str(one.store_id) for one in node_setup.attachments}
    chosen = {str(pk) for pk in form["backup_stores"].value() or []} if form.is_bound else written
    context = {"form": form, "cluster": cluster, "node": node, "offered": _offered(cluster, node, chosen)}
    return dialog_form(request, "clusters/node_stores.html", context)


def _offered(cluster: Cluster, node: Node, chosen: set[str]) -> list[dict[str, Any]]:
    """Return the cluster's stores as a node may write to them: how far each is, and what it holds of the node."""
    here, first = cluster.cloud_account.region(node.region), nearest(cluster, node)
    offered, held = [], held_for(cluster, node.repository_folder)
    for one in attached(cluster):
        there = cluster.cloud_account.region(one.store.region)
        km = round(distance_km(here, there)) if here and there else 0
        offered.append(
            {
                "attachment": one,
                "km": km,
                "round_trip": round_trip_ms(km),
                "nearest": one == first,
                "chosen": str(one.store_id) in chosen,
                "held": held.get(one.repository.number, ""),
            }
        )
    return offered


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_edit(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Say which pgBackRest the node has."""
    node_setup = _node_setup(request, pk, name)
    node = node_setup.node
    form = NodeForm(posted(request), instance=node)
    if form.is_bound and form.is_valid():
        actions.choose_version(node, version=node.pgbackrest_version, by=request.user)
        message = gettext("{node} is handed a configuration for pgBackRest {label}.").format(
            node=node.name, label=BY_NUMBER[node.pgbackrest_version].label
        )
        return dialog_done(request, node.get_absolute_url(), "clusters-changed", message=message)
    context = {"form": form, "cluster": node_setup.cluster, "node": node}
    return dialog_form(request, "clusters/node_edit.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def policy(request: MemberRequest, pk: UUID, name: str = "") -> HttpResponse:
    """Set retention and schedules, for the cluster or for one node of it; a node can follow the cluster again."""
    if name:
        node_setup = _node_setup(request, pk, name).first
        cluster, node, back = node_setup.cluster, node_setup.node, node_setup.node.get_absolute_url()
    else:
        clusters = Cluster.objects.visible_to(request.membership)
        cluster, node = get_object_or_404(clusters.with_node_setup(), pk=pk), None
        back = cluster.get_absolute_url()
    found = policy_of(cluster, node) if node else cluster.policy
    own = bool(node and found.node_id)
    if node and request.method == "POST" and "follow" in request.POST:
        actions.follow_cluster(node, by=request.user)
        return dialog_done(
            request,
            back,
            "clusters-changed",
            message=gettext("{node} follows {cluster} again.").format(node=node.name, cluster=cluster.name),
        )
    form = PolicyForm(posted(request), instance=found)
    if form.is_bound and form.is_valid():
        actions.plan_backups(cluster, node, by=request.user, **form.cleaned_data)
        message = gettext("Retention and schedule of {value} saved: apply the new files on the nodes.").format(
            value=node or cluster
        )
        return dialog_done(request, back, "clusters-changed", message=message)
    context: dict[str, Any] = {"form": form, "cluster": cluster, "node": node, "own": own, "back": back}
    if not form.errors:
        context["zone"] = zone = zone_of([node] if node else cluster.nodes.all())
        context["times"] = times(found.schedules, timezone.now(), zone)
    return dialog_form(request, "clusters/policy.html", context)


# What holds secrets: for who manages, has just given the password, and is written down for having looked.


def _unfinished(node_setup: NodeSetup) -> HttpResponse | None:
    """Return the refusal of a file that pgBackRest could not work with, such as one that writes to a local disk."""
    if not node_setup.missing:
        return None
    return HttpResponse(f"{node_setup.missing}\n", status=409, content_type="text/plain; charset=utf-8")


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def node_configuration(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Return the node's pgbackrest.conf, complete."""
    node_setup = _node_setup(request, pk, name)
    if refused := _unfinished(node_setup):
        return refused
    actions.hand_out(node_setup, "pgbackrest.conf with its secrets", by=request.user)
    return text_file(node_setup.configuration.render(secrets=True), "pgbackrest.conf")


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def node_setup(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Return the script that puts all files in their places."""
    node_setup = _node_setup(request, pk, name)
    if refused := _unfinished(node_setup):
        return refused
    actions.hand_out(node_setup, "the set-up script with its secrets", by=request.user)
    return text_file(node_setup.setup(report_address(request, node_setup.node)), node_setup.layout.script(name))


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
def node_files(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Show the files that hold secrets, to be copied."""
    node_setup = _node_setup(request, pk, name)
    actions.hand_out(node_setup, "pgbackrest.conf and the report script with their secrets", by=request.user)
    context = {
        "cluster": node_setup.cluster,
        "node": node_setup.node,
        "node_setup": node_setup,
        "configuration": node_setup.configuration.render(secrets=True),
        "report": node_setup.report(report_address(request, node_setup.node)),
        "private": f"root and the group of {node_setup.node.os_user}, 0640",
        "executable": f"root and the group of {node_setup.node.os_user}, 0750",
    }
    return dialog_form(request, "clusters/node_files.html", context)


@require_GET
@require_permission(Permission.SEE_STORES)
@file_download
def node_schedule(request: MemberRequest, pk: UUID, name: str, kind: str) -> HttpResponse:
    """Return the schedule as a file: for cron, or a script that installs systemd's timers."""
    node_setup = _node_setup(request, pk, name)
    if kind == "crontab":
        return text_file(node_setup.crontab.content, node_setup.crontab.path.rsplit("/", 1)[1])
    return text_file(node_setup.timers_script, node_setup.layout.script(name, "timers"))


# What a removed node has left


def _removed_node(request: MemberRequest, pk: UUID, name: str) -> Removed | None:
    clusters = Cluster.objects.visible_to(request.membership).filter(removed_nodes__name=name)
    cluster = clusters.with_node_setup().filter(pk=pk).first()
    return next((one for one in removed_nodes(cluster) if one.node.name == name), None) if cluster else None


def _removed_detail(request: MemberRequest, removed: Removed) -> HttpResponse:
    folder = removed.node.repository_folder
    context = {
        "cluster": removed.node.cluster,
        "removed": removed,
        "rows": [
            (
                one,
                "\n".join(expire_commands(one.repository, folder)),
                "\n".join(delete_commands(one.repository, folder)),
            )
            for one in removed.holdings
        ],
    }
    return fragment_or_page(request, "clusters/removed_node.html", "node", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def removed_node_forget(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Forget a removed node: once its folder was seen empty, or by an owner who types its name."""
    removed = _removed_node(request, pk, name)
    if removed is None:
        raise Http404
    form = ForgetNodeForm(posted(request), removed=removed, may_anyway=request.membership.may[Permission.LET_GO])
    if form.is_bound and form.is_valid():
        actions.forget_node(removed.node, by=request.user)
        url = removed.node.cluster.get_absolute_url()
        return dialog_done(request, url, "clusters-changed", message=gettext("{name} is forgotten.").format(name=name))
    context = {"form": form, "cluster": removed.node.cluster, "removed": removed}
    return dialog_form(request, "clusters/removed_node_forget.html", context)
