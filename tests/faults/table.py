"""The fault matrix: what each fault at each call of each plan must lead to. tests/faults/test_matrix.py walks it.

A rule is found by fault and by `plan in region: operation bucket`; of several that fit, the last one holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.faults.layer import Fault, answered, broken


@dataclass(frozen=True)
class Retried:
    """Passing trouble is outlasted; when it stays, the operation fails after so many seconds, and says this."""

    patience: int
    says: str


@dataclass(frozen=True)
class Fails:
    """Fails at once and says this; when the cause is gone, Try again ends as wanted, and so does Delete."""

    says: str


@dataclass(frozen=True)
class Renamed:
    """The bucket gets another name; when that one is taken, too, twice more, the operation fails and says this."""

    says: str


@dataclass(frozen=True)
class Passes:
    """Is as good as the right answer: the operation ends as wanted."""

    why: str


@dataclass(frozen=True)
class Cannot:
    """Is not tried, because it cannot be."""

    why: str


FAULTS: tuple[Fault, ...] = (
    answered("AccessDenied", 403, service=""),
    answered("SlowDown", 503),
    answered("InternalError", 500),
    broken("reset before", ConnectionClosedError),
    broken("reset after", ConnectionClosedError, after=True),
    broken("timeout after", ReadTimeoutError, after=True),
    broken("unresolved", EndpointConnectionError),
    answered("OperationAborted", 409),
    answered("NoSuchBucket", 404),
    answered("ExpiredToken", 400, service=""),
    answered("RequestTimeTooSkewed", 403, service=""),
    answered("InvalidTargetBucketForLogging", 400),
    answered("BucketAlreadyExists", 409),
    Fault("a stranger's", stranger=True),
    answered("TooManyBuckets", 400),
    answered("IllegalLocationConstraintException", 400),
    answered("InvalidToken", 400),
    # IAM's words for the same.
    answered("Throttling", 400, service="iam"),
    answered("ServiceFailure", 500, service="iam"),
    answered("ConcurrentModification", 409, service="iam"),
    answered("NoSuchEntity", 404, service="iam"),
    answered("LimitExceeded", 409, service="iam"),
)

BUSY = Retried(600, "asked the console to slow down")
NO_ANSWER = Retried(600, "Check that its network lets it out to AWS")
OWN_NAMESPACE = Fails("Check that the linked account is the right one")
THERE = Passes("the server has acted, so nothing is asked of it again")
NO_REGION = Fails("Enable it in AWS (Account, AWS Regions)")
AGAIN_IN_NO_TIME = Cannot("whose it is was asked milliseconds before, and no write can be made to depend on a tag")

NO_ANSWER_AFTER = {
    "*": NO_ANSWER,
    "create in us-east-1: CreateBucket *": THERE,  # where the tags are read before
    "create protected*: PutBucketVersioning *": THERE,
    "create protected*: PutObjectLockConfiguration *": THERE,
    "cancel *: PutBucketLogging *": THERE,
    "delete *: DeleteBucket *": THERE,
    "delete *: DeleteObjects *": THERE,
    "attach*: AddRoleToInstanceProfile *": THERE,
    "dismiss *: RemoveRoleFromInstanceProfile *": THERE,
    "dismiss *: DeleteInstanceProfile *": THERE,
    "dismiss *: DeleteRole *": THERE,
}

RULES: dict[str, dict[str, object]] = {
    "AccessDenied": {"*": Fails("Allow it in the policy of the console's role or user")},
    "SlowDown": {"*": BUSY},
    "InternalError": {"*": BUSY},
    "reset before": {"*": NO_ANSWER},
    "reset after": NO_ANSWER_AFTER,
    "timeout after": NO_ANSWER_AFTER,
    "unresolved": {"*": Retried(120, "Check the console's DNS")},
    "OperationAborted": {
        "*": Retried(60, "is applying another change"),
        "*: CreateBucket *": Retried(600, "Try again later: it may take an hour"),
        "*: DeleteBucket *": Retried(600, "Try again later: it may take an hour"),
    },
    "NoSuchBucket": {
        "*": Retried(120, "If someone deleted it meanwhile, try again"),
        "create in us-east-1: GetBucketTagging *": Passes("there is none, so it is created"),
        "repair in us-east-1: GetBucketTagging *": Passes("us-east-1 lets its owner create a bucket twice"),
        "repair in eu-west-1: GetBucketTagging *": Retried(600, "If it stays so, try again"),
        "repair in me-south-1: GetBucketTagging *": Retried(600, "If it stays so, try again"),
        "delete *: GetBucketTagging *": Retried(600, "If it stays so, try again"),
        "cancel *: GetBucketTagging *": Retried(600, "If it stays so, try again"),
        "delete *: DeleteBucket *": Retried(120, "the console makes sure of it"),
    },
    "ExpiredToken": {"*": Retried(120, "link the account again")},
    "RequestTimeTooSkewed": {"*": Retried(600, "Set the clock of each machine that a worker of the console runs on")},
    "InvalidTargetBucketForLogging": {
        "*": Cannot("S3 answers it to PutBucketLogging alone"),
        "*: PutBucketLogging *": Retried(30, "Check that no policy of your organisation closes it"),
    },
    "BucketAlreadyExists": {
        "*": Fails("BucketAlreadyExists"),
        "* in eu-west-1: CreateBucket *": OWN_NAMESPACE,
        "* in us-east-1: CreateBucket *": OWN_NAMESPACE,
        "create in me-south-1: CreateBucket *": Renamed("Delete this store here and create it again"),
        "repair in me-south-1: CreateBucket *": Fails("Delete this store here and create it again"),
    },
    "a stranger's": {
        "*": AGAIN_IN_NO_TIME,
        "create *: CreateBucket *": Fails("was left alone"),
        "repair *: CreateBucket *": Fails("was left alone"),
        "* in us-east-1: CreateBucket *": AGAIN_IN_NO_TIME,
        "* in us-east-1: GetBucketTagging *": Fails("was left alone"),
        "repair *: GetBucketTagging *": Fails("was left alone"),
        "delete *: GetBucketTagging *": Passes("it is not the store's, so it stays, and the store goes"),
        "cancel *: GetBucketTagging *": Cannot("a bucket that is gone cannot be put back; its store goes, as above"),
        "attach*: Create*": Fails("was left alone"),
        "attach*: Get*": Fails("was left alone"),
        "detach *: GetRole *": Fails("was left alone"),
        "dismiss *: GetInstanceProfile *": Retried(60, "take it out of all instance profiles"),  # it holds the role
        "dismiss *: GetRole *": Passes("it is not the cluster's, so it stays, and the cluster goes"),
    },
    "TooManyBuckets": {"*": Fails("Service Quotas, Amazon S3")},
    "IllegalLocationConstraintException": {"*": NO_REGION},
    "InvalidToken": {"*": NO_REGION},
    "Throttling": {"*": BUSY},
    "ServiceFailure": {"*": BUSY},
    "ConcurrentModification": {"*": Retried(60, "is applying another change")},
    "NoSuchEntity": {
        "*": Retried(60, "try again: it is created anew"),
        "*: CreateRole *": Retried(60, "Make it with boundary.json"),
        "*: PutRolePermissionsBoundary *": Retried(60, "Make it with boundary.json"),
        "detach *": Cannot("IAM shows within seconds what it made, and this was made long before"),
        "dismiss *": Cannot("IAM shows within seconds what it made, and this was made long before"),
    },
    "LimitExceeded": {
        "*": Fails("Service Quotas, AWS Identity and Access Management"),
        "*: PutRolePolicy *": Fails("Attach fewer stores"),
        "*: AddRoleToInstanceProfile *": Retried(60, "does not show the role in"),
    },
}
