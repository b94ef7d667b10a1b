"""Nodes are added, changed and removed, and handed their files: by the actions and the forms of the pages."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from clusters import actions, replication_actions
from clusters.addresses import report_address
from clusters.forms import AddNodesForm, ForgetNodeForm, NodeForm, NodeStoresForm, RemoveNodesForm
from clusters.machine_form import PARTS as OF_A_DATABASE
from clusters.machine_form import MachineForm
from clusters.models import Cluster
from clusters.node_setup import NodeSetup
from clusters.replication_forms import ReplicationForm
from clusters.repositories.removed import removed_nodes
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, changes, creates, hands_out, reads, takes_away
from console.api.cluster_rows import NAMES, changing, filled, find, named, setup_of, told
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.web.pages import text_file

MANAGE = Permission.MANAGE_CLUSTERS
NODE = "/clusters/{uuid:pk}/nodes/{slug:name}"
Given = dict[str, Any]


@reads(NODE, Permission.SEE_STORES, asks.NodeDetail)
def get_node(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Show one node and what it is handed, with each secret hidden."""
    cluster = find(request, pk)
    setup = setup_of(cluster, name)
    own = next((shown.policy(one) for one in cluster.policies.all() if one.node_id == setup.node.pk), None)
    stores = {one.pk: str(one.store_id) for one in cluster.attachments.all()}
    names = {one.pk: one.name for one in cluster.databases.all()}
    content = {
        **shown.node(setup.node, own, stores),
        "configuration": setup.state,
        "sha256": setup.sha256,
        "pgbackrest_conf": setup.masked,
        "troubles": setup.troubles,
        "differences": [
            {"database": names[one.database_id], **{part: getattr(one, part) for part in OF_A_DATABASE}}
            for one in setup.node.differences.all()
        ],
    }
    return answered(content)


@creates("/clusters/{uuid:pk}/nodes", MANAGE, shapes.Cluster, status=201)
@once
def add_nodes(request: CallRequest, pk: UUID, asked: asks.NewNodes) -> HttpResponse:
    """Add nodes, one in each region, as primaries or as standbys of a node."""
    with changing(request, pk) as cluster:
        form = AddNodesForm(asked.model_dump(), cluster=cluster)
        if not form.is_valid():
            raise of_form(form)
        actions.add_nodes(cluster, regions=form.cleaned_data["regions"], first=form.first, by=request.person)
        return told(request, pk, status=201)


