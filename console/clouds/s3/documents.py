"""The permissions that the console's access key needs on a server that speaks S3 and has IAM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from console.clouds.contract import Document
from console.clouds.naming import PREFIX
from console.clouds.s3 import marker
from console.clouds.s3.access import USERS
from console.clouds.s3.session import SERVER_ACTIONS, has
from console.clouds.s3.trial import FOLDER
from console.clouds.s3api.errors import ON_OBJECTS, bucket_arn
from console.clouds.s3api.nodes import IAM_PATH
from console.clouds.s3api.places import existing, lists
from console.clouds.specs import AccountRef, Place

NEVER = frozenset({"CreateBucket", "DeleteBucket"})  # of a bucket that was there before
PROBE = "pgbk-probe-*"  # the buckets with which a server is tried out


def access_documents(account: AccountRef) -> list[Document]:
    """Return the policy of the console's user, where the server can keep one, or is not known yet."""
    hint = "For the user whose access key it is, in the words of Amazon's IAM."
    text = json.dumps(policy(account.places, marks=not has(account, "tags")), indent=2)
    keeps_one = has(account, USERS) or not account.number
    return [Document("permissions.json", "Permissions", text, hint)] if keeps_one else []


def needs(account: AccountRef, bucket: str) -> list[Document]:
    """Return what the console's user has to be allowed on a bucket that was there before, where the server has IAM."""
    if not has(account, USERS) or bucket.startswith(PREFIX):
        return []
    text = json.dumps(_places([Place(bucket, is_existing=True)], marks=not has(account, "tags")), indent=2)
    hint = "Add these statements to the policy of the user whose access key the console has. Its file has them later."
    return [Document("existing-bucket.json", "The console's user", text, hint)]


def lists_need(account: AccountRef, bucket: str, path: str) -> str:
    """Return what the console's user lacks for a repository outside of the folders that it makes, in sentences."""
    names = " and ".join(lists([Place(bucket, repositories=(path,))]))
    return f"If a policy limits the console's user, allow it s3:GetObject on {names}; then try again."


def policy(places: Sequence[Place] = (), *, marks: bool = False) -> dict[str, Any]:
    """Return what the console does with its buckets and users, and in these places: no backup is read or deleted.

    `marks`: the server keeps no tags, so a marker says whose a bucket is.
    """
    on_users = [one for one, actions in SERVER_ACTIONS.items() if actions[0].startswith("iam:")]
    on_buckets = _on_buckets()
    own, probe = bucket_arn("pgbk-*"), f"{bucket_arn(PROBE)}/*"
    logs = bucket_arn(f"pgbk-{'?' * 26}-log/*")  # not *, which would also stand for a slash in a backup's key
    emptied = [one for one, keys in ON_OBJECTS.items() if keys == "*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("StoreBuckets", on_buckets, own),
            _allow("EmptyLogBucketOnDelete", emptied, logs),
            _allow("ReadListsOfBackups", ["GetObject"], f"{own}/{ON_OBJECTS['GetObject']}"),
            _allow("TryServerOut", [*emptied, "GetObject", "PutObject"], probe),
            _allow("TryStoresOut", ["DeleteObjects", "GetObject", "PutObject"], f"{own}/{FOLDER}/*"),
            *_places(places, marks=marks),
            _allow("FindStoreBuckets", ["ListBuckets"], "*"),
            _allow("ManageNodeUsers", on_users, [f"arn:aws:iam:::user{IAM_PATH}*", "arn:aws:iam:::user/pgbk-*"]),
        ],
    }


def _on_buckets() -> list[str]:
    others = {*ON_OBJECTS, "PutObject", "ListBuckets"}
    return [one for one, actions in SERVER_ACTIONS.items() if one not in others and not actions[0].startswith("iam:")]


def _places(places: Sequence[Place], *, marks: bool) -> list[dict[str, Any]]:
    """Return the statements of places that the console did not make: nothing in them is changed but a marker."""
    found = []
    if buckets := [bucket_arn(one) for one in existing(places)]:
        found.append(_allow("UseExistingBuckets", [one for one in _on_buckets() if one not in NEVER], buckets))
        if marks:
            markers = [f"{one}/{marker.FOLDER}*" for one in buckets]
            found.append(_allow("MarkExistingBuckets", ["DeleteObject", "PutObject"], markers))
    if objects := lists(places):
        found.append(_allow("ReadListsBroughtIn", ["GetObject"], objects))
    return found


def _allow(sid: str, operations: Iterable[str], resource: str | list[str]) -> dict[str, Any]:
    actions = dict.fromkeys(action for operation in operations for action in SERVER_ACTIONS[operation])
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
