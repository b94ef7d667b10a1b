"""What the errors of a server that speaks S3 or IAM mean for a step, by tables in words that can be acted on.

This holds how an answer is looked up, and the rows that are true of any server; each cloud adds its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from console.clouds import foreign
from console.clouds.specs import AccountRef
from console.clouds.steps import Denied, Failed, NotReady, StepError

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
    "HeadBucket": ("s3:ListBucket",),
    "DeleteObject": ("s3:DeleteObject",),
    "DeleteObjects": ("s3:DeleteObject",),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "ListObjectsV2": ("s3:ListBucket",),
    "GetObject": ("s3:GetObject",),
    "ListBuckets": ("s3:ListAllMyBuckets",),
}
# The calls on objects, with the keys that they are ever made on: a log bucket is emptied, and of a repository nothing
# is read but the list of its backups (pgBackRest user guide, "Backup Info"; the paths are those of its storage).
ON_OBJECTS = {
    "DeleteObject": "*",
    "DeleteObjects": "*",
    "AbortMultipartUpload": "*",
    "GetObject": "c-*/backup/*/backup.info*",
}

# What a server answers that has not heard of a call.
NOT_THERE = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})


def wait(patience: float) -> Callable[..., StepError]:
    """Return the reaction "try again for so many seconds"."""
    return partial(NotReady, patience=patience)


Row = tuple[Callable[..., StepError], str]  # the reaction, and what to tell


def by_code(rows: Iterable[tuple[str, Callable[..., StepError], str]]) -> dict[str, Row]:
    """Return reaction and message by code."""
    return {code: (reaction, message) for codes, reaction, message in rows for code in codes.split()}


@cache
def unreadable() -> type[Exception]:
    """Return what botocore raises when an answer cannot be read; its module is loaded when a client is."""
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    return ResponseParserError


def unanswered() -> tuple[type[Exception], type[Exception], type[Exception]]:
    """Return what botocore raises when there is no answer, or none that can be read.

    urllib3's own errors come through where it reads the error of a call whose answer is a stream.
    """
    return (BotoCoreError, unreadable(), HTTPError)


def no_answer(error: Exception) -> Exception:
    """Return what was raised as botocore raises it elsewhere."""
    return HTTPClientError(error=error) if isinstance(error, HTTPError) else error


PROXY = "proxy-"  # before a status: it came without an error of S3, so what is in front has answered
UNKNOWN = "*"  # stands for every code that is in no row
BUSY = "{who} is busy and asked the console to slow down ({code})."
CHANGING = "{who} is applying another change to {name}."
# Codes (or operation:code, which wins), the reaction, and what to tell. Meanings: Amazon S3 API reference, "Error
# responses". Times: a released name may stay blocked for an hour, a conflicting change is over in less than a minute,
# and a new bucket is visible everywhere within two.
SHARED_ERRORS = by_code(
    (
        (
            # MinIO's own beside them: cmd/api-errors.go
            "SlowDown SlowDownRead SlowDownWrite Throttling 429 ServiceUnavailable InternalError 500 "
            "XMinioServerNotInitialized XMinioReadQuorum XMinioWriteQuorum",
            wait(600),
            BUSY,
        ),
        (
            f"502 504 {PROXY}503",
            wait(600),
            "A proxy or load balancer before {service} answered {status} in its place: it got no answer from it. See "
            "that the server runs, and that the proxy reaches it.",
        ),
        (
            "413",
            Failed,
            "A proxy before {service} refused the request for {name} as too large (413). Have it let everything "
            "through (nginx: client_max_body_size 0), or pgBackRest's files will not get through either; then try "
            "again.",
        ),
        (
            "407 511",
            Failed,
            "A proxy on the way to {service} wants a sign-in ({status}), which the console has none for. Let the "
            "console through to it, then try again.",
        ),
        (
            "301 302 303 307 308 PermanentRedirect TemporaryRedirect",
            Failed,
            "{service} sends the request for {name} to another address ({code}), where the console does not go. Link "
            "the address that answers itself, or the region that the bucket is in; then try again.",
        ),
        # What else is refused, by its code: Amazon S3 API reference, "Error responses"; Ceph's rgw_common.cc; MinIO's
        # cmd/api-errors.go. Those that begin with "because-" are found by the words of the answer, in BECAUSE.
        (
            "because-locked ObjectLocked InvalidRetentionPeriod",
            Failed,
            "{who} refused {operation} on {name}, because Object Lock keeps what is there: a retention that is not "
            "over, or a legal hold. Wait until it is over, or have somebody take the hold away who may; then try "
            "again. {who} says: {reason}",
        ),
        (
            "because-quota QuotaExceeded XMinioAdminBucketQuotaExceeded XMinioStorageFull InsufficientCapacity "
            "InsufficientStorage 507",
            Failed,
            "{who} takes no more for {name}: a quota is used up, or its disks are full. Have the quota raised or make "
            "room, then try again. Until then backups fail, too. {who} says: {reason}",
        ),
        (
            "because-suspended UserSuspended AccountProblem AccountSuspended NotSignedUp InvalidPayer",
            Failed,
            "{who} has suspended the user or the account that the console signs in as ({code}). Have it enabled "
            "again, or its bill settled; then try again. {who} says: {reason}",
        ),
        (
            "ExpiredToken ExpiredTokenException TokenRefreshRequired",
            Failed,
            "The access key with which the console signs in to {service} has expired. Change it on the account's page.",
        ),
        (
            "because-key KMS.DisabledException KMS.InvalidStateException KMS.KMSInvalidStateException "
            "KMS.InvalidKeyUsageException KMS.NotFoundException KMS.KeyUnavailableException KMSNotConfigured "
            "KMS.KeyNotFoundException KMS.DisabledKeyException",
            Failed,
            "{who} cannot use the KMS key that {name} is encrypted with ({code}): it is disabled, deleted, or out of "
            "reach. Enable it, or give the bucket another key, then try again. {who} says: {reason}",
        ),
        (
            "because-kms",
            Denied,
            "{who} refused {action} on the KMS key that {name} is encrypted with. Allow it where the console's "
            "permissions are (the statement is in the details) and in the key's own policy, then try again. {who} "
            "says: {reason}",
        ),
        (
            "because-network",
            Failed,
            "{who} refused {operation} on {name} because of where the console is: a policy or a firewall lets in only "
            "certain addresses or networks. Have it let in the console's, then try again. {who} says: {reason}",
        ),
        (
            "because-blank",
            Denied,
            "Something answered 403 for {service} without an error of S3: a firewall or proxy before it may not let "
            "this console, or {operation}, through. If there is none, allow {action} on {name} for the console (the "
            "statement is in the details). Then try again. It says: {reason}",
        ),
        (
            "because-clock RequestTimeTooSkewed RequestExpired",  # not final: another worker's clock may be right
            wait(600),
            "The clocks of the console and of {service} differ by more than 15 minutes. Set the clock of each machine "
            "that a worker of the console runs on, then try again.",
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


# Why else a call is refused, by the words of the answer, where its code is that of a permission that lacks: IAM user
# guide, "Troubleshoot access denied error messages"; S3's "Access Denied because object protected by object lock."
REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "Forbidden", "403"})
BECAUSE = tuple(
    (re.compile(words, re.IGNORECASE), row)
    for words, row in (
        (r"object.?lock|\bworm\b|legal hold|retention (?:period|date|until)|under retention", "because-locked"),
        (r"perform: kms:", "because-kms"),
        (r"\bkms\b.*\b(?:disabled|pending|not exist|unavailable)", "because-key"),
        (r"\bquota\b|storage cap|cap exceeded|storage is full", "because-quota"),
        (r"\b(?:suspended|deactivated)\b|(?:user|account|key) is disabled", "because-suspended"),
        (r"source ?ip\b|\bip address|ip filter|firewall|VPC endpoint policy|not allowed from", "because-network"),
        (r"request has expired|signature (?:expired|not yet current)|time.{0,20}skew", "because-clock"),
    )
)
# The policies that AWS names as what refused, and who changes those that are not the console's own.
OTHER_POLICIES = {
    "service control policy": "It is one of your organisation: whoever administers that in AWS changes it.",
    "resource control policy": "It is one of your organisation: whoever administers that in AWS changes it.",
    "permissions boundary": "It is the permissions boundary of the console's role or user.",
    "session policy": "It is the policy of the session, which whoever started it chose.",
    "VPC endpoint policy": "It is the policy of the VPC endpoint that the console's network goes through.",
    "resource-based policy": "It is the policy of the bucket itself, or of the key: it may let in only some networks.",
}


def code_of(error: Exception) -> str:
    """Return the error code of the answer, or its HTTP status when it names none; '' when there was no answer."""
    if not isinstance(error, ClientError):
        return ""
    code = _reported(error).get("Code")
    return foreign.word(code if code and isinstance(code, (str, int)) else _status(error) or "")


def _reported(error: ClientError) -> Mapping[str, Any]:
    """Return the error in the answer, whatever a server has put in its place."""
    found: object = error.response.get("Error")
    return found if isinstance(found, dict) else {}


def _status(error: ClientError) -> int:
    metadata: object = error.response.get("ResponseMetadata")
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else 0
    return status if isinstance(status, int) else 0


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
    metadata: Any = error.response.get("ResponseMetadata") or {}
    reason = foreign.said(_reported(error).get("Message"), code)
    details = {
        "code": code,
        "operation": operation,
        **subject.details,
        "request_id": str(metadata.get("RequestId", "")),
    }
    if host_id := str(metadata.get("HostId", "")):  # S3's second half, which AWS's support asks for
        details["host_id"] = host_id
    row = _cause(code, operation, reason)
    if code in REFUSED and row in {"", "because-kms", "because-blank"}:
        details |= _needed(operation, subject, reason)
    reaction, message = _row(subject.errors, operation, row or code, _status(error))
    words = {
        "action": details.get("action", ""),
        "name": subject.name,
        "number": subject.account.number,
        "operation": operation,
        "region": subject.region,
        "service": subject.service,
        "status": str(_status(error)),
        "who": subject.who,
        **subject.words,
    }
    return reaction(foreign.told(message, reason, code=code, **words) + _who_denies(reason), **details)


def _needed(operation: str, subject: CallTarget, reason: str) -> dict[str, str]:
    """Return the actions that a call takes and a statement that allows them: those that the answer names, if it does.

    Newer answers name the one that was missing: "… is not authorized to perform: s3:TagResource on …".
    """
    named = re.search(r"perform: ([a-z0-9-]+:\w+)(?: on resource: \"?(arn:[^\s\"]+))?", reason)
    actions = (named[1],) if named else subject.actions.get(operation, (operation,))
    allowing = statement(operation, subject, actions)
    if named and named[2] and not named[1].startswith(("s3:", "iam:")):  # of another service: not the bucket
        allowing["Resource"] = named[2]
    return {"action": ", ".join(actions), "statement": json.dumps(allowing, indent=2)}


def _who_denies(reason: str) -> str:
    """Return whose policy refuses, where AWS says which, as sentences to be added."""
    added = [" An explicit deny wins over any permission: it is that policy which has to change."]
    added = added if "explicit deny" in reason else []
    whose = next((who for policy, who in OTHER_POLICIES.items() if f"{policy}" in reason), "")
    return "".join([*added, f" {whose}" if whose else ""])


def _cause(code: str, operation: str, reason: str) -> str:
    """Return the row that the words of the answer belong to, where its code alone says too little; else ''."""
    if code == "403" and not operation.startswith("Head"):  # whose answers never have a body
        return "because-blank"
    if code not in REFUSED:
        return ""
    return next((row for words, row in BECAUSE if words.search(reason)), "")


def _row(errors: Mapping[str, Row], operation: str, code: str, status: int) -> Row:
    known = errors.get(f"{operation}:{code}") or errors.get(code)
    if code == str(status) and not operation.startswith("Head"):
        known = errors.get(f"{PROXY}{code}") or known
    return known or errors["SlowDown" if status >= 500 else UNKNOWN]
