"""What Amazon's errors mean for a step: one table, in words that an administrator can act on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.exceptions import ConnectionError as NoConnectionError

from console.clouds import streams
from console.clouds.aws.boundary import BOUNDARY
from console.clouds.s3api.errors import (
    BUSY,
    CHANGING,
    S3_ACTIONS,
    SHARED_ERRORS,
    UNKNOWN,
    CallTarget,
    Row,
    answered,
    bucket_arn,
    bucket_resource,
    by_code,
    unreadable,
    wait,
)
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Denied, Failed, StepError

# The actions that IAM checks for its own calls (Service Authorization Reference, "AWS Identity and Access Management").
# Creating also asks for the one that belongs to the tags; filling a profile, for the right to hand over the role.
IAM_ACTIONS = {
    "CreateRole": ("iam:CreateRole", "iam:TagRole"),
    "GetRole": ("iam:GetRole",),
    "PutRolePermissionsBoundary": ("iam:PutRolePermissionsBoundary",),
    "PutRolePolicy": ("iam:PutRolePolicy",),
    "DeleteRolePolicy": ("iam:DeleteRolePolicy",),
    "DeleteRole": ("iam:DeleteRole",),
    "CreateInstanceProfile": ("iam:CreateInstanceProfile", "iam:TagInstanceProfile"),
    "GetInstanceProfile": ("iam:GetInstanceProfile",),
    "AddRoleToInstanceProfile": ("iam:AddRoleToInstanceProfile", "iam:PassRole"),
    "RemoveRoleFromInstanceProfile": ("iam:RemoveRoleFromInstanceProfile",),
    "DeleteInstanceProfile": ("iam:DeleteInstanceProfile",),
}
# With which the preflight looks whether the nodes' permissions boundary is as it should be.
BOUNDARY_ACTIONS = {"GetPolicy": ("iam:GetPolicy",), "GetPolicyVersion": ("iam:GetPolicyVersion",)}
# Creating a bucket also asks for the two that belong to the tags and to the ownership header in the call.
ACTIONS = {
    **IAM_ACTIONS,
    **BOUNDARY_ACTIONS,
    **S3_ACTIONS,
    "CreateBucket": ("s3:CreateBucket", "s3:TagResource", "s3:PutBucketOwnershipControls"),
    "AssumeRole": ("sts:AssumeRole",),
    "SimulatePrincipalPolicy": ("iam:SimulatePrincipalPolicy",),
}

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})

NO_OWN_IDENTITY = (
    "The console itself has no AWS identity to assume the role with. Give its processes one: an instance or task role, "
    "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in their environment."
)


# As the rows of s3api, for what only Amazon answers, or only an administrator of an AWS account can act on; {role} and
# {log_bucket} are words of on_amazon().
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
        "ThrottlingException RequestLimitExceeded TooManyRequestsException",
        wait(600),
        BUSY,
    ),
    (
        "EntityTemporarilyUnmodifiable",
        wait(60),
        CHANGING,
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
        "CreateRole:NoSuchEntity PutRolePermissionsBoundary:NoSuchEntity",
        wait(60),  # it may have been made a moment ago
        f"Account {{number}} has no policy {BOUNDARY}, the permissions boundary that every role of nodes gets. Make it "
        "with boundary.json, or set the console's role up anew with CloudFormation or Terraform: the account's page "
        "has them. Then try again. AWS says: {reason}",
    ),
    (
        "RequestTimeTooSkewed",  # not final, because another worker's clock may be right
        wait(600),
        "The console's clock differs from Amazon's by more than 15 minutes. Set the clock of each machine that a "
        "worker of the console runs on, then try again.",
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
ERRORS: dict[str, Row] = SHARED_ERRORS | by_code(ROWS)


def on_amazon(
    account: AccountRef, region: str, service: str, name: str, resource: Callable[[str, str], str], **details: str
) -> CallTarget:
    """Return something at Amazon as the subject of a call."""
    return CallTarget(
        account=account,
        service=service,
        region=region,
        name=name,
        details=details,
        resource=resource,
        who="AWS",
        actions=ACTIONS,
        errors=ERRORS,
        words={"log_bucket": "", "role": account.settings.get("role_arn", "")},
    )


def on_bucket(spec: StoreSpec, bucket: str) -> CallTarget:
    """Return a bucket of this store as the subject of a call."""
    resource = partial(bucket_resource, bucket_arn(bucket, spec.account.partition))
    subject = on_amazon(spec.account, spec.region, "Amazon S3", bucket, resource, bucket=bucket)
    return replace(subject, words={**subject.words, "log_bucket": spec.log_bucket})


def step_error(error: Exception, operation: str, subject: CallTarget) -> StepError:
    """Return what this error of botocore means for the step that called."""
    if isinstance(error, ClientError):
        found = answered(error, subject)
        if error.operation_name == "AssumeRole":  # the trust policy of the role has to change, and no permission
            found.details.pop("statement", None)
        return found
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
            f"The console stopped reading what {subject.service} in {subject.region} answered: {ended}."
            if (ended := streams.end_of(error))
            else f"The console got no answer from {subject.service} in {subject.region}. Check that its network lets "
            "it out to AWS.",
            **details,
        )
    if isinstance(error, unreadable()):  # whose text has the whole answer in it
        return wait(600)(f"What answered for {subject.service} in {subject.region} is not AWS.", **details)
    return Failed(f"The call {operation} could not be made: {error}", **details)
