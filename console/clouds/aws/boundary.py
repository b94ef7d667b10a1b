"""The permissions boundary of the nodes' roles: the most that any policy can let them do, whoever writes it.

Who may make roles and give them policies may do whatever such a role may ("Permissions boundaries for IAM entities",
IAM user guide). So the console's role may only make and change roles that have this boundary, and can change neither it
nor a role's having it. An administrator makes it, with the console's role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from console.clouds.aws.places import USES
from console.clouds.s3api.errors import bucket_arn
from console.clouds.s3api.places import existing
from console.clouds.specs import AccountRef, Place

BOUNDARY = "storekeeper-nodes"  # the name of the managed policy, one for each account


def boundary_arn(account_number: str, partition: str) -> str:
    """Return the ARN of the policy that is the boundary."""
    return f"arn:{partition}:iam::{account_number}:policy/{BOUNDARY}"


def boundary_of(account: AccountRef) -> str:
    """Return the ARN of the boundary in a linked account."""
    return boundary_arn(account.number, account.partition)


def is_boundary(document: Any, account: AccountRef) -> bool:
    """Return whether a policy is the boundary; an administrator may have let it name other buckets of his, too."""
    wanted = boundary(account.number, account.partition)["Statement"]
    found = document.get("Statement", []) if isinstance(document, dict) else []
    if not isinstance(found, list) or not all(one in found for one in wanted):
        return False
    others = [one for one in found if one not in wanted]
    return all(isinstance(one, dict) and _without_resource(one) == _without_resource(wanted[0]) for one in others)


def unnamed(document: Any, account: AccountRef) -> list[str]:
    """Return the buckets that were there before and the boundary does not name: nodes could not use those."""
    named = [
        arn for one in document["Statement"] if one.get("Effect") == "Allow" for arn in as_list(one.get("Resource", []))
    ]
    return [
        bucket
        for bucket in existing(account.places)
        if not all(any(fnmatchcase(arn, one) for one in named) for arn in _both(bucket, account.partition))
    ]


def as_list(value: Any) -> list[Any]:
    """Return what a policy may write as one value, or as a list of them."""
    return value if isinstance(value, list) else [value]


def _both(bucket: str, partition: str) -> list[str]:
    return [bucket_arn(bucket, partition), bucket_arn(f"{bucket}/*", partition)]


def usage_of_nodes(sid: str, buckets: Sequence[str], account_number: str, partition: str) -> dict[str, Any]:
    """Return the statement that lets nodes use these buckets as they use ours."""
    arns = [arn for one in buckets for arn in _both(one, partition)]
    return {**boundary(account_number, partition)["Statement"][0], "Sid": sid, "Resource": arns}


def _without_resource(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in {"Sid", "Resource"}}


def boundary(account_number: str, partition: str = "aws", places: Sequence[Place] = ()) -> dict[str, Any]:
    """Return the policy: what pgBackRest does in the account's stores, and only on a machine of EC2.

    Versions are for recovery identities (contract.Recovery); no policy of a node allows them.

    Whoever has made a role can also have it trust them. Requests that are signed with what an instance was given have
    `ec2:SourceInstanceARN`, those of anybody else who assumes the role have not ("AWS global condition context keys").
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "UseBackupStoresFromInstances",
                "Effect": "Allow",
                "Action": [
                    *("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
                    *("s3:ListBucketVersions", "s3:GetObjectVersion"),
                ],
                "Resource": bucket_arn("pgbk-*", partition),  # which is true of what is in the buckets, too
                "Condition": {
                    "StringEquals": {"aws:ResourceAccount": account_number},
                    "Null": {"ec2:SourceInstanceARN": "false"},
                },
            },
            # A bucket's policy that names a session gives it more than a boundary allows, but not what one denies.
            {
                "Sid": "NothingElsewhere",
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"Null": {"ec2:SourceInstanceARN": "true"}},
            },
            *([usage_of_nodes(USES, buckets, account_number, partition)] if (buckets := existing(places)) else ()),
        ],
    }
