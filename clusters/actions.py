"""What can be done to a cluster, for views, the admin and commands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django.utils.translation import gettext

from clusters import keys
from clusters.models import (
    NODES_AT_MOST,
    REPOSITORIES_AT_MOST,
    Attachment,
    BackupPolicy,
    BroughtIn,
    Cluster,
    Database,
    Node,
    NodeDatabase,
    RemovedNode,
    Repository,
)
from clusters.node_setup import NodeSetup, pass_on
from clusters.pgbackrest.schedules import KINDS
from clusters.recovery.kit import RepositoryKit, kit_of
from clusters.repositories import inventory, memory
from clusters.repositories.retained import kept_by
from console.accounts import activity
from console.accounts.models import User
from console.cloud_accounts.actions import InUse, Use
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import ask, begin
from console.restoration import models as restoration
from console.web.natural import Natural
from stores.models import State, Store

RETENTION = ("retention_type", "retention_full", "retention_diff")


class NameTaken(Exception):
    """Another cluster of the organisation has the name."""


class NotAttachable(Exception):
    """Some of the stores cannot be attached; the message names them and says why."""


class Changed(Exception):
    """Somebody else has changed the cluster's stores since they were read."""


class Kept(Exception):
    """The repository is needed; the message says what for, and what to do."""


class NodesRefused(Exception):
    """The nodes cannot be added or removed; the message says why."""


def create(
    account: CloudAccount,
    *,
    name: str,
    regions: Sequence[str],
    stores: Collection[Store],
    is_replication: bool = False,
    by: User | None,
) -> Cluster:
    """Write the cluster down with its nodes, and begin to attach the stores; raises NameTaken or NotAttachable.

    In a replication the first node is the primary, and the others share its folder.
    """
    try:
        with transaction.atomic():
            cluster = Cluster.objects.create(
                organisation_id=account.organisation_id, cloud_account=account, name=name, nodes_made=len(regions)
            )
            Node.objects.bulk_create(
                Node(cluster=cluster, name=f"n{number}", region=region, folder="n1" if is_replication else "")
                for number, region in enumerate(regions, 1)
            )
            _attach(cluster, stores)
            begin(cluster, "create", by=by)
    except IntegrityError as error:
        if Cluster.objects.filter(organisation_id=account.organisation_id).named(name).exists():
            raise NameTaken from error
        raise
    return cluster


def update_stores(cluster: Cluster, *, stores: Collection[Store], version: int | None = None, by: User | None) -> bool:
    """Begin to attach and detach until the cluster has exactly these stores; False when it has them already.

    `version` is that of the choice that was shown: raises Changed when it is no longer the latest. Raises NotAttachable
    and NotNow; nothing is changed then.
    """
    with transaction.atomic():
        # Taken before anything is read, so that of two administrators the second one waits, and then is told.
        shown = {} if version is None else {"version": version}
        if not Cluster.objects.filter(pk=cluster.pk, **shown).update(version=F("version") + 1):
            raise Changed
        # Asked anew: what came with the cluster was read before the lock.
        there = {one.store_id: one for one in Attachment.objects.filter(cluster=cluster)}
        wanted = {store.pk for store in stores}
        kept = {pk for pk, one in there.items() if one.state == Attachment.State.ATTACHED}
        if kept == wanted and len(there) == len(kept):
            transaction.set_rollback(True)
            return False
        memory.note_setup(cluster)
        cluster.attachments.exclude(store__in=wanted).update(state=Attachment.State.DETACHING)
        cluster.attachments.filter(store__in=wanted, state=Attachment.State.DETACHING).update(
            state=Attachment.State.ATTACHING
        )
        _attach(cluster, [store for store in stores if store.pk not in there])
        begin(cluster, "update", by=by)
    return True


