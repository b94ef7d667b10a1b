"""Clusters, as pgEdge's clients make, change and delete them.

What they send of machines, networks and rules is no matter of this console. It is kept, never used, and sent back, or
each plan of Terraform's would find a difference that no apply ends.
"""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

import math
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from clusters import actions
from clusters.forms import ClusterForm
from clusters.models import Attachment, Cluster, Node
from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.api.authentication import CallRequest
from console.api.compatible import changes, shapes, shown
from console.api.compatible.calls import answer, deletes, gone, of_form, reads, refusing, writes
from console.api.compatible.lists import Listed, listed
from console.api.problems import Problem
from console.operations.actions import NotNow

NAMES = {"cloud_account": "cloud_account_id", "backup_stores": changes.NOT_AVAILABLE}
Degrees = Annotated[str, Field(max_length=40)]


def clusters(membership: Membership) -> Any:
    """Return the organisation's clusters with all that is shown of them, without secrets."""
    attachments = Attachment.objects.select_related("store", "repository").defer("repository__secrets")
    return (
        Cluster.objects.visible_to(membership)
        .select_related("cloud_account", "operation")
        .defer("cloud_account__secrets", "keys", "former_keys", "operation__steps", "operation__details")
        .prefetch_related(
            Prefetch("nodes", Node.objects.defer("secrets", "status", "known_files")),
            Prefetch("attachments", attachments.order_by("repository__number")),
        )
    )


@reads("/clusters", Permission.SEE_STORES, list[shapes.Cluster], asked=Listed)
def list_clusters(request: CallRequest, asked: Query[Listed]) -> HttpResponse:
    """List the clusters."""
    return listed(clusters(request.membership), asked, shown.cluster)


@reads("/clusters/{uuid:pk}", Permission.SEE_STORES, shapes.Cluster)
def get_cluster(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one cluster."""
    return _shown(request, pk)


def _shown(request: CallRequest, pk: UUID) -> HttpResponse:
    return answer(shown.cluster(get_object_or_404(clusters(request.membership), pk=pk)))


@writes("post", "/clusters", Permission.MANAGE_CLUSTERS, shapes.Cluster)
def create_cluster(request: CallRequest, asked: shapes.NewCluster) -> HttpResponse:
    """Create a cluster with a node for each that is named, or else in each region, and attach its stores."""
    regions = [one.region for one in asked.nodes or ()] or asked.regions
    account = asked.cloud_account_id or (asked.cloud_account.id if asked.cloud_account else "")
    stores = asked.backup_store_ids or []
    given = {"name": asked.name, "cloud_account": account, "regions": regions, "backup_stores": stores}
    form = ClusterForm(given, membership=request.membership)
    if not form.is_valid():
        raise of_form(form, NAMES)
    wanted = {name: form.cleaned_data[name] for name in ("name", "regions")}
    changes.as_written(regions, wanted["regions"])
    changes.named_once(asked.nodes or ())
    with transaction.atomic():
        try:
            made = actions.create(
                form.cleaned_data["cloud_account"],
                **wanted,
                stores=form.cleaned_data["backup_stores"],
                by=request.person,
            )
        except actions.NameTaken as error:
            raise Problem(400, "name: A cluster of this name exists. Choose another name.") from error
        except (actions.NotAttachable, NotNow) as error:
            raise Problem(400, str(error)) from error
        named = {f"n{number}": one for number, one in enumerate(asked.nodes or (), 1)}
        changes.keep(made, changes.declared({}, asked, named))
    return _shown(request, made.pk)


@writes("patch", "/clusters/{uuid:pk}", Permission.MANAGE_CLUSTERS, shapes.Cluster)
def update_cluster(request: CallRequest, pk: UUID, asked: shapes.ChangedCluster) -> HttpResponse:
    """Change what is said of nodes and stores, and begin a task, also when nothing changes: clients wait for one."""
    found = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    refused = (actions.NotAttachable, actions.NodesRefused, actions.Changed)
    with refusing(found, *refused), transaction.atomic():
        changes.change(found, asked, request)
    return _shown(request, pk)


class Deletion(Schema):
    model_config = ConfigDict(extra="forbid")

    force: bool = False  # as pgEdge has it; here it makes no difference


@deletes("/clusters/{uuid:pk}", Permission.MANAGE_CLUSTERS, asked=Deletion)
def delete_cluster(request: CallRequest, pk: UUID, asked: Query[Deletion]) -> HttpResponse:
    """Begin to delete a cluster, also with stores attached: the repositories stay in them, with their passphrases."""
    found = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    with refusing(found):
        actions.delete(found, detach=True, by=request.person)
    return gone()


class Near(Schema):
    model_config = ConfigDict(extra="forbid")

    near_lat: Degrees = ""
    near_lon: Degrees = ""
    order_by: Annotated[str, Field(max_length=20, description="distance")] = ""


@reads("/clusters/{uuid:pk}/nodes", Permission.SEE_STORES, list[shapes.ClusterNode], asked=Near)
def list_cluster_nodes(request: CallRequest, pk: UUID, asked: Query[Near]) -> HttpResponse:
    """List the nodes of a cluster, those that are nearest to a place first if asked so."""
    if asked.order_by not in {"", "distance"}:
        raise Problem(400, "order_by: Only distance is known.")
    found = get_object_or_404(clusters(request.membership), pk=pk)
    near = _place(asked)
    rows = [shown.node(one, found, near) for one in found.nodes.all()]
    if asked.order_by and near:
        rows.sort(key=lambda one: one.get("distance_measurement", {}).get("distance", math.inf))
    return answer(rows)


def _place(asked: Near) -> tuple[float, float] | None:
    if not asked.near_lat and not asked.near_lon:
        return None
    try:
        latitude, longitude = float(asked.near_lat), float(asked.near_lon)
    except ValueError:
        latitude = longitude = math.nan
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise Problem(400, "near_lat, near_lon: Send degrees, such as 53.35 and -6.26.")
    return latitude, longitude
