"""What pgBackRest does in a bucket, done there: a store is worth nothing whose settings look well and refuse that.

A server may take a setting and then refuse everything: Ceph 16.2 answers 403 to each PutObject once BlockPublicAcls is
on. So after all settings the work is tried. What makes it fail is taken back, one setting at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds.naming import listed
from console.clouds.s3.controls import keeps
from console.clouds.s3.session import breaks, bucket_of, calling_s3, claims, on_server
from console.clouds.s3api.buckets import only_tls as refuse_plain_http
from console.clouds.s3api.errors import bucket_arn, code_of
from console.clouds.s3api.settings import BLOCKS, OWNERSHIP, POLICY, PUBLIC_ACCESS_BLOCK, VERSIONING
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Denied, Failed, NotReady

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = "storekeeper-trial"  # what a bucket is tried out with is below it, and nothing else
ON_BUCKET = frozenset({"ListObjectsV2", "ListObjectVersions"})


@contextmanager
def _calling(operation: str, spec: StoreSpec, bucket: str) -> Iterator[S3Client]:
    """Lend a client for one call on what is tried; the statement that would allow it names no backup."""
    arn = bucket_arn(bucket)

    def resource(operation: str, action: str) -> str:
        return arn if operation in ON_BUCKET else f"{arn}/{FOLDER}/*"

    with calling_s3(operation, on_server(spec.account, bucket, resource, bucket=bucket)) as s3:
        yield s3


def do_own_work(spec: StoreSpec, bucket: str) -> bool:
    """Put an object, read it, list it and delete it with a multi-delete; return whether it had a version.

    Raises Failed or NotReady for what the server refuses, with the object gone if it lets that go.
    """
    # The same key each time, so that what a worker has left that was killed here goes with the next trial.
    key, body = f"{FOLDER}/object", secrets.token_bytes(32)
    with _calling("PutObject", spec, bucket) as s3:
        version = s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "")
    try:
        with _calling("GetObject", spec, bucket) as s3:
            same = s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        with _calling("ListObjectsV2", spec, bucket) as s3:
            seen = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])]
    except (Failed, NotReady):
        _tidy(spec, bucket, key, version)
        raise
    delete(spec, bucket, key, version)
    if not version:
        _sweep(spec, bucket)
    if not same or seen != [key]:
        wrong = "does not give back what it was given" if not same else "does not list what it was given"
        raise Failed(f"The server takes objects into {bucket} and {wrong}.", bucket=bucket)
    return bool(version) and version != "null"


def delete(spec: StoreSpec, bucket: str, key: str, version: str = "") -> None:
    """Delete it by a multi-delete, as pgBackRest expires backups; with all its versions, so that nothing is left."""
    named: list[Any] = [{"Key": key}]
    if version and version != "null":
        named = [{"Key": key, "VersionId": one} for one in {version, *_versions(spec, bucket, key)}]
    with _calling("DeleteObjects", spec, bucket) as s3:
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise ClientError(
                {"Error": {"Code": refused.get("Code", ""), "Message": refused.get("Message", "")}}, "DeleteObjects"
            )


def _sweep(spec: StoreSpec, bucket: str) -> None:
    """Delete the trial's own folder where the server lists it once it is empty, as JuiceFS does; a store has to be."""
    with suppress(Failed):
        with _calling("ListObjectsV2", spec, bucket) as s3:
            page = s3.list_objects_v2(Bucket=bucket, Prefix=FOLDER)  # with the slash it is not listed
        if any(one["Key"] == f"{FOLDER}/" for one in page.get("Contents", [])):
            with _calling("DeleteObject", spec, bucket) as s3:
                s3.delete_object(Bucket=bucket, Key=f"{FOLDER}/")


def _versions(spec: StoreSpec, bucket: str, key: str) -> list[str]:
    """Return the versions of the object, those of an earlier trial too, as far as the server lists them."""
    with suppress(Failed), _calling("ListObjectVersions", spec, bucket) as s3:
        page = s3.list_object_versions(Bucket=bucket, Prefix=key)
        return [one["VersionId"] for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]]
    return []


def _tidy(spec: StoreSpec, bucket: str, key: str, version: str) -> None:
    try:
        delete(spec, bucket, key, version)
    except (Failed, NotReady):
        return  # what went wrong first says more


@dataclass(frozen=True)
class Part:
    """A setting, or a part of one, that is in force and can be taken back and set again."""

    name: str  # as an account's settings list it: a feature, or a part of the public access block
    words: str
    off: Callable[[], Any]
    on: Callable[[], Any]


def left_out(spec: StoreSpec, bucket: str, parts: Sequence[Part]) -> tuple[list[str], bool]:
    """Try a store's own work with all parts in force; return the names of those it fails with, and whether it versions.

    Those are not in force any more, all others are. Raises Failed or NotReady when the work fails without any, too;
    then all are as they were.
    """
    try:
        return [], do_own_work(spec, bucket)
    except Failed:
        if not parts:
            raise
    for part in parts:
        part.off()
    try:
        versions = do_own_work(spec, bucket)
    except (Failed, NotReady):
        for part in parts:
            part.on()
        raise
    out = []
    for part in parts:
        part.on()
        try:
            versions = do_own_work(spec, bucket)
        except Failed:
            part.off()
            out.append(part.name)
    return out, versions


