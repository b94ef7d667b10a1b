"""Clusters are created, changed and deleted: by the actions and the forms of the pages."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query

from clusters import actions, replication_actions
from clusters.bring_in import hand_over as handing
from clusters.bring_in.forms import GIVEN, OWN, HandOverForm, TakeBackForm
from clusters.choice import options, planned_nodes, verdict
from clusters.forms import ClusterForm, DatabaseForm, DeleteClusterForm, PolicyForm, StoresForm, known_regions
from clusters.health.forms import AlarmForm
from clusters.models import BackupPolicy, Cluster, Database, Node
from clusters.node_setup import policy_of
from clusters.proximity import METHOD, Verdict
from clusters.replication import first_host, replicating
from clusters.replication_forms import ArchivingForm
from clusters.repositories.retained import left_behind
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.calls import answered, changes, creates, deletes, does, sets, takes_away
from console.api.cluster_rows import NAMES, begun, changing, filled, find, named, need_match, refusing, told
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.cloud_accounts.actions import InUse
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import retry

MANAGE = Permission.MANAGE_CLUSTERS
SCHEDULES = {*HandOverForm.Meta.fields}
KEY_NAMES = {"left": "left_seen", "own": "own_key"}  # what the form of a hand-over calls otherwise
NAME_TAKEN = "A cluster of this name exists. Choose another name."


@creates("/clusters", MANAGE, shapes.Cluster)
@once
def create_cluster(request: CallRequest, asked: asks.NewCluster) -> HttpResponse:
    """Create a cluster with a node in each region, its databases, and stores that a worker attaches."""
    given = {
        "name": asked.name,
        "cloud_account": str(asked.cloud_account_id),
        "regions": asked.regions,
        "is_replication": asked.is_replication,
        "backup_stores": [str(one) for one in asked.store_ids],
    }
    form = ClusterForm(given, membership=request.membership)
    if not form.is_valid():
        raise of_form(form, NAMES)
    data = form.cleaned_data
    wanted = {"name": data["name"], "regions": data["regions"], "is_replication": data["is_replication"]}
    with transaction.atomic(), refusing():
        try:
            cluster = actions.create(data["cloud_account"], **wanted, stores=data["backup_stores"], by=request.person)
        except actions.NameTaken as error:
            raise fields([("/name", NAME_TAKEN)]) from error
        for at, one in enumerate(asked.databases):
            _add(request, cluster, one, below=f"/databases/{at}")
        return begun(request, cluster.pk)


def _add(request: CallRequest, cluster: Cluster, asked: asks.NewDatabase, *, below: str = "") -> None:
    """Add a database; raises Problem, which points below that object."""
    given = {**asked.model_dump(exclude={"postgresql"}), "version": asked.postgresql}
    form = DatabaseForm(given, instance=Database(cluster=cluster))
    if not form.is_valid():
        raise of_form(form, {"version": "postgresql"}, below=below)
    try:
        actions.add_database(cluster, form.instance, by=request.person)
    except IntegrityError as error:
        raise Problem(409, "Somebody added a database like it at the same time. Read the cluster again.") from error
    except actions.NotAttachable as error:
        raise fields([(f"{below}/name", str(error))]) from error


@changes("/clusters/{uuid:pk}", MANAGE, shapes.Cluster, match="may")
def change_cluster(request: CallRequest, pk: UUID, asked: asks.ClusterChange) -> HttpResponse:
    """Say how old the newest restorable moment may be (RPO), and within how many days a restore is to be proved."""
    given = asked.model_dump(exclude_unset=True)
    with changing(request, pk) as cluster:
        kept = filled(cluster, ("rpo_minutes", "proof_days"), given)
        sent = {"rpo": kept["rpo_minutes"], "rpo_unit": "minutes", "proof_days": kept["proof_days"]}
        form = AlarmForm(sent, instance=cluster)
        if not form.is_valid():
            raise of_form(form, NAMES)
        wanted = {name: form.cleaned_data[name] for name in ("rpo_minutes", "proof_days")}
        actions.alarm_when(cluster, by=request.person, **wanted)
        return told(request, pk)


@deletes("/clusters/{uuid:pk}", MANAGE, shapes.Cluster, asked=asks.ClusterDeletion, match="must")
def delete_cluster(request: CallRequest, pk: UUID, asked: Query[asks.ClusterDeletion]) -> HttpResponse:
    """Begin to delete a cluster: refused while stores are attached. Backups stay, and so do their passphrases."""
    with changing(request, pk, must=True) as cluster:
        given = {"name": cluster.name, "kit": asked.kit_taken}  # its ID and its ETag were sent: no name is typed
        form = DeleteClusterForm(given, cluster=cluster, leaves=bool(left_behind(cluster)))
        if not form.is_valid():
            raise of_form(form, {"kit": "kit_taken"})
        try:
            actions.delete(cluster, by=request.person)
        except InUse as error:
            said = f"Stores are attached to {cluster.name}: {error}. Take them off first; nothing was changed."
            raise Problem(409, said) from error
        return begun(request, pk)


@does("/clusters/{uuid:pk}/retry", MANAGE, shapes.Cluster, status=202)
@once
def retry_cluster(request: CallRequest, pk: UUID, asked: asks.Nothing) -> HttpResponse:
    """Try again what failed."""
    with changing(request, pk) as cluster:
        retry(cluster, by=request.person)
        return begun(request, pk)


@does("/clusters/{uuid:pk}/repair", MANAGE, shapes.Cluster, status=202)
@once
def repair_cluster(request: CallRequest, pk: UUID, asked: asks.Nothing) -> HttpResponse:
    """Give the nodes again what they should have in the cloud."""
    with changing(request, pk) as cluster:
        actions.repair(cluster, by=request.person)
        return begun(request, pk)


@does("/clusters/{uuid:pk}/backups/refresh", Permission.SEE_STORES, shapes.Cluster)
def refresh_backups(request: CallRequest, pk: UUID, asked: asks.Nothing) -> HttpResponse:
    """Have workers look into the cluster's repositories now."""
    actions.look_into_backups(get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk))
    return told(request, pk)


