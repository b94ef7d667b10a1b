"""The permissions that the console's access key needs on a server that speaks S3 and has IAM."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from console.clouds.contract import Document
from console.clouds.s3.access import USERS
from console.clouds.s3.session import SERVER_ACTIONS, has
from console.clouds.s3.trial import FOLDER
from console.clouds.s3api.errors import ON_OBJECTS, bucket_arn
from console.clouds.s3api.nodes import IAM_PATH
from console.clouds.specs import AccountRef

PROBE = "pgbk-probe-*"  # the buckets with which a server is tried out


def access_documents(account: AccountRef) -> list[Document]:
    """Return the policy of the console's user, where the server can keep one, or is not known yet."""
    hint = "For the user whose access key it is, in the words of Amazon's IAM."
    text = json.dumps(policy(), indent=2)
    keeps_one = has(account, USERS) or not account.number
    return [Document("permissions.json", "Permissions", text, hint)] if keeps_one else []


def policy() -> dict[str, Any]:
    """Return what the console does with its buckets and users on a server: no backup is read or deleted."""
    on_users = [one for one, actions in SERVER_ACTIONS.items() if actions[0].startswith("iam:")]
    on_objects = {*ON_OBJECTS, "PutObject"}
    on_buckets = [one for one in SERVER_ACTIONS if one not in {*on_users, *on_objects, "ListBuckets"}]
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
            _allow("FindStoreBuckets", ["ListBuckets"], "*"),
            _allow("ManageNodeUsers", on_users, [f"arn:aws:iam:::user{IAM_PATH}*", "arn:aws:iam:::user/pgbk-*"]),
        ],
    }


def _allow(sid: str, operations: Iterable[str], resource: str | list[str]) -> dict[str, Any]:
    actions = dict.fromkeys(action for operation in operations for action in SERVER_ACTIONS[operation])
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