def _attach(cluster: Cluster, stores: Collection[Store]) -> None:
    """Write attachments down. The stores' rows are locked, so that none of them can begin to be deleted meanwhile."""
    account = cluster.cloud_account
    locked = Store.objects.select_for_update().filter(pk__in=[store.pk for store in stores]).order_by("pk")
    found = {store.pk: store for store in locked}
    for store in stores:
        now = found.get(store.pk)
        if now is None or now.state != State.AVAILABLE or now.cloud_account_id != account.pk:
            why = "does not exist any more" if now is None else f"is {now.get_state_display().lower()}"
            if now and now.cloud_account_id != account.pk:
                why = f"is not in {account.name}, the account of the cluster"
            raise NotAttachable(
                gettext("{store} {why}. Only an available store of the same account can be attached.").format(
                    store=store.name, why=why
                )
            )
    ever = list(cluster.repositories.order_by("number"))  # also of stores that are gone, which have no ID any more
    numbers = {one.store_id: one for one in ever}  # of two in one store, the one that replaced the other
    last = next_number(cluster) - 1
    for store in stores:
        repository = numbers.get(store.pk)
        if repository is None:
            last += 1
            if last > REPOSITORIES_AT_MOST:
                raise NotAttachable(
                    gettext(
                        "pgBackRest knows {repositories_at_most} repositories, and this cluster has had as many "
                        "stores. Numbers are not given twice, since a node may still have the old store under "
                        "one. Attach stores that it had before, or make a new cluster."
                    ).format(repositories_at_most=REPOSITORIES_AT_MOST)
                )
            repository = Repository.objects.create(cluster=cluster, store=store, number=last)
        Attachment.objects.create(cluster=cluster, store=store, repository=repository)
    spec = cluster.spec()
    if spec.buckets and (refusal := account.cloud.access.refusal(spec)):
        raise NotAttachable(refusal)


def next_number(cluster: Cluster) -> int:
    """Return the number of the cluster's next repository: none is given twice."""
    let_go = Cluster.objects.values_list("numbers_given", flat=True).get(pk=cluster.pk)
    return 1 + max([let_go or 0, *cluster.repositories.values_list("number", flat=True)])


def replace_passphrase(repository: Repository, *, by: User | None) -> Repository:
    """Have the cluster write to its store anew, in another folder with another passphrase; raises NotAttachable.

    pgBackRest cannot encrypt anew what is there, so the repository stays as it is and is one that was left.
    """
    with transaction.atomic():
        cluster = Cluster.objects.select_for_update().get(pk=repository.cluster_id)
        attachment = Attachment.objects.filter(repository=repository, state=Attachment.State.ATTACHED).first()
        if why := restoration.refusal(cluster.organisation_id):
            raise NotAttachable(why)
        if cluster.is_busy or attachment is None:
            raise NotAttachable(
                gettext("{cluster} does not use {repository} now, or is at work. Reload the page.").format(
                    cluster=cluster.name, repository=repository
                )
            )
        if cluster.is_watched_only:
            raise NotAttachable(
                gettext("{cluster} is watched only: hand its node over first, which is to write there.").format(
                    cluster=cluster.name
                )
            )
        number = next_number(cluster)
        if number > REPOSITORIES_AT_MOST:
            raise NotAttachable(
                gettext("pgBackRest knows {repositories_at_most} repositories, and {cluster} has had all.").format(
                    repositories_at_most=REPOSITORIES_AT_MOST, cluster=cluster.name
                )
            )
        memory.note_setup(cluster)
        prefix = f"{cluster.prefix}/r{number}"
        made: Repository = Repository.objects.create(
            cluster=cluster, store=attachment.store, number=number, prefix=prefix
        )
        Attachment.objects.filter(pk=attachment.pk).update(repository=made)
        Repository.objects.filter(pk=repository.pk).update(detached_at=timezone.now(), empty_at=None)
        before, after = {"repository": repository.title}, {"repository": made.title}
        _note("Replaced a passphrase", cluster, by, before=before, after=after)
    return made


def add_nodes(cluster: Cluster, *, regions: Sequence[str], first: Node | None = None, by: User | None) -> list[str]:
    """Add a node in each of the regions, as a standby of the first host if one is given, and return their names.

    Raises NodesRefused.
    """
    if why := restoration.refusal(cluster.organisation_id):
        raise NodesRefused(why)
    with transaction.atomic():
        made = Cluster.objects.filter(pk=cluster.pk, state__in=Cluster.VERBS["update"].start)
        if not made.update(nodes_made=F("nodes_made") + len(regions)):
            raise NodesRefused(
                gettext("{cluster} is at work. Wait until its task has ended.").format(cluster=cluster.name)
            )
        if Node.objects.filter(cluster=cluster).count() + len(regions) > NODES_AT_MOST:
            raise NodesRefused(
                gettext("A cluster has at most {nodes_at_most} nodes.").format(nodes_at_most=NODES_AT_MOST)
            )
        cluster.refresh_from_db(fields=["nodes_made"])
        folder = ""
        if first is None and BroughtIn.objects.filter(cluster=cluster).exists():
            raise NodesRefused(
                gettext(
                    "The repositories of {cluster} were brought in for one node: another primary would write "
                    "into the same stanzas. Add standbys of it, or make another cluster."
                ).format(cluster=cluster.name)
            )
        if first:
            if not Node.objects.filter(pk=first.pk, cluster=cluster).exists():
                raise NodesRefused(
                    gettext("{first} was removed meanwhile. Choose another primary.").format(first=first)
                )
            folder = first.repository_folder
        number = cluster.nodes_made - len(regions) + 1
        nodes = [
            Node(cluster=cluster, name=f"n{number + at}", region=region, folder=folder)
            for at, region in enumerate(regions)
        ]
        Node.objects.bulk_create(nodes)
        added = {node.name: node.region for node in nodes}
        _note("Added nodes", cluster, by, after=added)
    return list(added)


