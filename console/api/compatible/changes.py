"""What a client declares of a cluster: nodes by the names that it has given them, stores, and what is only kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from clusters import actions
from clusters.forms import chosen_stores, known_regions
from clusters.models import Attachment, Cluster, Node
from console.accounts import activity
from console.api.authentication import CallRequest
from console.api.compatible import shapes, shown
from console.api.problems import Problem

NOT_AVAILABLE = "backup store is not available to the cluster"


def keep(cluster: Cluster, said: Mapping[str, Any]) -> None:
    """Keep what was declared."""
    Cluster.objects.filter(pk=cluster.pk).update(declared=said)


def declared(
    before: Mapping[str, Any], asked: shapes.ClusterSettings, named: Mapping[str, shapes.NodeSettings]
) -> dict[str, Any]:
    """Return what is known of a cluster beside what the console does: `named` are its nodes by the console's names.

    What is null or absent stays as it was, and so do nodes and networks where none is sent.
    """
    given = asked.model_dump(mode="json", exclude_none=True, include={*shown.MADE_SETTINGS})
    if not given.get("networks"):
        given.pop("networks", None)
    said = {**before, **given, "regions": asked.regions}
    if named:
        said["nodes"] = {name: one.model_dump(mode="json", exclude_none=True) for name, one in named.items()}
    if asked.backup_store_ids is not None:
        said["backup_store_ids"] = [one.lower() for one in asked.backup_store_ids]
    return said


def as_written(sent: Sequence[str], codes: Sequence[str]) -> None:
    """Raise Problem for a region that is called otherwise here: what was sent has to come back."""
    for text, code in zip(sent, codes, strict=True):
        if text != code:
            raise Problem(400, f"regions: Write {text} as {code}.")


def named_once(nodes: Iterable[shapes.NodeSettings]) -> None:
    """Raise Problem for two nodes of one name."""
    names = [one.name for one in nodes if one.name]
    if twice := next((one for one in names if names.count(one) > 1), ""):
        raise Problem(400, f"nodes: There are two nodes {twice}.")


def change(cluster: Cluster, asked: shapes.ChangedCluster, request: CallRequest) -> None:
    """Do what is asked, and begin one task: call it in a transaction, which whatever is refused rolls back.

    Raises Problem and what the actions raise.
    """
    # Held first: of two that change it, the second finds it busy.
    now = Cluster.objects.select_for_update().get(pk=cluster.pk)
    _same(now, asked)
    if now.is_busy:
        raise Problem(409, f"{now.name} is busy: a task is working on it. Wait until it ends.")
    said = now.declared or {}
    named = _nodes(now, asked.nodes, said, request) if asked.nodes else {}
    keep(now, declared(said, asked, named))
    if asked.backup_store_ids is None or not _stores(now, asked.backup_store_ids, request):
        now.refresh_from_db(fields=["state", "operation"])
        actions.repair(now, by=request.person)


def _same(cluster: Cluster, asked: shapes.ChangedCluster) -> None:
    account = asked.cloud_account_id or (asked.cloud_account.id if asked.cloud_account else "")
    if asked.name not in {None, cluster.name}:
        raise Problem(400, f"name: A cluster keeps its name, {cluster.name}.")
    if account and account.lower() != str(cluster.cloud_account_id):
        raise Problem(400, "cloud_account_id: A cluster stays in its account.")


def _stores(cluster: Cluster, ids: Sequence[str], request: CallRequest) -> bool:
    """Begin to attach and detach until the cluster has exactly these stores; False when it has them already."""
    field = forms.UUIDField()
    there = {
        one.store_id: one.store.name
        for one in Attachment.objects.filter(cluster=cluster).select_related("store")
        if one.state != Attachment.State.DETACHING
    }
    try:
        wanted = [key for text in ids if (key := field.clean(text))]
        stores = chosen_stores(wanted, request.membership, cluster.cloud_account, {*there})
        begun = actions.update_stores(cluster, stores=stores, by=request.person)
    except (forms.ValidationError, actions.NotAttachable) as error:
        why = " ".join(error.messages) if isinstance(error, forms.ValidationError) else str(error)
        raise Problem(400, f"{NOT_AVAILABLE}: {why}") from error
    if left := sorted(name for pk, name in there.items() if pk not in {store.pk for store in stores}):
        # On the page somebody reads what that costs and says yes; here the plan was the yes.
        activity.record(
            "Detached stores over the compatible API",
            cluster,
            organisation=cluster.organisation,
            by=request.person,
            before={"stores": left},
        )
    return begun


def _nodes(
    cluster: Cluster, sent: Sequence[shapes.NodeSettings], said: Mapping[str, Any], request: CallRequest
) -> dict[str, shapes.NodeSettings]:
    """Add and remove nodes until there are those that were sent; returns these by the console's names."""
    named_once(sent)
    there = {shown.node_name(one, said): one for one in cluster.nodes.all()}
    kept = {there[one.name].name: one for one in sent if one.name in there}
    for name, one in kept.items():
        _stays(next(node for node in there.values() if node.name == name), one)
    new = [one for one in sent if one.name not in there]
    added: list[str] = []
    if new:
        regions = [one.region for one in new]
        try:
            codes = known_regions(regions, cluster.cloud_account)
        except forms.ValidationError as error:
            raise Problem(400, f"nodes: {' '.join(error.messages)}") from error
        as_written(regions, codes)
        added = actions.add_nodes(cluster, regions=codes, by=request.person)
    if gone := [node.name for node in cluster.nodes.all() if node.name not in {*kept, *added}]:
        actions.remove_nodes(cluster, names=gone, by=request.person)
    return {**kept, **dict(zip(added, new, strict=True))}


def _stays(node: Node, sent: shapes.NodeSettings) -> None:
    if sent.region != node.region:
        raise Problem(400, f"nodes: {sent.name} stays in {node.region}. Remove it, and add another one.")
