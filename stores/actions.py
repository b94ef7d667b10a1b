"""What can be done to a store, for views, the admin and commands."""

from __future__ import annotations

from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.cloud_accounts.actions import InUse, users_of
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import NotNow, ask, begin
from stores import drift, unmanaged
from stores.control_status import ControlStatus, agreed
from stores.models import DeletionPreview, DriftReport, IgnoredBucket, State, Store
from stores.unmanaged import ExplainedBucket, Pair, store_id


class LimitReached(Exception):
    """The organisation has as many stores as it may have; the message says what to do."""


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
    """Write the store down with both bucket names, and begin to create it; raises NameTaken and LimitReached."""
    pk = uuid4()
    bucket, log_bucket = account.cloud.storage.names(pk, region, account.number)
    promised = {"versions_days": versions_days, "lock_days": lock_days}
    return _write_down(account, pk, name=name, region=region, bucket=bucket, log_bucket=log_bucket, by=by, **promised)


def _write_down(
    account: CloudAccount,
    pk: UUID,
    *,
    name: str,
    region: str,
    bucket: str,
    log_bucket: str,
    by: User | None,
    **promised: int | None,
) -> Store:
    try:
        with transaction.atomic():
            organisation = Organisation.locked(account.organisation_id)
            no_more_stores(organisation)
            store = Store.objects.create(
                id=pk,
                organisation=organisation,
                cloud_account=account,
                name=name,
                region=region,
                bucket=bucket,
                log_bucket=log_bucket,
                **promised,
            )
            begin(store, "create", by=by, is_whole=False)
    except IntegrityError as error:
        if Store.objects.filter(organisation_id=account.organisation_id).named(name).exclude(pk=pk).exists():
            raise NameTaken from error
        raise
    return store


def no_more_stores(organisation: Organisation) -> None:
    """Raise LimitReached when the organisation, which is locked, has as many stores as it may have."""
    if (number := organisation.stores.count()) >= organisation.stores_at_most:
        raise LimitReached(
            f"{organisation} has {number:,} of {organisation.stores_at_most:,} stores. Delete one that is not "
            "needed, or ask support to raise the limit."
        )


class NotAdoptable(Exception):
    """The bucket cannot become a store's again; the message says why."""


def adopt(explained: ExplainedBucket, found: Pair | None, *, name: str, by: User | None) -> Store:
    """Write the store down again, with its ID and its buckets, and begin to create it: that takes what has its tag.

    Raises NameTaken, LimitReached, and NotAdoptable when there is such a store by now.
    """
    pk = store_id(explained.bucket)
    if not explained.adoptable or pk is None:
        raise NotAdoptable(explained.what)
    if found is None:
        raise NotAdoptable(too_many(explained))
    try:
        store = _write_down(
            explained.account,
            pk,
            name=name,
            region=explained.bucket.region,
            bucket=found.bucket,
            log_bucket=found.log_bucket,
            versions_days=explained.bucket.versions_days or None,
            lock_days=explained.bucket.lock_days or None,
            by=by,
        )
    except IntegrityError as error:
        raise NotAdoptable("Somebody has just adopted this store. Reload the page.") from error
    activity.record(
        "Adopted a backup store", store, organisation=store.organisation, by=by, after={"bucket": explained.bucket.name}
    )
    return store


def too_many(explained: ExplainedBucket) -> str:
    """Return what to do where more than one bucket says that it is the store's."""
    words = explained.account.cloud.vocabulary
    return (
        f"Several {words.bucket}s of one kind carry this store's {words.tag}. Look which one holds its backups, take "
        f"the {words.tag} {words.owner_tag} off the others, then look again."
    )


def scan_for_unmanaged(account: CloudAccount) -> None:
    """Have the account swept now."""
    ask(unmanaged.scans().filter(cloud_account=account))


def forget(explained: ExplainedBucket, *, by: User | None) -> None:
    """Show the bucket no more among those that belong to no store; nothing changes in the cloud."""
    IgnoredBucket.objects.get_or_create(
        cloud_account=explained.account,
        bucket=explained.bucket.name,
        defaults={"by": by, "by_name": activity.name_of(by)},
    )
    _note("Forgot an unmanaged bucket", explained, by)


