"""Backup stores on a server that speaks S3 and is not Amazon's: MinIO, Ceph, SeaweedFS and the like."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from console.operations.plan import Failed, Made, NotReady, Round, Step, StepError, TooLate
from console.regions import Region, find, places

from .aws_access import forget_clients
from .aws_errors import bucket_arn, code_of
from .aws_nodes import policy
from .base import (
    AccessSpec,
    Account,
    Capability,
    Check,
    Contents,
    Control,
    Fact,
    Identity,
    Leftover,
    LinkError,
    Objects,
    Provider,
    Repository,
    StoreSpec,
)
from .s3_buckets import (
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
    upload_expiry,
    version_expiry,
)
from .s3_controls import (
    keeps,
    keeps_logging,
    logs,
    refuses_to_delete_what_is_not_empty,
    stop_logging,
)
from .s3_objects import S3Objects
from .s3_policy import documents
from .s3_server import (
    Lacking,
    bucket_of,
    calling,
    calling_s3,
    has,
    host,
    on_server,
    s3_client,
    trouble,
    verifies,
    who,
)
from .s3_settings import (
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
    own_tags,
)
from .s3_users import DISMISS, GRANT, REVOKE, USERS, facts, makes_users

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a store would like of its server: as an account's settings list it, its label, and what it means not to have it.
WISHES = (
    ("access_logging", "Access logging", "Who read or changed backups is not recorded; the log bucket stays empty."),
    ("bucket_policy", "TLS-only policy", "If the server also listens for plain HTTP, backups may be sent unencrypted."),
    (
        "upload_expiry",
        "Expiry of unfinished uploads",
        "What an interrupted backup has half uploaded takes up room until somebody deletes it.",
    ),
    (
        "public_access_block",
        "Public access block",
        "Nothing stops an administrator of the server from opening a bucket to everybody by mistake.",
    ),
    (USERS, "IAM users", "The access keys of the nodes have to be made by hand, with the policy that is shown."),
    (
        "deletion_guard",
        "Refusal to delete what is not empty",
        "The server would delete a bucket with what is in it: the console closes it to writers and counts again.",
    ),
)


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


def ensure_log_bucket(spec: StoreSpec) -> Made | None:
    """Create the bucket that takes the access logs."""
    return _ensure_bucket(spec, spec.log_bucket)


def ensure_bucket(spec: StoreSpec) -> Made | None:
    """Create the bucket that takes the backups."""
    return _ensure_bucket(spec, spec.bucket)


def _ensure_bucket(spec: StoreSpec, bucket: str) -> Made | None:
    # Asked first, because some servers answer a second creation like the first.
    try:
        ours = _is_ours(spec, bucket)
    except Failed as error:
        if not error.details.get("action"):
            raise
        ours = None  # somebody else's, perhaps: creating it tells
    if ours is None:
        ours = _create(spec, bucket) or _is_ours(spec, bucket)
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


def _create(spec: StoreSpec, bucket: str) -> bool:
    """Create the bucket and say whether it was made now."""
    with calling("CreateBucket", spec, bucket) as s3:
        try:
            _ask_for_bucket(s3, bucket, spec.region)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
            return False
    return True


def _ask_for_bucket(s3: S3Client, bucket: str, region: str) -> None:
    try:
        s3.create_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) not in {"IllegalLocationConstraintException", "InvalidLocationConstraint"}:
            raise
        # Some servers want to be told their own region, others refuse to be told any.
        s3.create_bucket(
            Bucket=bucket,
            CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
        )


def _note(*kept: tuple[bool, str]) -> Made | None:
    """Return a note on what the server did not keep."""
    lacking = tuple(name for is_kept, name in kept if not is_kept)
    return Made(note=f"This server has no {listed(lacking)}.") if lacking else None


def ensure_log_policy(spec: StoreSpec) -> Made | None:
    """Refuse plain HTTP, and where the server logs let it write."""
    return _note((keeps(POLICY, spec, spec.log_bucket, _log_policy(spec)), "bucket policies"))


def _log_policy(spec: StoreSpec) -> dict[str, Any]:
    arn, log_arn = bucket_arn(spec.bucket), bucket_arn(spec.log_bucket)
    delivery = [log_delivery(log_arn, arn)] if has(spec.account, "access_logging") else []
    return document(*delivery, only_tls(log_arn))


def ensure_policy(spec: StoreSpec) -> Made | None:
    """Refuse plain HTTP."""
    return _note((keeps(POLICY, spec, spec.bucket, _policy(spec)), "bucket policies"))


def _policy(spec: StoreSpec) -> dict[str, Any]:
    return document(only_tls(bucket_arn(spec.bucket)))


def ensure_log_expiry(spec: StoreSpec) -> Made | None:
    """Let access logs expire."""
    return _note((keeps(LIFECYCLE, spec, spec.log_bucket, [log_expiry()]), "expiry of objects and unfinished uploads"))


def ensure_upload_expiry(spec: StoreSpec) -> Made | None:
    """Let unfinished uploads expire, since pgBackRest never aborts one."""
    return _note((keeps(LIFECYCLE, spec, spec.bucket, backup_rules(spec)), "expiry of unfinished uploads"))


def ensure_access_logging(spec: StoreSpec) -> Made | None:
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


def _cli(account: Account, region: str) -> list[str]:
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


# Linking a server


def identify(account: Account) -> Identity:
    """Prove that the server is one, with buckets that are made, tried out and removed; raises LinkError."""
    for value, label, field in (
        (account.settings.get("access_key_id"), "access key ID", "access_key_id"),
        (account.secrets.get("secret_access_key"), "secret access key", "secret_access_key"),
    ):
        if not value:
            raise LinkError(f"Enter the {label}.", field)
    name = f"pgbk-probe-{secrets.token_hex(8)}"
    probe = StoreSpec(uuid4(), "probe", account, account.settings["region"], name, f"{name}-log")
    made: list[str] = []
    try:
        found = _try_out(probe, made)
        if makes_users(account):
            found.append(USERS)
    except StepError as error:
        raise LinkError(error.message) from error
    finally:
        _remove_probe(probe, made)
        forget_clients(account)  # of an account that may never be kept
    return Identity(number=host(account), partition="", found={"has": " ".join(sorted(found))})


def _try_out(probe: StoreSpec, made: list[str]) -> list[str]:
    """Return what the server has, as the account's settings list it, and put down the buckets that were made."""
    bucket, log_bucket, log_arn = probe.bucket, probe.log_bucket, bucket_arn(probe.log_bucket)
    _prove_it_is_s3(probe, made)
    made.append(log_bucket)
    _create(probe, log_bucket)
    found = {
        "tags": keeps(TAGS, probe, bucket, tags(probe)),
        "ownership": keeps(OWNERSHIP, probe, bucket, OWNER_ENFORCED),
        "public_access_block": keeps(PUBLIC_ACCESS_BLOCK, probe, bucket, CLOSED),
        "bucket_policy": keeps(POLICY, probe, bucket, _policy(probe)),
        "upload_expiry": keeps(LIFECYCLE, probe, bucket, [upload_expiry()]),
    }
    keeps(POLICY, probe, log_bucket, document(log_delivery(log_arn, bucket_arn(bucket)), only_tls(log_arn)))
    found["access_logging"] = keeps_logging(probe)
    stop_logging(probe)
    found["versioning"] = keeps(VERSIONING, probe, bucket, "Enabled")
    found["version_expiry"] = keeps(LIFECYCLE, probe, bucket, [upload_expiry(), version_expiry(1)])
    # Last, because a server without the guard deletes the bucket.
    found["deletion_guard"] = refuses_to_delete_what_is_not_empty(probe, bucket)
    return [name for name, it_has in found.items() if it_has]


