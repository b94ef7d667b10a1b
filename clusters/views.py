"""Clusters: the list, the pages, the dialogs, and the maps that go with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from clusters import actions, keys, listing, proximity
from clusters.choice import Nodes, changed_meanwhile, digest, options, planned_nodes, verdict
from clusters.drills.shown import rows as proof_rows
from clusters.enrolment import progress
from clusters.forms import (
    AddNodesForm,
    ClusterForm,
    DatabaseForm,
    DeleteClusterForm,
    RemoveNodesForm,
    StoresForm,
    found_regions,
)
from clusters.models import Cluster, Database
from clusters.navigation import clusters
from clusters.node_setup import NodeSetup, attached, node_setups, zone_of
from clusters.pgbackrest.schedules import times
from clusters.pictures.recovery_window import of_cases
from clusters.pictures.week import of_cluster, weeks
from clusters.replication import folders_left
from clusters.reports.shown import primaries
from clusters.repositories.backups import bookcases
from clusters.repositories.losses import losses
from clusters.repositories.removed import removed_nodes
from clusters.repositories.retained import left_behind
from console.accounts.access import MemberRequest, require_permission
from console.accounts.models import User
from console.accounts.permissions import Permission
from console.cloud_accounts.actions import InUse
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.regions import regions
from console.operations import outcomes
from console.operations.actions import NotNow
from console.operations.views import try_again
from console.web import worldmap
from console.web.forms import TypedNameForm
from console.web.lists import TABLE_ROWS, is_table, keep_view, listed
from console.web.pages import PAGE_SIZE, announced, began, dialog_done, dialog_form, fragment_or_page, posted
from stores.forms import near_nodes


@require_GET
@require_permission(Permission.SEE_STORES)
def cluster_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's clusters, newest first: searched, filtered and sorted as clusters.listing has it."""
    as_table, path = is_table(request), reverse("clusters:list")
    page = listing.page(request.membership, request.GET, path=path, size=TABLE_ROWS if as_table else PAGE_SIZE)
    context = {
        "page": page,
        "as_table": as_table,
        "as_view": reverse("clusters:view"),
        "list_url": path,
        "busy": any(cluster.is_busy for cluster in page.items),
    }
    return listed(request, "clusters/list.html", page, context, target="clusters-list", rows="panes")


@require_POST
@require_permission(Permission.SEE_STORES)
def cluster_list_view(request: MemberRequest) -> HttpResponse:
    """Keep whether lists are tables or panes, for the person."""
    return keep_view(request, reverse("clusters:list"))


@require_GET
@require_permission(Permission.SEE_STORES)
def cluster_navigation(request: MemberRequest) -> HttpResponse:
    """Show the navigation pane's clusters anew."""
    path = request.htmx.current_url_abs_path or ""
    return render(request, "clusters/_navigation.html", {"path": path, "navigation": clusters(request, path)})


