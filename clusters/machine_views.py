"""A node's machine: what the console is told of it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from clusters import actions
from clusters.machine_form import MachineForm
from clusters.models import Cluster
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import dialog_done, dialog_form, posted


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_machine(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Say whose packages the machine has, as whom PostgreSQL runs there, and in what its databases differ."""
    clusters = Cluster.objects.visible_to(request.membership)
    cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    node = get_object_or_404(cluster.nodes, name=name)
    form = MachineForm(posted(request), node=node, databases=cluster.databases_in(node.repository_folder))
    if form.is_bound and form.is_valid():
        actions.describe_machine(node, differences=form.differences, by=request.user)
        message = gettext("{name} has new files: download the set-up script again, and run it there.").format(name=name)
        return dialog_done(request, node.get_absolute_url(), "clusters-changed", message=message)
    return dialog_form(request, "clusters/node_machine.html", {"form": form, "cluster": cluster, "node": node})
