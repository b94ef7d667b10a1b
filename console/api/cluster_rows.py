"""What all calls about clusters share: the row held while it is changed, its ETag, and refusals in their form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404

from clusters.actions import Changed, Kept, NodesRefused, NotAttachable
from clusters.bring_in.hand_over import Refused
from clusters.drills.actions import TooMany
from clusters.models import Cluster, Node
from clusters.node_setup import NodeSetup, node_setups
from clusters.replication_actions import FollowRefused
from console.api import shown
from console.api.authentication import CallRequest
from console.api.calls import answered
from console.api.problems import Problem
from console.api.reading import clusters
from console.operations.actions import NotNow

REFUSALS = (NotNow, NotAttachable, NodesRefused, FollowRefused, Kept, TooMany, Changed, Refused)
# What the forms of the pages call otherwise.
NAMES = {"cloud_account": "cloud_account_id", "backup_stores": "store_ids", "rpo": "rpo_minutes"}


def find(request: CallRequest, pk: UUID) -> Cluster:
    """Return the cluster with all that its nodes are handed; raises Http404, as for another organisation's."""
    mine = Cluster.objects.visible_to(request.membership)
    found: Cluster = get_object_or_404(mine.with_node_setup(), pk=pk)
    return found


def named(cluster: Cluster, name: str) -> Node:
    """Return the cluster's node of that name; raises Http404."""
    found = next((one for one in cluster.nodes.all() if one.name == name), None)
    if found is None:
        raise Http404
    return found


def setup_of(cluster: Cluster, name: str) -> NodeSetup:
    """Return what the node of that name is handed; raises Http404."""
    node = named(cluster, name)
    return next(one for one in node_setups(cluster) if one.node.pk == node.pk)


@contextmanager
def changing(request: CallRequest, pk: UUID, *, must: bool = False) -> Iterator[Cluster]:
    """Give the cluster, held until it is changed; what the actions refuse becomes a Problem, with nothing changed.

    Raises Problem 412 where If-Match is of something older, and 428 without it where `must` says so.
    """
    with transaction.atomic(), refusing():
        # Held first, so that of two with the same ETag the second sees what the first has done.
        get_object_or_404(Cluster.objects.visible_to(request.membership).select_for_update(), pk=pk)
        wanted = request.headers.get("If-Match", "")
        if must:
            need_match(request)
        if wanted not in {"", "*", shown.cluster_etag(_told(request, pk))}:
            raise Problem(412, "The cluster was changed since you read it. Nothing was changed now. Read it again.")
        yield find(request, pk)


def need_match(request: CallRequest) -> None:
    """Raise Problem for a call without If-Match."""
    if not request.headers.get("If-Match"):
        raise Problem(428, "This takes something away. Read the cluster, and send its ETag as If-Match.")


@contextmanager
def refusing() -> Iterator[None]:
    """Have what an action refuses answered with 409, in its words."""
    try:
        yield
    except REFUSALS as error:
        raise Problem(409, str(error)) from error


def _told(request: CallRequest, pk: UUID) -> dict[str, Any]:
    return shown.cluster(clusters(request.membership).get(pk=pk))


def told(request: CallRequest, pk: UUID, *, status: int = 200) -> HttpResponse:
    """Answer with the cluster as it is now."""
    content = _told(request, pk)
    return answered(content, status=status, etag=shown.cluster_etag(content))


def begun(request: CallRequest, pk: UUID, **more: Any) -> HttpResponse:
    """Answer with the cluster and where its task is: in the transaction that began it, since a worker may delete it.

    `more` is what the call's answer has beside the cluster.
    """
    content = _told(request, pk)
    location = f"/api/v1/tasks/{content['task']['id']}"
    return answered({**content, **more}, status=202, location=location, etag=shown.cluster_etag(content))


def filled(row: Any, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form is sent: what is given, and for the rest what the row says."""
    values = {name: given.get(name, getattr(row, name)) for name in names}
    return {name: "" if value is None else value for name, value in values.items()}
