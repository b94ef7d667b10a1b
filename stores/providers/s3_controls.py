"""What a store would like its buckets to have: each is put, read back and compared, since a server may lack it or lie.

SeaweedFS 4.48, for one, answers 409 to access logging, and creates a missing bucket when it is asked to log there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .base import StoreSpec
from .s3_buckets import tags
from .s3_server import Lacking, bucket_of, calling

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleUnionTypeDef, PublicAccessBlockConfigurationTypeDef


def keeps_tags(spec: StoreSpec, bucket: str) -> bool:
    """Tag the bucket as the store's and return whether the server keeps that."""
    wanted = {tag["Key"]: tag["Value"] for tag in tags(spec)}
    return _keeps(
        spec,
        bucket,
        "BucketTagging",
        lambda s3: s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags(spec)}),
        lambda s3: {t["Key"]: t["Value"] for t in s3.get_bucket_tagging(Bucket=bucket).get("TagSet", [])} == wanted,
    )


def keeps_policy(spec: StoreSpec, bucket: str, *statements: dict[str, Any]) -> bool:
    """Give the bucket this policy and return whether the server keeps it."""
    wanted = {"Version": "2012-10-17", "Statement": list(statements)}
    return _keeps(
        spec,
        bucket,
        "BucketPolicy",
        lambda s3: s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(wanted)),
        lambda s3: same_policy(_read_policy(s3, bucket), wanted),
    )


def keeps_lifecycle(spec: StoreSpec, bucket: str, rule: LifecycleRuleUnionTypeDef) -> bool:
    """Give the bucket this lifecycle rule and return whether the server keeps it."""
    parts = ("Status", "Expiration", "AbortIncompleteMultipartUpload")
    wanted = [rule.get(part) for part in parts]

    def read(s3: S3Client) -> bool:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
        return [[one.get(part) for part in parts] for one in rules] == [wanted]

    return _keeps(
        spec,
        bucket,
        "BucketLifecycleConfiguration",
        lambda s3: s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}),
        read,
    )


def keeps_public_access_block(spec: StoreSpec, bucket: str) -> bool:
    """Close the bucket to the public for good and return whether the server keeps that."""
    wanted: PublicAccessBlockConfigurationTypeDef = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    return _keeps(
        spec,
        bucket,
        "PublicAccessBlock",
        lambda s3: s3.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration=wanted,
        ),
        lambda s3: s3.get_public_access_block(Bucket=bucket).get("PublicAccessBlockConfiguration") == wanted,
    )


def keeps_ownership(spec: StoreSpec, bucket: str) -> bool:
    """Turn ACLs off and return whether the server keeps that."""
    wanted: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    return _keeps(
        spec,
        bucket,
        "BucketOwnershipControls",
        lambda s3: s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=wanted),
        lambda s3: s3.get_bucket_ownership_controls(Bucket=bucket).get("OwnershipControls") == wanted,
    )


def keeps_versions(spec: StoreSpec, bucket: str) -> bool:
    """Turn versioning on and return whether the server keeps that."""
    return _keeps(
        spec,
        bucket,
        "BucketVersioning",
        lambda s3: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        lambda s3: s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled",
    )


def keeps_logging(spec: StoreSpec) -> bool:
    """Log every request to the backup bucket into the log bucket, and return whether the server keeps that."""
    if logs(spec):
        return True
    return _keeps(
        spec,
        spec.bucket,
        "BucketLogging",
        lambda s3: s3.put_bucket_logging(
            Bucket=spec.bucket,
            BucketLoggingStatus={
                "LoggingEnabled": {
                    "TargetBucket": spec.log_bucket,
                    "TargetPrefix": "access/",
                    "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
                }
            },
        ),
        lambda s3: _logs(s3, spec),
    )


def logs(spec: StoreSpec) -> bool:
    """Return whether requests to the backup bucket are logged into the log bucket; raises NotReady without a bucket."""
    # Asked before anything is put, because of the servers that create the bucket when they are asked to log.
    try:
        with calling("GetBucketLogging", spec, spec.bucket) as s3:
            return _logs(s3, spec)
    except Lacking:
        return False


def _logs(s3: S3Client, spec: StoreSpec) -> bool:
    found = s3.get_bucket_logging(Bucket=spec.bucket).get("LoggingEnabled", {})
    return (found.get("TargetBucket"), found.get("TargetPrefix")) == (spec.log_bucket, "access/")


def stop_logging(spec: StoreSpec) -> None:
    """Turn logging off, where it is on."""
    if logs(spec):
        with calling("PutBucketLogging", spec, spec.bucket) as s3:
            s3.put_bucket_logging(Bucket=spec.bucket, BucketLoggingStatus={})


def refuses_to_delete_what_is_not_empty(spec: StoreSpec, bucket: str) -> bool:
    """Try to delete a bucket that holds something and return whether the server refused; only ever done to a probe."""
    return not bucket_of(spec, bucket).delete()


def _keeps(
    spec: StoreSpec, bucket: str, name: str, put: Callable[[S3Client], Any], read: Callable[[S3Client], bool]
) -> bool:
    try:
        with calling(f"Put{name}", spec, bucket) as s3:
            put(s3)
        with calling(f"Get{name}", spec, bucket) as s3:
            return read(s3)
    except Lacking:
        return False


def _read_policy(s3: S3Client, bucket: str) -> Any:
    try:
        return json.loads(s3.get_bucket_policy(Bucket=bucket).get("Policy") or "null")
    except ValueError:
        return None


def same_policy(one: Any, other: Any) -> bool:
    """Return whether two policies say the same, however a server writes one element of a list or everybody."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _plain(one) for key, one in value.items()}
        return "*" if found == {"AWS": "*"} else found
    if isinstance(value, list):
        several = sorted((_plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
        return several[0] if len(several) == 1 else several
    return value
