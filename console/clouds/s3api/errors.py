"""What the errors of a server that speaks S3 or IAM mean for a step, by tables in words that can be acted on.

This holds how an answer is looked up, and the rows that are true of any server; each cloud adds its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from console.clouds.contract import AccountRef
from console.clouds.steps import NotReady, StepError

# The actions that S3 checks for each of our calls (Service Authorization Reference, "Amazon S3"). An operation that is
# not here needs the action of its own name.
S3_ACTIONS = {
    "CreateBucket": ("s3:CreateBucket",),
    "PutBucketPolicy": ("s3:PutBucketPolicy",),
    "PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "PutBucketLogging": ("s3:PutBucketLogging",),
    "GetBucketLogging": ("s3:GetBucketLogging",),
    "GetBucketTagging": ("s3:GetBucketTagging",),
    "PutBucketTagging": ("s3:PutBucketTagging",),
    "GetBucketPolicy": ("s3:GetBucketPolicy",),
    "GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "GetBucketOwnershipControls": ("s3:GetBucketOwnershipControls",),
    "PutBucketOwnershipControls": ("s3:PutBucketOwnershipControls",),
    "GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "GetBucketVersioning": ("s3:GetBucketVersioning",),
    "PutBucketVersioning": ("s3:PutBucketVersioning",),
    "GetObjectLockConfiguration": ("s3:GetBucketObjectLockConfiguration",),
    "PutObjectLockConfiguration": ("s3:PutBucketObjectLockConfiguration",),
    "ListObjectVersions": ("s3:ListBucketVersions",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "DeleteBucket": ("s3:DeleteBucket",),
    "DeleteObjects": ("s3:DeleteObject",),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "ListObjectsV2": ("s3:ListBucket",),
    "GetObject": ("s3:GetObject",),
    "ListBuckets": ("s3:ListAllMyBuckets",),
}
# The calls on objects, with the keys that they are ever made on: a log bucket is emptied, and of a repository nothing
# is read but the list of its backups (pgBackRest user guide, "Backup Info"; the paths are those of its storage).
ON_OBJECTS = {"DeleteObjects": "*", "AbortMultipartUpload": "*", "GetObject": "c-*/backup/*/backup.info*"}

# What a server answers that has not heard of a call.
NOT_THERE = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})


def wait(patience: float) -> Callable[..., StepError]:
    """Return the reaction "try again for so many seconds"."""
    return partial(NotReady, patience=patience)


Row = tuple[Callable[..., StepError], str]  # the reaction, and what to tell


def by_code(rows: Iterable[tuple[str, Callable[..., StepError], str]]) -> dict[str, Row]:
    """Return reaction and message by code."""
    return {code: (reaction, message) for codes, reaction, message in rows for code in codes.split()}


# What botocore raises when there is no answer, or none that can be read. urllib3's own errors come through where it
# reads the error of a call whose answer is a stream.
NO_ANSWER = (BotoCoreError, ResponseParserError, HTTPError)


def no_answer(error: Exception) -> Exception:
    """Return what was raised as botocore raises it elsewhere."""
    return HTTPClientError(error=error) if isinstance(error, HTTPError) else error


UNKNOWN = "*"  # stands for every code that is in no row
BUSY = "{who} is busy and asked the console to slow down ({code})."
CHANGING = "{who} is applying another change to {name}."
# Codes (or operation:code, which wins), the reaction, and what to tell. Meanings: Amazon S3 API reference, "Error
# responses". Times: a released name may stay blocked for an hour, a conflicting change is over in less than a minute,
# and a new bucket is visible everywhere within two.
SHARED_ERRORS = by_code(
    (
        (
            "SlowDown Throttling 429 ServiceUnavailable InternalError 500 502 503 504",
            wait(600),
            BUSY,
        ),
        (
            "ConcurrentModification OperationAborted",
            wait(60),
            CHANGING,
        ),
        # IAM is eventually consistent: it may take seconds until a change is seen (IAM user guide, "Troubleshoot IAM").
        (
            "NoSuchEntity",
            wait(60),
            "{who} does not show {name} yet. If someone deleted it meanwhile, try again: it is created anew.",
        ),
        (
            "RequestTimeout",
            wait(600),
            "{who} did not receive the whole request in time.",
        ),
        (
            "CreateBucket:OperationAborted DeleteBucket:OperationAborted",
            wait(600),
            "{who} is still releasing the name {name}, or is changing the bucket. Try again later: it may take an "
            "hour.",
        ),
        (
            "NoSuchBucket",
            wait(120),
            "{who} does not show bucket {name} yet. If someone deleted it meanwhile, try again.",
        ),
        (
            "DeleteBucket:NoSuchBucket",  # the step is run again, and finds out whether there is one
            wait(120),
            "{who} says that bucket {name} is gone already; the console makes sure of it.",
        ),
    )
)


def code_of(error: Exception) -> str:
    """Return the error code of the answer, or its HTTP status when it names none; '' when there was no answer."""
    if not isinstance(error, ClientError):
        return ""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(error.response.get("Error", {}).get("Code") or status)


@dataclass(frozen=True, kw_only=True)
class CallTarget:
    """What a call is about, in the words of its errors."""

    account: AccountRef
    service: str
    region: str
    name: str
    details: Mapping[str, str]
    resource: Callable[[str, str], str]  # operation and action: the ARN that a statement allowing it names
    who: str  # answers: the subject of a sentence
    actions: Mapping[str, tuple[str, ...]]  # by operation
    errors: Mapping[str, Row]  # by code
    words: Mapping[str, str] = field(default_factory=dict)  # what else the messages of `errors` name


def bucket_arn(name: str, partition: str = "") -> str:
    """Return the bucket's ARN; servers that have no partitions write Amazon's first."""
    return f"arn:{partition or 'aws'}:s3:::{name}"


def bucket_resource(arn: str, operation: str, action: str) -> str:
    """Return the ARN that a statement allowing this operation names: the bucket's, or that of objects in it."""
    if operation == "ListBuckets":
        return "*"
    return f"{arn}/{ON_OBJECTS[operation]}" if operation in ON_OBJECTS else arn