def said(out: Sequence[str], parts: Sequence[Part]) -> str:
    """Return what was left out, and why, in a sentence."""
    words = listed(tuple(part.words for part in parts if part.name in out))
    return f"With {words} in force, this server refuses what a backup does. The store was made without."


def policy_part(spec: StoreSpec, bucket: str, wanted: Any, without: Any) -> Part:
    """Return the policy as a part; `without` is what stays of it, None for nothing."""

    def off() -> None:
        if without is None:
            remove_policy(spec, bucket)
        else:
            POLICY.write(bucket_of(spec, bucket), without)

    return Part("bucket_policy", "the TLS-only policy", off, lambda: POLICY.write(bucket_of(spec, bucket), wanted))


def access_parts(spec: StoreSpec, bucket: str, blocked: dict[str, bool]) -> list[Part]:
    """Return the parts of the public access block that are on in `blocked`, which tells from then on what is on."""

    def turn(part: str, on: bool) -> None:
        blocked[part] = on
        PUBLIC_ACCESS_BLOCK.write(bucket_of(spec, bucket), dict(blocked))

    return [
        Part(
            part,
            f"the block of {BLOCKS[part]} ({part})",
            lambda part=part: turn(part, False),  # type: ignore[misc]
            lambda part=part: turn(part, True),  # type: ignore[misc]
        )
        for part, on in blocked.items()
        if on
    ]


def ownership_part(spec: StoreSpec, bucket: str, wanted: str) -> Part:
    """Return that ACLs are off as a part."""
    there = bucket_of(spec, bucket)
    return Part(
        "ownership",
        "ACLs off",
        lambda: OWNERSHIP.write(there, "ObjectWriter"),
        lambda: OWNERSHIP.write(there, wanted),
    )


def versioning_part(spec: StoreSpec, bucket: str) -> Part:
    """Return versioning as a part."""
    there = bucket_of(spec, bucket)
    return Part(
        "versioning",
        "versioning",
        lambda: VERSIONING.write(there, "Suspended"),
        lambda: VERSIONING.write(there, "Enabled"),
    )


def remove_policy(spec: StoreSpec, bucket: str) -> None:
    """Take the bucket's policy away, if it has one.

    Only ever called for a policy that the server keeps: one that does not know the call might delete the bucket.
    """
    there = bucket_of(spec, bucket)
    if POLICY.read(there) is None:
        return
    with there.calling("DeleteBucketPolicy") as s3:
        try:
            s3.delete_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if code_of(error) != POLICY.unset:  # else somebody was quicker
                raise


# A policy is tried before it can lock anybody out


def refusing_reading(bucket: str, condition: str, over_tls: str) -> dict[str, Any]:
    """Return the policy that refuses to give objects where aws:SecureTransport is this: a harmless part of the real."""
    statement = {
        "Sid": "DenyReadingOnTrial",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"{bucket_arn(bucket)}/*",
        "Condition": {condition: {"aws:SecureTransport": over_tls}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def is_readable(spec: StoreSpec, bucket: str, key: str) -> bool:
    """Return whether the server gives this object to the console, or says that there is none: it is not refused."""
    try:
        with _calling("GetObject", spec, bucket) as s3:
            try:
                s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) not in {"NoSuchKey", "404"}:
                    raise
    except Denied:
        return False
    return True


def locks_out(spec: StoreSpec, bucket: str, condition: str) -> bool:
    """Return whether a policy against plain HTTP would refuse our TLS, by one that refuses no more than reading.

    Leaves the bucket with no policy when it would. What the console may not read anyway proves nothing.
    """
    key = f"{FOLDER}/none"
    if not is_readable(spec, bucket, key) or not keeps(
        POLICY, spec, bucket, refusing_reading(bucket, condition, "false")
    ):
        return False
    # Asked twice: one refusal may have another reason, and this one would stay.
    if is_readable(spec, bucket, key) or is_readable(spec, bucket, key):
        return False
    remove_policy(spec, bucket)
    return True


def only_tls(account: AccountRef, bucket: str) -> list[dict[str, Any]]:
    """Return the statement that refuses plain HTTP as this server was found to take it; none where that is no good."""
    if breaks(account, "bucket_policy") or claims(account, "bucket_policy"):
        return []
    return [tls_statement(bucket, account.settings.get("tls_condition") or "Bool")]


def tls_statement(bucket: str, condition: str) -> dict[str, Any]:
    """Return the statement that refuses plain HTTP, with this condition."""
    return {**refuse_plain_http(bucket_arn(bucket)), "Condition": {condition: {"aws:SecureTransport": "false"}}}