@require_GET
@require_permission(Permission.SEE_STORES)
def cluster_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one cluster; a page that watched its deletion goes back to the list when it is gone."""
    cluster = _clusters(request).with_node_setup().filter(pk=pk).first()
    if cluster is None:
        if not request.htmx:
            raise Http404
        messages.info(request, gettext("The cluster is gone."))
        return HttpResponseClientRedirect(reverse("clusters:list"))
    response = fragment_or_page(request, "clusters/detail.html", "cluster", _shown(cluster))
    if request.htmx and not cluster.is_busy:  # its dot in the navigation pane may be another now
        trigger_client_event(response, "navigation-changed")
    return response


SAID = {"applied": "applied", "outdated": "out of date", "unknown": "not reported"}  # of a node's file


def _said_by_nodes(setups: Sequence[NodeSetup]) -> list[str]:
    """Return how many nodes have said what of their files, such as "2 applied"."""
    found = Counter(one.state for one in setups)
    return [f"{found[state]} {words}" for state, words in SAID.items() if found[state]]


def _shown(cluster: Cluster) -> dict[str, Any]:
    """Return what a cluster's page shows."""
    chosen = {str(one.store_id) for one in cluster.wanted}
    found = options(cluster.cloud_account, cluster.places, chosen=chosen, attached=chosen)
    mine = [one for one in found if one.chosen]
    cases = bookcases(cluster)
    gone = losses(cluster.repositories.all())
    windows, more_windows = of_cases(cases, cluster.health.all(), timezone.now())
    planned, more_weeks = weeks(of_cluster(cluster, cases), timezone.now())
    return {
        "weeks": planned,
        "more_weeks": more_weeks,
        "cluster": cluster,
        "health": cluster.health.select_related("repository").worst_first(),
        "losses": gone,
        "robbed": {one.store_id for one in cluster.repositories.all() if one.pk in {loss.repository for loss in gone}},
        "outdated": cluster.outdated,
        "replacement": keys.replacement(cluster),
        "enrolments": progress(cluster),
        "busy": cluster.is_busy or any(case.inventory and case.inventory.is_awaited for case in cases),
        "options": mine,
        "node_setups": (setups := node_setups(cluster)),
        "node_counts": _said_by_nodes(setups),
        "proofs": proof_rows(cluster, setups),
        "two_primaries": primaries(cluster),
        "removed_nodes": removed_nodes(cluster),
        "columns": attached(cluster),
        "cases": cases,
        "windows": windows,
        "more_windows": more_windows,
        "retained": len(cluster.repositories.all()) - len(cases),
        "zone": (zone := zone_of(cluster.nodes.all())),
        "times": times(cluster.policy.schedules, timezone.now(), zone),
        "verdict": verdict(cluster.places, found),
        "method": proximity.METHOD,
        "stores_map": f"{reverse('clusters:store_map')}?cluster={cluster.pk}&v={digest(mine, cluster.places)}",
    }


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_create(request: MemberRequest) -> HttpResponse:
    """Create a cluster. Continue, which scripts press by themselves, shows what the account and the regions offer."""
    if request.method == "POST" and "continue" not in request.POST:
        form = ClusterForm(request.POST, membership=request.membership)
        if form.is_valid() and (cluster := _created(form, request.user)):
            began(
                request,
                gettext("{cluster} is being created.").format(cluster=cluster.name),
                follow=outcomes.address(cluster.operation),
            )
            if request.htmx:
                return HttpResponseClientRedirect(cluster.get_absolute_url())
            return dialog_done(request, cluster.get_absolute_url())
    else:
        given = request.POST or request.GET
        initial = {name: given.getlist(name) for name in ("regions", "backup_stores")}
        form = ClusterForm(membership=request.membership, initial={**given.dict(), **initial})
    form.suggest_name()
    account, nodes = form.account, form.chosen_regions
    context: dict[str, Any] = {"form": form, "has_accounts": form.fields["cloud_account"].queryset.exists()}  # type: ignore[attr-defined]
    if account:
        context |= {
            "account": account,
            "regions": _region_choice(account, form["regions"].value() or []),
            "regions_map": _region_map_of(account),
            **_choice(form, account, nodes),
        }
    return dialog_form(request, "clusters/create.html", context)


