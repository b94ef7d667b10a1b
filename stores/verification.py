"""Linked accounts, verified again every day, each at its own time of day."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from console.accounts import actions
from console.accounts.models import CloudAccount
from console.operations.plan import Failed, NotReady
from console.operations.readings import ReadingQuerySet, daily
from stores.models import Verification
from stores.providers import PROVIDERS
from stores.providers.base import LinkError


def of_all() -> ReadingQuerySet:
    """Return the verifications of all linked accounts; linking is the first, so the next is due a day later."""
    accounts = CloudAccount.objects.filter(provider_key__in=PROVIDERS)
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
