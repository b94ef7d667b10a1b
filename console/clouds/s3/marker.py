"""What shows whose a bucket is where a server keeps no tags of buckets: an empty object that is named after the store.

Whoever can write into the bucket can put one, which a tag takes an administrator for. So one of another store always
wins, and who adds a bucket is told.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from console.clouds.contract import Control
from console.clouds.s3api.buckets import Bucket
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed

FOLDER = "storekeeper-owner/"
HINT = (
    "This server keeps no tags of buckets. An empty object, the marker, stands for them: whoever may write into the "
    "bucket can put one."
)
AT_MOST = 10  # that are read: one is enough to know, a second one is another store's


def key_of(spec: StoreSpec) -> str:
    """Return the key of the store's own."""
    return f"{FOLDER}{spec.id}"


def found(bucket: Bucket) -> list[str]:
    """Return the IDs of the stores whose markers the bucket has."""
    with bucket.calling("ListObjectsV2") as s3:
        page = s3.list_objects_v2(Bucket=bucket.name, Prefix=FOLDER, MaxKeys=AT_MOST)
    names = (one["Key"].removeprefix(FOLDER) for one in page.get("Contents", []))
    return [one for one in names if one]  # without the folder, which some servers list, too


def owner(spec: StoreSpec, bucket: Bucket) -> str | None:
    """Return the ID of the store whose marker the bucket has, another's before this one's; "" without any.

    None when there is no such bucket.
    """
    if not bucket.exists():
        return None
    there = found(bucket)
    return next((one for one in there if one != str(spec.id)), str(spec.id) if there else "")


def control(spec: StoreSpec, tags: Control, bucket: Bucket) -> Control:
    """Return that the bucket has the store's marker, in the place of its tags."""
    wanted = [str(spec.id)]

    def ensure() -> None:
        there = found(bucket)
        if others := [one for one in there if one != str(spec.id)]:
            raise Failed(
                f"Bucket {bucket.name} has the marker of another store, {FOLDER}{others[0]}. It was left alone.",
                bucket=bucket.name,
            )
        if not there:
            with bucket.calling("PutObject") as s3:
                s3.put_object(Bucket=bucket.name, Key=key_of(spec), Body=b"")

    return replace(
        tags,
        label="Marker",
        wanted=wanted,
        observe=lambda: found(bucket),
        ensure=ensure,
        matches=lambda observed: observed == wanted,
        describe=_words,
        offered=True,
        repairable=lambda observed: not {*observed} - {*wanted},
    )


def _words(value: Any) -> str:
    return ", ".join(f"{FOLDER}{one}" for one in value or ()) or "None"


def remove(spec: StoreSpec, bucket: Bucket) -> None:
    """Delete the store's own; others, and all else, stay."""
    if str(spec.id) in found(bucket):
        with bucket.calling("DeleteObject") as s3:
            s3.delete_object(Bucket=bucket.name, Key=key_of(spec))


def command(spec: StoreSpec, options: str) -> str:
    """Return the command of the AWS CLI that puts it."""
    return f"aws s3api put-object --bucket {shlex.quote(spec.bucket)} --key {key_of(spec)} {options}"
