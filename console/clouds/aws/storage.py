"""Backup stores on Amazon S3: two lists of steps, at the end, and the functions that they name, above."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import ClientError

from console.clouds.aws.access import DISMISS, GRANT, REVOKE, facts, policy, refusal
from console.clouds.aws.documents import documents, together
from console.clouds.aws.errors import bucket_arn, code_of
from console.clouds.aws.linking import KEY, LINK, answers, method
from console.clouds.aws.permissions import preflight
from console.clouds.aws.session import HOME_REGIONS, account_facts, calling, identify
from console.clouds.contract import (
    AccessSpec,
    AccountRef,
    Cloud,
    Contents,
    Control,
    Objects,
    RepositoryOptions,
    StoreSpec,
    UnmanagedBucket,
    Vocabulary,
)
from console.clouds.regions import Region, find, regions
from console.clouds.s3api.buckets import (
    LOG_DAYS,
    PAGE,
    PREFIX,
    STORE_TAG,
    Bucket,
    all_buckets,
    backup_rules,
    document,
    emptying,
    global_names,
    leftovers,
    log_delivery,
    log_expiry,
    logging_target,
    only_new_tls,
    only_tls,
    tags,
)
from console.clouds.s3api.buckets import refusal as refusal_to_delete
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
from console.clouds.steps import Failed, NotReady, Stage, Step, StepResult, TooLate

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import CreateBucketConfigurationTypeDef, CreateBucketRequestTypeDef, TagTypeDef


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


def _settled_tag(spec: StoreSpec, bucket: str) -> str | None:
    """Return the same; None only when AWS does not list the bucket either. Raises NotReady while it does.

    A bucket that is not shown may only be new (S3 user guide, "Amazon S3 data consistency model": bucket configurations
    are eventually consistent).
    """
    tag = store_tag(spec, bucket)
    if tag is None and _is_listed(spec, bucket):
        raise NotReady(
            f"AWS lists bucket {bucket}, and does not show it. If it stays so, try again.", patience=600, bucket=bucket
        )
    return tag


def _adopt(spec: StoreSpec, bucket: str, tag: str | None) -> None:
    """Accept a bucket that is there already, or raise: one that is not this store's is never configured."""
    if tag is None:
        raise NotReady(
            f"AWS says that bucket {bucket} exists, and does not show it yet. If it stays so, try again.",
            patience=120,
            bucket=bucket,
        )
    if tag != str(spec.id):
        raise Failed(
            f"A bucket named {bucket} exists in this account and does not belong to this store. It was left alone. "
            "Delete this store here and create it again: it gets another name.",
            bucket=bucket,
        )


def _is_ours_to_delete(spec: StoreSpec, bucket: str) -> bool:
    """Say whether the bucket exists and carries this store's tag; deleting a store touches no other."""
    try:
        tag = _settled_tag(spec, bucket)  # the store's row must not go before the bucket
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
    if spec.lock_days and bucket == spec.bucket:
        request["ObjectLockEnabledForBucket"] = True
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
    tag_set: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in tags(spec).items()]
    configuration: CreateBucketConfigurationTypeDef = {"Tags": tag_set}
    if spec.region != "us-east-1":  # which is the default, and refused as a value
        constraint: BucketLocationConstraintType = spec.region  # type: ignore[assignment]
        configuration["LocationConstraint"] = constraint
    return configuration


def ensure_log_policy(spec: StoreSpec) -> None:
    """Let Amazon's log delivery write, for the backup bucket alone, and refuse plain HTTP and old TLS."""
    POLICY.write(_bucket(spec, spec.log_bucket), _log_policy(spec))


def _log_policy(spec: StoreSpec) -> dict[str, Any]:
    arn, log_arn = (bucket_arn(bucket, spec.account.partition) for bucket in (spec.bucket, spec.log_bucket))
    delivery = log_delivery(log_arn, arn)
    delivery["Condition"]["StringEquals"] = {"aws:SourceAccount": spec.account.number}
    return document(delivery, only_tls(log_arn), only_new_tls(log_arn))


def ensure_policy(spec: StoreSpec) -> None:
    """Refuse plain HTTP and old TLS."""
    POLICY.write(_bucket(spec, spec.bucket), _policy(spec))


def _policy(spec: StoreSpec) -> dict[str, Any]:
    arn = bucket_arn(spec.bucket, spec.account.partition)
    return document(only_tls(arn), only_new_tls(arn))


def ensure_log_expiry(spec: StoreSpec) -> None:
    """Let access logs expire."""
    LIFECYCLE.write(_bucket(spec, spec.log_bucket), [log_expiry()])


def ensure_upload_expiry(spec: StoreSpec) -> None:
    """Let unfinished uploads expire, since pgBackRest never aborts one; and, where versions are kept, old ones."""
    LIFECYCLE.write(_bucket(spec, spec.bucket), backup_rules(spec))