# Its stores


def _stores_form(request: CallRequest, cluster: Cluster, asked: asks.StoreSet) -> StoresForm:
    given = {
        "backup_stores": [str(one) for one in asked.store_ids],
        "version": cluster.version,
        "confirmed": " ".join(sorted(str(one) for one in asked.detach)),
    }
    return StoresForm(given, membership=request.membership, cluster=cluster)


@does("/clusters/{uuid:pk}/attachments/preview", MANAGE, asks.StorePreview)
def preview_stores(request: CallRequest, pk: UUID, asked: asks.StoreSet) -> HttpResponse:
    """Say what a set of stores would attach and detach, and what detaching means; nothing is changed."""
    cluster = find(request, pk)
    form = _stores_form(request, cluster, asked)
    if not form.is_valid() and not form.warnings:
        raise of_form(form, NAMES)
    wanted, has = {*asked.store_ids}, form.attached
    content = {
        "attach": sorted(str(one) for one in wanted - has),
        "detach": sorted(str(one) for one in has - wanted),
        "consequences": form.warnings,
    }
    return answered(content)


@sets("/clusters/{uuid:pk}/attachments", MANAGE, shapes.Cluster, statuses=(200, 202), match="may")
def set_stores(request: CallRequest, pk: UUID, asked: asks.StoreSet) -> HttpResponse:
    """Begin to attach and detach until the cluster has exactly these stores (202); 200 when it has them already.

    To detach some, name them in `detach`, and send If-Match; /attachments/preview says before what that means.
    """
    with changing(request, pk) as cluster:
        form = _stores_form(request, cluster, asked)
        is_valid = form.is_valid()
        if form.warnings:
            need_match(request)
        if form.warnings and not is_valid:
            said = f"Send the IDs of exactly what is detached, {form.names}, once you have read what that means."
            raise fields([("/detach", said), *(("/detach", one) for one in form.warnings)])
        if not is_valid:
            raise of_form(form, NAMES)
        wanted = form.cleaned_data["backup_stores"]
        if not actions.update_stores(cluster, stores=wanted, version=cluster.version, by=request.person):
            return told(request, pk)
        return begun(request, pk)


# Its databases