# What servers answer to the first call, beside the form field that it is about.
REFUSALS = {
    "InvalidAccessKeyId": ("This server does not know this access key ID.", "access_key_id"),
    "SignatureDoesNotMatch": ("This secret does not belong to the access key ID.", "secret_access_key"),
    "AuthorizationHeaderMalformed": ("The server does not accept this region.", "region"),
    "RequestTimeTooSkewed": (
        "The clocks of the console and of the server differ by more than 15 minutes. Set them, then try again.",
        "endpoint",
    ),
    "AccessDenied": (
        "This access key may not make buckets. Allow s3:CreateBucket, and all of s3:* on buckets named pgbk-*.",
        "access_key_id",
    ),
    "TooManyBuckets": ("The user of this access key may have no more buckets. Have the limit raised.", "access_key_id"),
}


def _prove_it_is_s3(probe: StoreSpec, made: list[str]) -> None:
    """Make a bucket, write an object into it and read that back; raises LinkError."""
    account, bucket, body = probe.account, probe.bucket, secrets.token_bytes(32)
    s3 = s3_client(account)
    try:
        try:
            _ask_for_bucket(s3, bucket, probe.region)
        except (ReadTimeoutError, ConnectionClosedError):  # the answer got lost, the bucket may be there
            made.append(bucket)
            raise
        made.append(bucket)
        s3.put_object(Bucket=bucket, Key="probe", Body=body)
        same = s3.get_object(Bucket=bucket, Key="probe")["Body"].read() == body
    except ClientError as error:
        raise _link_error(error, account) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise LinkError(*trouble(error, account)) from error
    if not same:
        raise LinkError(f"What answers at {host(account)} is not an S3 server: it does not keep objects.", "endpoint")


