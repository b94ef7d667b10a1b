"""Buckets of the linked account that the console did not make."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from console.clouds.aws.boundary import BOUNDARY, usage_of_nodes
from console.clouds.aws.places import usage
from console.clouds.aws.session import HOME_REGIONS, calling, statements
from console.clouds.aws.storage import AWSStorage, _bucket
from console.clouds.contract import Control, Document
from console.clouds.existing import ExistingBuckets, FoundBucket
from console.clouds.s3api import existing
from console.clouds.s3api.buckets import LEGAL_REGION, PAGE, all_buckets
from console.clouds.s3api.places import lists
from console.clouds.s3api.settings import Setting
from console.clouds.specs import AccountRef, Place, StoreSpec
from console.clouds.steps import Failed

LATER = "Once it is there, the files of the account's page name it: run one of them again to have this kept."


def find(account: AccountRef, bucket: str) -> FoundBucket:
    """Return what the account's list says of the bucket: that it is this account's, and where it is."""
    home = HOME_REGIONS[account.partition]
    there = StoreSpec(UUID(int=0), "", account, home, bucket, "")
    listed = all_buckets(lambda operation: calling(operation, there, bucket), Prefix=bucket, MaxBuckets=PAGE)
    one = next((one for one in listed if one["Name"] == bucket), None)
    if one is None:
        raise Failed(
            f"Account {account.number} has no bucket named {bucket}. A bucket of another account cannot be added: link "
            "that account, and add it there.",
            bucket=bucket,
        )
    region = one.get("BucketRegion") or home
    if not LEGAL_REGION.fullmatch(region):
        raise Failed(f"AWS names a region of {bucket} that is none.", bucket=bucket)
    spec = StoreSpec(UUID(int=0), "", account, region, bucket, "")
    return existing.describe(_bucket(spec, bucket), region, one["CreationDate"].isoformat())


def owner(spec: StoreSpec) -> str | None:
    """Return the store ID in the bucket's tag."""
    return AWSStorage().owner(spec, spec.bucket)


def adjusted(spec: StoreSpec, control: Control) -> Control:
    """Return the control as it suits a bucket that others use."""
    there = _bucket(spec, spec.bucket)

    def put(setting: Setting, value: Any) -> None:
        setting.write(there, value)

    return existing.adjusted(spec, control, there, put)


def tag_command(spec: StoreSpec, found: Mapping[str, str]) -> str:
    """Return the command that gives the bucket the store's tags."""
    options = f"--region {spec.region} --expected-bucket-owner {spec.account.number}"
    return existing.tag_command(spec, found, options)


def needs(account: AccountRef, bucket: str) -> Sequence[Document]:
    """Return what the console's role, and the boundary of the nodes' roles, have to name beside our own buckets."""
    given = statements(account.number, account.partition)["Statement"]
    sid = "UseExistingBucket" + "".join(one for one in bucket if one.isalnum())
    statement = usage(sid, [bucket], given, account.partition)
    nodes = usage_of_nodes(sid, [bucket], account.number, account.partition)
    return [
        Document(
            "existing-bucket.json",
            "The console's role",
            json.dumps(statement, indent=2),
            "Add this statement to the policy of the console's role or user, which names only what the console has. "
            f"{LATER}",
        ),
        Document(
            "existing-bucket-nodes.json",
            f"The boundary {BOUNDARY}",
            json.dumps(nodes, indent=2),
            f"Add this statement to the managed policy {BOUNDARY}, before nodes are given the store.",
        ),
    ]


def lists_need(account: AccountRef, bucket: str, path: str) -> str:
    """Return what the console's role lacks for a repository outside of the folders that it makes, in sentences."""
    names = " and ".join(lists([Place(bucket, repositories=(path,))], account.partition))
    return (
        f"The console's policy opens only the lists that it names. Allow s3:GetObject on {names}, and name both in "
        f"NotResource of its statement NeverReadBackups; then try again. {LATER}"
    )


EXISTING = ExistingBuckets(
    lists_need=lists_need,
    legal=existing.LEGAL,
    legal_words=existing.LEGAL_WORDS,
    find=find,
    owner=owner,
    adjusted=adjusted,
    untag=lambda spec: existing.untag(_bucket(spec, spec.bucket)),
    stop_logging=lambda spec: existing.stop_logging(spec, _bucket(spec, spec.bucket)),
    tag_command=tag_command,
    needs=lambda account, bucket: () if bucket.startswith("pgbk-") else needs(account, bucket),
)