@creates("/clusters/{uuid:pk}/databases", MANAGE, shapes.Cluster, status=201)
@once
def add_database(request: CallRequest, pk: UUID, asked: asks.NewDatabase) -> HttpResponse:
    """Add a database, which every node runs: a stanza on each."""
    with changing(request, pk) as cluster:
        _add(request, cluster, asked)
        return told(request, pk, status=201)


@takes_away("/clusters/{uuid:pk}/databases/{slug:name}", MANAGE, shapes.Cluster, match="must")
def remove_database(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Forget a database; nothing on the nodes or in the stores changes."""
    with changing(request, pk, must=True) as cluster:
        actions.remove_database(get_object_or_404(cluster.databases, name=name), by=request.person)
        return told(request, pk)


# How backups are kept and made


def _plan(request: CallRequest, cluster: Cluster, node: Node | None, asked: asks.PolicyChange) -> None:
    """Change what of the policy is sent: retention and schedules by one form, archiving by another, as on the pages."""
    given = asked.model_dump(exclude_unset=True)
    found = policy_of(cluster, node) if node else cluster.policy
    planned: dict[str, Any] = {name: value for name, value in given.items() if name in PolicyForm.Meta.fields}
    archived = {name: value for name, value in given.items() if name not in planned}
    there = replicating(cluster, node)
    if "backup_from" in archived and not there:
        raise fields([("/backup_from", "No node of it has a standby, so there is nothing to choose.")])
    if planned:
        form = PolicyForm(filled(found, PolicyForm.Meta.fields, planned), instance=found)
        if not form.is_valid():
            raise of_form(form)
        actions.plan_backups(cluster, node, by=request.person, **form.cleaned_data)
    if archived:
        sent = filled(found, ArchivingForm.Meta.fields, archived)
        archiving = ArchivingForm(sent, instance=found, there=there)
        if not archiving.is_valid():
            raise of_form(archiving)
        replication_actions.plan_archiving(cluster, node, by=request.person, **archiving.cleaned_data)


@changes("/clusters/{uuid:pk}/policy", MANAGE, shapes.Cluster, match="may")
def plan_cluster(request: CallRequest, pk: UUID, asked: asks.PolicyChange) -> HttpResponse:
    """Set retention, schedules and archiving of the cluster; nodes with a policy of their own keep it."""
    with changing(request, pk) as cluster:
        _plan(request, cluster, None, asked)
        return told(request, pk)


@changes("/clusters/{uuid:pk}/nodes/{slug:name}/policy", MANAGE, shapes.Cluster, match="may")
def plan_node(request: CallRequest, pk: UUID, name: str, asked: asks.PolicyChange) -> HttpResponse:
    """Set retention, schedules and archiving of one node, and of the hosts of its replication."""
    with changing(request, pk) as cluster:
        _plan(request, cluster, first_host(cluster, named(cluster, name)), asked)
        return told(request, pk)


@takes_away("/clusters/{uuid:pk}/nodes/{slug:name}/policy", MANAGE, shapes.Cluster, match="may")
def follow_cluster(request: CallRequest, pk: UUID, name: str) -> HttpResponse:
    """Have a node follow its cluster's policy again."""
    with changing(request, pk) as cluster:
        actions.follow_cluster(first_host(cluster, named(cluster, name)), by=request.person)
        return told(request, pk)


# What was brought in


def _hand_over_form(cluster: Cluster, asked: asks.HandOver) -> HandOverForm:
    """Return the form, which is valid; raises Problem."""
    if getattr(cluster, "brought_in", None) is None:
        raise Problem(409, f"{cluster.name} was not brought in: there is nothing to hand over.")
    policy, usual = cluster.policy, BackupPolicy()
    policy.full_schedule, policy.incr_schedule = usual.full_schedule, usual.incr_schedule
    sent = filled(policy, HandOverForm.Meta.fields, asked.model_dump(include=SCHEDULES, exclude_unset=True))
    sent |= {"left": asked.left_seen, "own": asked.own_key, "anyway": asked.save_anyway}
    sent |= {"access": OWN if asked.own_key else GIVEN}
    form = HandOverForm(sent, leaves=bool(cluster.brought_in.file.get("left")), instance=policy)
    if not form.is_valid():
        raise of_form(form, KEY_NAMES)
    return form


def _own(cluster: Cluster, form: HandOverForm) -> tuple[handing.Own | None, list[str]]:
    """Return the node's own keys, which the cloud has tried, and what they may beyond that; raises Problem."""
    if not form.is_own:
        return None, []
    with refusing():
        if why := handing.refusal(cluster):
            raise handing.Refused(why)
    try:
        own = handing.own_keys(cluster, form.cleaned_data["own"])
    except handing.Refused as error:
        raise fields([("/own_key", str(error))]) from error
    trial = handing.try_own(cluster, own)
    if not form.accepts(trial):
        raise of_form(form, KEY_NAMES)
    return own, [*trial.broad, *trial.left]


@does("/clusters/{uuid:pk}/hand-over", MANAGE, asks.HandedOver, status=202)
@once
def hand_over(request: CallRequest, pk: UUID, asked: asks.HandOver) -> HttpResponse:
    """Begin to hand the node of a repository over that was brought in: the console plans its backups from then on."""
    cluster = find(request, pk)
    form = _hand_over_form(cluster, asked)
    own, warnings = _own(cluster, form)  # before the cluster is held: the cloud is asked
    with changing(request, pk) as cluster:
        schedules = {one: form.cleaned_data[one] for one in HandOverForm.Meta.fields}
        handing.hand_over(cluster, schedules=schedules, own=own, by=request.person)
        return begun(request, pk, warnings=warnings)


@does("/clusters/{uuid:pk}/hand-over/back", MANAGE, shapes.Cluster, status=202)
@once
def take_hand_over_back(request: CallRequest, pk: UUID, asked: asks.TakeBack) -> HttpResponse:
    """Begin to go back to watching a cluster that was handed over: its nodes lose the access that they were given."""
    with changing(request, pk) as cluster:
        if getattr(cluster, "brought_in", None) is None:
            raise Problem(409, f"{cluster.name} was not brought in: there is no hand-over to take back.")
        form = TakeBackForm({"done": asked.done})
        if not form.is_valid():
            raise of_form(form)
        handing.take_back(cluster, by=request.person)
        return begun(request, pk)


# Which store is near which node


@does("/proximity", Permission.SEE_STORES, asks.Proximity)
def judge_proximity(request: CallRequest, asked: asks.ProximityQuestion) -> HttpResponse:
    """Say how far each node would archive, of a cluster or of one that is planned; nothing is changed."""
    if (asked.cluster_id is None) == (asked.cloud_account_id is None):
        raise fields([("/cluster_id", "Send cluster_id, or cloud_account_id and regions.")])
    if asked.cluster_id:
        mine = Cluster.objects.visible_to(request.membership).with_story().filter(pk=asked.cluster_id)
        cluster = mine.first()
        if cluster is None:
            raise fields([("/cluster_id", "There is no such cluster.")])
        account, nodes = cluster.cloud_account, cluster.places
    else:
        known = CloudAccount.objects.visible_to(request.membership).filter(pk=asked.cloud_account_id).first()
        if known is None:
            raise fields([("/cloud_account_id", "There is no such linked account.")])
        try:
            account, nodes = known, planned_nodes(known, known_regions(asked.regions, known))
        except ValidationError as error:
            raise fields([("/regions", " ".join(error.messages))]) from error
    found = options(account, nodes, chosen={str(one) for one in asked.store_ids})
    return answered(_proximity(verdict(nodes, found)))


def _proximity(said: Verdict) -> dict[str, Any]:
    nodes = [
        {
            "node": one.node,
            "region": one.region.code,
            "store_id": str(UUID(one.store.id)) if one.store else None,
            "store_region": one.store.region.code if one.store else "",
            "km": one.km if one.store else None,
            "round_trip_ms": one.round_trip if one.store else None,
            "nearer_store_id": str(UUID(one.better.id)) if one.better else None,
            "nearer_km": one.better_km if one.better else None,
        }
        for one in said.reaches
    ]
    return {"sentence": said.sentence, "is_good": said.is_good, "nodes": nodes, "method": METHOD}