def _link_error(error: ClientError, account: Account) -> LinkError:
    code = code_of(error)
    if code in REFUSALS:
        return LinkError(*REFUSALS[code])
    if not error.response.get("Error", {}).get("Message") or code.isdigit():
        return LinkError(f"What answers at {host(account)} is not an S3 server (status {code}).", "endpoint")
    return LinkError(f"{who(account)} refused to be tried out: {code}: {error.response['Error']['Message']}")


def _remove_probe(probe: StoreSpec, made: list[str]) -> None:
    """Leave nothing of the probe behind; raises LinkError with the buckets' names when the server does not let go."""
    kept = [name for name in made if not _is_gone(probe, name)]
    if kept:
        raise LinkError(
            f"The console could not delete {listed(tuple(kept))}, made to try the server out. Delete that by hand, and "
            "allow s3:ListBucketVersions, s3:DeleteObject and s3:DeleteBucket on buckets named pgbk-*."
        )


def _is_gone(probe: StoreSpec, name: str) -> bool:
    bucket = bucket_of(probe, name)
    with suppress(StepError):  # what matters is whether the bucket goes
        bucket.empty()
    try:
        return bucket.delete()
    except StepError as error:
        return error.details.get("code") == "NoSuchBucket"


def survey(account: Account, known: Collection[str]) -> Iterator[Leftover]:
    """Yield the server's buckets, as far as the console's key sees them, that are named like ours and are not known."""
    region = account.settings["region"]

    def tags_of(name: str, region: str) -> Mapping[str, str] | None:
        if not has(account, "tags"):  # then the name proves whose it is, which nobody could guess
            return {STORE_TAG: id_in(name)}
        return bucket_of(StoreSpec(UUID(int=0), "", account, region, name, ""), name).tags()

    everything = StoreSpec(UUID(int=0), "", account, region, PREFIX, "")
    listed = all_buckets(lambda operation: calling(operation, everything, PREFIX))
    return leftovers(listed, known, region, tags_of)