def remember(explained: ExplainedBucket, *, by: User | None) -> None:
    """Show the bucket again."""
    IgnoredBucket.objects.filter(cloud_account=explained.account, bucket=explained.bucket.name).delete()
    _note("Listed an unmanaged bucket again", explained, by)


def _note(action: str, explained: ExplainedBucket, by: User | None) -> None:
    activity.record(action, explained.bucket.name, organisation=explained.account.organisation, by=by)


def delete(store: Store, *, keep_logs: bool = False, by: User | None) -> None:
    """Begin to delete the store, or to forget one whose bucket was there before.

    Raises NotNow when its state does not allow it, InUse while something uses it.

    Its row is locked first, as it is by whoever begins to use it: of the two, one wins.
    """
    with transaction.atomic():
        Store.objects.select_for_update().filter(pk=store.pk).first()
        if users := users_of(store):
            raise InUse(users)
        store.keep_logs = keep_logs and store.has_logs  # before the plan is asked for
        begin(store, "forget" if store.is_brought else "delete", by=by)
        Store.objects.filter(pk=store.pk).update(keep_logs=store.keep_logs)


def count(store: Store) -> DeletionPreview:
    """Return what was counted last of what the store holds, and have it counted anew if that is too old."""
    deletion_preview, _ = DeletionPreview.objects.get_or_create(store=store)
    answered = Q(wanted_at=None) | Q(tried_at__gte=F("wanted_at"))
    old = Q(tried_at=None) | Q(tried_at__lt=Now() - DeletionPreview.FRESH)
    ask(DeletionPreview.objects.filter(answered, old, pk=deletion_preview.pk))
    deletion_preview.refresh_from_db()
    return deletion_preview


def repair(store: Store, *, by: User | None, seen: str | None = None) -> None:
    """Begin to bring both buckets back to what they should be; raises NotNow when the state does not allow it.

    `seen` is agreed() of what the user agreed to have repaired; raises drift.Changed when something else differs now.
    """
    with transaction.atomic():
        if store.is_brought and _is_gone(store):
            raise NotNow(
                gettext(
                    "The bucket of {store} is gone. The console did not make it and does not make it again: "
                    "bring it back, or remove the store from the console."
                ).format(store=store.name)
            )
        found = drift.locked(store).drift if seen is not None and store.state != State.FAILED else []
        if seen is not None and store.state != State.FAILED and agreed(found) != seen:
            raise drift.Changed
        if found and not any(one.repairable for one in found):
            raise NotNow(found[0].advice)
        begin(store, "repair", by=by)


def _is_gone(store: Store) -> bool:
    report = getattr(store, "drift_report", None)
    return report is not None and any(one.state == "gone" and not one.log for one in report.drift)


def verify(store: Store) -> None:
    """Have both buckets looked at now; raises NotNow while something works on them."""
    if store.state not in (State.AVAILABLE, State.DEGRADED):
        raise NotNow(
            gettext("{store} is not checked while it is {lower}.").format(
                store=store.name, lower=store.get_state_display().lower()
            )
        )
    DriftReport.objects.get_or_create(store=store)
    ask(DriftReport.objects.filter(store=store))


def accept(store: Store, *, name: str, seen: str, by: Membership) -> ControlStatus:
    """Accept what was found of one control as meant; raises drift.Changed when something else was found since."""
    line = drift.accept(store, name=name, seen=seen, by=by.person)
    found = {"control": name, "found": line.sentence}
    activity.record("Accepted a deviation", store, organisation=by.organisation, by=by.person, after=found)
    return line


def reconsider(store: Store, *, name: str, by: Membership) -> None:
    """Take back that a deviation was accepted; raises drift.Changed when there is none."""
    drift.reconsider(store, name=name)
    was = {"control": name}
    activity.record("Took back an accepted deviation", store, organisation=by.organisation, by=by.person, before=was)
