"""What Amazon's errors mean for a step: one table, in words that an administrator can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.exceptions import ConnectionError as NoConnectionError

from console.clouds.contract import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Denied, Failed, NotReady, StepError

# The actions that IAM checks for its own calls (Service Authorization Reference, "AWS Identity and Access Management").
# Creating also asks for the one that belongs to the tags; filling a profile, for the right to hand over the role.
IAM_ACTIONS = {
    "CreateRole": ("iam:CreateRole", "iam:TagRole"),
    "GetRole": ("iam:GetRole",),
    "PutRolePolicy": ("iam:PutRolePolicy",),
    "DeleteRolePolicy": ("iam:DeleteRolePolicy",),
    "DeleteRole": ("iam:DeleteRole",),
    "CreateInstanceProfile": ("iam:CreateInstanceProfile", "iam:TagInstanceProfile"),
    "GetInstanceProfile": ("iam:GetInstanceProfile",),
    "AddRoleToInstanceProfile": ("iam:AddRoleToInstanceProfile", "iam:PassRole"),
    "RemoveRoleFromInstanceProfile": ("iam:RemoveRoleFromInstanceProfile",),
    "DeleteInstanceProfile": ("iam:DeleteInstanceProfile",),
}
# Those that S3 checks for each of our calls (the same reference, "Amazon S3"). Creating also asks for the two that
# belong to the tags and to the ownership header in the call.
ACTIONS = {
    **IAM_ACTIONS,
    "CreateBucket": ("s3:CreateBucket", "s3:TagResource", "s3:PutBucketOwnershipControls"),
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
    "AssumeRole": ("sts:AssumeRole",),
    "SimulatePrincipalPolicy": ("iam:SimulatePrincipalPolicy",),
}
# The calls on objects, with the keys that they are ever made on: a log bucket is emptied, and of a repository nothing
# is read but the list of its backups (pgBackRest user guide, "Backup Info"; the paths are those of its storage).
ON_OBJECTS = {"DeleteObjects": "*", "AbortMultipartUpload": "*", "GetObject": "c-*/backup/*/backup.info*"}

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})

NO_OWN_IDENTITY = (
    "The console itself has no AWS identity to assume the role with. Give its processes one: an instance or task role, "
    "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in their environment."
)


def wait(patience: float) -> Callable[..., StepError]:
    """Return the reaction "try again for so many seconds"."""
    return partial(NotReady, patience=patience)


UNKNOWN = "*"  # stands for every code that is in no row
# Codes (or operation:code, which wins), the reaction, and what to tell. Meanings: Amazon S3 API reference, "Error
# responses". Times: a released name may stay blocked for an hour, a conflicting change is over in less than a minute,
# and a new bucket is visible everywhere within two.
ROWS: tuple[tuple[str, Callable[..., StepError], str], ...] = (
    (
        "AccessDenied UnauthorizedAccess 403",
        Denied,
        "{who} refused {action} on {name}. Allow it in the policy of the console's role or user (the statement is in "
        "the details), then try again. {who} says: {reason}",
    ),
    (
        "AssumeRole:AccessDenied AssumeRole:403",
        Denied,
        "AWS does not let the console assume {role}. Check that its trust policy names the console and the external ID "
        "of this account, then try again. AWS says: {reason}",
    ),
    (
        "AssumeRole:InvalidClientTokenId AssumeRole:SignatureDoesNotMatch AssumeRole:ExpiredToken",
        Failed,
        f"AWS does not accept the console's own credentials. {NO_OWN_IDENTITY}",
    ),
    (
        "InvalidAccessKeyId InvalidClientTokenId SignatureDoesNotMatch",
        Failed,
        "AWS does not accept the credentials of account {number} any more. Change its access key on its page.",
    ),
    (
        " ".join(sorted(EXPIRED)),
        wait(120),
        "The session in account {number} ran out; the console opens a new one. If that does not help, link the account "
        "again.",
    ),
    (
        "CreateBucket:BucketAlreadyExists",
        Conflict,
        "The name {name} is taken by another AWS account. Delete this store here and create it again: it gets another "
        "name.",
    ),
    (
        "TooManyBuckets",
        Failed,
        "Account {number} has as many buckets as its quota allows. Delete unused buckets, or ask for more: Service "
        "Quotas, Amazon S3, “General purpose buckets” (commercial accounts: in region us-east-1). Then try again.",
    ),
    (
        "SlowDown Throttling ThrottlingException RequestLimitExceeded TooManyRequestsException 429 "
        "ServiceUnavailable InternalError 500 502 503 504",
        wait(600),
        "{who} is busy and asked the console to slow down ({code}).",
    ),
    (
        "ConcurrentModification EntityTemporarilyUnmodifiable",
        wait(60),
        "{who} is applying another change to {name}.",
    ),
    # IAM is eventually consistent: it may take seconds until a change is seen (IAM user guide, "Troubleshoot IAM").
    (
        "NoSuchEntity",
        wait(60),
        "{who} does not show {name} yet. If someone deleted it meanwhile, try again: it is created anew.",
    ),
    (
        "DeleteConflict",
        wait(60),
        "AWS does not delete {name}, because something that the console did not add still belongs to it. In IAM, "
        "detach all other policies from the role and take it out of all instance profiles, then delete the cluster "
        "again. AWS says: {reason}",
    ),
    (
        "LimitExceeded",
        Failed,
        "Account {number} has as many IAM roles or instance profiles as its quota allows. Delete unused ones, or ask "
        "for more: Service Quotas, AWS Identity and Access Management (IAM), “Roles per account” and “Instance "
        "profiles per account” (commercial accounts: in region us-east-1). Then try again. AWS says: {reason}",
    ),
    (
        "PutRolePolicy:LimitExceeded",
        Failed,
        "The inline policies of {name} would be longer than AWS allows. Attach fewer stores to the cluster, or delete "
        "other inline policies from the role, then try again. AWS says: {reason}",
    ),
    (
        "RequestTimeout",
        wait(600),
        "{who} did not receive the whole request in time.",
    ),
    (
        "RequestTimeTooSkewed",  # not final, because another worker's clock may be right
        wait(600),
        "The console's clock differs from Amazon's by more than 15 minutes. Set the clock of each machine that a "
        "worker of the console runs on, then try again.",
    ),
    (
        "CreateBucket:OperationAborted DeleteBucket:OperationAborted",
        wait(600),
        "{who} is still releasing the name {name}, or is changing the bucket. Try again later: it may take an hour.",
    ),
    (
        "OperationAborted",
        wait(60),
        "{who} is applying another change to {name}.",
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
    (
        "InvalidTargetBucketForLogging",
        wait(30),
        "AWS does not accept {log_bucket} as the target of access logs. Check that no policy of your organisation "
        "closes it to logging.s3.amazonaws.com, then try again.",
    ),
    (
        "CrossLocationLoggingProhibitted CrossLocationLoggingProhibited",  # S3 has long misspelt it
        Failed,
        "{log_bucket} is not in region {region}, so {name} cannot log to it. Delete the store and create it again.",
    ),
    (
        "InvalidToken AuthFailure AllAccessDisabled OptInRequired RegionDisabledException "
        "IllegalLocationConstraintException InvalidLocationConstraint",
        Failed,
        "Region {region} is not enabled in account {number}. Enable it in AWS (Account, AWS Regions), wait until it is "
        "shown as enabled, then try again. AWS says: {reason}",
    ),
    (
        "MalformedPolicy MalformedPolicyDocument InvalidBucketName InvalidNamespaceHeader "
        "AccessControlListNotSupported",
        Failed,
        "AWS rejected the console's request for {name} ({code}: {reason}). This is a fault in the console: please "
        "report it.",
    ),
    (UNKNOWN, Failed, "{who} refused the request for {name}: {code}: {reason}"),
)
Row = tuple[Callable[..., StepError], str]


def by_code(rows: Iterable[tuple[str, Callable[..., StepError], str]]) -> dict[str, Row]:
    """Return reaction and message by code."""
    return {code: (reaction, message) for codes, reaction, message in rows for code in codes.split()}


ERRORS = by_code(ROWS)


def code_of(error: Exception) -> str:
    """Return the error code of the answer, or its HTTP status when it names none; '' when there was no answer."""
    if not isinstance(error, ClientError):
        return ""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(error.response.get("Error", {}).get("Code") or status)


@dataclass(frozen=True)
class CallTarget:
    """What a call is about, in the words of its errors."""

    account: AccountRef
    service: str
    region: str
    name: str
    details: Mapping[str, str]
    resource: Callable[[str, str], str]  # operation and action: the ARN that a statement allowing it names
    log_bucket: str = ""
    who: str = "AWS"
    actions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ACTIONS)
    errors: Mapping[str, Row] = field(default_factory=lambda: ERRORS)


def bucket_arn(name: str, partition: str = "") -> str:
    """Return the bucket's ARN; servers that have no partitions write Amazon's first."""
    return f"arn:{partition or 'aws'}:s3:::{name}"


def on_bucket(spec: StoreSpec, bucket: str) -> CallTarget:
    """Return a bucket of this store as the subject of a call."""
    return CallTarget(
        account=spec.account,
        service="Amazon S3",
        region=spec.region,
        name=bucket,
        details={"bucket": bucket},
        resource=partial(bucket_resource, bucket_arn(bucket, spec.account.partition)),
        log_bucket=spec.log_bucket,
    )


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


def step_error(error: ClientError | BotoCoreError, operation: str, subject: CallTarget) -> StepError:
    """Return what this error of botocore means for the step that called."""
    if isinstance(error, ClientError):
        return answered(error, subject)
    details = {"code": type(error).__name__, "operation": operation, **subject.details}
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return Failed(NO_OWN_IDENTITY, **details)
    if isinstance(error, (HTTPClientError, NoConnectionError)):  # time-outs, refused and broken connections, TLS
        if "resolve" in str(error.kwargs.get("error")):
            # Not final at once, although a region that does not exist looks the same: a resolver may have a bad minute.
            return wait(120)(
                f"The console cannot find the address of {subject.service} in {subject.region}. Check the console's "
                f"DNS, and that the region is enabled in account {subject.account.number}.",
                **details,
            )
        return wait(600)(
            f"The console got no answer from {subject.service} in {subject.region}. Check that its network lets it out "
            "to AWS.",
            **details,
        )
    return Failed(f"The call {operation} could not be made: {error}", **details)


def answered(error: ClientError, subject: CallTarget) -> StepError:
    """Return what this answer means, by the subject's own table; an unknown one is final, unless the server is ill."""
    operation, code = error.operation_name, code_of(error)  # AssumeRole may have failed on the way to our call
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
        if operation != "AssumeRole":
            details["statement"] = json.dumps(statement(operation, subject, actions), indent=2)
    reaction, message = _row(subject.errors, operation, code, metadata)
    text = message.format(
        action=details.get("action", ""),
        code=code,
        log_bucket=subject.log_bucket,
        name=subject.name,
        number=subject.account.number,
        reason=reason,
        region=subject.region,
        role=subject.account.settings.get("role_arn", ""),
        operation=operation,
        who=subject.who,
    )
    if "explicit deny" in reason:
        text += " An explicit deny wins over any permission: it is that policy which has to change."
    return reaction(text, **details)


def _row(errors: Mapping[str, Row], operation: str, code: str, metadata: object) -> Row:
    status = metadata.get("HTTPStatusCode", 0) if isinstance(metadata, dict) else 0
    known = errors.get(f"{operation}:{code}") or errors.get(code)
    return known or errors["SlowDown" if status >= 500 else UNKNOWN]
