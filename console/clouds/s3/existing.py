"""Buckets on an S3 server that the console did not make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from console.clouds.contract import Control
from console.clouds.existing import ExistingBuckets, FoundBucket, Proof
from console.clouds.naming import STORE_TAG
from console.clouds.s3 import marker
from console.clouds.s3.controls import keeps, stop_logging
from console.clouds.s3.documents import lists_need, needs
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
    if owner(spec) is None:
        raise Failed(f"{who(account)} has no bucket named {bucket}, or does not show it to the console.", bucket=bucket)
    listed = all_buckets(lambda operation: calling(operation, spec, bucket))
    created = next((one["CreationDate"].isoformat() for one in listed if _is(one, bucket)), "")
    return existing.describe(bucket_of(spec, bucket), region, created)


def _is(one: Mapping[str, Any], bucket: str) -> bool:
    return bool(one["Name"] == bucket and one.get("CreationDate"))


def owner(spec: StoreSpec) -> str | None:
    """Return the store ID in the bucket's tag or marker; a bucket without one is nobody's, whatever its name."""
    there = bucket_of(spec, spec.bucket)
    if not has(spec.account, "tags"):
        return marker.owner(spec, there)
    try:
        found = there.tags()
    except Lacking as error:
        raise Failed(f"{host(spec.account)} does not show the tags of {spec.bucket}.", bucket=spec.bucket) from error
    return None if found is None else found.get(STORE_TAG, "")


def adjusted(spec: StoreSpec, control: Control) -> Control:
    """Return the control as it suits a bucket that others use."""
    if control.key == "tags" and not has(spec.account, "tags"):
        return marker.control(spec, control, bucket_of(spec, spec.bucket))

    def put(setting: Setting, value: Any) -> StepResult | None:
        return _note(keeps(setting, spec, spec.bucket, value), setting.label.lower())

    return existing.adjusted(spec, control, bucket_of(spec, spec.bucket), put)


def tag_command(spec: StoreSpec, found: Mapping[str, str]) -> str:
    """Return the command that gives the bucket the store's tags, or its marker."""
    options, *first = cli(spec.account, spec.region)
    if not has(spec.account, "tags"):
        return "\n".join([*first, marker.command(spec, options)])
    return "\n".join([*first, existing.tag_command(spec, found, options)])


def untag(spec: StoreSpec) -> None:
    """Take off what shows that it is the store's."""
    there = bucket_of(spec, spec.bucket)
    if has(spec.account, "tags"):
        existing.untag(there)
    else:
        marker.remove(spec, there)


def other_proof(account: AccountRef) -> Proof | None:
    """Return that a marker shows whose a bucket is, on a server without tags."""
    return None if has(account, "tags") else Proof("marker", "marker", marker.FOLDER, marker.HINT)


EXISTING = ExistingBuckets(
    legal=existing.LEGAL,
    legal_words=existing.LEGAL_WORDS,
    find=find,
    owner=owner,
    adjusted=adjusted,
    untag=untag,
    other_proof=other_proof,
    needs=needs,
    lists_need=lists_need,
    stop_logging=stop_logging,
    tag_command=tag_command,
)
