"""Which node is a standby of which, and how WAL is archived."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from clusters import replication_actions
from clusters.models import Cluster, Node
from clusters.node_setup import node_setups, policy_of
from clusters.replication import first_host, holds_own, replicating
from clusters.replication_forms import ArchivingForm, ReplicationForm
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import dialog_done, dialog_form, posted


def _cluster_and_node(request: MemberRequest, pk: UUID, name: str) -> tuple[Cluster, Node]:
    clusters = Cluster.objects.visible_to(request.membership)
    node = get_object_or_404(Node, cluster__in=clusters, cluster=pk, name=name)
    cluster = clusters.with_node_setup().get(pk=pk)
    return cluster, next(one for one in cluster.nodes.all() if one.pk == node.pk)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_replication(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Say whose standby the node is: then it shares that one's folder in each store."""
    cluster, node = _cluster_and_node(request, pk, name)
    form = ReplicationForm(posted(request), cluster=cluster, node=node)
    if form.is_bound and form.is_valid():
        how = {name: form.cleaned_data[name] for name in ("address", "ssh_port", "leaves_own")}
        try:
            replication_actions.follow(node, form.first, **how, by=request.user)
        except replication_actions.HoldsBackups as error:
            form.add_error("leaves_own", str(error))
        except replication_actions.FollowRefused as error:
            form.add_error("follows", str(error))
        else:
            words = f"is a standby of {form.first}" if form.first else "has its own folder"
            message = gettext("{name} {words}: apply the new files on all its hosts.").format(name=name, words=words)
            return dialog_done(request, node.get_absolute_url(), "clusters-changed", message=message)
    setup = next(one for one in node_setups(cluster) if one.node.pk == node.pk)
    context = {
        "form": form,
        "cluster": cluster,
        "node": node,
        "node_setup": setup,
        "holds_own": form.was_first and holds_own(cluster, node),
    }
    return dialog_form(request, "clusters/node_replication.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def archiving(request: MemberRequest, pk: UUID, name: str = "") -> HttpResponse:
    """Set how the cluster, or one node and the hosts of its replication, archive and where backups are made."""
    if name:
        cluster, asked = _cluster_and_node(request, pk, name)
        node, back = first_host(cluster, asked), asked.get_absolute_url()
    else:
        cluster = get_object_or_404(Cluster.objects.visible_to(request.membership).with_node_setup(), pk=pk)
        node, back = None, cluster.get_absolute_url()
    found = policy_of(cluster, node) if node else cluster.policy
    own = bool(node and found.node_id)
    there = replicating(cluster, node)
    form = ArchivingForm(posted(request), instance=found, there=there)
    if form.is_bound and form.is_valid():
        replication_actions.plan_archiving(cluster, node, by=request.user, **form.cleaned_data)
        message = gettext("{value} archives anew: apply the new files on the nodes.").format(value=node or cluster)
        return dialog_done(request, back, "clusters-changed", message=message)
    context = {"form": form, "cluster": cluster, "node": node, "own": own, "back": back, "there": there}
    return dialog_form(request, "clusters/archiving.html", context)
