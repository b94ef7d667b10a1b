"""What a store would like of a server that is not Amazon's: each setting is put, read back and compared.

A server may lack it or lie: SeaweedFS 4.48, for one, answers 409 to access logging, and creates a missing bucket when
it is asked to log there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds.s3.session import Lacking, bucket_of, calling
from console.clouds.s3api.buckets import logging_target
from console.clouds.s3api.errors import code_of
from console.clouds.s3api.settings import LOGGING, Setting
from console.clouds.specs import StoreSpec

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def create_bucket(spec: StoreSpec, bucket: str, *, locked: bool = False) -> bool:
    """Create the bucket, with Object Lock if asked, and say whether it was made now."""
    with calling("CreateBucket", spec, bucket) as s3:
        try:
            ask_for_bucket(s3, bucket, spec.region, locked=locked)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
            return False
    return True


def ask_for_bucket(s3: S3Client, bucket: str, region: str, *, locked: bool = False) -> None:
    """Ask for the bucket, in the server's own region where it wants to be told."""
    lock: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if locked else {}
    try:
        s3.create_bucket(Bucket=bucket, **lock)
    except ClientError as error:
        if code_of(error) not in {"IllegalLocationConstraintException", "InvalidLocationConstraint"}:
            raise
        # Some servers want to be told their own region, others refuse to be told any.
        s3.create_bucket(
            Bucket=bucket,
            CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            **lock,
        )


def keeps(setting: Setting, spec: StoreSpec, bucket: str, value: Any) -> bool:
    """Give the bucket this value and return whether the server keeps it."""
    there = bucket_of(spec, bucket)
    try:
        setting.write(there, value)
        return setting.same(value, setting.read(there))
    except Lacking:
        return False


def keeps_logging(spec: StoreSpec) -> bool:
    """Log every request to the backup bucket into the log bucket, and return whether the server keeps that."""
    return logs(spec) or keeps(LOGGING, spec, spec.bucket, logging_target(spec))


def logs(spec: StoreSpec) -> bool:
    """Return whether requests to the backup bucket are logged into the log bucket; raises NotReady without a bucket."""
    # Asked before anything is put, because of the servers that create the bucket when they are asked to log.
    try:
        return LOGGING.same(logging_target(spec), LOGGING.read(bucket_of(spec, spec.bucket)))
    except Lacking:
        return False


def stop_logging(spec: StoreSpec) -> None:
    """Turn logging off, where it is on."""
    if logs(spec):
        LOGGING.write(bucket_of(spec, spec.bucket), None)


def refuses_to_delete_what_is_not_empty(spec: StoreSpec, bucket: str) -> bool:
    """Try to delete a bucket that holds something and return whether the server refused; only ever done to a probe."""
    return not bucket_of(spec, bucket).delete()
