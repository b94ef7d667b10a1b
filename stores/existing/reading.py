"""Reading a bucket that somebody thinks of adding: whose it is, where, what is in it, what it has and lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from console.cloud_accounts.models import CloudAccount
from console.clouds import bringing, foreign
from console.clouds.contents import Objects
from console.clouds.existing import FoundBucket
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed
from console.operations.models import Operation
from console.restoration import models as restoration
from stores.control_status import ControlStatus
from stores.models import BucketLook, RetainedLogs, Store
from stores.unmanaged import is_shared

DEPTH = 3  # folders that a repository may be below
FOLDERS_AT_MOST = 200  # that are listed: each takes a call
REPOSITORIES_AT_MOST = 100
STANZAS_AT_MOST = 50  # of a repository that are named
HALVES = ("archive", "backup")  # what pgBackRest makes in a repository's path ("repo-path")


def read(look: BucketLook) -> dict[str, Any]:
    """Return what was found of the bucket; raises a StepError. Nothing is written."""
    account, cloud = look.cloud_account, look.cloud_account.cloud
    look.tell(f"Looking for the {cloud.vocabulary.bucket}")
    found = cloud.existing.find(account.credentials(), look.bucket)
    if look.region and look.region.lower() != found.region.lower():
        raise Failed(f"{look.bucket} is in {found.region}, not in {look.region}.", bucket=look.bucket)
    spec = _spec(look, found)
    look.tell("Reading its settings")
    tag = cloud.existing.owner(spec) or ""
    taken = claimed(look, tag)
    spec = replace(spec, id=taken or look.store_id)
    now = timezone.now().isoformat()
    lines = [
        ControlStatus(**vars(one), since=now, noun=cloud.vocabulary.bucket).kept() for one in bringing.look(cloud, spec)
    ]
    look.tell("Counting what is in it")
    contents = cloud.storage.contents(spec, spec.bucket, lambda counted: look.tell(f"{counted:,} objects so far"))
    look.tell("Looking for repositories of pgBackRest")
    repositories, is_whole = repositories_in(cloud.storage.objects(spec), look.tell)
    return {
        "found": asdict(replace(found, region=foreign.word(found.region))),
        "owner": "" if not tag else "ours" if taken or tag == str(look.store_id) else "other",
        "tag": foreign.word(tag),
        "store_id": str(taken or look.store_id),
        "lines": lines,
        "contents": asdict(contents),
        "repositories": repositories,
        "is_whole": is_whole,
    }


def _spec(look: BucketLook, found: FoundBucket) -> StoreSpec:
    account = look.cloud_account
    _, log_bucket = account.cloud.storage.names(look.store_id, found.region, account.number)
    return StoreSpec(
        id=look.store_id,
        name=look.name,
        account=account.credentials(),
        region=found.region,
        bucket=look.bucket,
        log_bucket=log_bucket,
        versions_days=found.versions_days,
        lock_days=found.lock_days,
    )


def spec_of(look: BucketLook) -> StoreSpec:
    """Return the store that a bucket which was looked at is to be."""
    found = FoundBucket(**{**look.content["found"], "warnings": ()})
    return replace(_spec(look, found), id=UUID(look.content["store_id"]))


def claimed(look: BucketLook, tag: str) -> UUID | None:
    """Return the ID in the tag, if it is of a store that this organisation had and the console has no longer.

    After a copy was restored, that may be one of which nothing is known here, in an account that nobody else has.
    """
    try:
        pk = UUID(tag)
    except ValueError:
        return None
    organisation = look.cloud_account.organisation_id
    if Store.objects.filter(pk=pk).exists():
        return None
    history = Operation.objects.filter(subject_kind=Store.kind(), subject_id=pk)
    if history.filter(organisation=organisation).exists():
        return pk
    is_copy = restoration.is_open(organisation) and not history.exists()
    return pk if is_copy and not is_shared(look.cloud_account) else None


def repositories_in(objects: Objects, tell: Callable[[str], None]) -> tuple[list[dict[str, Any]], bool]:
    """Return the paths that look like repositories of pgBackRest, with their stanzas; and whether all was looked at.

    A repository has a folder of archives and one of backups, each with a folder for each stanza.
    """
    found: list[dict[str, Any]] = []
    waiting, asked = [("", 0)], 0
    while waiting:
        prefix, depth = waiting.pop(0)
        if asked >= FOLDERS_AT_MOST or len(found) >= REPOSITORIES_AT_MOST:
            return found, False
        asked += 1
        tell(f"Looking for repositories of pgBackRest: {asked} folders")
        names = objects.folders(prefix)
        if halves := [one for one in HALVES if one in names]:
            asked += len(halves)
            stanzas = {foreign.word(one) for half in halves for one in objects.folders(f"{prefix}{half}/")}
            shown = sorted(stanzas)[:STANZAS_AT_MOST]
            found.append({"path": f"/{foreign.word(prefix.rstrip('/'))}", "stanzas": shown, "halves": halves})
        if depth < DEPTH:
            waiting += [(f"{prefix}{one}/", depth + 1) for one in names if one not in halves]
    return found, True


def taken_here(bucket: str, account: CloudAccount) -> Store | RetainedLogs | None:
    """Return what in this console has the bucket already, whoever's; a name counts where the cloud has it once.

    As the place of a store's logs a name counts in its own account alone: anybody may write any name there.
    """
    of_account = Q(cloud_account__provider_key=account.provider_key, cloud_account__number=account.number)
    return held_here(bucket, account) or Store.objects.filter(of_account, logs_into=bucket).first()


def held_here(bucket: str, account: CloudAccount) -> Store | RetainedLogs | None:
    """Return what in this console has the bucket as its own, whoever's."""
    stores = Store.objects.filter(Q(bucket=bucket) | Q(log_bucket=bucket)).select_related("cloud_account")
    retained = RetainedLogs.objects.filter(bucket=bucket).select_related("cloud_account")
    found = (one for rows in (stores, retained) for one in rows)
    return next((one for one in found if one.cloud_account.namespace == account.namespace), None)
