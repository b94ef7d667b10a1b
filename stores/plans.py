"""What the verbs of a store mean: the provider's plans, and what a taken bucket name calls for."""

from __future__ import annotations

from uuid import uuid4

from console.operations.plan import Conflict, Work
from console.operations.registry import register
from stores.models import Store

NAMES_AT_MOST = 3  # three random names taken in a row is no accident: somebody should look


def take_new_names(store: Store, conflict: Conflict) -> bool:
    """Give the store new bucket names, in the database first; False when that was tried often enough."""
    if store.names_tried >= NAMES_AT_MOST:
        return False
    account = store.cloud_account
    store.bucket, store.log_bucket = store.provider.bucket_names(uuid4(), store.region, account.number)
    store.names_tried += 1
    store.save(update_fields=["bucket", "log_bucket", "names_tried"])
    return True


for verb, title in (("create", "Create Backup Store"), ("repair", "Repair Backup Store")):
    register(
        Work(
            model=Store,
            verb=verb,
            title=title,
            plan=lambda store: store.provider.provision,  # each step ensures a state, so it also restores one
            spec=Store.spec,
            resolve=take_new_names,
        )
    )
register(
    Work(
        model=Store,
        verb="delete",
        title="Delete Backup Store",
        plan=lambda store: store.provider.remove,
        spec=Store.spec,
    )
)