def ensure_access_logging(spec: StoreSpec) -> None:
    """Log every request to the backup bucket into the log bucket, by day of the event."""
    try:
        LOGGING.write(_bucket(spec, spec.bucket), logging_target(spec))
    except NotReady as error:
        if error.details.get("code") == "InvalidTargetBucketForLogging":  # it, or its policy, was taken away meanwhile
            ensure_log_bucket(spec)
            ensure_log_policy(spec)
        raise


def ensure_versions(spec: StoreSpec) -> StepResult | None:
    """Have the backup bucket keep what is overwritten or deleted."""
    bucket = _bucket(spec, spec.bucket)
    if VERSIONING.read(bucket) == "Enabled":
        return None
    VERSIONING.write(bucket, "Enabled")
    # S3 user guide, "Enabling versioning on buckets"
    return StepResult(note="AWS asks to wait 15 minutes before the first backup: until then a version may get lost.")


def ensure_lock(spec: StoreSpec) -> None:
    """Let nobody delete what is written into the backup bucket for as long as was promised; never a shorter lock."""
    control = lock(_bucket(spec, spec.bucket), spec.lock_days)
    if not control.same(control.observe()):
        control.ensure()


# What both buckets should have


def controls(spec: StoreSpec) -> list[Control]:
    """Return what both buckets should have for ever, part of which AWS gives every new bucket by itself."""
    log_bucket, bucket = _bucket(spec, spec.log_bucket), _bucket(spec, spec.bucket)
    logging = LOGGING.control(bucket, logging_target(spec), log=False)
    return [
        *_common(spec, log_bucket, _log_policy(spec), log=True),
        LIFECYCLE.control(log_bucket, [log_expiry()], log=True),
        *_common(spec, bucket, _policy(spec), log=False),
        backup_lifecycle(bucket, backup_rules(spec), fixed=bool(spec.versions_days)),
        *([kept_versions(bucket)] if spec.versions_days else []),
        *([lock(bucket, spec.lock_days)] if spec.lock_days else []),
        replace(logging, ensure=partial(ensure_access_logging, spec)),
    ]


def _common(spec: StoreSpec, bucket: Bucket, policy_: dict[str, Any], *, log: bool) -> list[Control]:
    return [
        own_tags(spec, bucket, log=log),
        PUBLIC_ACCESS_BLOCK.control(bucket, CLOSED, log=log),
        OWNERSHIP.control(bucket, OWNER_ENFORCED, log=log),
        POLICY.control(bucket, policy_, log=log),
        ENCRYPTION.control(bucket, SSE_S3, log=log),
    ]


# Deleting