def removal(account: Account, bucket: str, region: str) -> str:
    """Return the commands that delete the bucket, and warn where the server would delete one that is not empty."""
    options, *first = _cli(account, region)
    if not has(account, "deletion_guard"):
        first += [
            "# This server deletes a bucket with all that is in it. See that this lists nothing:",
            f"aws s3 ls s3://{bucket} --recursive {options}",
        ]
    return "\n".join([*first, f"aws s3api delete-bucket --bucket {bucket} {options}"])


def capabilities(account: Account) -> list[Capability]:
    """Return what the server was found to have and to lack."""
    return [Capability(label, has(account, name), without) for name, label, without in WISHES]


# What the pages, a node, and whoever looks into a repository need to know


def regions_of(account: Account) -> list[Region]:
    """Return the server's own region, then every place where a node may be."""
    own = own_region(account)
    return [own, *(place for place in places() if place.code != own.code)]


def own_region(account: Account) -> Region:
    """Return the server as a region: the code that requests are signed for, where the server stands."""
    place = find("s3", account.settings.get("location", "")) or places()[0]
    return replace(place, code=account.settings["region"], name=host(account))


def account_facts(account: Account) -> list[Fact]:
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


def linked(account: Account) -> str:
    """Return what was found, in one sentence."""
    lacking = tuple(one.label[0].lower() + one.label[1:] for one in capabilities(account) if not one.has)
    return f"The server lacks {listed(lacking)}." if lacking else "The server has all that a store uses."


def preflight(account: Account, regions: Sequence[str]) -> list[Check]:
    """Return whether the server answers and knows the key, and what it was found to have when it was linked."""
    subject = on_server(account, "the server's buckets", lambda operation, action: "*")
    with calling_s3("ListBuckets", subject) as s3:
        s3.list_buckets()
    answers = Check(
        label="Answers, and knows the access key",
        on=host(account),
        outcome="pass",
        without="Nothing on this server can be created, looked at or deleted.",
    )
    found = [
        Check(one.label, host(account), "pass" if one.has else "fail", one.without, required=False)
        for one in capabilities(account)
    ]
    return [answers, *found]


def repository(spec: StoreSpec, access: AccessSpec) -> Repository:
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
    if access.keys:
        options += [
            ("s3-key", access.keys["access_key_id"]),
            ("s3-key-secret", access.keys["secret_access_key"]),
        ]
    return Repository(tuple(options), frozenset({"s3-key", "s3-key-secret"}), settings.get("ca_certificate", ""))


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


def ensure_versions(spec: StoreSpec) -> Made | None:
    """Have the backup bucket keep what is overwritten or deleted."""
    return _note((keeps(VERSIONING, spec, spec.bucket, "Enabled"), "versioning"))


def protections(account: Account) -> frozenset[str]:
    """Return what the server was found able to keep: versions that expire."""
    return frozenset({"versions"} if has(account, "versioning") and has(account, "version_expiry") else ())


REMOVE_BUCKET = (
    Round(Step("Checking that the backup bucket is empty", check_bucket_is_empty)),
    Round(Step("Deleting the backup bucket", remove_bucket)),
)
S3_COMPATIBLE = Provider(
    key="s3",
    label="S3-compatible",
    service="MinIO, Ceph, SeaweedFS …",
    # In the order and in the words of the plans for Amazon S3.
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
    keep_versions=(Round(Step("Turning on versioning", ensure_versions)),),
    lock=(),
    remove=(*REMOVE_BUCKET, Round(Step("Deleting the access logs and their bucket", remove_log_bucket))),
    remove_but_logs=(*REMOVE_BUCKET, Round(Step("Leaving the access logs to expire", keep_log_bucket))),
    restore=(Round(Step("Putting back what the deletion had changed", restore)),),
    contents=contents,
    emptying=_emptying,
    clear_logs=clear_logs,
    log_days=LOG_DAYS,
    has_logs=lambda account: has(account, "access_logging"),
    identify=identify,
    bucket_names=bucket_names,
    bucket_arn=lambda bucket, partition: bucket_arn(bucket),
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
