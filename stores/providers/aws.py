"""Backup stores on Amazon S3: two lists of steps, at the end, and the functions that they name, above."""

from __future__ import annotations

import json
from base64 import b32encode
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import ClientError

from console.operations.plan import Failed, NotReady, Refused, Round, Step
from console.regions import Region, find, regions

from .aws_access import calling, identify, tag_value
from .aws_errors import bucket_arn, code_of
from .aws_nodes import DISMISS, GRANT, REVOKE, facts, policy, refusal
from .base import AccessSpec, Account, Objects, Provider, Repository, StoreSpec
from .s3_objects import S3Objects

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import (
        BucketLoggingStatusTypeDef,
        CreateBucketConfigurationTypeDef,
        CreateBucketRequestTypeDef,
        LifecycleRuleUnionTypeDef,
        ObjectIdentifierTypeDef,
    )

STORE_TAG = "storekeeper:store-id"  # whose bucket it is; the console touches none without it
LOG_DAYS = 90
PAGE = 1000  # the most that S3 lists, or deletes, in one call
PAGES_PER_RUN = 100  # then the worker is free for others, and the step goes on later


# Names


def bucket_names(store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
    """Return the names of the backup bucket and of its log bucket.

    They are in the account's own namespace, where nobody else can take them, in every region that has it (Amazon S3
    user guide, "Account regional namespaces"); elsewhere the whole of the ID makes them unique.
    """
    letters = b32encode(store_id.bytes).decode().rstrip("=").lower()
    here = find("aws", region)
    if here and here.account_namespace:
        id12 = letters[-12:]  # the end, because a version 7 UUID begins with the time
        return f"pgbk-{id12}-{account_number}-{region}-an", f"pgbk-{id12}-log-{account_number}-{region}-an"
    return f"pgbk-{letters}", f"pgbk-{letters}-log"


def _in_account_namespace(spec: StoreSpec, bucket: str) -> bool:
    # By the name, not by the table of regions: a region may get the namespace after the store got its names.
    return bucket.endswith(f"-{spec.account.number}-{spec.region}-an")


# Whose bucket it is


def store_tag(spec: StoreSpec, bucket: str) -> str | None:
    """Return the store ID that the bucket is tagged with, '' when with none; None when there is no such bucket."""
    with calling("GetBucketTagging", spec, bucket) as s3:
        try:
            answer = s3.get_bucket_tagging(Bucket=bucket, ExpectedBucketOwner=spec.account.number)
        except ClientError as error:
            if code_of(error) == "NoSuchBucket":
                return None
            if code_of(error) == "NoSuchTagSet":
                return ""
            raise
    return next((tag["Value"] for tag in answer["TagSet"] if tag["Key"] == STORE_TAG), "")


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
    configuration: CreateBucketConfigurationTypeDef = {
        "Tags": [
            {"Key": STORE_TAG, "Value": str(spec.id)},
            {"Key": "storekeeper:store-name", "Value": tag_value(spec.name)},
            {"Key": "storekeeper:managed-by", "Value": "storekeeper"},
        ]
    }
    if spec.region != "us-east-1":  # which is the default, and refused as a value
        constraint: BucketLocationConstraintType = spec.region  # type: ignore[assignment]
        configuration["LocationConstraint"] = constraint
    return configuration


def ensure_log_policy(spec: StoreSpec) -> None:
    """Let Amazon's log delivery write, for the backup bucket alone, and refuse plain HTTP."""
    delivery = {
        "Sid": "S3ServerAccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"{bucket_arn(spec.log_bucket, spec.account.partition)}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": bucket_arn(spec.bucket, spec.account.partition)},
            "StringEquals": {"aws:SourceAccount": spec.account.number},
        },
    }
    _put_policy(spec, spec.log_bucket, delivery)


def ensure_policy(spec: StoreSpec) -> None:
    """Refuse plain HTTP."""
    _put_policy(spec, spec.bucket)


def _put_policy(spec: StoreSpec, bucket: str, *allowed: dict[str, Any]) -> None:
    arn = bucket_arn(bucket, spec.account.partition)
    only_tls = {
        "Sid": "DenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [*allowed, only_tls]})
    with calling("PutBucketPolicy", spec, bucket) as s3:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy, ExpectedBucketOwner=spec.account.number)