def check_bucket_is_empty(spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup bucket."""
    if _is_ours_to_delete(spec, spec.bucket):
        _refuse_if_anything_is_left(spec)


def remove_bucket(spec: StoreSpec) -> None:
    """Turn logging off and delete the backup bucket; AWS itself refuses, at that very moment, when it is not empty."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return
    LOGGING.write(_bucket(spec, spec.bucket), None)
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


def keep_log_bucket(spec: StoreSpec) -> None:
    """Leave the log bucket where it is, with the rule by which its logs expire."""
    if _is_ours_to_delete(spec, spec.log_bucket):
        ensure_log_expiry(spec)


def clear_logs(spec: StoreSpec, over: bool) -> bool:
    """Return whether the log bucket that was kept is gone; when all is over, the empty bucket is deleted."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return True
    logs = _bucket(spec, spec.log_bucket)
    return over and logs.left().is_empty and logs.delete()


def restore(spec: StoreSpec) -> None:
    """Put back what a deletion that somebody cancels has changed; raises TooLate when the backup bucket is gone."""
    if not _is_ours_to_delete(spec, spec.bucket):
        raise TooLate(f"The backup bucket {spec.bucket} is not there any more.", bucket=spec.bucket)
    _restore_logging(spec)


def contents(spec: StoreSpec, tell: Callable[[int], None]) -> Contents:
    """Return what the backup bucket holds."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return Contents(exists=False)
    return _bucket(spec, spec.bucket).contents(tell)


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    left = _bucket(spec, spec.bucket).left()
    if not left.is_empty:
        _restore_logging(spec)
        raise refusal_to_delete(spec.bucket, left, "in AWS", _cli(spec))


def _cli(spec: StoreSpec) -> str:
    """Return the options of the AWS CLI that reach the bucket."""
    return f"--region {spec.region}"


def _restore_logging(spec: StoreSpec) -> None:
    """Turn logging on again if a deletion that went further than this one turned it off: the store stays in use."""
    if not spec.complete:
        return  # it may never have been on
    if not LOGGING.read(_bucket(spec, spec.bucket)) and _settled_tag(spec, spec.log_bucket) == str(spec.id):
        ensure_access_logging(spec)


# What a node, and whoever looks into a repository, needs to know


def regions_of(account: AccountRef) -> list[Region]:
    """Return the regions of the account's partition."""
    return [region for region in regions("aws") if region.partition == account.partition]


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the bucket; a node signs in with the role that it was started with."""
    suffix = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(spec.account.partition, "amazonaws.com")
    return RepositoryOptions(
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


def survey(account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
    """Yield the account's buckets, in all regions, that are named like ours and are not known.

    One list serves all regions: asked for a prefix, AWS also says where each bucket is (S3 API reference, ListBuckets).
    """
    home = HOME_REGIONS[account.partition]

    def at(region: str, name: str) -> StoreSpec:
        return StoreSpec(UUID(int=0), "", account, region, name, "")

    listed = all_buckets(lambda operation: calling(operation, at(home, PREFIX), PREFIX), Prefix=PREFIX, MaxBuckets=PAGE)
    return leftovers(listed, known, home, lambda name, region: _bucket(at(region, name), name).tags())


def removal(account: AccountRef, bucket: str, region: str) -> str:
    """Return the command that deletes the bucket; AWS refuses while anything is in it."""
    return f"aws s3api delete-bucket --bucket {bucket} --region {region} --expected-bucket-owner {account.number}"


def store_facts(spec: StoreSpec) -> list[tuple[str, str]]:
    """Return both buckets with their ARNs."""
    return [
        ("Bucket Name", spec.bucket),
        ("Bucket ARN", bucket_arn(spec.bucket, spec.account.partition)),
        ("Log Bucket Name", spec.log_bucket),
        ("Log Bucket ARN", bucket_arn(spec.log_bucket, spec.account.partition)),
    ]


# The log bucket comes after: it still takes the log of the backup bucket's deletion.
REMOVE_BUCKET = (
    Stage(Step("check_bucket_is_empty", "Checking that the backup bucket is empty", check_bucket_is_empty)),
    Stage(Step("delete_bucket", "Deleting the backup bucket", remove_bucket, point_of_no_return=True)),
)
AWS = Cloud(
    key="aws",
    label="AWS",
    service="Amazon S3",
    mark="aws",
    vocabulary=Vocabulary(owner_tag=STORE_TAG),
    link=LINK,
    answers=answers,
    method=method,
    has_key=lambda account: method(account) == KEY,
    knows_external_id=True,
    linking="Make a role in your account with the permissions and the trust policy below, or have CloudFormation or "
    "Terraform make it, then enter its ARN. The external ID is yours alone; without it nobody can use the role, and "
    "the console checks that.",
    asked="IAM is asked what it would answer (iam:SimulatePrincipalPolicy). Resource control policies, conditions of "
    "service control policies and the buckets' own policies may still refuse a call; its task then says why.",
    # The log bucket is closed before anything is told to log into it, and calls on one bucket never run together,
    # which S3 answers with OperationAborted.
    provision=(
        Stage(
            Step("create_log_bucket", "Creating the log bucket", ensure_log_bucket),
            Step("create_bucket", "Creating the backup bucket", ensure_bucket),
        ),
        Stage(
            Step("close_log_bucket", "Closing the log bucket to all but log delivery", ensure_log_policy),
            Step("close_bucket", "Closing the backup bucket to plain HTTP", ensure_policy),
        ),
        Stage(
            Step("expire_logs", "Setting the log bucket to expire old logs", ensure_log_expiry),
            Step("expire_uploads", "Setting the backup bucket to drop unfinished uploads", ensure_upload_expiry),
        ),
        Stage(Step("log_access", "Turning on access logging", ensure_access_logging)),
    ),
    keep_versions=(Stage(Step("keep_versions", "Turning on versioning", ensure_versions)),),
    lock=(Stage(Step("lock_versions", "Locking what will be written", ensure_lock)),),
    # The log bucket last: it still takes the log of the backup bucket's deletion.
    remove=(
        *REMOVE_BUCKET,
        Stage(Step("delete_log_bucket", "Deleting the access logs and their bucket", remove_log_bucket)),
    ),
    remove_but_logs=(*REMOVE_BUCKET, Stage(Step("keep_logs", "Leaving the access logs to expire", keep_log_bucket))),
    restore=(Stage(Step("restore_settings", "Putting back what the deletion had changed", restore)),),
    contents=contents,
    emptying=lambda spec, found: emptying(spec.bucket, found, _cli(spec)),
    clear_logs=clear_logs,
    log_days=LOG_DAYS,
    identify=identify,
    bucket_names=bucket_names,
    identifier=lambda account, bucket: bucket_arn(bucket, account.partition),
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
    controls=controls,
    survey=survey,
    removal=removal,
    account_facts=account_facts,
    store_facts=store_facts,
    linked=lambda account: f"AWS says it is account {account.number}.",
    protections=lambda account: frozenset({"versions", "lock"}),
    preflight=preflight,
    documents=documents,
    together=together,
)
