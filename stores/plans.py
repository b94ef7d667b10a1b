"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for; what is read of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.utils import timezone

from console.cloud_accounts.actions import register_users
from console.cloud_accounts.models import CloudAccount
from console.clouds.contract import Cloud, StoreSpec
from console.clouds.steps import Conflict, Plan, Stage, Step
from console.operations.actions import ask
from console.operations.models import Operation
from console.operations.registry import Workflow, register
from console.operations.snapshots import SnapshotSource, daily
from console.operations.snapshots import register as register_source
from console.web.pages import lower_first
from stores import drift, unmanaged
from stores.models import DeletionPreview, DriftReport, RetainedLogs, State, Store, UnmanagedScan

NAMES_AT_MOST = 3  # three random names taken in a row is no accident: somebody should look


def take_new_name(store: Store, conflict: Conflict) -> bool:
    """Give the store another name for the bucket whose name is taken; False when that was tried often enough."""
    if store.names_tried >= NAMES_AT_MOST:
        return False
    names = store.cloud.bucket_names(uuid4(), store.region, store.cloud_account.number)
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
    made = Operation.objects.filter(subject_id=store.pk, verb__in=("create", "repair"), state=Operation.State.DONE)
    return made.exists()


def removal(store: Store) -> Plan:
    """Return the plan that deletes the store, with its access logs or without."""
    return store.cloud.remove_but_logs if store.keep_logs else store.cloud.remove


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
            expires_at=timezone.now() + timedelta(days=store.cloud.log_days),
        )


def count(deletion_preview: DeletionPreview) -> Any:
    """Return what the store's backup bucket holds, and the commands that empty it; raises a StepError."""
    store, spec = deletion_preview.store, spec_of(deletion_preview.store)
    found = store.cloud.contents(spec, lambda counted: deletion_preview.tell(f"{counted:,} versions so far"))
    return {"contents": asdict(found), "commands": "" if found.is_empty else store.cloud.emptying(spec, found)}


def look(logs: RetainedLogs) -> Any:
    """Return whether the bucket is gone; raises a StepError."""
    return {"gone": logs.cloud_account.cloud.clear_logs(logs.spec(), logs.is_over)}


def forget(logs: RetainedLogs) -> None:
    """Forget the logs if their bucket is gone."""
    if logs.content["gone"]:
        logs.delete()


def provision(store: Store) -> Plan:
    """Return the plan that creates the store's buckets with all that they should have."""
    provider = store.cloud
    versions = provider.keep_versions if store.versions_days else ()
    return (*provider.provision, *versions, *(provider.lock if store.lock_days else ()))


def repair(store: Store) -> Plan:
    """Return the plan that brings back what the last check found to differ, and nothing else; all, if it found nothing.

    A bucket that is made again gets all that it should have; the other one keeps what was accepted of it. The tags come
    first: they say whose the buckets are. The log bucket is mended before anything logs into it.
    """
    found = store.drift_report.drift if hasattr(store, "drift_report") and not _failed(store) else []
    if not found:
        return provision(store)
    gone = {line.log for line in found if line.state == "gone"}
    again = store.cloud.provision[: store.cloud.making] if gone else ()
    off = [(line.log, line.key, line.label) for line in found if line.state == "off" and line.key != "tags"]
    if gone:
        of_all = store.cloud.controls(store.spec())
        off += [(one.log, one.key, one.label) for one in of_all if one.log in gone and one.key != "tags"]
    own = Stage(
        _mending(store.cloud, f"Checking whose the log {store.cloud.vocabulary.bucket} is", "tags", log=True),
        _mending(store.cloud, f"Checking whose the backup {store.cloud.vocabulary.bucket} is", "tags", log=False),
    )
    mended = []
    for log, key, label in sorted(off, key=lambda one: not one[0]):
        title = f"Setting {lower_first(label)} of the {'log' if log else 'backup'} {store.cloud.vocabulary.bucket}"
        mended.append(Stage(_mending(store.cloud, title, key, log=log)))
    return (*again, own, *mended)


def _failed(store: Store) -> bool:
    """Return whether it is a failed store that is repaired, of which no check knows anything."""
    before = store.operation.subject_state_before if store.operation and store.state == State.REPAIRING else store.state
    return before == State.FAILED


def _mending(provider: Cloud, title: str, key: str, *, log: bool) -> Step:
    return Step(f"repair_{'log' if log else 'backup'}_{key}", title, partial(_mend, provider, key, log))


def _mend(provider: Cloud, key: str, log: bool, spec: StoreSpec) -> None:
    for control in provider.controls(spec):
        if (control.key, control.log) == (key, log):
            control.ensure()


def check_soon(store: Store) -> None:
    """Have the store checked, now that its buckets are as they should be."""
    DriftReport.objects.get_or_create(store=store)
    ask(DriftReport.objects.filter(store=store))


register_users(CloudAccount, lambda account: account.stores.all())
register_users(CloudAccount, lambda account: account.retained_logs.all())
register(
    Workflow(
        model=Store,
        verb="create",
        title="Create Backup Store",
        plan=provision,
        spec=Store.spec,
        resolve=take_new_name,
        done=check_soon,
    )
)
register(
    Workflow(
        model=Store,
        verb="repair",
        title="Repair Backup Store",
        plan=repair,
        spec=Store.spec,  # and no other name: nodes write to this bucket, and backups may be in it
        done=check_soon,
    )
)
register(
    Workflow(
        model=Store,
        verb="delete",
        title="Delete Backup Store",
        plan=removal,
        spec=spec_of,
        done=retain_logs,
        undo=lambda store: store.cloud.restore,
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
