"""Backup stores on Amazon S3: two lists of steps, at the end, and the functions that they name, above."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import ClientError

from console.operations.plan import Failed, NotReady, Round, Step
from console.regions import Region, find, regions

from .aws_access import account_facts, calling, identify
from .aws_errors import bucket_arn, code_of
from .aws_nodes import DISMISS, GRANT, REVOKE, facts, policy, refusal
from .aws_preflight import preflight
from .aws_templates import documents
from .base import AccessSpec, Account, Objects, Provider, Repository, StoreSpec
from .s3_buckets import STORE_TAG, Bucket, global_names, log_delivery, log_expiry, only_tls, tags, upload_expiry
from .s3_buckets import refusal as refusal_to_delete
from .s3_objects import S3Objects

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import (
        BucketLoggingStatusTypeDef,
        CreateBucketConfigurationTypeDef,
        CreateBucketRequestTypeDef,
        LifecycleRuleUnionTypeDef,
    )


# Names


def bucket_names(store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
    """Return the names of the backup bucket and of its log bucket.

    They are in the account's own namespace, where nobody else can take them, in every region that has it (Amazon S3
    user guide, "Account regional namespaces"); elsewhere the whole of the ID makes them unique.
    """
    bucket, log_bucket = global_names(store_id)
    here = find("aws", region)
    if here and here.account_namespace:
        id12 = bucket[-12:]  # the end, because a version 7 UUID begins with the time
        return f"pgbk-{id12}-{account_number}-{region}-an", f"pgbk-{id12}-log-{account_number}-{region}-an"
    return bucket, log_bucket


def _in_account_namespace(spec: StoreSpec, bucket: str) -> bool:
    # By the name, not by the table of regions: a region may get the namespace after the store got its names.
    return bucket.endswith(f"-{spec.account.number}-{spec.region}-an")


# Whose bucket it is


def _bucket(spec: StoreSpec, name: str) -> Bucket:
    return Bucket(name, lambda operation: calling(operation, spec, name), _expected(spec))


def _expected(spec: StoreSpec) -> dict[str, Any]:
    return {"ExpectedBucketOwner": spec.account.number}


def store_tag(spec: StoreSpec, bucket: str) -> str | None:
    """Return the store ID that the bucket is tagged with, '' when with none; None when there is no such bucket."""
    found = _bucket(spec, bucket).tags()
    return None if found is None else found.get(STORE_TAG, "")


def _adopt(spec: StoreSpec, bucket: str, tag: str | None) -> None:
    """Accept a bucket that is there already, or fail: one that is not this store's is never configured."""
    if tag != str(spec.id):
        raise Failed(
            f"A bucket named {bucket} exists in this account and does not belong to this store. It was left alone. "
            "Delete this store here and create it again: it gets another name.",
            bucket=bucket,
        )


def _is_ours_to_delete(spec: StoreSpec, bucket: str) -> bool:
    """Say whether the bucket exists and carries this store's tag; deleting a store touches no other."""
    try:
        tag = store_tag(spec, bucket)
    except Failed as error:
        # Without permission to read it, or with another account's bucket, AWS answers alike; its list tells them apart.
        denied = error.details.get("code") == "AccessDenied"
        if denied and not _in_account_namespace(spec, bucket) and not _is_listed(spec, bucket):
            return False
        raise
    if tag == "" and spec.complete:
        raise Failed(
            f"Bucket {bucket} does not carry this store's tag; it is left alone. Put the tag {STORE_TAG}={spec.id} "
            "back on it, or delete the bucket in AWS, then delete the store again.",
            bucket=bucket,
        )
    return tag == str(spec.id)


def _is_listed(spec: StoreSpec, bucket: str) -> bool:
    with calling("ListBuckets", spec, bucket) as s3:
        found = s3.list_buckets(Prefix=bucket, MaxBuckets=10)  # in order, so the exact name comes first
    return any(one["Name"] == bucket for one in found["Buckets"])


# Creating


def ensure_log_bucket(spec: StoreSpec) -> None:
    """Create the bucket that takes the access logs."""
    _ensure_bucket(spec, spec.log_bucket)


def ensure_bucket(spec: StoreSpec) -> None:
    """Create the bucket that takes the backups."""
    _ensure_bucket(spec, spec.bucket)


