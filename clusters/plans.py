"""What the verbs of a cluster mean: the cloud gives its nodes access to exactly the attached stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from clusters import keys
from clusters.bring_in import opening, taking
from clusters.health import judging
from clusters.health.verdicts import Verdict
from clusters.health.words import of_rank
from clusters.models import (
    Attachment,
    Bringing,
    Cluster,
    DrillRun,
    Health,
    Inventory,
    KnownStanza,
    Node,
    RecoveryIdentity,
    Repository,
)
from clusters.models.drill import KEPT_FOR
from clusters.recovery import identities
from clusters.repositories import inventory, losses, memory, pace
from clusters.repositories.retained import holding
from clusters.store_columns import COLUMNS, size
from console.accounts.models import Organisation
from console.alerts.actions import nudge
from console.cloud_accounts import places
from console.cloud_accounts.actions import register_users, turned
from console.cloud_accounts.models import CloudAccount
from console.clouds.specs import Place
from console.clouds.steps import Plan
from console.operations import housekeeping
from console.operations.housekeeping import Rule
from console.operations.registry import Workflow, register
from console.operations.snapshots import SnapshotSource
from console.operations.snapshots import register as register_source
from stores.listing import store_columns
from stores.models import (
    Store,
    StoreVerdicts,
    kept_finders,
    last_seen_finders,
    loss_conditions,
    loss_finders,
    newest_backup_finders,
    node_region_finders,
    size_finders,
    store_verdicts,
)


def access(cluster: Cluster) -> Plan:
    """Return the plan that leaves the nodes with access to the wanted stores, and to nothing else."""
    own = [*cluster.own_keys]
    wanted = cluster.attachments.exclude(state=Attachment.State.DETACHING).exclude(repository__number__in=own)
    if cluster.is_watched_only:  # its own repositories are only read, and by the console itself
        wanted = wanted.filter(repository__brought__isnull=True)
    if wanted.exists():
        return cluster.cloud.access.grant
    # Also of a store beside them, which was attached and is no longer.
    ever = cluster.repositories.exclude(number__in=own)
    if cluster.is_watched_only and not cluster.brought_in.was_granted:
        ever = ever.filter(brought__isnull=True)
    return cluster.cloud.access.revoke if ever.exists() else ()


def dismissal(cluster: Cluster) -> Plan:
    """Return the plan that takes back what the cloud has for the cluster, if it ever had anything."""
    made = cluster.repositories.exclude(number__in=[*cluster.own_keys])
    return cluster.cloud.access.delete if made.exists() else ()


def settle(cluster: Cluster) -> None:
    """Call attached what now is, and forget what no longer is; its repository number stays taken."""
    pace.soon(cluster)
    cluster.attachments.filter(state=Attachment.State.DETACHING).delete()
    cluster.attachments.update(state=Attachment.State.ATTACHED)
    cluster.repositories.in_use().update(detached_at=None, empty_at=None)
    cluster.repositories.retained().filter(detached_at=None).update(detached_at=timezone.now())
    # Who has lost all that was chosen writes to the nearest one, and says so.
    cluster.nodes.filter(writes_to=Node.WritesTo.CHOSEN, chosen=None).update(writes_to=Node.WritesTo.NEAREST)


def left(cluster: Cluster) -> None:
    """Leave the stores that are still attached, in the transaction that deletes the cluster."""
    cluster.attachments.all().delete()
    cluster.repositories.filter(detached_at=None).update(detached_at=timezone.now())


def ended(cluster: Cluster) -> None:
    """Forget the former key, which opens nothing any more."""
    settle(cluster)
    keys.forget_former(cluster)


def newest_backup_at(store: Store) -> datetime | None:
    """Return when the newest backup that was seen in the store was complete."""
    repositories = Repository.objects.filter(store=store).select_related("inventory")
    return max((at for one in repositories if (at := one.newest_backup_at)), default=None)


def size_of(store: Store) -> int | None:
    """Return the bytes of backups and WAL in the store, as the list of stores has them; None before any look."""
    return Store.objects.filter(pk=store.pk).values_list(size(), flat=True).first()


def node_regions(organisation: Organisation, provider: str) -> list[str]:
    """Return the codes of the regions in which the organisation has nodes in this cloud."""
    nodes = Node.objects.filter(cluster__organisation=organisation, cluster__cloud_account__provider_key=provider)
    return list(nodes.order_by("region").values_list("region", flat=True).distinct())


def kept_in(store: Store) -> list[str]:
    """Return in words the repositories in the store that no cluster uses any more and that may hold something."""
    rows = Repository.objects.filter(store=store).retained().with_inventory()
    return [f"{one.title}: {found.words}" for one in rows if not (found := holding(one)).is_empty]


def worst_in_store() -> Subquery:
    """Return the rank of the worst verdict on what is kept in a store, as a column of a query of stores."""
    judged = Health.objects.filter(repository__store=OuterRef("pk")).order_by("rank")
    return Subquery(judged.values("rank")[:1])


def nudge_alerts(organisations: set[UUID]) -> None:
    """Have alerts follow verdicts at once."""
    for one in organisations:
        nudge(one)


def judge_clusters_of(account: CloudAccount) -> None:
    """Have what is said of the account's clusters follow it at once: nobody looks into their stores without it."""
    account.clusters.judge_now()