def remove_nodes(cluster: Cluster, *, names: Iterable[str], by: User | None) -> None:
    """Remove the nodes, but never the last one; raises NodesRefused."""
    with transaction.atomic():
        # The update locks the row: two who remove different nodes at once must not leave none.
        free = Cluster.objects.filter(pk=cluster.pk, state__in=Cluster.VERBS["update"].start)
        if not free.update(nodes_made=F("nodes_made")):
            raise NodesRefused(
                gettext("{cluster} is at work. Wait until its task has ended.").format(cluster=cluster.name)
            )
        memory.note_setup(cluster)
        pass_on(cluster, names := {*names})
        nodes = Node.objects.filter(cluster=cluster)
        going = nodes.filter(name__in=list(names))
        RemovedNode.objects.bulk_create(
            RemovedNode(
                cluster=cluster,
                name=node.name,
                region=node.region,
                secrets=node.secrets,
                folder=node.folder,
                applied_sha256=node.applied_sha256,
                reported_at=node.reported_at,
            )
            for node in going
        )
        removed = {node.name: node.region for node in going}
        going.delete()
        if not nodes.exists():
            raise NodesRefused(gettext("A cluster keeps at least one node. Delete the cluster instead."))
        # Stanzas that only these machines had: no other node may go on with them.
        left = {one.repository_folder for one in nodes}
        Database.objects.filter(cluster=cluster).exclude(folder="").exclude(folder__in=left).delete()
        _note("Removed nodes", cluster, by, before=removed)


def write_to(node: Node, *, choice: str, stores: Collection[Store] = (), by: User | None) -> None:
    """Choose which of the cluster's stores the node writes to; raises NotAttachable for one that is not attached."""
    with transaction.atomic():
        Cluster.objects.filter(pk=node.cluster_id).judge_now()  # its row is held before those of its attachments
        there = {one.store_id: one for one in Attachment.objects.select_for_update().filter(cluster=node.cluster_id)}
        if missing := " and ".join(store.name for store in stores if store.pk not in there):
            raise NotAttachable(gettext("{missing} is not attached to the cluster any more.").format(missing=missing))
        memory.note_setup(node.cluster)
        before, node.writes_to = node.writes_to, choice
        node.save(update_fields=["writes_to"])
        node.chosen.set([there[store.pk] for store in stores] if choice == Node.WritesTo.CHOSEN else [])
        after = {"writes_to": choice, "stores": sorted(store.name for store in stores)}
        _note("Chose where a node writes", node, by, before={"writes_to": before}, after=after)


def plan_backups(cluster: Cluster, node: Node | None, *, by: User | None, **values: Any) -> None:
    """Set how long backups are kept and when they are made, for the cluster or for one node of it."""
    before = BackupPolicy.objects.filter(cluster=cluster, node=node).values(*values).first()
    with transaction.atomic():
        # One of a node's own begins as the cluster's: what this does not set stays in force.
        kept = BackupPolicy.beginning(cluster)
        had = {**kept, **(before or {})}
        if any(values.get(f"{kind}_schedule", had[f"{kind}_schedule"]) != had[f"{kind}_schedule"] for kind in KINDS):
            kept["changed_at"] = timezone.now()
            BackupPolicy.objects.filter(cluster=cluster, node=node).update(changed_at=kept["changed_at"])
        BackupPolicy.objects.update_or_create(
            cluster=cluster, node=node, defaults=values, create_defaults={**kept, **values}
        )
        if any(had[one] != values[one] for one in RETENTION if one in values):
            _end_own_retention(cluster)
        memory.note_retentions(cluster)
        _note("Planned backups", node or cluster, by, before=before, after=values)


