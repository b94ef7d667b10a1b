"""Buckets on an S3 server that the console did not make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from console.clouds.contract import Control
from console.clouds.existing import ExistingBuckets, FoundBucket
from console.clouds.naming import STORE_TAG
from console.clouds.s3.controls import keeps, stop_logging
from console.clouds.s3.session import Lacking, bucket_of, calling, has, host, who
from console.clouds.s3.storage import _note, cli
from console.clouds.s3api import existing
from console.clouds.s3api.buckets import all_buckets
from console.clouds.s3api.settings import Setting
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, StepResult


def find(account: AccountRef, bucket: str) -> FoundBucket:
    """Return the bucket, which the console's key need not see in a list."""
    region = account.settings["region"]
    spec = StoreSpec(UUID(int=0), "", account, region, bucket, "")
    if not has(account, "tags"):
        raise Failed(
            f"{who(account)} keeps no tags of buckets, so nothing can show whose a bucket is, and one that is there "
            "cannot be added. Create a store on it instead and have the nodes back up there too; give up the old "
            "bucket once nobody needs what it holds. If the server has learned tags meanwhile, verify the account.",
            bucket=bucket,
        )
    if owner(spec) is None:
        raise Failed(f"{who(account)} has no bucket named {bucket}, or does not show it to the console.", bucket=bucket)
    listed = all_buckets(lambda operation: calling(operation, spec, bucket))
    created = next((one["CreationDate"].isoformat() for one in listed if _is(one, bucket)), "")
    return existing.describe(bucket_of(spec, bucket), region, created)


def _is(one: Mapping[str, Any], bucket: str) -> bool:
    return bool(one["Name"] == bucket and one.get("CreationDate"))


def owner(spec: StoreSpec) -> str | None:
    """Return the store ID in the bucket's tag; a bucket without one is nobody's, whatever its name."""
    try:
        found = bucket_of(spec, spec.bucket).tags()
    except Lacking as error:
        raise Failed(f"{host(spec.account)} does not show the tags of {spec.bucket}.", bucket=spec.bucket) from error
    return None if found is None else found.get(STORE_TAG, "")


def adjusted(spec: StoreSpec, control: Control) -> Control:
    """Return the control as it suits a bucket that others use."""

    def put(setting: Setting, value: Any) -> StepResult | None:
        return _note(keeps(setting, spec, spec.bucket, value), setting.label.lower())

    return existing.adjusted(spec, control, bucket_of(spec, spec.bucket), put)


def tag_command(spec: StoreSpec, found: Mapping[str, str]) -> str:
    """Return the command that gives the bucket the store's tags."""
    options, *first = cli(spec.account, spec.region)
    return "\n".join([*first, existing.tag_command(spec, found, options)])


EXISTING = ExistingBuckets(
    legal=existing.LEGAL,
    legal_words=existing.LEGAL_WORDS,
    find=find,
    owner=owner,
    adjusted=adjusted,
    untag=lambda spec: existing.untag(bucket_of(spec, spec.bucket)),
    stop_logging=stop_logging,
    tag_command=tag_command,
)