judging.changed.append(nudge_alerts)
turned.append(judge_clusters_of)
register_users(CloudAccount, lambda account: account.clusters.all())
register_users(CloudAccount, lambda account: account.recovery_identities.all())
register_users(Store, lambda store: store.attachments.all())


def brought_in(account: CloudAccount) -> list[Place]:
    """Return where repositories are that were brought in, those of clusters that are gone too: they are still read."""
    found = Repository.objects.filter(store__cloud_account=account, brought__isnull=False)
    return [
        Place(bucket, repositories=(brought["path"],))
        for bucket, brought in found.values_list("store__bucket", "brought")
    ]


places.register(brought_in)
newest_backup_finders.append(newest_backup_at)
size_finders.append(size_of)
node_region_finders.append(node_regions)
last_seen_finders.append(losses.last_seen_at)
loss_finders.append(losses.of_store)
loss_conditions.append(losses.in_store)
kept_finders.append(kept_in)
store_verdicts.append(StoreVerdicts(worst_in_store, of_rank, tuple(Verdict)))
store_columns.append(COLUMNS)
housekeeping.register(
    Rule(
        DrillRun._meta.db_table,
        "two years: they are evidence, also of clusters that are gone",
        lambda: DrillRun.objects.filter(created_at__lt=Now() - KEPT_FOR),
        "created_at",
    )
)
housekeeping.register(Rule(KnownStanza._meta.db_table, memory.BOUND, memory.outdated, "seen_at"))
for verb, title, words in (
    ("create", "Create Cluster", "is created"),
    ("update", "Update Backup Stores", "is up to date: its nodes have access to the attached stores, and to no others"),
):
    register(
        Workflow(
            model=Cluster,
            verb=verb,
            title=title,
            plan=access,
            spec=Cluster.spec,
            done=settle,
            keep=keys.keep,
            ended=words,
        )
    )
register(
    Workflow(
        model=Cluster,
        verb="replace_key",
        title="Replace the Nodes' Key",
        ended="has a new key for its nodes",
        plan=lambda cluster: (*access(cluster), *cluster.cloud.access.second_key),
        spec=Cluster.spec,
        done=settle,
        keep=keys.keep,
    )
)
register(
    Workflow(
        model=Cluster,
        verb="replace_key_at_once",
        title="Replace the Nodes' Key at Once",
        ended="has a new key for its nodes",
        plan=lambda cluster: (*cluster.cloud.access.end_keys, *access(cluster)),
        spec=Cluster.spec,
        done=settle,
        keep=keys.keep_alone,
    )
)
register(
    Workflow(
        model=Cluster,
        verb="end_key",
        title="End the Former Key of the Nodes",
        ended="has ended the former key of its nodes",
        plan=access,
        spec=lambda cluster: replace(cluster.spec(), former={}),
        done=ended,
        keep=keys.keep,
    )
)
register(
    Workflow(
        model=Cluster,
        verb="delete",
        title="Delete Cluster",
        plan=dismissal,
        spec=Cluster.spec,
        done=left,
        ended="is deleted",
    )
)
register_source(
    SnapshotSource(
        model=Inventory,
        read=memory.look,
        kept=memory.remember,
        every=pace.every,
        rows=inventory.readable,
        rate_key="repository__store__cloud_account",
        related=("repository__cluster", "repository__store__cloud_account"),
    )
)
register_source(
    SnapshotSource(
        model=Bringing,
        read=opening.look,
        kept=taking.take,
        every=None,
        rows=taking.of_all,
        rate_key="cloud_account",
        related=("cloud_account", "organisation", "by"),
    )
)
register_source(
    SnapshotSource(
        model=RecoveryIdentity,
        read=identities.look,
        every=identities.every,
        rows=identities.of_all,
        rate_key="cloud_account",
        related=("cloud_account", "organisation"),
    )
)
