"""Backup stores on a server that speaks S3 and is not Amazon's: MinIO, Ceph, SeaweedFS and the like."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from console.clouds.aws.access import policy
from console.clouds.aws.errors import bucket_arn
from console.clouds.contract import (
    AccessSpec,
    AccountRef,
    Cloud,
    Contents,
    Control,
    Fact,
    Need,
    Objects,
    RepositoryOptions,
    StoreSpec,
    UnmanagedBucket,
    Vocabulary,
)
from console.clouds.regions import Region, find, places
from console.clouds.s3.access import DISMISS, GRANT, REVOKE, USERS, facts
from console.clouds.s3.controls import create_bucket, keeps, keeps_logging, logs, stop_logging
from console.clouds.s3.documents import documents
from console.clouds.s3.linking import LINK, answers
from console.clouds.s3.probe import capabilities, identify, linked, preflight
from console.clouds.s3.session import Lacking, bucket_of, calling, has, host, verifies, who
from console.clouds.s3api.buckets import (
    LOG_DAYS,
    PREFIX,
    STORE_TAG,
    Bucket,
    all_buckets,
    backup_rules,
    document,
    emptying,
    global_names,
    id_in,
    leftovers,
    listed,
    log_delivery,
    log_expiry,
    logging_target,
    only_tls,
    refusal,
    tags,
)
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
    backup_lifecycle,
    kept_versions,
    lock,
    own_tags,
)
from console.clouds.steps import Failed, NotReady, Stage, Step, StepResult, TooLate


def bucket_names(store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
    """Return the names of the backup bucket and of its log bucket, which nobody can guess: all share one space."""
    return global_names(store_id)


# Whose bucket it is


def _is_ours(spec: StoreSpec, bucket: str) -> bool | None:
    """Return whether the bucket is this store's; None when there is no such bucket.

    Its tag says so. A bucket without any tag is proven by its name, which nobody could guess: on a server without tags
    always, on others only while it is empty, as after a crash between its creation and its tag.
    """
    try:
        found = bucket_of(spec, bucket).tags()
    except Lacking:  # no tags at all: then whether there is a bucket has to be asked in another way
        return _exists(spec, bucket) or None
    if found is None:
        return None
    if found or not has(spec.account, "tags"):
        return not found or found.get(STORE_TAG) == str(spec.id)
    return bucket_of(spec, bucket).left().is_empty


def _exists(spec: StoreSpec, bucket: str) -> bool:
    with calling("ListBuckets", spec, bucket) as s3:
        return any(one["Name"] == bucket for one in s3.list_buckets().get("Buckets", []))


def _is_ours_to_delete(spec: StoreSpec, bucket: str) -> bool:
    """Say whether the bucket exists and is this store's; deleting a store touches no other."""
    ours = _is_ours(spec, bucket)
    if ours is False and spec.complete and STORE_TAG not in (bucket_of(spec, bucket).tags() or {}):
        raise Failed(
            f"Bucket {bucket} does not carry this store's tag; it is left alone. Put the tag {STORE_TAG}={spec.id} "
            "back on it, or delete the bucket on the server, then delete the store again.",
            bucket=bucket,
        )
    return bool(ours)


# Creating


def ensure_log_bucket(spec: StoreSpec) -> StepResult | None:
    """Create the bucket that takes the access logs."""
    return _ensure_bucket(spec, spec.log_bucket)


def ensure_bucket(spec: StoreSpec) -> StepResult | None:
    """Create the bucket that takes the backups."""
    return _ensure_bucket(spec, spec.bucket)


def _ensure_bucket(spec: StoreSpec, bucket: str) -> StepResult | None:
    # Asked first, because some servers answer a second creation like the first.
    try:
        ours = _is_ours(spec, bucket)
    except Failed as error:
        if not error.details.get("action"):
            raise
        ours = None  # somebody else's, perhaps: creating it tells
    if ours is None:
        locked = bool(spec.lock_days) and bucket == spec.bucket
        ours = create_bucket(spec, bucket, locked=locked) or _is_ours(spec, bucket)
    if not ours:
        raise Failed(
            f"A bucket named {bucket} exists on this server and does not belong to this store. It was left alone. "
            "Delete this store here and create it again: it gets another name.",
            bucket=bucket,
        )
    return _note(
        (keeps(TAGS, spec, bucket, tags(spec)), "bucket tags"),
        (keeps(OWNERSHIP, spec, bucket, OWNER_ENFORCED), "switch that turns ACLs off"),
        (keeps(PUBLIC_ACCESS_BLOCK, spec, bucket, CLOSED), "public access block"),
    )


