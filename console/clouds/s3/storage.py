"""Backup stores on a server that speaks S3 and is not Amazon's: MinIO, Ceph, SeaweedFS and the like."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from console.clouds.contents import Contents, Objects
from console.clouds.contract import AlreadyExists, Control, UnmanagedBucket
from console.clouds.naming import LOG_DAYS, PREFIX, STORE_TAG, listed
from console.clouds.regions import Region
from console.clouds.s3.controls import create_bucket, keeps, keeps_logging, stop_logging
from console.clouds.s3.features import closed, expires_logs, is_closed
from console.clouds.s3.proving import NO_WRITES, ensure_policy, policy_matches, try_out
from console.clouds.s3.session import Lacking, breaks, bucket_of, calling, claims, has, host, own_region, verifies
from console.clouds.s3.trial import only_tls
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
    tags,
    unmanaged,
)
from console.clouds.s3api.errors import bucket_arn
from console.clouds.s3api.objects import S3Objects
from console.clouds.s3api.settings import (
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
from console.clouds.specs import AccountRef, StoreSpec
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
LOGS_EXPIRE = Wish(LIFECYCLE, "log_expiry", "expiry of objects")
UPLOADS_EXPIRE = Wish(LIFECYCLE, "upload_expiry", "expiry of unfinished uploads")
KEEPS_VERSIONS = Wish(VERSIONING, "", "versioning")
ACLS_ON, TRIAL = "ObjectWriter", "trial"
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
        expiry = LOGS_EXPIRE.control(spec, bucket, [_with_uploads(spec, log_expiry())])
        expiry = replace(expiry, offered=expires_logs(spec.account))
        return [*_common(spec, bucket, _log_policy(spec)), expiry]

    def _of_backup_bucket(self, spec: StoreSpec) -> list[Control]:
        bucket, rules, protected = spec.bucket, backup_rules(spec), bool(spec.versions_days)
        if protected and not has(spec.account, "upload_expiry"):  # each alone: versions may well expire
            rules = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
        expiry = UPLOADS_EXPIRE.control(spec, bucket, rules, fixed=protected)
        if protected:  # versions that are kept longer than was promised will do
            matches = backup_lifecycle(bucket_of(spec, bucket), rules, fixed=True).matches
            expiry = replace(expiry, matches=matches, offered=expiry.offered or has(spec.account, "version_expiry"))
        logging = LOGS_ACCESS.control(spec, bucket, logging_target(spec))
        locked = lock(bucket_of(spec, bucket), spec.lock_days)
        return [
            *_common(spec, bucket, _policy(spec)),
            expiry,
            *([KEEPS_VERSIONS.control(spec, bucket, "Enabled", fixed=True)] if protected else []),
            *([replace(locked, ensure=partial(_ensure_lock, locked))] if spec.lock_days else []),
            replace(logging, ensure=lambda: _note(keeps_logging(spec), LOGS_ACCESS.name)),
            _trial(spec),
        ]

    # Names

    def regions(self, account: AccountRef) -> list[Region]:
        """Return the server's own region: the only one that it has."""
        return [own_region(account)]

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
        """Return the names of the backup bucket and of its log bucket, which nobody can guess: all share one space."""
        return global_names(store_id)

    def namespace(self, partition: str, account_number: str) -> str:
        """Return the server. Some keep a space for each tenant (Ceph) or project (Swift): here those share one."""
        return f"s3/{account_number.lower()}"

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
        wishes = [
            (TAGS, tags(spec), "bucket tags"),
            (OWNERSHIP, OWNER_ENFORCED, WITHOUT_ACLS.name),
            (PUBLIC_ACCESS_BLOCK, closed(spec.account), CLOSED_TO_ALL.name),
        ]
        if breaks(spec.account, "ownership"):
            del wishes[1]
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
        no_writes = {
            "Sid": NO_WRITES,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn(spec.bucket)}/*",
        }
        keeps(POLICY, spec, spec.bucket, document(*only_tls(spec.account, spec.bucket), no_writes))

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
        options, *first = cli(spec.account, spec.region)
        return empty_commands(spec.bucket, found, options, *first, prefix=prefix)

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the commands that delete the bucket, and warn where the server would delete one that is not empty."""
        options, *first = cli(account, region)
        bucket = shlex.quote(bucket)  # the name that a foreign server gave: nobody has checked what is in it
        if not has(account, "deletion_guard"):
            first += [
                "# This server deletes a bucket with all that is in it. See that this lists nothing:",
                f"aws s3 ls s3://{bucket} --recursive {options}",
            ]
        return "\n".join([*first, f"aws s3api delete-bucket --bucket {bucket} {options}"])


def _common(spec: StoreSpec, bucket: str, policy: dict[str, Any] | None) -> list[Control]:
    tagged = own_tags(spec, bucket_of(spec, bucket), log=bucket == spec.log_bucket)
    return [
        replace(tagged, offered=has(spec.account, "tags")),
        _closed_to_all(spec, bucket),
        _without_acls(spec, bucket),
        _by_policy(spec, bucket, policy),
    ]


def _closed_to_all(spec: StoreSpec, bucket: str) -> Control:
    """Return the public access block, without the parts with which this server refuses a backup."""
    wanted = closed(spec.account)
    control = CLOSED_TO_ALL.control(spec, bucket, wanted)
    harms = not all(wanted.values())
    return replace(control, matches=partial(is_closed, wanted), offered=control.offered or harms)


def _without_acls(spec: StoreSpec, bucket: str) -> Control:
    if not breaks(spec.account, "ownership"):
        return WITHOUT_ACLS.control(spec, bucket, OWNER_ENFORCED)
    control = WITHOUT_ACLS.control(spec, bucket, ACLS_ON)
    return replace(control, matches=lambda observed: observed != OWNER_ENFORCED, offered=True)


def _by_policy(spec: StoreSpec, bucket: str, policy: dict[str, Any] | None) -> Control:
    kept = has(spec.account, "bucket_policy") or claims(spec.account, "bucket_policy")
    return replace(
        POLICY.control(bucket_of(spec, bucket), policy, log=bucket == spec.log_bucket),
        ensure=partial(ensure_policy, spec, bucket, policy),
        matches=partial(policy_matches, spec, policy),
        offered=kept or breaks(spec.account, "bucket_policy"),
    )


def _trial(spec: StoreSpec) -> Control:
    """Return that a backup can be written, read and deleted: made sure of when the store is made or repaired."""
    return Control(
        key=TRIAL,
        label="What a backup does",
        bucket=spec.bucket,
        log=False,
        wanted=None,
        observe=lambda: None,
        ensure=partial(try_out, spec),
        matches=lambda observed: True,
        describe=lambda value: "",
        offered=False,
    )


def _with_uploads(spec: StoreSpec, rule: dict[str, Any]) -> dict[str, Any]:
    """Return the rule without its part about unfinished uploads where the server does not keep that."""
    kept = has(spec.account, "upload_expiry") or "claims" not in spec.account.settings
    return rule if kept else {key: part for key, part in rule.items() if key != "AbortIncompleteMultipartUpload"}


def _note(is_kept: bool, name: str) -> StepResult | None:
    return None if is_kept else StepResult(note=f"This server has no {name}.")


def _ensure_lock(control: Control) -> StepResult | None:
    control.ensure()
    return _note(control.matches(control.observe()), "Object Lock")


def _log_policy(spec: StoreSpec) -> dict[str, Any] | None:
    """Refuse plain HTTP, and where the server logs let it write."""
    arn, log_arn = bucket_arn(spec.bucket), bucket_arn(spec.log_bucket)
    delivery = [log_delivery(log_arn, arn)] if has(spec.account, "access_logging") else []
    return _document([*delivery, *only_tls(spec.account, spec.log_bucket)])


def _policy(spec: StoreSpec) -> dict[str, Any] | None:
    """Refuse plain HTTP."""
    return _document(only_tls(spec.account, spec.bucket))


def _document(statements: list[dict[str, Any]]) -> dict[str, Any] | None:
    return document(*statements) if statements else None


def cli(account: AccountRef, region: str) -> list[str]:
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
