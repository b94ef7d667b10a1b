"""What can be done to a store, for views, the admin and commands."""

from __future__ import annotations

from uuid import uuid4

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from console.accounts.actions import InUse, users_of
from console.accounts.models import CloudAccount, User
from console.operations import actions as operations
from console.operations.actions import NotNow, ask, begin
from stores.models import Dossier, Store


class NameTaken(Exception):
    """Another store of the organisation has the name."""


def create(account: CloudAccount, *, name: str, region: str, by: User | None) -> Store:
    """Write the store down with both bucket names, and begin to create it; raises NameTaken."""
    pk = uuid4()
    bucket, log_bucket = account.provider.bucket_names(pk, region, account.number)
    try:
        with transaction.atomic():
            store = Store.objects.create(
                id=pk,
                organisation_id=account.organisation_id,
                cloud_account=account,
                name=name,
                region=region,
                bucket=bucket,
                log_bucket=log_bucket,
            )
            begin(store, "create", by=by)
    except IntegrityError as error:
        if Store.objects.filter(organisation_id=account.organisation_id, name__iexact=name).exists():
            raise NameTaken from error
        raise
    return store


def delete(store: Store, *, keep_logs: bool = False, by: User | None) -> None:
    """Begin to delete the store; raises NotNow when its state does not allow it, InUse while something uses it.

    Its row is locked first, as it is by whoever begins to use it: of the two, one wins.
    """
    with transaction.atomic():
        Store.objects.select_for_update().filter(pk=store.pk).first()
        if users := users_of(store):
            raise InUse(users)
        store.keep_logs = keep_logs and store.has_logs  # before the plan is asked for
        begin(store, "delete", by=by)
        Store.objects.filter(pk=store.pk).update(keep_logs=store.keep_logs)


def cancel(store: Store, *, by: User | None) -> None:
    """Have the deletion that is at work undone; raises NotNow when there is none, or when it is too late."""
    last = store.operation
    if last and last.verb == "delete" and last.is_unfinished and not last.cancel and not store.can_cancel:
        raise NotNow(f"It is too late to cancel: the backup bucket of {store.name} is gone.")
    operations.cancel(store, by=by)


def count(store: Store) -> Dossier:
    """Return what was counted last of what the store holds, and have it counted anew if that is too old."""
    dossier, _ = Dossier.objects.get_or_create(store=store)
    answered = Q(wanted_at=None) | Q(tried_at__gte=F("wanted_at"))
    old = Q(tried_at=None) | Q(tried_at__lt=Now() - Dossier.FRESH)
    ask(Dossier.objects.filter(answered, old, pk=dossier.pk))
    dossier.refresh_from_db()
    return dossier


def repair(store: Store, *, by: User | None) -> None:
    """Begin to bring both buckets back to what they should be; raises NotNow when the state does not allow it."""
    begin(store, "repair", by=by)
