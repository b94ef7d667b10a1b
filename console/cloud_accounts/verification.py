"""Linked accounts, verified again every day, each at its own time of day."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from console.cloud_accounts import actions
from console.cloud_accounts.models import CloudAccount, Verification
from console.clouds import CLOUDS
from console.clouds.contract import LinkError
from console.clouds.steps import Failed, NotReady
from console.operations.snapshots import SnapshotQuerySet, daily


def of_all() -> SnapshotQuerySet:
    """Return the verifications of all linked accounts; linking is the first, so the next is due a day later."""
    accounts = CloudAccount.objects.filter(provider_key__in=CLOUDS)
    missing = accounts.filter(verification=None).values_list("pk", flat=True)
    Verification.objects.bulk_create(
        [Verification(cloud_account_id=pk, due_at=Now() + daily(pk)) for pk in missing], ignore_conflicts=True
    )
    return Verification.objects.filter(cloud_account__in=accounts)


def verify(verification: Verification) -> Any:
    """Return what was verified; raises a StepError when the account is not what it was, or nobody could tell."""
    account = verification.cloud_account
    try:
        verified = actions.verify(account)
    except LinkError as error:
        raise NotReady(str(error)) from error
    if not verified:
        raise Failed(account.verify_error)
    return account.proofs
