"""What can be done to a store, for views, the admin and commands."""

from __future__ import annotations

from uuid import uuid4

from django.db import IntegrityError, transaction

from console.accounts.actions import InUse, users_of
from console.accounts.models import AuditEvent, CloudAccount, Membership, User
from console.operations.actions import NotNow, ask, begin
from stores import posture
from stores.findings import Line, agreed
from stores.models import Posture, State, Store


class NameTaken(Exception):
    """Another store of the organisation has the name."""


def create(
    account: CloudAccount,
    *,
    name: str,
    region: str,
    versions_days: int | None = None,
    lock_days: int | None = None,
    by: User | None,
) -> Store:
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
                versions_days=versions_days,
                lock_days=lock_days,
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


def repair(store: Store, *, by: User | None, seen: str | None = None) -> None:
    """Begin to bring both buckets back to what they should be; raises NotNow when the state does not allow it.

    `seen` is agreed() of what the user agreed to mend; raises posture.Changed when something else differs now.
    """
    with transaction.atomic():
        if seen is not None and agreed(posture.locked(store).drift) != seen:
            raise posture.Changed
        begin(store, "repair", by=by)


def verify(store: Store) -> None:
    """Have both buckets looked at now; raises NotNow while something works on them."""
    if store.state not in (State.AVAILABLE, State.DEGRADED):
        raise NotNow(f"{store.name} is not checked while it is {store.get_state_display().lower()}.")
    Posture.objects.get_or_create(store=store)
    ask(Posture.objects.filter(store=store))


def accept(store: Store, *, name: str, seen: str, by: Membership) -> Line:
    """Accept what was found of one control as meant; raises posture.Changed when something else was found since."""
    line = posture.accept(store, name=name, seen=seen, by=by.user)
    AuditEvent.objects.note(by, "Accepted a deviation", f"{store}: {line.sentence}")
    return line


def reconsider(store: Store, *, name: str, by: Membership) -> None:
    """Take back that a deviation was accepted; raises posture.Changed when there is none."""
    posture.reconsider(store, name=name)
    AuditEvent.objects.note(by, "Took back an accepted deviation", f"{store}: {name}")