def _end_own_retention(cluster: Cluster) -> None:
    """Have repositories that were brought in expire as the cluster does, since somebody has said how.

    What its policy does not name stays as it was: how long WAL and the history of backups are kept.
    """
    for one in Repository.objects.filter(cluster=cluster).exclude(brought__isnull=True):
        own = one.brought.get("retention") or {}
        rest = {name: value for name, value in own.items() if name not in {"full", "full-type", "diff"}}
        rest = {**one.brought.get("retention_rest", {}), **rest}
        Repository.objects.filter(pk=one.pk).update(brought={**one.brought, "retention": None, "retention_rest": rest})


def follow_cluster(node: Node, *, by: User | None) -> None:
    """Forget the node's own backup policy: the cluster's is in force again."""
    with transaction.atomic():
        BackupPolicy.objects.filter(node=node).delete()
        Node.objects.filter(pk=node.pk).update(follows_since=timezone.now())
        memory.note_retentions(node.cluster)
        _note("Had a node follow its cluster", node, by)


def alarm_when(cluster: Cluster, *, rpo_minutes: int | None, proof_days: int | None, by: User | None) -> None:
    """Say how old the newest restorable moment may be, and within how many days a restore is to be proved."""
    after = {"rpo_minutes": rpo_minutes, "proof_days": proof_days}
    with transaction.atomic():
        rows = Cluster.objects.filter(pk=cluster.pk)
        before = rows.values(*after).get()
        rows.update(**after)
        _note("Said when to alarm", cluster, by, before=before, after=after)


def choose_version(node: Node, *, version: str, by: User | None) -> None:
    """Have the node handed a configuration for this pgBackRest."""
    before = Node.objects.values("pgbackrest_version").get(pk=node.pk)
    node.pgbackrest_version = version
    with transaction.atomic():
        node.save(update_fields=["pgbackrest_version"])
        _note("Said which pgBackRest a node has", node, by, before=before, after={"pgbackrest_version": version})


def describe_machine(node: Node, *, differences: Mapping[int, Mapping[str, Any]], by: User | None) -> None:
    """Keep what a node's machine is like, and by database's key in what that differs there from the cluster's."""
    facts = ("system", "os_user")
    before = Node.objects.values(*facts).get(pk=node.pk)
    with transaction.atomic():
        node.save(update_fields=facts)
        NodeDatabase.objects.filter(node=node).delete()
        NodeDatabase.objects.bulk_create(
            NodeDatabase(node=node, database_id=key, **given) for key, given in differences.items()
        )
        after = {name: getattr(node, name) for name in facts}
        names = {one.pk: one.name for one in node.cluster.databases.all()}
        after |= {f"{names[key]}.{part}": value for key, given in differences.items() for part, value in given.items()}
        _note("Said what a node's machine is like", node, by, before=before, after=after)


def add_database(cluster: Cluster, database: Database, *, by: User | None) -> None:
    """Keep a database of the cluster's, and that its nodes are to archive it; raises NotAttachable."""
    with transaction.atomic():
        database.save()
        _keep_stanza(cluster, database.name)
        _note("Added a database", cluster, by, after={"database": database.name})


def _keep_stanza(cluster: Cluster, name: str) -> None:
    """Have the stanza looked for where repositories of the cluster were brought in; raises NotAttachable."""
    for one in Repository.objects.select_for_update().filter(cluster=cluster).exclude(brought__isnull=True):
        if cluster.is_watched_only:
            raise NotAttachable(
                gettext("{cluster} is watched only. Hand its node over first, then add the database.").format(
                    cluster=cluster.name
                )
            )
        if Database.objects.filter(cluster=cluster).exclude(folder="").exists():
            raise NotAttachable(
                gettext(
                    "The machines of {cluster} have stanzas of their own, and a new one would be on each of "
                    "them, which all write into the same place. Make another cluster for it."
                ).format(cluster=cluster.name)
            )
        others = Repository.objects.filter(store=one.store_id, cluster__isnull=False).exclude(pk=one.pk)
        for other in others.exclude(brought__isnull=True):
            if other.is_same_place(one.brought["path"], [name]):
                raise NotAttachable(
                    gettext("{cluster_name} has the stanza {name} in {one}. Give the database another name.").format(
                        cluster_name=other.cluster_name, name=name, one=one
                    )
                )
        stanzas = list(dict.fromkeys([*one.brought["stanzas"], name]))
        added = [*one.brought.get("added", ()), *([] if name in one.brought["stanzas"] else [name])]
        Repository.objects.filter(pk=one.pk).update(brought={**one.brought, "stanzas": stanzas, "added": added})


