"""What the verbs of a store mean: the cloud's plans, and what a taken bucket name calls for; what is read of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from console.accounts.permissions import Permission
from console.accounts.personal_data import KEPT, Kept
from console.cloud_accounts import places
from console.cloud_accounts.actions import learn as learn_of
from console.cloud_accounts.actions import register_users
from console.cloud_accounts.models import CloudAccount
from console.clouds import bringing, lifecycle
from console.clouds.specs import Place, StoreSpec
from console.clouds.steps import Conflict, Plan
from console.operations.actions import ask_for
from console.operations.models import Operation
from console.operations.registry import Following, Workflow, register
from console.operations.snapshots import SnapshotSource, daily
from console.operations.snapshots import register as register_source
from stores import drift, unmanaged
from stores.existing import reading
from stores.models import BucketLook, DeletionPreview, DriftReport, RetainedLogs, State, Store, UnmanagedScan

KEPT.append(Kept("leftovers ignored", "stores.IgnoredBucket", "by", ("at",)))
NAMES_AT_MOST = 3  # three random names taken in a row is no accident: somebody should look


def take_new_name(store: Store, conflict: Conflict) -> bool:
    """Give the store another name for the bucket whose name is taken; False when that was tried often enough."""
    if store.names_tried >= NAMES_AT_MOST:
        return False
    names = store.cloud.storage.names(uuid4(), store.region, store.cloud_account.number)
    # Only the name that is taken: the other bucket may be there already, and would be left behind.
    if conflict.details.get("bucket") == store.log_bucket:
        store.log_bucket = names[1]
    else:
        store.bucket = names[0]
    store.names_tried += 1
    store.save(update_fields=["bucket", "log_bucket", "names_tried"])
    return True


def was_complete(store: Store) -> bool:
    """Return whether both buckets have been this store's: then one that has lost its tag is a case for a person."""
    verbs = ("create", "repair", "bring")
    return Operation.objects.filter(subject_id=store.pk, verb__in=verbs, state=Operation.State.DONE).exists()


def delete_plan(store: Store) -> Plan:
    """Return the plan that deletes the store, with its access logs or without."""
    if store.is_brought:
        return forget_plan(store)  # whoever asks for what: its bucket is not the console's to delete
    return lifecycle.deletion(store.cloud, keep_logs=bool(store.keep_logs))


def spec_of(store: Store) -> StoreSpec:
    """Return the store as what counts or deletes needs it."""
    return store.spec(complete=was_complete(store))


def retain_logs(store: Store) -> None:
    """Write down that the log bucket of the deleted store is still there, if it was to be kept."""
    if store.keep_logs:
        RetainedLogs.objects.create(
            organisation_id=store.organisation_id,
            cloud_account=store.cloud_account,
            store_id=store.pk,
            store_name=store.name,
            region=store.region,
            bucket=store.log_bucket,
            expires_at=timezone.now() + timedelta(days=store.cloud.storage.log_days),
        )


def count(deletion_preview: DeletionPreview) -> Any:
    """Return what the store's backup bucket holds, and the commands that empty it; raises a StepError."""
    store, spec = deletion_preview.store, spec_of(deletion_preview.store)
    found = lifecycle.contents(store.cloud, spec, lambda counted: deletion_preview.tell(f"{counted:,} versions so far"))
    return {
        "contents": asdict(found),
        "commands": "" if found.is_empty else store.cloud.storage.empty_commands(spec, found),
    }


def look(logs: RetainedLogs) -> Any:
    """Return whether the bucket is gone; raises a StepError."""
    return {"gone": lifecycle.clear_logs(logs.cloud_account.cloud, logs.spec(), over=logs.is_over)}


def forget(logs: RetainedLogs) -> None:
    """Forget the logs if their bucket is gone."""
    if logs.content["gone"]:
        logs.delete()


def create_plan(store: Store) -> Plan:
    """Return the plan that creates the store's buckets with all that they should have."""
    if store.is_brought:
        return bring_plan(store)
    return lifecycle.creation(store.cloud, store.spec())


def bring_plan(store: Store) -> Plan:
    """Return the plan that makes a bucket that was there before a store's."""
    chosen = [lifecycle.Differing(False, key, label) for key, label in store.taken_over["chosen"]]
    return bringing.bringing(store.cloud, store.spec(), tag=store.taken_over["tagged"], chosen=chosen)


def withdraw_plan(store: Store) -> Plan:
    """Return the plan that takes back what bringing it in has made so far."""
    return bringing.withdrawal(store.cloud, tagged=store.taken_over["tagged"], made_logs=store.has_log_bucket)


def forget_plan(store: Store) -> Plan:
    """Return the plan that leaves the store's bucket to its owner."""
    return bringing.forgetting(
        store.cloud,
        tagged=store.taken_over["tagged"],
        made_logs=store.has_log_bucket,
        keep_logs=bool(store.keep_logs),
    )