def _ensure_bucket(spec: StoreSpec, bucket: str) -> None:
    # In us-east-1 alone creating one's own bucket again answers 200 (S3 API reference, CreateBucket), which would
    # hide that it was there before and whose it is: there the tags are read first, one more round trip.
    if spec.region == "us-east-1" and (tag := store_tag(spec, bucket)) is not None:
        return _adopt(spec, bucket, tag)
    request: CreateBucketRequestTypeDef = {
        "Bucket": bucket,
        "ObjectOwnership": "BucketOwnerEnforced",
        "CreateBucketConfiguration": _creation(spec),
    }
    if _in_account_namespace(spec, bucket):
        request["BucketNamespace"] = "account-regional"
    with calling("CreateBucket", spec, bucket) as s3:
        try:
            s3.create_bucket(**request)
            return None
        except ClientError as error:
            if code_of(error) == "BucketAlreadyExists" and _in_account_namespace(spec, bucket):
                raise Failed(
                    f"AWS says that {bucket}, a name in account {spec.account.number}'s own namespace, is taken. Check "
                    "that the linked account is the right one.",
                    bucket=bucket,
                    code=code_of(error),
                ) from error
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
    return _adopt(spec, bucket, store_tag(spec, bucket))


def _creation(spec: StoreSpec) -> CreateBucketConfigurationTypeDef:
    """Return the region and the tags: given in the create call, so that the bucket never stands untagged."""
    configuration: CreateBucketConfigurationTypeDef = {"Tags": tags(spec)}
    if spec.region != "us-east-1":  # which is the default, and refused as a value
        constraint: BucketLocationConstraintType = spec.region  # type: ignore[assignment]
        configuration["LocationConstraint"] = constraint
    return configuration


def ensure_log_policy(spec: StoreSpec) -> None:
    """Let Amazon's log delivery write, for the backup bucket alone, and refuse plain HTTP."""
    arns = [bucket_arn(bucket, spec.account.partition) for bucket in (spec.log_bucket, spec.bucket)]
    delivery = log_delivery(*arns)
    delivery["Condition"]["StringEquals"] = {"aws:SourceAccount": spec.account.number}
    _put_policy(spec, spec.log_bucket, delivery)


def ensure_policy(spec: StoreSpec) -> None:
    """Refuse plain HTTP."""
    _put_policy(spec, spec.bucket)


def _put_policy(spec: StoreSpec, bucket: str, *allowed: dict[str, Any]) -> None:
    arn = bucket_arn(bucket, spec.account.partition)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [*allowed, only_tls(arn)]})
    with calling("PutBucketPolicy", spec, bucket) as s3:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy, ExpectedBucketOwner=spec.account.number)


def ensure_log_expiry(spec: StoreSpec) -> None:
    """Let access logs expire."""
    _put_lifecycle(spec, spec.log_bucket, log_expiry())


def ensure_upload_expiry(spec: StoreSpec) -> None:
    """Let unfinished uploads expire, since pgBackRest never aborts one."""
    _put_lifecycle(spec, spec.bucket, upload_expiry())


def _put_lifecycle(spec: StoreSpec, bucket: str, rule: LifecycleRuleUnionTypeDef) -> None:
    with calling("PutBucketLifecycleConfiguration", spec, bucket) as s3:
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}, ExpectedBucketOwner=spec.account.number
        )


def ensure_access_logging(spec: StoreSpec) -> None:
    """Log every request to the backup bucket into the log bucket, by day of the event."""
    try:
        _put_logging(
            spec,
            {
                "LoggingEnabled": {
                    "TargetBucket": spec.log_bucket,
                    "TargetPrefix": "access/",
                    "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
                }
            },
        )
    except NotReady as error:
        if error.details.get("code") == "InvalidTargetBucketForLogging":  # it, or its policy, was taken away meanwhile
            ensure_log_bucket(spec)
            ensure_log_policy(spec)
        raise


def _put_logging(spec: StoreSpec, status: BucketLoggingStatusTypeDef) -> None:
    with calling("PutBucketLogging", spec, spec.bucket) as s3:
        s3.put_bucket_logging(Bucket=spec.bucket, BucketLoggingStatus=status, ExpectedBucketOwner=spec.account.number)


# Deleting