def remove_database(database: Database, *, by: User | None) -> None:
    """Forget the database; nothing on the nodes or in the stores changes."""
    with transaction.atomic():
        memory.note_setup(database.cluster)
        database.delete()
        _note("Removed a database", database.cluster, by, before={"database": database.name})


def forget_node(removed: RemovedNode, *, by: User | None) -> None:
    """Forget a node that was removed from its cluster."""
    with transaction.atomic():
        removed.delete()
        _note("Forgot a removed node", removed.cluster, by, before={"node": removed.name})


def _note(action: str, subject: Cluster | Node, by: User | None, **changes: Any) -> None:
    cluster = subject if isinstance(subject, Cluster) else subject.cluster
    if subject is not cluster:  # a node's name alone says little
        changes["after"] = {"cluster": cluster.name, **(changes.get("after") or {})}
    activity.record(action, subject, organisation=cluster.organisation, by=by, **changes)
    Cluster.objects.filter(pk=cluster.pk).judge_now()


def look_into_backups(cluster: Cluster) -> None:
    """Have the workers look into the cluster's repositories now."""
    ask(inventory.of(cluster.pk))


def repair(cluster: Cluster, *, by: User | None) -> None:
    """Begin to give the nodes again what they should have in the cloud; raises NotNow when the state forbids it."""
    begin(cluster, "update", by=by)


def delete(cluster: Cluster, *, detach: bool = False, by: User | None) -> None:
    """Begin to delete the cluster; raises NotNow, and InUse with the stores that are still attached.

    With `detach` these are left with the cluster, which is written down: their repositories are retained, as those of a
    store that was detached before.
    """
    with transaction.atomic():
        begin(cluster, "delete", by=by)
        memory.note_setup(cluster)
        attached = list(cluster.stores.order_by(Natural("name")).values_list("name", flat=True))
        if not attached:
            return
        if not detach:
            raise InUse([Use(str(name)) for name in attached])
        # From now on nobody may call the cluster's access what it was, also if the task fails half-way.
        cluster.attachments.update(state=Attachment.State.DETACHING)
        _note("Deleted a cluster with its stores attached", cluster, by, before={"stores": attached})


def hand_out(node_setup: NodeSetup, what: str, *, by: User | None) -> None:
    """Have it written down that somebody is shown a node's files with their secrets, and what is in these."""
    memory.note_setup(node_setup.cluster)  # what is out may be all that is left of it some day
    keys.note_file(node_setup)
    node, cluster = node_setup.node, node_setup.cluster
    after = {"cluster": cluster.name}
    activity.record(f"Was shown {what}", node, organisation=cluster.organisation, by=by, after=after)


def take_kit(subject: Cluster | Repository, *, by: User | None) -> list[RepositoryKit]:
    """Return the recovery kit of a cluster or of one repository, and have it written down who has seen which."""
    if cluster := subject if isinstance(subject, Cluster) else subject.cluster:
        memory.note_setup(cluster)
    mine = {"cluster": subject} if isinstance(subject, Cluster) else {"pk": subject.pk}
    found = list(Repository.objects.filter(**mine).with_inventory().select_related("store__cloud_account"))
    with transaction.atomic():
        Repository.objects.filter(pk__in=[one.pk for one in found]).update(kit_taken_at=timezone.now())
        after = {"repositories": [one.title for one in found]}
        activity.record("Was shown a recovery kit", subject, organisation=subject.organisation, by=by, after=after)
    return [kit_of(one) for one in found]


def let_go(repository: Repository, *, by: User | None) -> None:
    """Delete a repository that nothing is left of, and its passphrase with it; raises Kept."""
    with transaction.atomic():
        # The update locks the cluster, whose stores nobody attaches meanwhile; a node may still have the number.
        cluster = Cluster.objects.filter(repositories=repository)
        cluster.update(numbers_given=Greatest(Coalesce("numbers_given", 0), repository.number))
        locked = Repository.objects.with_inventory().get(pk=repository.pk)
        if why := kept_by(locked) or restoration.refusal(locked.organisation_id):
            raise Kept(why)
        before = {"repository": locked.title, "detached_at": str(locked.detached_at), "empty_at": str(locked.empty_at)}
        activity.record("Let a passphrase go", locked, organisation=locked.organisation, by=by, before=before)
        locked.delete()
