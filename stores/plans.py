"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from console.operations.models import Operation
from console.operations.plan import Conflict, Work
from console.operations.readings import Reader
from console.operations.readings import register as register_reader
from console.operations.registry import register
from stores import preflight
from stores.models import Preflight, Store

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
    return Operation.objects.filter(subject_id=store.pk, verb="create", state=Operation.State.DONE).exists()


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
        plan=lambda store: store.provider.remove,
        spec=lambda store: store.spec(complete=was_complete(store)),
    )
)
register_reader(
    Reader(
        model=Preflight,
        read=preflight.look,
        every=lambda preflight: timedelta(days=1),
        rows=preflight.of_all,
        lane="cloud_account",
    )
)
