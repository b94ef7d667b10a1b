"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for; what is read of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.utils import timezone

from console.operations.actions import ask
from console.operations.models import Operation
from console.operations.plan import Conflict, Plan, Round, Step, Work
from console.operations.readings import Reader, daily
from console.operations.readings import register as register_reader
from console.operations.registry import register
from console.web import lowered
from stores import orphans, posture, preflight, verification
from stores.models import Dossier, Posture, Preflight, RetainedLogs, State, Store, Sweep, Verification
from stores.providers.base import Provider, StoreSpec

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


def provision(store: Store) -> Plan:
    """Return the plan that creates the store's buckets with all that they should have."""
    provider = store.provider
    versions = provider.keep_versions if store.versions_days else ()
    return (*provider.provision, *versions, *(provider.lock if store.lock_days else ()))


def repair(store: Store) -> Plan:
    """Return the plan that brings back what the last check found to differ, and nothing else; all, if it found nothing.

    A bucket that is made again gets all that it should have; the other one keeps what was accepted of it. The tags come
    first: they say whose the buckets are. The log bucket is mended before anything logs into it.
    """
    found = store.posture.drift if hasattr(store, "posture") and not _failed(store) else []
    if not found:
        return provision(store)
    gone = {line.log for line in found if line.state == "gone"}
    again = store.provider.provision[: store.provider.making] if gone else ()
    off = [(line.log, line.key, line.label) for line in found if line.state == "off" and line.key != "tags"]
    if gone:
        of_all = store.provider.controls(store.spec())
        off += [(one.log, one.key, one.label) for one in of_all if one.log in gone and one.key != "tags"]
    own = Round(
        _mending(store.provider, f"Checking whose the log {store.provider.words.bucket} is", "tags", log=True),
        _mending(store.provider, f"Checking whose the backup {store.provider.words.bucket} is", "tags", log=False),
    )
    mended = []
    for log, key, label in sorted(off, key=lambda one: not one[0]):
        title = f"Setting {lowered(label)} of the {'log' if log else 'backup'} {store.provider.words.bucket}"
        mended.append(Round(_mending(store.provider, title, key, log=log)))
    return (*again, own, *mended)


def _failed(store: Store) -> bool:
    """Return whether it is a failed store that is repaired, of which no check knows anything."""
    before = store.operation.subject_state_before if store.operation and store.state == State.REPAIRING else store.state
    return before == State.FAILED


def _mending(provider: Provider, title: str, key: str, *, log: bool) -> Step:
    return Step(title, partial(_mend, provider, key, log))


def _mend(provider: Provider, key: str, log: bool, spec: StoreSpec) -> None:
    for control in provider.controls(spec):
        if (control.key, control.log) == (key, log):
            control.ensure()


def check_soon(store: Store) -> None:
    """Have the store checked, now that its buckets are as they should be."""
    Posture.objects.get_or_create(store=store)
    ask(Posture.objects.filter(store=store))


register(
    Work(
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
    Work(
        model=Store,
        verb="repair",
        title="Repair Backup Store",
        plan=repair,
        spec=Store.spec,  # and no other name: nodes write to this bucket, and backups may be in it
        done=check_soon,
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
register_reader(
    Reader(
        model=Posture,
        read=posture.check,
        every=lambda posture: daily(posture.store_id),
        rows=posture.checkable,
        lane="store__cloud_account",
        related=("store__cloud_account", "store__operation"),
        kept=posture.settle,
    )
)
register_reader(
    Reader(
        model=Sweep,
        read=orphans.sweep,
        every=lambda sweep: timedelta(days=1),
        rows=orphans.sweeps,
        lane="cloud_account",
        related=("cloud_account",),
    )
)
register_reader(
    Reader(
        model=Preflight,
        read=preflight.look,
        every=lambda preflight: timedelta(days=1),
        rows=preflight.of_all,
        lane="cloud_account",
        related=("cloud_account",),
    )
)
register_reader(
    Reader(
        model=Verification,
        read=verification.verify,
        every=lambda found: daily(found.cloud_account_id),
        rows=verification.of_all,
        lane="cloud_account",
        related=("cloud_account__organisation",),
    )
)
