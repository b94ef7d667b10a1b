"""Backup stores on Amazon S3: what both buckets should have, and the primitives that a store's life is written on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import ClientError

from console.clouds.aws.session import HOME_REGIONS, calling
from console.clouds.contents import Contents, Objects
from console.clouds.contract import AlreadyExists, Control, UnmanagedBucket
from console.clouds.naming import LOG_DAYS, PREFIX, STORE_TAG
from console.clouds.regions import Region, find, regions
from console.clouds.s3api.buckets import (
    PAGE,
    Bucket,
    all_buckets,
    backup_rules,
    document,
    empty_commands,
    global_names,
    log_delivery,
    log_expiry,
    logging_target,
    only_new_tls,
    only_tls,
    tags,
    unmanaged,
)
from console.clouds.s3api.errors import bucket_arn, code_of
from console.clouds.s3api.objects import S3Objects
from console.clouds.s3api.settings import (
    CLOSED,
    ENCRYPTION,
    LIFECYCLE,
    LOGGING,
    OWNER_ENFORCED,
    OWNERSHIP,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    SSE_S3,
    VERSIONING,
    backup_lifecycle,
    kept_versions,
    lock,
    own_tags,
)
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, StepResult

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import CreateBucketConfigurationTypeDef, CreateBucketRequestTypeDef, TagTypeDef


class AWSStorage:
    """Two buckets of the linked account, in its own namespace where the region has that."""

    log_days = LOG_DAYS
    one_region = False
    create_pace = None
    closed_for_deletion = frozenset({"logging"})

    # What both buckets should have

    def settings(self, spec: StoreSpec) -> list[Control]:
        """Return what both buckets should have for ever, part of which AWS gives every new bucket by itself."""
        log_bucket, bucket = _bucket(spec, spec.log_bucket), _bucket(spec, spec.bucket)
        logging = LOGGING.control(bucket, logging_target(spec), log=False)
        versions = kept_versions(bucket)
        return [
            *_common(spec, log_bucket, _log_policy(spec), log=True),
            LIFECYCLE.control(log_bucket, [log_expiry()], log=True),
            *_common(spec, bucket, _policy(spec), log=False),
            backup_lifecycle(bucket, backup_rules(spec), fixed=bool(spec.versions_days)),
            *([replace(versions, ensure=partial(_keep_versions, bucket))] if spec.versions_days else []),
            *([lock(bucket, spec.lock_days)] if spec.lock_days else []),
            replace(logging, ensure=partial(self._log, spec)),
        ]

    def _log(self, spec: StoreSpec) -> None:
        """Log every request to the backup bucket into the log bucket, by day of the event."""
        try:
            LOGGING.write(_bucket(spec, spec.bucket), logging_target(spec))
        except NotReady as error:
            if error.details.get("code") == "InvalidTargetBucketForLogging":  # it, or its policy, was taken away
                try:
                    self.create(spec, spec.log_bucket)
                except AlreadyExists:
                    if self.owner(spec, spec.log_bucket) != str(spec.id):
                        raise error from None
                POLICY.write(_bucket(spec, spec.log_bucket), _log_policy(spec))
            raise

    # Names

    def regions(self, account: AccountRef) -> list[Region]:
        """Return the regions of the account's partition."""
        return regions_of(account)

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
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

    def namespace(self, partition: str, account_number: str) -> str:
        """Return the partition, in which bucket names are unique (Amazon S3 user guide, "Bucket naming rules")."""
        return f"aws/{partition}"

    def identifier(self, account: AccountRef, bucket: str) -> str:
        """Return the bucket's ARN."""
        return bucket_arn(bucket, account.partition)

    def facts(self, spec: StoreSpec) -> list[tuple[str, str]]:
        """Return both buckets with their ARNs."""
        return [
            ("Bucket Name", spec.bucket),
            ("Bucket ARN", bucket_arn(spec.bucket, spec.account.partition)),
            ("Log Bucket Name", spec.log_bucket),
            ("Log Bucket ARN", bucket_arn(spec.log_bucket, spec.account.partition)),
        ]

    # One bucket

    def owner(self, spec: StoreSpec, bucket: str) -> str | None:
        """Return the store ID in the bucket's tag, "" without one; None only when AWS does not list the bucket either.

        A bucket that is not shown may only be new (S3 user guide, "Amazon S3 data consistency model": bucket
        configurations are eventually consistent): then NotReady is raised.
        """
        try:
            tag = _store_tag(spec, bucket)
        except Failed as error:
            # Without permission to read it, or with another account's bucket, AWS answers alike; its list tells.
            denied = error.details.get("code") == "AccessDenied"
            if denied and not _in_account_namespace(spec, bucket) and not _is_listed(spec, bucket):
                return None
            raise
        if tag is None and _is_listed(spec, bucket):
            raise NotReady(
                f"AWS lists bucket {bucket}, and does not show it. If it stays so, try again.",
                patience=600,
                bucket=bucket,
            )
        return tag

    def create(self, spec: StoreSpec, bucket: str) -> None:
        """Create the bucket with its tags, which need no second call; raises AlreadyExists."""
        # In us-east-1 alone creating one's own bucket again answers 200 (S3 API reference, CreateBucket), which would
        # hide that it was there before and whose it is: there the tags are read first, one more round trip.
        if spec.region == "us-east-1" and _store_tag(spec, bucket) is not None:
            raise AlreadyExists
        request: CreateBucketRequestTypeDef = {
            "Bucket": bucket,
            "ObjectOwnership": "BucketOwnerEnforced",
            "CreateBucketConfiguration": _creation(spec),
        }
        if _in_account_namespace(spec, bucket):
            request["BucketNamespace"] = "account-regional"
        if spec.lock_days and bucket == spec.bucket:
            request["ObjectLockEnabledForBucket"] = True
        with calling("CreateBucket", spec, bucket) as s3:
            try:
                s3.create_bucket(**request)
            except ClientError as error:
                if code_of(error) == "BucketAlreadyExists" and _in_account_namespace(spec, bucket):
                    raise Failed(
                        f"AWS says that {bucket}, a name in account {spec.account.number}'s own namespace, is taken. "
                        "Check that the linked account is the right one.",
                        bucket=bucket,
                        code=code_of(error),
                    ) from error
                if code_of(error) == "BucketAlreadyOwnedByYou":
                    raise AlreadyExists from error
                raise

    def adopt(self, spec: StoreSpec, bucket: str) -> None:
        """Do nothing: the call that creates a bucket gives it all that it gets then."""

    def contents(self, spec: StoreSpec, bucket: str, tell: Callable[[int], None] | None = None) -> Contents:
        """Return what the bucket holds; versions, delete markers and unfinished uploads too."""
        there = _bucket(spec, bucket)
        return there.contents(tell) if tell else there.left()

    def close(self, spec: StoreSpec) -> None:
        """Do nothing: AWS refuses, at the very moment, to delete a bucket that is not empty."""

    def release(self, spec: StoreSpec) -> None:
        """Turn logging off."""
        LOGGING.write(_bucket(spec, spec.bucket), None)

    def empty(self, spec: StoreSpec, bucket: str) -> None:
        """Delete all that is in the bucket; raises NotReady when it is very much."""
        _bucket(spec, bucket).empty()

    def delete(self, spec: StoreSpec, bucket: str) -> bool:
        """Delete the bucket and say whether it is gone; it stays when something is in it."""
        return _bucket(spec, bucket).delete()

    def objects(self, spec: StoreSpec) -> Objects:
        """Return what reads the backup bucket's objects."""
        return S3Objects(lambda operation: calling(operation, spec, spec.bucket), spec.bucket, _expected(spec))

    # All buckets, and what administrators run

    def list_unmanaged(self, account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
        """Yield the account's buckets, in all regions, that are named like ours and are not known.

        One list serves all regions: asked for a prefix, AWS also says where each bucket is (S3 API reference,
        ListBuckets).
        """
        home = HOME_REGIONS[account.partition]

        def at(region: str, name: str) -> StoreSpec:
            return StoreSpec(UUID(int=0), "", account, region, name, "")

        listed = all_buckets(
            lambda operation: calling(operation, at(home, PREFIX), PREFIX), Prefix=PREFIX, MaxBuckets=PAGE
        )
        return unmanaged(listed, known, home, lambda name, region: _bucket(at(region, name), name).tags())

    def empty_commands(self, spec: StoreSpec, found: Contents, prefix: str = "") -> str:
        """Return the commands of the AWS CLI that empty the backup bucket, or a folder of it."""
        return empty_commands(spec.bucket, found, f"--region {spec.region}", prefix=prefix)

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the command that deletes the bucket; AWS refuses while anything is in it."""
        return f"aws s3api delete-bucket --bucket {bucket} --region {region} --expected-bucket-owner {account.number}"


def regions_of(account: AccountRef) -> list[Region]:
    """Return the regions of the account's partition."""
    return [region for region in regions("aws") if region.partition == account.partition]


def _common(spec: StoreSpec, bucket: Bucket, policy: dict[str, Any], *, log: bool) -> list[Control]:
    return [
        own_tags(spec, bucket, log=log),
        PUBLIC_ACCESS_BLOCK.control(bucket, CLOSED, log=log),
        OWNERSHIP.control(bucket, OWNER_ENFORCED, log=log),
        POLICY.control(bucket, policy, log=log),
        ENCRYPTION.control(bucket, SSE_S3, log=log),
    ]


def _log_policy(spec: StoreSpec) -> dict[str, Any]:
    """Let Amazon's log delivery write, for the backup bucket alone, and refuse plain HTTP and old TLS."""
    arn, log_arn = (bucket_arn(bucket, spec.account.partition) for bucket in (spec.bucket, spec.log_bucket))
    delivery = log_delivery(log_arn, arn)
    delivery["Condition"]["StringEquals"] = {"aws:SourceAccount": spec.account.number}
    return document(delivery, only_tls(log_arn), only_new_tls(log_arn))


def _policy(spec: StoreSpec) -> dict[str, Any]:
    """Refuse plain HTTP and old TLS."""
    arn = bucket_arn(spec.bucket, spec.account.partition)
    return document(only_tls(arn), only_new_tls(arn))


def _keep_versions(bucket: Bucket) -> StepResult:
    VERSIONING.write(bucket, "Enabled")
    # S3 user guide, "Enabling versioning on buckets"
    return StepResult(note="AWS asks to wait 15 minutes before the first backup: until then a version may get lost.")


def _bucket(spec: StoreSpec, name: str) -> Bucket:
    return Bucket(name, lambda operation: calling(operation, spec, name), _expected(spec))


def _expected(spec: StoreSpec) -> dict[str, Any]:
    return {"ExpectedBucketOwner": spec.account.number}


def _in_account_namespace(spec: StoreSpec, bucket: str) -> bool:
    # By the name, not by the table of regions: a region may get the namespace after the store got its names.
    return bucket.endswith(f"-{spec.account.number}-{spec.region}-an")


def _store_tag(spec: StoreSpec, bucket: str) -> str | None:
    found = _bucket(spec, bucket).tags()
    return None if found is None else found.get(STORE_TAG, "")


def _is_listed(spec: StoreSpec, bucket: str) -> bool:
    with calling("ListBuckets", spec, bucket) as s3:
        found = s3.list_buckets(Prefix=bucket, MaxBuckets=10)  # in order, so the exact name comes first
    return any(one["Name"] == bucket for one in found["Buckets"])


def _creation(spec: StoreSpec) -> CreateBucketConfigurationTypeDef:
    """Return the region and the tags: given in the create call, so that the bucket never stands untagged."""
    tag_set: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in tags(spec).items()]
    configuration: CreateBucketConfigurationTypeDef = {"Tags": tag_set}
    if spec.region != "us-east-1":  # which is the default, and refused as a value
        constraint: BucketLocationConstraintType = spec.region  # type: ignore[assignment]
        configuration["LocationConstraint"] = constraint
    return configuration
