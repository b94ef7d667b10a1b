"""Identities that read deleted backups: asked for by a person, made and removed by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from clusters.models import RecoveryIdentity, Repository
from console.accounts import activity
from console.accounts.models import User
from console.clouds.steps import Plan
from console.operations.actions import ask
from console.operations.snapshots import SnapshotQuerySet

AGAIN = timedelta(minutes=15)  # after a removal that failed


class Refused(Exception):
    """There can be no recovery identity; the message says why, and what to do."""


def refusal(repository: Repository) -> str:
    """Return why no identity can be made for the repository, in sentences; "" when one can."""
    store = repository.store
    if store is None:
        return "The store is gone."
    if store.cloud_account.unproven:
        return store.cloud_account.unproven
    if not store.cloud.recovery.has_versions(store.spec()):
        return "Nothing in this store can be read as a version."
    return ""


def begin(
    repository: Repository, *, hours: int, keys: Mapping[str, str] | None = None, by: User | None
) -> RecoveryIdentity:
    """Have a worker make an identity that reads the repository's versions for so many hours; raises Refused.

    `keys` is one that was made by hand, where the server makes none: it is kept for that time, and then forgotten.
    """
    if why := refusal(repository):
        raise Refused(why)
    store = repository.store
    assert store  # as refusal() has seen
    try:
        with transaction.atomic():
            identity: RecoveryIdentity = RecoveryIdentity.objects.create(
                organisation_id=repository.organisation_id,
                cloud_account=store.cloud_account,
                repository=repository,
                cluster_name=repository.cluster_name,
                bucket=store.bucket,
                prefix=repository.cluster_prefix,
                until=timezone.now() + timedelta(hours=hours),
                keys=dict(keys or {}),
            )
            _note("Asked for a recovery identity", identity, by)
            ask(RecoveryIdentity.objects.filter(pk=identity.pk))
    except IntegrityError as error:
        raise Refused(gettext("There is one already, or one that is being removed. Wait until it is gone.")) from error
    return identity


def end(identity: RecoveryIdentity, *, by: User | None) -> None:
    """Have a worker remove the identity now; its key is forgotten when it is gone."""
    with transaction.atomic():
        RecoveryIdentity.objects.filter(pk=identity.pk, until__gt=timezone.now()).update(until=timezone.now())
        _note("Ended a recovery identity", identity, by)
        ask(RecoveryIdentity.objects.filter(pk=identity.pk))


def of_all() -> SnapshotQuerySet:
    """Return those that a worker looks after: all of them, also those whose repository is gone."""
    return RecoveryIdentity.objects.all()


def every(identity: RecoveryIdentity) -> timedelta:
    """Return how long until a worker looks again: at its end, or a while after a removal that failed."""
    left = identity.until - timezone.now()
    return left if left > timedelta() else AGAIN


def look(identity: RecoveryIdentity) -> Any:
    """Make the identity, or remove it once its time is over; raises a StepError, after which it is tried again.

    Each step may run any number of times, so a worker that dies leaves nothing behind that the next does not find.
    """
    access = identity.cloud_account.cloud.access
    if not identity.is_over:
        _run(access.grant, identity)
        return ["made"]
    _run(access.delete, identity)
    with transaction.atomic():
        RecoveryIdentity.objects.filter(pk=identity.pk).delete()
        _note("Removed a recovery identity", identity, None)
    return []


def _run(plan: Plan, identity: RecoveryIdentity) -> None:
    for stage in plan:
        for step in stage:
            result = step.run(identity.spec())
            if result and result.keep is not None:
                identity.keys = result.keep
                RecoveryIdentity.objects.filter(pk=identity.pk).update(keys=result.keep)


def _note(action: str, identity: RecoveryIdentity, by: User | None) -> None:
    facts = {
        "cluster": identity.cluster_name,
        "bucket": identity.bucket,
        "until": f"{identity.until:%Y-%m-%d %H:%M} UTC",
    }
    activity.record(action, identity, organisation=identity.organisation, by=by, after=facts)
