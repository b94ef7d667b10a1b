"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for; what is read of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from console.operations.models import Operation
from console.operations.plan import Conflict, Plan, Work
from console.operations.readings import Reader
from console.operations.readings import register as register_reader
from console.operations.registry import register
from stores.models import Dossier, RetainedLogs, Store
from stores.providers.base import StoreSpec

NAMES_AT_MOST = 3  # three random names taken in a row is no accident: somebody should look


def take_new_name(store: Store, conflict: Conflict) -> bool:
    """Give the store another name for the bucket whose name is taken; False when that was tried often enough."""
    if store.names_tried >= NAMES_AT_MOST:
        return False
    names = store.provider.bucket_names(uuid4(), store.region, store.cloud_account.number)
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
    return store.provider.remove_but_logs if store.keep_logs else store.provider.remove


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
            expires_at=timezone.now() + timedelta(days=store.provider.log_days),
        )


def count(dossier: Dossier) -> Any:
    """Return what the store's backup bucket holds, and the commands that empty it; raises a StepError."""
    store, spec = dossier.store, spec_of(dossier.store)
    found = store.provider.contents(spec, lambda counted: dossier.tell(f"{counted:,} versions so far"))
    return {"contents": asdict(found), "commands": "" if found.is_empty else store.provider.emptying(spec, found)}


def look(logs: RetainedLogs) -> Any:
    """Return whether the bucket is gone; raises a StepError."""
    return {"gone": logs.cloud_account.provider.clear_logs(logs.spec(), logs.is_over)}


def forget(logs: RetainedLogs) -> None:
    """Forget the logs if their bucket is gone."""
    if logs.content["gone"]:
        logs.delete()


for verb, title in (("create", "Create Backup Store"), ("repair", "Repair Backup Store")):
    register(
        Work(
            model=Store,
            verb=verb,
            title=title,
            plan=lambda store: store.provider.provision,  # each step ensures a state, so it also restores one
            spec=Store.spec,
            resolve=take_new_name,
        )
    )
register(
    Work(
        model=Store,
        verb="delete",
        title="Delete Backup Store",
        plan=removal,
        spec=spec_of,
        done=retain_logs,
        undo=lambda store: store.provider.restore,
    )
)
register_reader(Reader(model=Dossier, read=count, every=None, rows=Dossier.objects.all, lane="store__cloud_account"))
register_reader(
    Reader(
        model=RetainedLogs,
        read=look,
        every=lambda logs: timedelta(days=1),
        rows=RetainedLogs.objects.all,
        lane="cloud_account",
        kept=forget,
    )
)