def accept_soon(store: Store) -> None:
    """Have what was accepted when the bucket was added count as accepted, and have it checked."""
    report, _ = DriftReport.objects.get_or_create(store=store)
    report.accepted = {**store.taken_over["accepted"], **report.accepted}
    report.save(update_fields=["accepted"])
    check_soon(store)


def repair_plan(store: Store) -> Plan:
    """Return the plan that brings back what the last check found to differ; all, if it found nothing."""
    found = store.drift_report.drift if hasattr(store, "drift_report") and not _failed(store) else []
    if not found:
        return create_plan(store)
    return lifecycle.repair(
        store.cloud,
        store.spec(),
        gone={line.log for line in found if line.state == "gone"},
        differing=[lifecycle.Differing(line.log, line.key, line.label) for line in found if line.state == "off"],
    )


def _failed(store: Store) -> bool:
    """Return whether it is a failed store that is repaired, of which no check knows anything."""
    before = store.operation.subject_state_before if store.operation and store.state == State.REPAIRING else store.state
    return before == State.FAILED


def learn(store: Store, kept: dict[str, Any]) -> None:
    """Keep what a step has found out about the server, for all stores on it."""
    learn_of(store.cloud_account, kept)


def check_soon(store: Store) -> None:
    """Have the store checked, now that its buckets are as they should be."""
    report = DriftReport(store=store, wanted_at=Now(), due_at=Now())
    wanted = ["wanted_at", "due_at"]
    DriftReport.objects.bulk_create([report], update_conflicts=True, unique_fields=["store"], update_fields=wanted)
    ask_for(DriftReport, [report.pk], waits=False)


register_users(CloudAccount, lambda account: account.stores.all())
places.register(
    lambda account: [
        Place(bucket, is_existing=True)
        for bucket in account.stores.filter(taken_over__isnull=False).values_list("bucket", flat=True)
    ]
)
register_users(CloudAccount, lambda account: account.retained_logs.all())
IN_A_CLUSTER = Following(
    "New Cluster with it",
    lambda store: f"{reverse('clusters:create')}?cloud_account={store.cloud_account_id}&backup_stores={store.pk}",
    Permission.MANAGE_CLUSTERS,
)
register(
    Workflow(
        model=Store,
        verb="create",
        related=("cloud_account",),
        title="Create Backup Store",
        ended="is created",
        following=IN_A_CLUSTER,
        plan=create_plan,
        spec=Store.spec,
        resolve=take_new_name,
        done=check_soon,
        keep=learn,
    )
)
register(
    Workflow(
        model=Store,
        verb="repair",
        related=("cloud_account",),
        title="Repair Backup Store",
        ended="is repaired",
        plan=repair_plan,
        spec=Store.spec,  # and no other name: nodes write to this bucket, and backups may be in it
        done=check_soon,
        keep=learn,
    )
)
register(
    Workflow(
        model=Store,
        verb="delete",
        related=("cloud_account",),
        title="Delete Backup Store",
        ended="is deleted",
        plan=delete_plan,
        spec=spec_of,
        done=retain_logs,
        undo=lambda store: lifecycle.cancellation(store.cloud),
    )
)
register(
    Workflow(
        model=Store,
        verb="bring",
        related=("cloud_account",),
        title="Add Existing Store",
        ended="is added",
        following=IN_A_CLUSTER,
        plan=bring_plan,
        spec=Store.spec,
        done=accept_soon,
        undo=withdraw_plan,
    )
)
register(
    Workflow(
        model=Store,
        verb="forget",
        related=("cloud_account",),
        title="Remove Store from the Console",
        ended="is removed from the console",
        plan=forget_plan,
        spec=spec_of,
        done=retain_logs,
    )
)
register_source(
    SnapshotSource(
        model=BucketLook,
        read=reading.read,
        every=None,
        rows=BucketLook.objects.all,
        rate_key="cloud_account",
        related=("cloud_account",),
    )
)
register_source(
    SnapshotSource(
        model=DeletionPreview, read=count, every=None, rows=DeletionPreview.objects.all, rate_key="store__cloud_account"
    )
)
register_source(
    SnapshotSource(
        model=RetainedLogs,
        read=look,
        every=lambda logs: timedelta(days=1),
        rows=RetainedLogs.objects.all,
        rate_key="cloud_account",
        kept=forget,
    )
)
register_source(
    SnapshotSource(
        model=DriftReport,
        read=drift.check,
        every=lambda drift: daily(drift.store_id),
        rows=drift.checkable,
        rate_key="store__cloud_account",
        related=("store__cloud_account", "store__operation"),
        kept=drift.settle,
    )
)
register_source(
    SnapshotSource(
        model=UnmanagedScan,
        read=unmanaged.scan,
        every=lambda scan: timedelta(days=1),
        rows=unmanaged.scans,
        rate_key="cloud_account",
        related=("cloud_account",),
    )
)