def ensure_log_expiry(spec: StoreSpec) -> None:
    """Let access logs expire."""
    rule: LifecycleRuleUnionTypeDef = {
        "ID": "expire-logs",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": LOG_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    _put_lifecycle(spec, spec.log_bucket, rule)


def ensure_upload_expiry(spec: StoreSpec) -> None:
    """Let unfinished uploads expire, since pgBackRest never aborts one."""
    rule: LifecycleRuleUnionTypeDef = {
        "ID": "abort-mpu",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    _put_lifecycle(spec, spec.bucket, rule)


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
    if not _delete_bucket(spec, spec.bucket):
        _refuse_if_anything_is_left(spec)
        raise NotReady(f"AWS does not see yet that {spec.bucket} is empty.", bucket=spec.bucket)


def remove_log_bucket(spec: StoreSpec) -> None:
    """Delete the access logs and their bucket."""
    bucket, owner = spec.log_bucket, spec.account.number
    if not _is_ours_to_delete(spec, bucket):
        return
    for _ in range(PAGES_PER_RUN):
        # Always the first page: what it listed is gone when the next one is asked for.
        if not (objects := _first_page(spec, bucket)):
            break
        with calling("DeleteObjects", spec, bucket) as s3:
            answer = s3.delete_objects(
                Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, ExpectedBucketOwner=owner
            )
            for refused in answer.get("Errors", []):
                raise ClientError(
                    {"Error": {"Code": refused["Code"], "Message": refused["Message"]}}, "DeleteObjects"
                )  # the first says it for all
    else:
        raise NotReady("Deleting the access logs: there are many.", patience=86400)
    with calling("ListMultipartUploads", spec, bucket) as s3:
        uploads = s3.list_multipart_uploads(Bucket=bucket, ExpectedBucketOwner=owner).get("Uploads", [])
    for upload in uploads:
        with calling("AbortMultipartUpload", spec, bucket) as s3:
            s3.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"], ExpectedBucketOwner=owner
            )
    if not _delete_bucket(spec, bucket):
        raise NotReady("Amazon is still delivering late access logs; they are deleted as they come.", patience=3600)


def _first_page(spec: StoreSpec, bucket: str) -> list[ObjectIdentifierTypeDef]:
    with calling("ListObjectVersions", spec, bucket) as s3:
        page = s3.list_object_versions(Bucket=bucket, ExpectedBucketOwner=spec.account.number)
    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    # Naming a version asks for s3:DeleteObjectVersion, even the "null" one of a bucket that has no versions; the
    # console's role has no need of it unless someone turned versioning on.
    if page.get("DeleteMarkers") or any(one["VersionId"] != "null" for one in found):
        return [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
    return [{"Key": one["Key"]} for one in found]


def _delete_bucket(spec: StoreSpec, bucket: str) -> bool:
    """Delete the bucket and say whether it is gone; it stays when something is in it."""
    with calling("DeleteBucket", spec, bucket) as s3:
        try:
            s3.delete_bucket(Bucket=bucket, ExpectedBucketOwner=spec.account.number)
        except ClientError as error:
            if code_of(error) == "BucketNotEmpty":
                return False
            if code_of(error) != "NoSuchBucket":
                raise
    return True


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    bucket, owner = spec.bucket, spec.account.number
    with calling("ListObjectVersions", spec, bucket) as s3:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=PAGE, ExpectedBucketOwner=owner)
    with calling("ListMultipartUploads", spec, bucket) as s3:
        unfinished = s3.list_multipart_uploads(Bucket=bucket, ExpectedBucketOwner=owner)
    versions = page.get("Versions", [])
    objects = sum(one["IsLatest"] for one in versions)
    older = len(versions) - objects
    markers = len(page.get("DeleteMarkers", []))
    uploads = len(unfinished.get("Uploads", []))
    if page["IsTruncated"]:
        kinds = "objects, older versions and delete markers" if older or markers else "objects"
        counts = [f"{PAGE:,} or more {kinds}"]
    else:
        counts = [_count(objects, "object"), _count(older, "older version"), _count(markers, "delete marker")]
    more = unfinished["IsTruncated"]
    counts.append(f"{PAGE:,} or more unfinished uploads" if more else _count(uploads, "unfinished upload"))
    if not (left := [count for count in counts if count]):
        return
    _restore_logging(spec)
    raise Refused(
        f"The backup bucket still holds {_sentence(left)}. Empty it in AWS, then delete the store again.",
        bucket=bucket,
        commands="\n".join(_emptying(spec, versioned=bool(older or markers), uploads=bool(uploads))),
    )


def _restore_logging(spec: StoreSpec) -> None:
    """Turn logging on again if a deletion that went further than this one turned it off: the store stays in use."""
    with calling("GetBucketLogging", spec, spec.bucket) as s3:
        status = s3.get_bucket_logging(Bucket=spec.bucket, ExpectedBucketOwner=spec.account.number)
    if not status.get("LoggingEnabled") and store_tag(spec, spec.log_bucket) == str(spec.id):
        ensure_access_logging(spec)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}" if number else ""


def _sentence(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _emptying(spec: StoreSpec, *, versioned: bool, uploads: bool) -> list[str]:
    """Return the commands of the AWS CLI that empty the backup bucket, for an administrator to run."""
    where = f"--bucket {spec.bucket} --region {spec.region}"
    commands = [f"aws s3 rm s3://{spec.bucket} --recursive --region {spec.region}"]
    if versioned:
        commands.append("# Repeat these two until there is nothing left (they take 250 at a time):")
        for kind in ("Versions", "DeleteMarkers"):
            query = f"--query '{{Objects: {kind}[].{{Key: Key, VersionId: VersionId}}}}' --output json"
            listing = f"aws s3api list-object-versions {where} --max-keys 250 --no-paginate {query}"
            commands.append(f'aws s3api delete-objects {where} --delete "$({listing})"')
    if uploads:
        listing = f"aws s3api list-multipart-uploads {where} --query 'Uploads[].[UploadId, Key]' --output text"
        abort = f'aws s3api abort-multipart-upload {where} --upload-id "$id" --key "$key"'
        commands.append(f"{listing} | while read -r id key; do {abort}; done")
    return commands


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
    owner = {"ExpectedBucketOwner": spec.account.number}
    return S3Objects(lambda operation: calling(operation, spec, spec.bucket), spec.bucket, owner)


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
)