def statement(operation: str, subject: CallTarget, actions: tuple[str, ...]) -> dict[str, object]:
    """Return the IAM statement that allows this call on this very subject."""
    resources = list(dict.fromkeys(subject.resource(operation, action) for action in actions))
    return {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resources if len(resources) > 1 else resources[0],
    }


def answered(error: ClientError, subject: CallTarget) -> StepError:
    """Return what this answer means, by the subject's own table; an unknown one is final, unless the server is ill."""
    operation, code = error.operation_name, code_of(error)  # signing in may have failed on the way to our call
    metadata = error.response.get("ResponseMetadata", {})
    reason = str(error.response.get("Error", {}).get("Message", "")) or "no reason given"
    request_id = str(metadata.get("RequestId", ""))
    details = {"code": code, "operation": operation, **subject.details, "request_id": request_id}
    if host_id := str(metadata.get("HostId", "")):  # S3's second half, which AWS's support asks for
        details["host_id"] = host_id
    if code in {"AccessDenied", "UnauthorizedAccess", "403"}:
        # Newer answers name the one action that was missing: "… is not authorized to perform: s3:TagResource on …".
        named = re.search(r"perform: ((?:s3|iam):\w+)", reason)
        actions = (named[1],) if named else subject.actions.get(operation, (operation,))
        details["action"] = ", ".join(actions)
        details["statement"] = json.dumps(statement(operation, subject, actions), indent=2)
    reaction, message = _row(subject.errors, operation, code, metadata)
    text = message.format(
        action=details.get("action", ""),
        code=code,
        name=subject.name,
        number=subject.account.number,
        reason=reason,
        region=subject.region,
        operation=operation,
        who=subject.who,
        **subject.words,
    )
    if "explicit deny" in reason:
        text += " An explicit deny wins over any permission: it is that policy which has to change."
    return reaction(text, **details)


def _row(errors: Mapping[str, Row], operation: str, code: str, metadata: object) -> Row:
    status = metadata.get("HTTPStatusCode", 0) if isinstance(metadata, dict) else 0
    known = errors.get(f"{operation}:{code}") or errors.get(code)
    return known or errors["SlowDown" if status >= 500 else UNKNOWN]
