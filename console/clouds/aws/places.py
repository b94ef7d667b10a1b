"""What the console's permissions name beside our own buckets: what somebody has added or brought in, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from console.clouds.s3api.errors import bucket_arn
from console.clouds.s3api.places import existing, lists
from console.clouds.specs import Place

USES, READS = "UseExistingBuckets", "ReadListsBroughtIn"  # the statements of such places
# What the console does with its own buckets alone.
NEVER = {"s3:CreateBucket", "s3:DeleteBucket", "s3:TagResource"}


def usage(sid: str, buckets: Sequence[str], given: Iterable[dict[str, Any]], partition: str) -> dict[str, Any]:
    """Return the statement that lets the console use these buckets; `given` are those of its policy for its own."""
    own = [one for one in given if one["Sid"] in {"CheckedBeforeItExists", "ConfigureStoreBuckets"}]
    actions = dict.fromkeys(action for one in own for action in one["Action"] if action not in NEVER)
    arns = [bucket_arn(one, partition) for one in buckets]
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": [*actions, "s3:GetBucketAcl", "s3:GetBucketRequestPayment"],
        "Resource": arns,
        "Condition": next(one["Condition"] for one in own if "Condition" in one),
    }


def statements_of(places: Sequence[Place], given: Iterable[dict[str, Any]], partition: str) -> list[dict[str, Any]]:
    """Return the statements that the console's policy has for these places; none without any."""
    found, own = [], list(given)
    if buckets := existing(places):
        found.append(usage(USES, buckets, own, partition))
    if objects := lists(places, partition):
        reading = next(one for one in own if one["Sid"] == "ReadListsOfBackups")
        found.append({**reading, "Sid": READS, "Resource": objects})
    return found