@takes_away(NODE, MANAGE, shapes.Cluster, match="must")
def remove_node(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Remove a node; its backups stay in the stores. The last one is never removed."""
    with changing(request, pk, must=True) as cluster:
        named(cluster, name)
        form = RemoveNodesForm({"nodes": [name]}, cluster=cluster)
        if not form.is_valid():
            raise of_form(form)
        actions.remove_nodes(cluster, names=form.cleaned_data["nodes"], by=request.person)
        return told(request, pk)


@takes_away("/clusters/{uuid:pk}/removed-nodes/{slug:name}", MANAGE, shapes.Cluster)
def forget_node(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Forget a removed node: once its folder was seen empty, or, for an owner, at any time."""
    with changing(request, pk) as cluster:
        get_object_or_404(cluster.removed_nodes, name=name)
        removed = next(one for one in removed_nodes(cluster) if one.node.name == name)
        may_anyway = Permission.LET_GO in request.token.may
        form = ForgetNodeForm({"name": name}, removed=removed, may_anyway=may_anyway)
        if not form.is_valid():
            raise Problem(409, " ".join(str(one) for found in form.errors.values() for one in found))
        actions.forget_node(removed.node, by=request.person)
        return told(request, pk)


# What of a node can be changed: each part by the form of its dialog


def _version(request: CallRequest, cluster: Cluster, name: str, given: Given) -> None:
    node = named(cluster, name)
    form = NodeForm(given, instance=node)
    if not form.is_valid():
        raise of_form(form)
    actions.choose_version(node, version=node.pgbackrest_version, by=request.person)


def _machine(request: CallRequest, cluster: Cluster, name: str, given: Given) -> None:
    node = named(cluster, name)
    databases = cluster.databases_in(node.repository_folder)
    sent, pointers = filled(node, ("system", "os_user"), given), {}
    there: list[Given] = [
        {"database": one.database.name, **{part: getattr(one, part) for part in OF_A_DATABASE}}
        for one in node.differences.select_related("database")
    ]
    for at, one in enumerate(given.get("differences", there)):
        if one["database"] not in {each.name for each in databases}:
            raise fields([(f"/differences/{at}/database", "The cluster has no such database.")])
        for part in OF_A_DATABASE:
            sent[f"{one['database']}.{part}"] = "" if one.get(part) is None else one[part]
            pointers[f"{one['database']}.{part}"] = f"differences/{at}/{part}"
    form = MachineForm(sent, node=node, databases=databases)
    if not form.is_valid():
        raise of_form(form, pointers)
    actions.describe_machine(node, differences=form.differences, by=request.person)


def _replication(request: CallRequest, cluster: Cluster, name: str, given: Given) -> None:
    node = named(cluster, name)
    usual = ReplicationForm(cluster=cluster, node=node)["follows"].initial
    sent = {"follows": usual, **filled(node, ("address", "ssh_port"), given), **given}
    form = ReplicationForm(sent, cluster=cluster, node=node)
    if not form.is_valid():
        raise of_form(form)
    data = form.cleaned_data
    wanted = {one: data[one] for one in ("address", "ssh_port", "leaves_own")}
    try:
        replication_actions.follow(node, form.first, **wanted, by=request.person)
    except replication_actions.HoldsBackups as error:
        raise fields([("/leaves_own", str(error))]) from error


def _stores(request: CallRequest, cluster: Cluster, name: str, given: Given) -> None:
    node = setup_of(cluster, name).first.node
    sent = {"choice": given.get("writes_to", ""), "backup_stores": [str(one) for one in given.get("store_ids", [])]}
    form = NodeStoresForm(sent, cluster=cluster, node=node)
    if not form.is_valid():
        raise of_form(form, {**NAMES, "choice": "writes_to"})
    wanted = form.cleaned_data
    actions.write_to(node, choice=wanted["choice"], stores=wanted["backup_stores"], by=request.person)


DONE_BY: dict[Callable[..., None], frozenset[str]] = {
    _version: frozenset({"pgbackrest_version"}),
    _machine: frozenset({"system", "os_user", "differences"}),
    _replication: frozenset({"follows", "leaves_own", "address", "ssh_port"}),
    _stores: frozenset({"writes_to", "store_ids"}),
}


@changes(NODE, MANAGE, shapes.Cluster, match="may")
def change_node(request: CallRequest, pk: UUID, name: str, asked: asks.NodeChange) -> HttpResponse:
    """Change what a node's machine is like, whose standby it is, and which stores it writes to: all of it or nothing.

    Stores are chosen for all hosts of its replication.
    """
    given = asked.model_dump(exclude_unset=True)
    with changing(request, pk) as cluster:
        named(cluster, name)
        for part, names in DONE_BY.items():
            if mine := {one: value for one, value in given.items() if one in names}:
                part(request, find(request, pk), name, mine)
        return told(request, pk)


# What a node is handed


def _complete(request: CallRequest, pk: UUID, name: str) -> NodeSetup:
    """Return what the node is handed; raises Problem for files that pgBackRest could not work with."""
    setup = setup_of(find(request, pk), name)
    if setup.missing:
        raise Problem(409, setup.missing)
    return setup


@hands_out(f"{NODE}/setup.sh", Permission.SEE_SECRETS)
@never_cache
def get_setup_script(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Hand out the script that puts all files of a node in their places, with their secrets; it is written down."""
    setup = _complete(request, pk, name)
    actions.hand_out(setup, "the set-up script with its secrets", by=request.person)
    return text_file(setup.setup(report_address(request, setup.node)), setup.layout.script(name))


@hands_out(f"{NODE}/pgbackrest.conf", Permission.SEE_SECRETS)
@never_cache
def get_configuration(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Hand out a node's pgbackrest.conf, with its secrets; it is written down."""
    setup = _complete(request, pk, name)
    actions.hand_out(setup, "pgbackrest.conf with its secrets", by=request.person)
    return text_file(setup.configuration.render(secrets=True), "pgbackrest.conf")


@hands_out(f"{NODE}/crontab", Permission.SEE_STORES)
def get_crontab(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Hand out a node's schedule for cron."""
    file = setup_of(find(request, pk), name).crontab
    return text_file(file.content, file.path.rsplit("/", 1)[1])


@hands_out(f"{NODE}/timers.sh", Permission.SEE_STORES)
def get_timers_script(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Hand out the script that installs a node's schedule as systemd's timers."""
    setup = setup_of(find(request, pk), name)
    return text_file(setup.timers_script, setup.layout.script(name, "timers"))
