"""Backup stores on a server that speaks S3 and is not Amazon's: MinIO, Ceph, SeaweedFS and the like."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from console.clouds.contents import Contents, Objects
from console.clouds.contract import AccountRef, AlreadyExists, Control, StoreSpec, UnmanagedBucket
from console.clouds.naming import LOG_DAYS, PREFIX, STORE_TAG, listed
from console.clouds.regions import Region
from console.clouds.s3.controls import create_bucket, keeps, keeps_logging, stop_logging
from console.clouds.s3.session import Lacking, bucket_of, calling, has, host, own_region, verifies
from console.clouds.s3api.buckets import (
    all_buckets,
    backup_rules,
    document,
    empty_commands,
    global_names,
    id_in,
    log_delivery,
    log_expiry,
    logging_target,
    only_tls,
    tags,
    unmanaged,
)
from console.clouds.s3api.errors import bucket_arn
from console.clouds.s3api.objects import S3Objects
from console.clouds.s3api.settings import (
    CLOSED,
    LIFECYCLE,
    LOGGING,
    OWNER_ENFORCED,
    OWNERSHIP,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    TAGS,
    VERSIONING,
    Setting,
    backup_lifecycle,
    lock,
    own_tags,
)
from console.clouds.steps import Failed, StepResult


@dataclass(frozen=True)
class Wish:
    """A setting that the server may not have: it is put, read back, and what was not kept is said by its name."""

    setting: Setting
    feature: str  # as an account's settings list what its server has; nothing: it has been asked for
    name: str

    def control(self, spec: StoreSpec, bucket: str, value: Any, *, fixed: bool = False) -> Control:
        """Return this value as one that the bucket should have, if the server has the setting."""
        log = bucket == spec.log_bucket
        return replace(
            self.setting.control(bucket_of(spec, bucket), value, log=log, fixed=fixed),
            ensure=lambda: _note(keeps(self.setting, spec, bucket, value), self.name),
            offered=not self.feature or has(spec.account, self.feature),
        )


CLOSED_TO_ALL = Wish(PUBLIC_ACCESS_BLOCK, "public_access_block", "public access block")
WITHOUT_ACLS = Wish(OWNERSHIP, "ownership", "switch that turns ACLs off")
BY_POLICY = Wish(POLICY, "bucket_policy", "bucket policies")
LOGS_EXPIRE = Wish(LIFECYCLE, "upload_expiry", "expiry of objects and unfinished uploads")
UPLOADS_EXPIRE = Wish(LIFECYCLE, "upload_expiry", "expiry of unfinished uploads")
KEEPS_VERSIONS = Wish(VERSIONING, "", "versioning")
LOGS_ACCESS = Wish(LOGGING, "access_logging", "access logging")


class S3Storage:
    """Two buckets of the server, which may lack whatever is not put, get, list and delete."""

    log_days = LOG_DAYS
    one_region = True
    create_pace = None
    closed_for_deletion = frozenset({"policy", "logging"})

    # What both buckets should have

    def settings(self, spec: StoreSpec) -> list[Control]:
        """Return what both buckets should have, as far as the server has it, as was found when it was last verified.

        What it was not found to have is tried when a bucket is made, and said; it is no drift.
        """
        return [*self._of_log_bucket(spec), *self._of_backup_bucket(spec)]

    def _of_log_bucket(self, spec: StoreSpec) -> list[Control]:
        bucket = spec.log_bucket
        return [*_common(spec, bucket, _log_policy(spec)), LOGS_EXPIRE.control(spec, bucket, [log_expiry()])]

    def _of_backup_bucket(self, spec: StoreSpec) -> list[Control]:
        bucket, rules, protected = spec.bucket, backup_rules(spec), bool(spec.versions_days)
        expiry = UPLOADS_EXPIRE.control(spec, bucket, rules, fixed=protected)
        if protected:  # versions that are kept longer than was promised will do
            expiry = replace(expiry, matches=backup_lifecycle(bucket_of(spec, bucket), rules, fixed=True).matches)
        logging = LOGS_ACCESS.control(spec, bucket, logging_target(spec))
        locked = lock(bucket_of(spec, bucket), spec.lock_days)
        return [
            *_common(spec, bucket, _policy(spec)),
            expiry,
            *([KEEPS_VERSIONS.control(spec, bucket, "Enabled", fixed=True)] if protected else []),
            *([replace(locked, ensure=partial(_ensure_lock, locked))] if spec.lock_days else []),
            replace(logging, ensure=lambda: _note(keeps_logging(spec), LOGS_ACCESS.name)),
        ]

    # Names

    def regions(self, account: AccountRef) -> list[Region]:
        """Return the server's own region: the only one that it has."""
        return [own_region(account)]

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
        """Return the names of the backup bucket and of its log bucket, which nobody can guess: all share one space."""
        return global_names(store_id)

    def identifier(self, account: AccountRef, bucket: str) -> str:
        """Return the bucket's ARN, as policies name it."""
        return bucket_arn(bucket)

    def facts(self, spec: StoreSpec) -> list[tuple[str, str]]:
        """Return both buckets, and where they are reached."""
        return [
            ("Bucket Name", spec.bucket),
            ("Log Bucket Name", spec.log_bucket),
            ("Endpoint", spec.account.settings["endpoint"]),
        ]

    # One bucket

    def owner(self, spec: StoreSpec, bucket: str) -> str | None:
        """Return the store ID in the bucket's tag, "" when nothing says whose it is; None when there is no such bucket.

        A bucket without any tag is proven by its name, which nobody could guess: on a server without tags always, on
        others only while it is empty, as after a crash between its creation and its tag.
        """
        there, has_tags = bucket_of(spec, bucket), has(spec.account, "tags")
        try:
            found = there.tags()
        except Lacking:
            found, has_tags = {}, False
        if found:
            return found.get(STORE_TAG, "")
        # Swift 2.30 answers an empty list of tags also for a bucket that is not there: it has to be asked otherwise.
        if found is None or not there.exists():
            return None
        proven = not has_tags or there.left().is_empty
        return str(spec.id) if proven else ""

    def create(self, spec: StoreSpec, bucket: str) -> StepResult | None:
        """Create the bucket and give it its tags; raises AlreadyExists."""
        # Asked first, because some servers answer a second creation like the first.
        if self._is_seen(spec, bucket) or not create_bucket(
            spec, bucket, locked=bool(spec.lock_days) and bucket == spec.bucket
        ):
            raise AlreadyExists
        return self.adopt(spec, bucket)

    def _is_seen(self, spec: StoreSpec, bucket: str) -> bool:
        try:
            return self.owner(spec, bucket) is not None
        except Failed as error:
            if not error.details.get("action"):
                raise
            return False  # somebody else's, perhaps: creating it tells

    def adopt(self, spec: StoreSpec, bucket: str) -> StepResult | None:
        """Give the bucket its tags, and close it; say what the server did not keep."""
        wishes = (
            (TAGS, tags(spec), "bucket tags"),
            (OWNERSHIP, OWNER_ENFORCED, WITHOUT_ACLS.name),
            (PUBLIC_ACCESS_BLOCK, CLOSED, CLOSED_TO_ALL.name),
        )
        lacking = tuple(name for setting, value, name in wishes if not keeps(setting, spec, bucket, value))
        return StepResult(note=f"This server has no {listed(lacking)}.") if lacking else None

    def contents(self, spec: StoreSpec, bucket: str, tell: Callable[[int], None] | None = None) -> Contents:
        """Return what the bucket holds; versions, delete markers and unfinished uploads too."""
        there = bucket_of(spec, bucket)
        return there.contents(tell) if tell else there.left()

    def close(self, spec: StoreSpec) -> None:
        """Let nobody write into the backup bucket any more, where the server has bucket policies.

        The server may delete a bucket even when something is in it.
        """
        arn = bucket_arn(spec.bucket)
        no_writes = {
            "Sid": "DenyWritesBeforeDeletion",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"{arn}/*",
        }
        keeps(POLICY, spec, spec.bucket, document(only_tls(arn), no_writes))

    def release(self, spec: StoreSpec) -> None:
        """Turn logging off, where it is on."""
        stop_logging(spec)

    def empty(self, spec: StoreSpec, bucket: str) -> None:
        """Delete all that is in the bucket; raises NotReady when it is very much."""
        bucket_of(spec, bucket).empty()

    def delete(self, spec: StoreSpec, bucket: str) -> bool:
        """Delete the bucket and say whether it is gone; on most servers it stays when something is in it."""
        return bucket_of(spec, bucket).delete()

    def objects(self, spec: StoreSpec) -> Objects:
        """Return what reads the backup bucket's objects."""
        return S3Objects(lambda operation: calling(operation, spec, spec.bucket), spec.bucket, {})

    # All buckets, and what administrators run

    def list_unmanaged(self, account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
        """Yield the buckets that the console's key sees, that are named like ours and are not known."""
        region = account.settings["region"]

        def tags_of(name: str, region: str) -> Mapping[str, str] | None:
            if not has(account, "tags"):  # then the name proves whose it is, which nobody could guess
                return {STORE_TAG: id_in(name)}
            return bucket_of(StoreSpec(UUID(int=0), "", account, region, name, ""), name).tags()

        everything = StoreSpec(UUID(int=0), "", account, region, PREFIX, "")
        found = all_buckets(lambda operation: calling(operation, everything, PREFIX))
        return unmanaged(found, known, region, tags_of)

    def empty_commands(self, spec: StoreSpec, found: Contents, prefix: str = "") -> str:
        """Return the commands of the AWS CLI that empty the backup bucket, or a folder of it."""
        options, *first = _cli(spec.account, spec.region)
        return empty_commands(spec.bucket, found, options, *first, prefix=prefix)

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the commands that delete the bucket, and warn where the server would delete one that is not empty."""
        options, *first = _cli(account, region)
        bucket = shlex.quote(bucket)  # the name that a foreign server gave: nobody has checked what is in it
        if not has(account, "deletion_guard"):
            first += [
                "# This server deletes a bucket with all that is in it. See that this lists nothing:",
                f"aws s3 ls s3://{bucket} --recursive {options}",
            ]
        return "\n".join([*first, f"aws s3api delete-bucket --bucket {bucket} {options}"])


def _common(spec: StoreSpec, bucket: str, policy: dict[str, Any]) -> list[Control]:
    tagged = own_tags(spec, bucket_of(spec, bucket), log=bucket == spec.log_bucket)
    return [
        replace(tagged, offered=has(spec.account, "tags")),
        CLOSED_TO_ALL.control(spec, bucket, CLOSED),
        WITHOUT_ACLS.control(spec, bucket, OWNER_ENFORCED),
        BY_POLICY.control(spec, bucket, policy),
    ]


def _note(is_kept: bool, name: str) -> StepResult | None:
    return None if is_kept else StepResult(note=f"This server has no {name}.")


def _ensure_lock(control: Control) -> StepResult | None:
    control.ensure()
    return _note(control.matches(control.observe()), "Object Lock")


def _log_policy(spec: StoreSpec) -> dict[str, Any]:
    """Refuse plain HTTP, and where the server logs let it write."""
    arn, log_arn = bucket_arn(spec.bucket), bucket_arn(spec.log_bucket)
    delivery = [log_delivery(log_arn, arn)] if has(spec.account, "access_logging") else []
    return document(*delivery, only_tls(log_arn))


def _policy(spec: StoreSpec) -> dict[str, Any]:
    """Refuse plain HTTP."""
    return document(only_tls(bucket_arn(spec.bucket)))


def _cli(account: AccountRef, region: str) -> list[str]:
    """Return the options of the AWS CLI that reach the server, then comments on what else it takes."""
    options = f"--endpoint-url {shlex.quote(account.settings['endpoint'])} --region {shlex.quote(region)}"
    comments = [
        f"# Sign in as a user of {host(account)} who may delete these objects: AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY."
    ]
    if not verifies(account):
        options += " --no-verify-ssl"
    elif account.settings.get("ca_certificate"):
        options += " --ca-bundle ca.pem"
        comments.append("# ca.pem is the server's CA certificate, as it was given when the account was linked.")
    return [options, *comments]