def _note(*kept: tuple[bool, str]) -> StepResult | None:
    """Return a note on what the server did not keep."""
    lacking = tuple(name for is_kept, name in kept if not is_kept)
    return StepResult(note=f"This server has no {listed(lacking)}.") if lacking else None


def ensure_log_policy(spec: StoreSpec) -> StepResult | None:
    """Refuse plain HTTP, and where the server logs let it write."""
    return _note((keeps(POLICY, spec, spec.log_bucket, _log_policy(spec)), "bucket policies"))


def _log_policy(spec: StoreSpec) -> dict[str, Any]:
    arn, log_arn = bucket_arn(spec.bucket), bucket_arn(spec.log_bucket)
    delivery = [log_delivery(log_arn, arn)] if has(spec.account, "access_logging") else []
    return document(*delivery, only_tls(log_arn))


def ensure_policy(spec: StoreSpec) -> StepResult | None:
    """Refuse plain HTTP."""
    return _note((keeps(POLICY, spec, spec.bucket, _policy(spec)), "bucket policies"))


def _policy(spec: StoreSpec) -> dict[str, Any]:
    return document(only_tls(bucket_arn(spec.bucket)))


def ensure_log_expiry(spec: StoreSpec) -> StepResult | None:
    """Let access logs expire."""
    return _note((keeps(LIFECYCLE, spec, spec.log_bucket, [log_expiry()]), "expiry of objects and unfinished uploads"))


def ensure_upload_expiry(spec: StoreSpec) -> StepResult | None:
    """Let unfinished uploads expire, since pgBackRest never aborts one."""
    return _note((keeps(LIFECYCLE, spec, spec.bucket, backup_rules(spec)), "expiry of unfinished uploads"))


def ensure_access_logging(spec: StoreSpec) -> StepResult | None:
    """Log every request to the backup bucket into the log bucket."""
    return _note((keeps_logging(spec), "access logging"))


# Deleting


