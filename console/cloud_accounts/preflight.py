"""What the console may do in the linked accounts, read now and then and kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from console.cloud_accounts.models import CloudAccount, Preflight
from console.clouds import CLOUDS
from console.clouds.regions import meant
from console.operations.snapshots import SnapshotQuerySet

CHOSEN_AT_MOST = 5  # regions that somebody has chosen lately, without a store there yet


def of_all() -> SnapshotQuerySet:
    """Return the preflights of all linked accounts; one of another key or role than the present is due."""
    found = _of(CloudAccount.objects.filter(provider_key__in=CLOUDS))
    found.filter(cloud_account__key_since__gt=F("tried_at"), due_at__gt=Now()).update(due_at=Now())
    return found


def of(account: CloudAccount) -> SnapshotQuerySet:
    """Return the preflight of this account."""
    return _of(CloudAccount.objects.filter(pk=account.pk))


def _of(accounts: QuerySet[CloudAccount]) -> SnapshotQuerySet:
    missing = accounts.filter(preflight=None)
    Preflight.objects.bulk_create([Preflight(cloud_account=one) for one in missing], ignore_conflicts=True)
    return Preflight.objects.filter(cloud_account__in=accounts)


def found(account: CloudAccount) -> Preflight:
    """Return what was found of the account last; an empty one where nobody has looked."""
    return Preflight.objects.filter(cloud_account=account).first() or Preflight(cloud_account=account)


def found_where_used(account: CloudAccount) -> Preflight:
    """Return the same for the regions of its stores, once there are some.

    A region that was only chosen for a moment is nobody's trouble, once there are stores elsewhere.
    """
    used = set(account.stores.values_list("region", flat=True))
    return found(account).within(used) if used else found(account)


def show(accounts: Iterable[CloudAccount]) -> None:
    """Give each account what was found of it where it is used, as `shown_preflight`; one query for all."""
    of = {one.pk: one for one in accounts}
    used: dict[Any, set[str]] = {pk: set() for pk in of}
    rows = CloudAccount.objects.filter(pk__in=of, stores__isnull=False)
    for pk, region in rows.values_list("pk", "stores__region").distinct():
        used[pk].add(region)
    found = {one.cloud_account_id: one for one in Preflight.objects.filter(cloud_account__in=of)}
    for pk, account in of.items():
        one = found.get(pk) or Preflight(cloud_account=account)
        account.shown_preflight = one.within(used[pk]) if used[pk] else one


def chosen_region(account: CloudAccount, text: str) -> str:
    """Return the code of the one region that the text names; nothing where it names none, or an account has but one."""
    named = [] if account.cloud.storage.one_region else meant(text, account.store_regions)
    return named[0].code if len(named) == 1 else ""


def look(preflight: Preflight) -> Any:
    """Return the lines of the account, with those regions that have stores or are about to; raises a StepError."""
    account = preflight.cloud_account
    used = account.stores.order_by("region").values_list("region", flat=True).distinct()
    regions = list(dict.fromkeys([*used, *preflight.chosen]))
    return [asdict(check) for check in account.cloud.linking.preflight(account.with_places(), regions)]
