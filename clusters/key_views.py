"""The nodes' keys, report tokens and passphrases are replaced; a key is made by hand where its server makes none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from clusters import actions, keys
from clusters.forms import KeyForm, ReplaceForm
from clusters.models import Cluster, Node, Repository
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.operations import outcomes
from console.operations.actions import NotNow
from console.web.pages import announced, dialog_done, dialog_form, posted


def _cluster(request: MemberRequest, pk: UUID) -> Cluster:
    clusters = Cluster.objects.visible_to(request.membership)
    found: Cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    return found


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def cluster_key(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Try the nodes' key, where their server makes none, and take it when it works; it is never shown again."""
    cluster = _cluster(request, pk)
    if not cluster.takes_key:
        raise Http404
    form = KeyForm(posted(request))
    if form.is_bound and form.is_valid():
        trial = keys.try_key(cluster, form.key)
        if form.accepts(trial):
            keys.give_key(cluster, by=request.user, trial=trial, **form.key)
            for one in [*trial.broad, *trial.left]:
                messages.warning(request, one)
            message = gettext("The nodes of {cluster} have a new key: apply their files.").format(cluster=cluster.name)
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    return dialog_form(request, "clusters/key.html", {"form": form, "cluster": cluster})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def key_replace(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Replace the nodes' key: by a second one beside it, or, after a theft, at once."""
    cluster = _cluster(request, pk)
    form = ReplaceForm(posted(request))
    if form.is_bound and form.is_valid():
        try:
            keys.replace_key(cluster, at_once=form.at_once, by=request.user)
        except NotNow as error:
            form.add_error(None, str(error))
        else:
            message, follow = (
                f"The key of {cluster.name}'s nodes is being replaced.",
                outcomes.address(cluster.operation),
            )
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message, follow=follow)
    context = {"form": form, "cluster": cluster, "key_ends": cluster.cloud.access.key_ends}
    return dialog_form(request, "clusters/key_replace.html", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def key_end(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End the former key though nodes have it, or say that it is deleted where somebody has to do that by hand."""
    cluster = _cluster(request, pk)
    form = Form(posted(request))
    if form.is_bound and form.is_valid():
        try:
            keys.end_former(cluster, by=request.user)
        except NotNow as error:
            form.add_error(None, str(error))
        else:
            said = "is deleted" if cluster.takes_key else "is being ended"
            message = gettext("The former key of {cluster}'s nodes {said}.").format(cluster=cluster.name, said=said)
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    context: dict[str, Any] = {"form": form, "cluster": cluster, "replacement": keys.replacement(cluster)}
    return dialog_form(request, "clusters/key_end.html", {**context, "key_ends": cluster.cloud.access.key_ends})


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def key_back(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Hand out the former key again."""
    cluster = _cluster(request, pk)
    try:
        keys.go_back(cluster, by=request.user)
    except NotNow as error:
        messages.error(request, str(error))
        return announced(request, cluster.get_absolute_url(), "clusters-changed")
    message = gettext("The former key of {cluster}'s nodes is handed out again.").format(cluster=cluster.name)
    return announced(request, cluster.get_absolute_url(), "clusters-changed", message=message)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_token(request: MemberRequest, pk: UUID, name: str) -> HttpResponse:
    """Give the node another token for its reports."""
    nodes = Node.objects.filter(cluster__in=Cluster.objects.visible_to(request.membership))
    node = get_object_or_404(nodes.select_related("cluster__organisation"), cluster=pk, name=name)
    form = ReplaceForm(posted(request))
    if form.is_bound and form.is_valid():
        keys.replace_token(node, at_once=form.at_once, by=request.user)
        if form.at_once:
            message = gettext(
                "{name} has a new token: until its report.sh is replaced, its reports are refused."
            ).format(name=name)
        else:
            message = gettext(
                "{name} has a new token. The former one is good until the first report with the new one."
            ).format(name=name)
        return dialog_done(request, node.get_absolute_url(), "clusters-changed", message=message)
    return dialog_form(request, "clusters/node_token.html", {"form": form, "cluster": node.cluster, "node": node})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def passphrase_replace(request: MemberRequest, pk: int) -> HttpResponse:
    """Have the nodes write into another folder of a store, with another passphrase."""
    rows = Repository.objects.visible_to(request.membership).in_use().select_related("cluster__cloud_account", "store")
    repository = get_object_or_404(rows, pk=pk)
    form = Form(posted(request))
    if form.is_bound and form.is_valid():
        try:
            made = actions.replace_passphrase(repository, by=request.user)
        except actions.NotAttachable as error:
            form.add_error(None, str(error))
        else:
            message = gettext(
                "{made} takes the place of {repository}: run the new set-up scripts, then the commands shown."
            ).format(made=made, repository=repository)
            back = reverse("clusters:detail", args=[made.cluster_id])
            return dialog_done(request, back, "clusters-changed", message=message)
    context = {"form": form, "cluster": repository.cluster, "repository": repository}
    return dialog_form(request, "clusters/passphrase_replace.html", context)