def check_bucket_is_empty(spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup bucket."""
    if _is_ours_to_delete(spec, spec.bucket):
        _refuse_if_anything_is_left(spec)


def remove_bucket(spec: StoreSpec) -> None:
    """Delete the backup bucket, which the server may do even when something is in it: so it is closed before."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return
    _close(spec)
    _refuse_if_anything_is_left(spec)
    stop_logging(spec)
    if not bucket_of(spec, spec.bucket).delete():
        _refuse_if_anything_is_left(spec)
        raise NotReady(f"{who(spec.account)} does not see yet that {spec.bucket} is empty.", bucket=spec.bucket)


def _close(spec: StoreSpec) -> None:
    """Let nobody write into the backup bucket any more, where the server has bucket policies."""
    arn = bucket_arn(spec.bucket)
    no_writes = {
        "Sid": "DenyWritesBeforeDeletion",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{arn}/*",
    }
    keeps(POLICY, spec, spec.bucket, document(only_tls(arn), no_writes))


def remove_log_bucket(spec: StoreSpec) -> None:
    """Delete the access logs and their bucket."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return
    bucket = bucket_of(spec, spec.log_bucket)
    bucket.empty()
    if not bucket.delete():
        raise NotReady("The server is still delivering late access logs; they are deleted as they come.", patience=3600)


def keep_log_bucket(spec: StoreSpec) -> None:
    """Leave the log bucket where it is, with the rule by which its logs expire."""
    if _is_ours_to_delete(spec, spec.log_bucket):
        ensure_log_expiry(spec)


def clear_logs(spec: StoreSpec, over: bool) -> bool:
    """Return whether the log bucket that was kept is gone; when all is over, the empty bucket is deleted."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return True
    bucket = bucket_of(spec, spec.log_bucket)
    return over and bucket.left().is_empty and bucket.delete()


def restore(spec: StoreSpec) -> None:
    """Put back what a deletion that somebody cancels has changed; raises TooLate when the backup bucket is gone."""
    if not _is_ours_to_delete(spec, spec.bucket):
        raise TooLate(f"The backup bucket {spec.bucket} is not there any more.", bucket=spec.bucket)
    _reopen(spec)


def contents(spec: StoreSpec, tell: Callable[[int], None]) -> Contents:
    """Return what the backup bucket holds."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return Contents(exists=False)
    return bucket_of(spec, spec.bucket).contents(tell)


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    left = bucket_of(spec, spec.bucket).left()
    if not left.is_empty:
        _reopen(spec)
        options, *first = _cli(spec.account, spec.region)
        raise refusal(spec.bucket, left, "on the server", options, *first)


def _reopen(spec: StoreSpec) -> None:
    """Put back what a deletion that went further took away: the store stays in use."""
    ensure_policy(spec)
    if spec.complete and has(spec.account, "access_logging") and not logs(spec):
        ensure_access_logging(spec)


def _emptying(spec: StoreSpec, found: Contents) -> str:
    options, *first = _cli(spec.account, spec.region)
    return emptying(spec.bucket, found, options, *first)


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


def survey(account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
    """Yield the server's buckets, as far as the console's key sees them, that are named like ours and are not known."""
    region = account.settings["region"]

    def tags_of(name: str, region: str) -> Mapping[str, str] | None:
        if not has(account, "tags"):  # then the name proves whose it is, which nobody could guess
            return {STORE_TAG: id_in(name)}
        return bucket_of(StoreSpec(UUID(int=0), "", account, region, name, ""), name).tags()

    everything = StoreSpec(UUID(int=0), "", account, region, PREFIX, "")
    listed = all_buckets(lambda operation: calling(operation, everything, PREFIX))
    return leftovers(listed, known, region, tags_of)


def removal(account: AccountRef, bucket: str, region: str) -> str:
    """Return the commands that delete the bucket, and warn where the server would delete one that is not empty."""
    options, *first = _cli(account, region)
    bucket = shlex.quote(bucket)  # the name that a foreign server gave: nobody has checked what is in it
    if not has(account, "deletion_guard"):
        first += [
            "# This server deletes a bucket with all that is in it. See that this lists nothing:",
            f"aws s3 ls s3://{bucket} --recursive {options}",
        ]
    return "\n".join([*first, f"aws s3api delete-bucket --bucket {bucket} {options}"])


# What the pages, a node, and whoever looks into a repository need to know


def regions_of(account: AccountRef) -> list[Region]:
    """Return the server's own region, then every place where a node may be."""
    own = own_region(account)
    return [own, *(place for place in places() if place.code != own.code)]


def own_region(account: AccountRef) -> Region:
    """Return the server as a region: the code that requests are signed for, where the server stands."""
    place = find("s3", account.settings.get("location", "")) or places()[0]
    return replace(place, code=account.settings["region"], name=host(account))


def account_facts(account: AccountRef) -> list[Fact]:
    """Return where the server is, how the console signs in, and whom it trusts."""
    settings = account.settings
    if not verifies(account):
        tls = "NOT verified: anybody on the way to the server can read and change everything"
    else:
        tls = "verified with " + (
            "your CA certificate" if settings.get("ca_certificate") else "the system's certificates"
        )
    return [
        Fact("Endpoint", settings["endpoint"], more=False),
        Fact("Access Key ID", settings.get("access_key_id", ""), more=False),
        Fact("TLS", tls, more=verifies(account), warning=not verifies(account)),
        Fact("Region", settings["region"]),
        Fact("Location", own_region(account).place),
        Fact("Addressing Style", settings.get("addressing_style", "path")),
    ]


def store_facts(spec: StoreSpec) -> list[tuple[str, str]]:
    """Return both buckets, and where they are reached."""
    return [
        ("Bucket Name", spec.bucket),
        ("Log Bucket Name", spec.log_bucket),
        ("Endpoint", spec.account.settings["endpoint"]),
    ]


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the bucket, with the nodes' own key as far as there is one."""
    settings, (name, _, port) = spec.account.settings, host(spec.account).partition(":")
    options = [
        ("type", "s3"),
        ("s3-bucket", spec.bucket),
        ("s3-endpoint", name),
        ("s3-region", spec.region),
    ]
    if settings.get("addressing_style") != "host":
        options.append(("s3-uri-style", "path"))
    if port:
        options.append(("storage-port", port))
    if not verifies(spec.account):
        options.append(("storage-verify-tls", "n"))
    needs: tuple[Need, ...] = ()
    if verifies(spec.account) and name.replace(".", "").isdigit():
        # 2.45 finds names only; 2.55.1 and 2.60.0 were seen to find both.
        needs = (Need("2.46", f"find an IP address ({name}) in a certificate", "give the server a name"),)
    lacks = ""
    if access.keys:
        options += [
            ("s3-key", access.keys["access_key_id"]),
            ("s3-key-secret", access.keys["secret_access_key"]),
        ]
    else:
        lacks = (
            f"{spec.name} has no key for the nodes yet, and its server makes none for the console. Make one there by "
            f"hand, limited to {access.prefix}/ in {spec.bucket}, and enter it on the cluster's page (Details, Nodes' "
            "Key)."
        )
    secret = frozenset({"s3-key", "s3-key-secret"})
    return RepositoryOptions(tuple(options), secret, settings.get("ca_certificate", ""), needs=needs, lacks=lacks)


def objects(spec: StoreSpec) -> Objects:
    """Return what reads the backup bucket's objects."""
    return S3Objects(lambda operation: calling(operation, spec, spec.bucket), spec.bucket, {})


def controls(spec: StoreSpec) -> list[Control]:
    """Return what both buckets should have, as far as the server has it; as it is known when it was last verified."""
    account = spec.account
    log_bucket, bucket = bucket_of(spec, spec.log_bucket), bucket_of(spec, spec.bucket)
    expires, protected = has(account, "upload_expiry"), bool(spec.versions_days)
    logging = LOGGING.control(bucket, logging_target(spec), log=False)
    return [
        *_common(spec, log_bucket, _log_policy(spec), log=True),
        *([LIFECYCLE.control(log_bucket, [log_expiry()], log=True)] if expires else []),
        *_common(spec, bucket, _policy(spec), log=False),
        *([backup_lifecycle(bucket, backup_rules(spec), fixed=protected)] if expires else []),
        *([kept_versions(bucket)] if protected else []),
        *([lock(bucket, spec.lock_days)] if spec.lock_days else []),
        *([logging] if has(account, "access_logging") else []),
    ]


def _common(spec: StoreSpec, bucket: Bucket, policy_: dict[str, Any], *, log: bool) -> list[Control]:
    tagged = [own_tags(spec, bucket, log=log)] if has(spec.account, "tags") else []
    wishes = (
        ("public_access_block", PUBLIC_ACCESS_BLOCK, CLOSED),
        ("ownership", OWNERSHIP, OWNER_ENFORCED),
        ("bucket_policy", POLICY, policy_),
    )
    return tagged + [one.control(bucket, value, log=log) for key, one, value in wishes if has(spec.account, key)]


def ensure_versions(spec: StoreSpec) -> StepResult | None:
    """Have the backup bucket keep what is overwritten or deleted."""
    return _note((keeps(VERSIONING, spec, spec.bucket, "Enabled"), "versioning"))


def ensure_lock(spec: StoreSpec) -> StepResult | None:
    """Let nobody delete what is written into the backup bucket for as long as was promised; never a shorter lock."""
    control = lock(bucket_of(spec, spec.bucket), spec.lock_days)
    if not control.same(control.observe()):
        control.ensure()
    return _note((control.same(control.observe()), "Object Lock"))


def protections(account: AccountRef) -> frozenset[str]:
    """Return what the server was found able to keep: versions that expire, and to lock."""
    if not (has(account, "versioning") and has(account, "version_expiry")):
        return frozenset()
    return frozenset({"versions", "lock"} if has(account, "object_lock") else {"versions"})


REMOVE_BUCKET = (
    Stage(Step("check_bucket_is_empty", "Checking that the backup bucket is empty", check_bucket_is_empty)),
    Stage(Step("delete_bucket", "Deleting the backup bucket", remove_bucket, point_of_no_return=True)),
)
S3_COMPATIBLE = Cloud(
    key="s3",
    label="S3-compatible",
    service="MinIO, Ceph, SeaweedFS …",
    mark="S3",
    vocabulary=Vocabulary(account="server", within="on", number="server", owner_tag=STORE_TAG),
    node_keys="IAM roles are for Amazon's own machines: here each cluster's nodes sign in with an access key.",
    link=LINK,
    answers=answers,
    has_key=lambda account: True,
    linking="The console tries the server out before it keeps anything: it makes two buckets and a user, reads back "
    "what it set, and removes them again.",
    # In the order and in the words of the plans for Amazon S3.
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
    remove=(
        *REMOVE_BUCKET,
        Stage(Step("delete_log_bucket", "Deleting the access logs and their bucket", remove_log_bucket)),
    ),
    remove_but_logs=(*REMOVE_BUCKET, Stage(Step("keep_logs", "Leaving the access logs to expire", keep_log_bucket))),
    restore=(Stage(Step("restore_settings", "Putting back what the deletion had changed", restore)),),
    contents=contents,
    emptying=_emptying,
    clear_logs=clear_logs,
    log_days=LOG_DAYS,
    has_logs=lambda account: has(account, "access_logging"),
    identify=identify,
    bucket_names=bucket_names,
    identifier=lambda account, bucket: bucket_arn(bucket),
    grant=GRANT,
    revoke=REVOKE,
    dismiss=DISMISS,
    access_facts=facts,
    access_policy=policy,
    access_refusal=lambda spec: "",  # no such server documents a fixed limit
    regions=regions_of,
    store_regions=lambda account: [own_region(account)],
    capabilities=capabilities,
    repository=repository,
    objects=objects,
    controls=controls,
    survey=survey,
    removal=removal,
    account_facts=account_facts,
    store_facts=store_facts,
    linked=linked,
    protections=protections,
    preflight=preflight,
    documents=documents,
    takes_key=lambda account: not has(account, USERS),
    one_region=True,
)
