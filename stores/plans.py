"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for."""

from __future__ import annotations

from uuid import uuid4

from console.operations.models import Operation
from console.operations.plan import Conflict, Work
from console.operations.registry import register
from stores.models import Store

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


register(
    Work(
        model=Store,
        verb="create",
        title="Create Backup Store",
        plan=lambda store: store.provider.provision,
        spec=Store.spec,
        resolve=take_new_name,
    )
)
register(
    Work(
        model=Store,
        verb="repair",
        title="Repair Backup Store",
        plan=lambda store: store.provider.provision,  # each step ensures a state, so it also restores one
        spec=Store.spec,  # and no other name: nodes write to this bucket, and backups may be in it
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
