"""What can be done to a store, for views, the admin and commands."""

from __future__ import annotations

from uuid import uuid4

from django.db import IntegrityError, transaction

from console.accounts.actions import InUse, users_of
from console.accounts.models import CloudAccount, User
from console.operations.actions import ask, begin
from stores import preflight
from stores.models import Preflight, Store


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


def delete(store: Store, *, by: User | None) -> None:
    """Begin to delete the store; raises NotNow when its state does not allow it, InUse while something uses it.

    Its row is locked first, as it is by whoever begins to use it: of the two, one wins.
    """
    with transaction.atomic():
        Store.objects.select_for_update().filter(pk=store.pk).first()
        if users := users_of(store):
            raise InUse(users)
        begin(store, "delete", by=by)


def repair(store: Store, *, by: User | None) -> None:
    """Begin to bring both buckets back to what they should be; raises NotNow when the state does not allow it."""
    begin(store, "repair", by=by)


def check_account(account: CloudAccount, *, region: str = "") -> None:
    """Have looked up what the console may do in the account, and in this region of it if one is named."""
    with transaction.atomic():
        found = preflight.of(account)
        chosen = Preflight.objects.select_for_update().get(cloud_account=account).chosen if region else []
        wanted = [*(one for one in chosen if one != region), region][-preflight.CHOSEN_AT_MOST :] if region else []
        found.update(chosen=wanted)
        ask(found)