def check_bucket_is_empty(spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup bucket."""
    if _is_ours_to_delete(spec, spec.bucket):
        _refuse_if_anything_is_left(spec)


def remove_bucket(spec: StoreSpec) -> None:
    """Turn logging off and delete the backup bucket; AWS itself refuses, at that very moment, when it is not empty."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return
    _put_logging(spec, {})
    if not _bucket(spec, spec.bucket).delete():
        _refuse_if_anything_is_left(spec)
        raise NotReady(f"AWS does not see yet that {spec.bucket} is empty.", bucket=spec.bucket)


def remove_log_bucket(spec: StoreSpec) -> None:
    """Delete the access logs and their bucket."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return
    logs = _bucket(spec, spec.log_bucket)
    logs.empty()
    if not logs.delete():
        raise NotReady("Amazon is still delivering late access logs; they are deleted as they come.", patience=3600)


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    if left := _bucket(spec, spec.bucket).left():
        _restore_logging(spec)
        raise refusal_to_delete(spec.bucket, left, "in AWS", f"--region {spec.region}")


def _restore_logging(spec: StoreSpec) -> None:
    """Turn logging on again if a deletion that went further than this one turned it off: the store stays in use."""
    with calling("GetBucketLogging", spec, spec.bucket) as s3:
        status = s3.get_bucket_logging(Bucket=spec.bucket, ExpectedBucketOwner=spec.account.number)
    if not status.get("LoggingEnabled") and store_tag(spec, spec.log_bucket) == str(spec.id):
        ensure_access_logging(spec)


# What a node, and whoever looks into a repository, needs to know


def regions_of(account: Account) -> list[Region]:
    """Return the regions of the account's partition."""
    return [region for region in regions("aws") if region.partition == account.partition]


def repository(spec: StoreSpec, access: AccessSpec) -> Repository:
    """Return pgBackRest's options for the bucket; a node signs in with the role that it was started with."""
    suffix = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(spec.account.partition, "amazonaws.com")
    return Repository(
        options=(
            ("type", "s3"),
            ("s3-bucket", spec.bucket),
            ("s3-endpoint", f"s3.{spec.region}.{suffix}"),
            ("s3-region", spec.region),
            ("s3-key-type", "auto"),
        )
    )


def objects(spec: StoreSpec) -> Objects:
    """Return what reads the backup bucket's objects."""
    return S3Objects(lambda operation: calling(operation, spec, spec.bucket), spec.bucket, _expected(spec))


def store_facts(spec: StoreSpec) -> list[tuple[str, str]]:
    """Return both buckets with their ARNs."""
    return [
        ("Bucket Name", spec.bucket),
        ("Bucket ARN", bucket_arn(spec.bucket, spec.account.partition)),
        ("Log Bucket Name", spec.log_bucket),
        ("Log Bucket ARN", bucket_arn(spec.log_bucket, spec.account.partition)),
    ]


AWS = Provider(
    key="aws",
    label="AWS",
    service="Amazon S3",
    # The log bucket is closed before anything is told to log into it, and calls on one bucket never run together,
    # which S3 answers with OperationAborted.
    provision=(
        Round(
            Step("Creating the log bucket", ensure_log_bucket),
            Step("Creating the backup bucket", ensure_bucket),
        ),
        Round(
            Step("Closing the log bucket to all but log delivery", ensure_log_policy),
            Step("Closing the backup bucket to plain HTTP", ensure_policy),
        ),
        Round(
            Step("Setting the log bucket to expire old logs", ensure_log_expiry),
            Step("Setting the backup bucket to drop unfinished uploads", ensure_upload_expiry),
        ),
        Round(Step("Turning on access logging", ensure_access_logging)),
    ),
    # The log bucket last: it still takes the log of the backup bucket's deletion.
    remove=(
        Round(Step("Checking that the backup bucket is empty", check_bucket_is_empty)),
        Round(Step("Deleting the backup bucket", remove_bucket)),
        Round(Step("Deleting the access logs and their bucket", remove_log_bucket)),
    ),
    identify=identify,
    bucket_names=bucket_names,
    bucket_arn=bucket_arn,
    grant=GRANT,
    revoke=REVOKE,
    dismiss=DISMISS,
    access_facts=facts,
    access_policy=policy,
    access_refusal=refusal,
    regions=regions_of,
    store_regions=regions_of,
    capabilities=lambda account: (),
    repository=repository,
    objects=objects,
    account_facts=account_facts,
    store_facts=store_facts,
    linked=lambda account: f"AWS says it is account {account.number}.",
    preflight=preflight,
    documents=documents,
)