def _created(form: ClusterForm, by: User) -> Cluster | None:
    """Return the cluster that the form asks for, or say beside its fields why there is none."""
    data = form.cleaned_data
    try:
        return actions.create(
            data["cloud_account"],
            name=data["name"],
            regions=data["regions"],
            stores=data["backup_stores"],
            is_replication=data["is_replication"],
            by=by,
        )
    except actions.NameTaken:
        form.add_error("name", gettext("A cluster of this name exists. Choose another name."))
    except actions.NotAttachable as error:
        form.add_error("backup_stores", str(error))
    except NotNow as error:
        form.add_error(None, str(error))
    return None


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_stores(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Update a cluster's backup stores: written down at once, carried out by a worker."""
    cluster = get_object_or_404(_clusters(request).with_node_setup(), pk=pk)
    if request.method == "POST" and "continue" not in request.POST:
        form = StoresForm(request.POST, membership=request.membership, cluster=cluster)
        if form.is_valid():
            data = form.cleaned_data
            try:
                changed = actions.update_stores(
                    cluster, stores=data["backup_stores"], version=data["version"], by=request.user
                )
            except actions.Changed:
                cluster = _clusters(request).with_node_setup().get(pk=pk)
                form.add_error(None, changed_meanwhile(cluster))
            except actions.NotAttachable as error:
                form.add_error("backup_stores", str(error))
            except NotNow as error:
                form.add_error(None, str(error))
            else:
                url, message = cluster.get_absolute_url(), f"The stores of {cluster.name} are being updated."
                follow = outcomes.address(cluster.operation) if changed else ""
                message = message if changed else gettext("Nothing to change.")
                return dialog_done(request, url, "clusters-changed", message=message, follow=follow)
    else:
        given = request.POST.getlist("backup_stores")
        first = given if request.method == "POST" else [str(one.store_id) for one in cluster.wanted]
        form = StoresForm(membership=request.membership, cluster=cluster, initial={"backup_stores": first})
    context = {"form": form, "cluster": cluster, **_choice(form, cluster.cloud_account, cluster.places, cluster)}
    return dialog_form(request, "clusters/stores.html", context)


def _choice(form: Any, account: CloudAccount, nodes: Nodes, cluster: Cluster | None = None) -> dict[str, Any]:
    """Return what the Backup Stores field needs: the offer, nearest first, the verdict and the map's address."""
    chosen = {str(pk) for pk in form["backup_stores"].value() or []}
    attached = {str(one.store_id) for one in cluster.wanted} if cluster else set()
    found = options(account, nodes, chosen=chosen, attached=attached)
    codes = [("regions", region.code) for _, region in nodes]
    whose = [("cluster", str(cluster.pk)), ("offer", "1")] if cluster else [("cloud_account", str(account.pk)), *codes]
    # The digest, because a browser evaluates a module once for each address.
    query = urlencode([*whose, ("v", digest(found, nodes))])
    return {
        "options": found,
        "verdict": verdict(nodes, found),
        "method": proximity.METHOD,
        "stores_map": f"{reverse('clusters:store_map')}?{query}",
        "verdict_url": reverse("clusters:proximity") + (f"?cluster={cluster.pk}" if cluster else ""),
    }


def _region_map_of(account: CloudAccount) -> str:
    return f"{reverse('clusters:region_map')}?cloud_account={account.pk}"


def _region_choice(account: CloudAccount, asked: list[str]) -> list[dict[str, Any]]:
    chosen = found_regions(asked, account)
    offered = near_nodes(account.regions, account.organisation, account.provider_key)
    return [{"region": region, "chosen": region.code in chosen} for region in offered]


@require_POST  # which changes nothing, but a choice of hundreds of stores is too long for an address
@require_permission(Permission.SEE_STORES)
def cluster_proximity(request: MemberRequest) -> HttpResponse:
    """Show the verdict on a choice that is not made yet."""
    if "cluster" in request.GET:
        cluster = get_object_or_404(_clusters(request).with_story(), pk=_uuid(request.GET["cluster"]))
        account, nodes = cluster.cloud_account, cluster.places
    else:
        account = get_object_or_404(_accounts(request), pk=_uuid(request.POST.get("cloud_account", "")))
        nodes = planned_nodes(account, request.POST.getlist("regions"))
    found = options(account, nodes, chosen=set(request.POST.getlist("backup_stores")))
    context = {"verdict": verdict(nodes, found), "method": proximity.METHOD}
    return render(request, "clusters/_verdict.html", context)


@require_GET
@require_permission(Permission.SEE_STORES)
def store_map(request: MemberRequest) -> HttpResponse:
    """Return the map, as an ES module, of ?cluster= with its stores (&offer: with its account's), or of an account."""
    if "cluster" in request.GET:
        cluster = get_object_or_404(_clusters(request).with_story(), pk=_uuid(request.GET["cluster"]))
        account, nodes = cluster.cloud_account, cluster.places
    else:
        cluster, account = None, get_object_or_404(_accounts(request), pk=_uuid(request.GET.get("cloud_account", "")))
        nodes = planned_nodes(account, request.GET.getlist("regions"))
    attached = {str(one.store_id) for one in cluster.wanted} if cluster else set()
    found = options(account, nodes, attached=attached)
    if cluster and "offer" not in request.GET:
        found = [one for one in found if one.attached]
    return _module("stores", [worldmap.Pin(one.id, one.region.lat, one.region.lon) for one in found], nodes)


@require_GET
@require_permission(Permission.SEE_STORES)
def region_map(request: MemberRequest) -> HttpResponse:
    """Return the map of an account's or a cloud's regions, with the organisation's nodes, as an ES module."""
    if "cloud_account" in request.GET:
        account = get_object_or_404(_accounts(request), pk=_uuid(request.GET["cloud_account"]))
        key, offered = account.provider_key, account.regions
    else:
        key = request.GET.get("provider", "")
        if key not in CLOUDS:
            raise Http404
        offered = list(regions(key))
    pins = [worldmap.Pin(region.code, region.lat, region.lon) for region in offered]
    rows = _clusters(request).filter(cloud_account__provider_key=key).prefetch_related("nodes")
    held = {node.region for cluster in rows for node in cluster.nodes.all()}
    return _module("regions", pins, [("nodes", region) for region in offered if region.code in held])


def _module(key: str, pins: list[worldmap.Pin], nodes: Nodes) -> HttpResponse:
    places = [worldmap.Node(name, region.lat, region.lon, region.place) for name, region in nodes]
    script = worldmap.module(pins, places, key=key, tiles=settings.MAP_TILES)
    return HttpResponse(script, content_type="text/javascript; charset=utf-8")


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_add(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Add nodes, one in each chosen region."""
    cluster = get_object_or_404(_clusters(request).with_story(), pk=pk)
    form = AddNodesForm(posted(request), cluster=cluster)
    if form.is_bound and form.is_valid():
        try:
            regions = form.cleaned_data["regions"]
            names = actions.add_nodes(cluster, regions=regions, first=form.first, by=request.user)
        except actions.NodesRefused as error:
            form.add_error(None, str(error))
        else:
            message = gettext("{cluster} has {names} now.").format(cluster=cluster.name, names=" and ".join(names))
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    context = {
        "form": form,
        "cluster": cluster,
        "regions": _region_choice(cluster.cloud_account, form["regions"].value() or []),
        "regions_map": _region_map_of(cluster.cloud_account),
    }
    return dialog_form(request, "clusters/node_add.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_remove(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Remove nodes; their backups stay in the stores."""
    cluster = get_object_or_404(_clusters(request).with_story(), pk=pk)
    form = RemoveNodesForm(posted(request), cluster=cluster)
    if form.is_bound and form.is_valid():
        try:
            actions.remove_nodes(cluster, names=form.cleaned_data["nodes"], by=request.user)
        except actions.NodesRefused as error:
            form.add_error("nodes", str(error))
        else:
            message = gettext("{cleaned_data} removed from {cluster}.").format(
                cleaned_data=" and ".join(form.cleaned_data["nodes"]), cluster=cluster.name
            )
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    asked = form["nodes"].value() or [node.name for node in cluster.nodes.all()]
    context = {"form": form, "cluster": cluster, "left": left_behind(cluster, nodes=folders_left(cluster, asked))}
    return dialog_form(request, "clusters/node_remove.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def database_add(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Add a database, which every node runs."""
    cluster = get_object_or_404(_clusters(request), pk=pk)
    form = DatabaseForm(posted(request), instance=Database(cluster=cluster))
    if form.is_bound and form.is_valid():
        try:
            actions.add_database(cluster, form.instance, by=request.user)
        except IntegrityError:
            form.add_error(
                None, gettext("Somebody added a database like it at the same time. Look at the cluster first.")
            )
        except actions.NotAttachable as error:
            form.add_error("name", str(error))
        else:
            message = gettext("{instance} is a stanza on each node of {cluster} now.").format(
                instance=form.instance.name, cluster=cluster.name
            )
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    return dialog_form(request, "clusters/database_add.html", {"form": form, "cluster": cluster})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def database_remove(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Forget a database after its name was typed; nothing on the nodes or in the stores changes."""
    cluster = get_object_or_404(_clusters(request), pk=pk)
    database = get_object_or_404(cluster.databases, name=name)
    form = TypedNameForm(posted(request), expected=database.name)
    if form.is_bound and form.is_valid():
        actions.remove_database(database, by=request.user)
        message = gettext("{name} is no database of {cluster} any more.").format(name=name, cluster=cluster.name)
        return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    left = left_behind(cluster, stanza=database.name)
    handed = node_setups(Cluster.objects.with_node_setup().get(pk=cluster.pk))
    removals = [(one.node, one.removal(database)) for one in handed if one.configuration.is_complete]
    context = {"form": form, "cluster": cluster, "database": database, "left": left, "removals": removals}
    return dialog_form(request, "clusters/database_remove.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_delete(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Delete a cluster after its name was typed; refused while stores are attached to it."""
    cluster = get_object_or_404(_clusters(request).with_story(), pk=pk)
    left = left_behind(cluster)
    form = DeleteClusterForm(posted(request), cluster=cluster, leaves=bool(left))
    if form.is_bound and form.is_valid():
        try:
            actions.delete(cluster, by=request.user)
        except NotNow as error:
            form.add_error(None, str(error))
        except InUse as error:
            form.add_error(
                None,
                gettext(
                    "Stores are attached to {cluster}: {error}. Take them off with Update Backup Stores first."
                ).format(cluster=cluster.name, error=error),
            )
        else:
            follow, message = outcomes.address(cluster.operation), f"{cluster.name} is being deleted."
            return dialog_done(request, reverse("clusters:list"), "clusters-changed", message=message, follow=follow)
    return dialog_form(request, "clusters/delete.html", {"form": form, "cluster": cluster, "left": left})


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_retry(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Try again what failed."""
    cluster = get_object_or_404(_clusters(request).with_story(), pk=pk)
    return try_again(request, cluster, cluster.get_absolute_url(), "clusters-changed")


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_repair(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Give the nodes again what they should have in the cloud."""
    cluster = get_object_or_404(_clusters(request), pk=pk)
    try:
        actions.repair(cluster, by=request.user)
    except NotNow as error:
        messages.error(request, str(error))
        return announced(request, cluster.get_absolute_url(), "clusters-changed")
    follow, message = outcomes.address(cluster.operation), f"The access of {cluster.name}'s nodes is being repaired."
    return announced(request, cluster.get_absolute_url(), "clusters-changed", message=message, follow=follow)


def _clusters(request: MemberRequest) -> Any:
    return Cluster.objects.visible_to(request.membership)


def _accounts(request: MemberRequest) -> Any:
    return CloudAccount.objects.visible_to(request.membership)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
