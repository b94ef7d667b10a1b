#!/usr/bin/env python3
"""Bring a folder of a bucket that keeps versions back to what it was at a time; takes nothing away for good.

It needs Python 3.9 or newer and the AWS CLI, signed in as somebody who may list and read versions, write objects and
delete delete markers there (s3:ListBucketVersions, s3:GetObjectVersion, s3:PutObject, s3:DeleteObjectVersion).

    python3 undelete.py                          says what it would do, and when things were deleted
    python3 undelete.py --do                     does it
    python3 undelete.py --at 2026-11-29T01:07Z   another time than the one below, also together with --do

What was deleted since gets its delete markers taken off, what was overwritten gets the version of that time as its
newest. What came since stays: it is counted, and nothing is done to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

BUCKET = "{bucket}"
FOLDER = "{folder}"  # with the / at its end
AT = "{at}"
OPTIONS: list[str] = []  # of the AWS CLI, to get to the server
CA_CERTIFICATE = ""  # of the server, PEM; "" where every system knows it

AT_ONCE = 1000  # the most that S3 deletes in one call
COPIED_AT_MOST = 5 * 1024**3  # bytes that S3 copies in one call

Version = dict[str, Any]  # Key, VersionId, LastModified, IsLatest, and Size unless it is a delete marker


def moment(text: str) -> datetime:
    """Return the time that the text says; without a zone it is UTC."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def newest_first(versions: list[Version], markers: list[Version]) -> dict[str, list[Version]]:
    """Return all versions by key, the newest first.

    S3 tells times in seconds. Of one second the order of the list decides, which is the newest first; between a version
    and a marker of one second, which are in lists of their own, the marker is the newer one unless S3 says otherwise.
    """
    found: dict[str, list[Version]] = {}
    for one in [*markers, *versions]:
        found.setdefault(one["Key"], []).append(one)
    for several in found.values():
        several.sort(key=lambda one: (moment(one["LastModified"]), one["IsLatest"]), reverse=True)
    return found


def is_same(one: Version, other: Version) -> bool:
    """Return whether they are one version, or one was copied over the other, as an earlier run does."""
    return all(one.get(name) == other[name] for name in ("ETag", "Size"))


def plan(versions: list[Version], markers: list[Version], at: datetime) -> tuple[list[Version], list[Version], int]:
    """Return which markers go, which versions are copied over what is there, and how many objects came since."""
    going, copied, since = [], [], 0
    for several in newest_first(versions, markers).values():
        then = next((place for place, one in enumerate(several) if moment(one["LastModified"]) <= at), None)
        if then is None or "Size" not in several[then]:
            since += "Size" in several[0]
        elif is_same(several[0], several[then]):
            continue
        elif all("Size" not in one for one in several[:then]):
            going += several[:then]
        else:
            copied.append(several[then])
    return going, copied, since


def aws(*arguments: str) -> str:
    """Return what the AWS CLI prints; raises CalledProcessError."""
    command = ["aws", "s3api", *arguments, *OPTIONS]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # no shell


def delete_markers(going: list[Version], folder: Path) -> int:
    """Take the delete markers off, and return how many stayed."""
    left, names = 0, folder / "markers.json"
    for first in range(0, len(going), AT_ONCE):
        some = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in going[first : first + AT_ONCE]]
        names.write_text(json.dumps({"Objects": some, "Quiet": True}))
        errors = json.loads(aws("delete-objects", "--bucket", BUCKET, "--delete", f"file://{names}") or "{}")
        for error in errors.get("Errors", []):
            left += 1
            print(f"not undeleted: {error.get('Key')!r}: {error.get('Message')}", file=sys.stderr)
    return left


def copy_over(copied: list[Version]) -> int:
    """Make these versions the newest ones of their objects, and return how many are not."""
    left = 0
    for one in copied:
        key = one["Key"]
        if one["Size"] > COPIED_AT_MOST:
            left += 1
            print(f"not brought back: {key!r}: over 5 GB. Download version {one['VersionId']} and upload it again.")
            continue
        source = f"{BUCKET}/{key}?versionId={one['VersionId']}"
        try:
            aws("copy-object", "--bucket", BUCKET, "--key", key, "--copy-source", source)
        except subprocess.CalledProcessError:
            left += 1
            print(f"not brought back: {key!r}: see the error above.", file=sys.stderr)
    return left


def tell_deletions(markers: list[Version], at: datetime) -> None:
    """Print when things were deleted, and what the time of the theft may have been."""
    minutes = Counter(f"{moment(one['LastModified']):%Y-%m-%d %H:%M}" for one in markers)
    print(f"Deleted below {FOLDER}, by minute (UTC), the last 20 of them:")
    for minute, count in sorted(minutes.items())[-20:]:
        print(f"  {minute}  {count:7} {'' if minute < f'{at:%Y-%m-%d %H:%M}' else 'after the time'}".rstrip())


def main(arguments: list[str]) -> int:
    """Say what would be done, or do it; return 1 when something could not be."""
    at = moment(arguments[arguments.index("--at") + 1] if "--at" in arguments else AT).astimezone(timezone.utc)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if CA_CERTIFICATE:
            (folder / "ca.pem").write_text(CA_CERTIFICATE)
            os.environ["AWS_CA_BUNDLE"] = str(folder / "ca.pem")
        listing = aws("list-object-versions", "--bucket", BUCKET, "--prefix", FOLDER, "--output", "json")
        found = json.loads(listing or "{}")
        versions, markers = found.get("Versions") or [], found.get("DeleteMarkers") or []
        going, copied, since = plan(versions, markers, at)
        tell_deletions(markers, at)
        print(f"To bring {FOLDER} in {BUCKET} back to {at:%Y-%m-%d %H:%M:%S} UTC:")
        print(f"  {len({one['Key'] for one in going})} deleted objects, {len(going)} delete markers to take off")
        print(f"  {len(copied)} overwritten objects, whose versions are copied")
        print(f"  {since} objects came since and stay")
        if "--do" not in arguments:
            print("Nothing was changed. Run it again with --do.")
            return 0
        left = delete_markers(going, folder) + copy_over(copied)
        print(f"Done; {left} could not be brought back." if left else "Done.")
        return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
