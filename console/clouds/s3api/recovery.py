"""How deleted backups come back from a bucket that speaks S3, Amazon's or another's: from its versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from console.clouds.contract import Document
from console.clouds.specs import StoreSpec

SCRIPT = Path(__file__).with_name("undelete_script.py")
# Before it, pgBackRest ends with error 029 where one folder has more than 1,000 versions (pgbackrest, issue 2854).
WHOLE_FROM = "2.60"
LOGS = "access-logs"  # the folder that they are downloaded to


def has_versions(spec: StoreSpec) -> bool:
    """Return whether the store keeps what was overwritten or deleted."""
    return bool(spec.versions_days)


def undelete(
    spec: StoreSpec, prefix: str, at: datetime, options: Sequence[str], *, ca_certificate: str = ""
) -> Document:
    """Return the script that brings the folder back, with the options of the AWS CLI that reach the bucket."""
    given = {
        'BUCKET = "{bucket}"': f"BUCKET = {json.dumps(spec.bucket)}",
        'FOLDER = "{folder}"': f"FOLDER = {json.dumps(f'{prefix}/'.lstrip('/'))}",
        'AT = "{at}"': f"AT = {json.dumps(f'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}')}",
        "OPTIONS: list[str] = []": f"OPTIONS: list[str] = {json.dumps(list(options))}",
        'CA_CERTIFICATE = ""': f"CA_CERTIFICATE = {json.dumps(ca_certificate)}",
    }
    text = SCRIPT.read_text(encoding="utf-8")
    for line, filled in given.items():
        before, found, after = text.partition(line)
        assert found, line
        text = before + filled + after
    filename = f"undelete-{prefix.replace('/', '-') or 'all'}.py"
    return Document(
        filename,
        "undelete",
        text,
        "Python 3.9 and the AWS CLI, signed in as somebody who may list and read versions, write objects and delete "
        "delete markers. Without --do it changes nothing, and says what it would do and when things were deleted.",
        f"python3 {filename}\npython3 {filename} --do",
    )


def deleters(spec: StoreSpec, prefix: str, options: str) -> str:
    """Return commands that count who deleted below the folder, by requester and address.

    "Amazon S3 server access log format": requester is the sixth field, the address the fifth, the operation the eighth,
    the key the ninth.
    """
    below = f' && index($9, "{prefix}/") == 1' if prefix else ""
    count = f"""awk '$8 ~ /DELETE/{below} {{ print $6, $5 }}'"""
    return (
        f"aws s3 cp --recursive {shlex.quote(f's3://{spec.log_bucket}/access/')} {LOGS} {options}\n"
        f"cat {LOGS}/* | {count} | sort | uniq -c"
    )
