"""What nodes may do with their stores, in the words of IAM, and what is common to all that gives it to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds.contract import BroughtKey, KeyPart
from console.clouds.naming import CLUSTER_TAG, cluster_tags
from console.clouds.s3api.errors import bucket_arn, code_of
from console.clouds.specs import AccessSpec

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import TagTypeDef

# What a key is, as pgBackRest is given it.
KEY_PARTS = (
    KeyPart("s3-key", "Access key ID"),
    KeyPart("s3-key-secret", "Secret access key"),
    KeyPart("s3-token", "Session token (empty: there is none)", may_lack=True),
)
IAM_PATH = "/pgbk/"  # of all that the console makes in IAM for nodes: its policy allows no other
POLICY = "backup-stores"  # the name of the nodes' policy, inline in what they sign in as


def brought_key_of(options: tuple[tuple[str, str], ...]) -> BroughtKey:
    """Return how a store, reached with these options, is reached with a key that somebody brings."""
    return BroughtKey(options, KEY_PARTS, "s3-key-type", ("s3-role",))


def node_name(spec: AccessSpec) -> str:
    """Return the name of the cluster's role, which is its instance profile's too; elsewhere its user's."""
    return f"pgbk-{spec.label}"


# The policy


def policy(spec: AccessSpec) -> dict[str, Any]:
    """Return the four permissions that pgBackRest needs (its user guide, "S3 Support"), in the cluster's own folders.

    Listing is one of them: without it S3 answers 403, not 404, for a missing object (S3 API reference, "GetObject").
    """
    return {"Version": "2012-10-17", "Statement": [one for bucket in spec.buckets for one in of_bucket(spec, bucket)]}


def of_bucket(spec: AccessSpec, bucket: str) -> list[dict[str, Any]]:
    """Return the statements of the policy on one bucket."""
    arn, form = bucket_arn(bucket, spec.account.partition), reading if spec.reads_until else statements
    return [one for folder in spec.folders(bucket) for one in form(arn, folder)]


def statements(arn: str, prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the statements of the policy on one folder of a bucket; "" is all of it."""
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn}
    return (
        {**listing, "Condition": {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}}} if prefix else listing,
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"{arn}/{prefix}/*" if prefix else f"{arn}/*",
        },
    )


def reading(arn: str, prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the statements of a policy that reads one folder of a bucket as it is and as it was."""
    listing, objects = statements(arn, prefix)
    return (
        {**listing, "Action": ["s3:ListBucket", "s3:ListBucketVersions"]},
        {**objects, "Action": ["s3:GetObject", "s3:GetObjectVersion"]},
    )


def compact(policy: dict[str, Any]) -> str:
    """Return the policy as IAM counts it, without whitespace."""
    return json.dumps(policy, separators=(",", ":"))


# Whose it is


def node_tags(spec: AccessSpec) -> list[TagTypeDef]:
    """Return the tags of all that the console makes for the nodes of the cluster."""
    return [{"Key": key, "Value": value} for key, value in cluster_tags(spec.id, spec.name).items()]


def cluster_in(tags: Iterable[TagTypeDef]) -> str:
    """Return the cluster ID that these tags name, or ''."""
    return next((tag["Value"] for tag in tags if tag["Key"] == CLUSTER_TAG), "")


@contextmanager
def or_nothing() -> Iterator[None]:
    """Go on after NoSuchEntity, as when it was deleted by an attempt whose answer got lost."""
    try:
        yield
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
