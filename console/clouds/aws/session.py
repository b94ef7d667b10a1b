"""Getting into an AWS account: clients, assumed roles, who we are there, and the policies that let us in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import uuid4

from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from console.clouds import foreign, streams
from console.clouds.aws.boundary import boundary_arn
from console.clouds.aws.errors import (
    ACTIONS,
    BOUNDARY_ACTIONS,
    EXPIRED,
    IAM_ACTIONS,
    NO_OWN_IDENTITY,
    on_bucket,
    step_error,
)
from console.clouds.aws.places import statements_of
from console.clouds.contract import Fact, Identity, LinkError
from console.clouds.proof import NO_ID
from console.clouds.s3api import places as s3_places
from console.clouds.s3api.clients import (
    FOREVER,
    Service,
    client_of,
    forget_clients,
    network,
    new_client,
    s3_network,
)
from console.clouds.s3api.errors import ON_OBJECTS, CallTarget, bucket_arn, code_of, no_answer, unanswered, unreadable
from console.clouds.s3api.nodes import IAM_PATH
from console.clouds.specs import AccountRef, Place, StoreSpec
from console.clouds.steps import NotReady

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleResponseTypeDef, CredentialsTypeDef

# Where each partition's IAM, which is global, and the STS that we ask are. A regional STS, because tokens of the global
# endpoint are not valid in opt-in regions (IAM user guide, "Manage AWS STS in an AWS Region").
HOME_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
}
ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov|aws-eusc):iam::(\d{12}):role/[\w+=,.@/-]+", re.ASCII)
ROLE_NAME = "storekeeper"  # of the console's role in an account, as long as nobody has named it otherwise
SESSION_SECONDS = 3600  # the most that role chaining allows
RENEW_BEFORE = timedelta(minutes=5)


class Keys(TypedDict, total=False):
    """What a client signs with; none of them means the console's own identity."""

    aws_access_key_id: str
    aws_secret_access_key: str
    aws_session_token: str


# What AWS answers to the keys of a session whose role was deleted, also when it was made again since.
STALE_SESSION = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId"})


@contextmanager
def calling(operation: str, spec: StoreSpec, bucket: str) -> Iterator[S3Client]:
    """Lend a client for one call on one bucket; whatever botocore raises leaves as a StepError."""
    with calling_s3(operation, on_bucket(spec, bucket)) as client:
        yield client


@contextmanager
def calling_s3(operation: str, subject: CallTarget) -> Iterator[S3Client]:
    """Lend a client for one call in the subject's region; whatever botocore raises leaves as a StepError."""
    with _reporting(operation, subject):
        yield s3_client(subject.account, subject.region)


@contextmanager
def calling_iam(operation: str, subject: CallTarget) -> Iterator[IAMClient]:
    """Lend a client for one call on a role or an instance profile; whatever botocore raises leaves as a StepError."""
    with _reporting(operation, subject):
        yield iam_client(subject.account)


@contextmanager
def calling_sts(operation: str, subject: CallTarget) -> Iterator[STSClient]:
    """Lend a client for one call of the region's own STS; whatever botocore raises leaves as a StepError."""
    with _reporting(operation, subject):
        yield _client("sts", subject.account, subject.region)


@contextmanager
def _reporting(operation: str, subject: CallTarget) -> Iterator[None]:
    try:
        with streams.within():
            yield
    except (ClientError, *unanswered()) as error:
        account = subject.account
        stale = "role_arn" in account.settings and code_of(error) in STALE_SESSION
        if stale or code_of(error) in EXPIRED:
            forget_clients(account)
        if stale:
            raise NotReady(
                "AWS no longer knows the session of the role; the console opens a new one.",
                patience=60,
                code=code_of(error),
                **subject.details,
            ) from error
        raise step_error(no_answer(error), operation, subject) from error


def s3_client(account: AccountRef, region: str) -> S3Client:
    """Return the client of this account and region, made anew when its credentials changed or are about to expire."""
    client: S3Client = _client("s3", account, region)
    return client


def iam_client(account: AccountRef) -> IAMClient:
    """Return the client of this account's IAM, which is one for all regions of the partition."""
    client: IAMClient = _client("iam", account, HOME_REGIONS[account.partition])
    return client


def _client(service: Service, account: AccountRef, region: str) -> Any:
    return client_of(service, account, region, lambda: _sign_in(service, account))


def _sign_in(service: Service, account: AccountRef) -> tuple[dict[str, Any], datetime]:
    config = s3_network() if service == "s3" else network()
    if not account.settings.get("role_arn"):
        return {"config": config, **_access_key(account)}, FOREVER
    credentials = _assume(account, **_external_id(account))["Credentials"]
    return {"config": config, **_keys(credentials)}, credentials["Expiration"] - RENEW_BEFORE


def _access_key(account: AccountRef) -> Keys:
    return {
        "aws_access_key_id": account.settings.get("access_key_id", ""),
        "aws_secret_access_key": account.secrets.get("secret_access_key", ""),
    }


def _keys(credentials: CredentialsTypeDef) -> Keys:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def _sts(partition: str, keys: Keys) -> STSClient:
    """Return a client of the partition's STS."""
    client: STSClient = new_client("sts", HOME_REGIONS[partition], config=network(), **keys)
    return client


def _assume(account: AccountRef, **external_id: str) -> AssumeRoleResponseTypeDef:
    """Open a session of the role; `ExternalId` is what the account is linked with, another one, or not given at all."""
    role = account.settings["role_arn"]
    return _sts(role.split(":")[1], {}).assume_role(
        RoleArn=role,
        RoleSessionName="storekeeper",
        DurationSeconds=SESSION_SECONDS,
        **external_id,  # type: ignore[arg-type]
    )


def _external_id(account: AccountRef) -> dict[str, str]:
    return {"ExternalId": account.settings.get("external_id", "")}


def account_facts(account: AccountRef) -> list[Fact]:
    """Return who the account is, and how the console signs in to it."""
    settings = account.settings
    by_role = "role_arn" in settings
    sign_in = ("IAM Role ARN", "role_arn") if by_role else ("Access Key ID", "access_key_id")
    return [
        Fact(sign_in[0], settings.get(sign_in[1], ""), more=False),
        Fact("Account ID", account.number, more=False),
        *([Fact("External ID", settings.get("external_id", ""))] if by_role else []),
        Fact("Partition", account.partition),
    ]


# Linking an account

REFUSED_SIGN_INS = {
    "InvalidClientTokenId": ("AWS does not know this access key ID, or the key is inactive.", "access_key_id"),
    "SignatureDoesNotMatch": ("This secret does not belong to the access key ID.", "secret_access_key"),
    "AccessDenied": ("AWS refused to say whose access key this is; a policy denies sts:GetCallerIdentity.", ""),
}
REFUSED_ROLES = {
    "AccessDenied": (
        "AWS does not let the console assume this role. Check the ARN, and that the role's trust policy names the "
        "console and this external ID. A role made within the last minute may not be known everywhere yet.",
        "role_arn",
    ),
    "ValidationError": ("AWS does not accept this ARN or its external ID.", "role_arn"),
    "InvalidClientTokenId": (f"AWS does not accept the console's own credentials. {NO_OWN_IDENTITY}", ""),
    "SignatureDoesNotMatch": (f"AWS does not accept the console's own credentials. {NO_OWN_IDENTITY}", ""),
    "ExpiredToken": ("The console's own AWS credentials have expired. Renew them, then link the account.", ""),
}


# AWS was busy: what was asked is as open as before.
BUSY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure"})


def identify(account: AccountRef) -> Identity:
    """Ask AWS whose account this is; raise LinkError when it cannot, or must not, be used as it was given."""
    try:
        return _identify_role(account) if account.settings.get("role_arn") else _identify_key(account)
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise LinkError(NO_OWN_IDENTITY) from error
    except unreadable() as error:
        raise LinkError("What answers is not AWS.", passing=True) from error
    except unanswered() as error:
        why = streams.end_of(error) or error
        raise LinkError(f"The console got no answer from AWS: {why}", passing=True) from error


def _identify_key(account: AccountRef) -> Identity:
    for name, label in (("access_key_id", "access key ID"), ("secret_access_key", "secret access key")):
        if not (account.settings.get(name) or account.secrets.get(name)):
            raise LinkError(f"Enter the {label}.", name)
    partition = account.settings.get("partition") or "aws"
    try:
        arn = _sts(partition, _access_key(account)).get_caller_identity()["Arn"]
    except ClientError as error:
        raise _link_error(error, REFUSED_SIGN_INS) from error
    return _identity(arn, f"AWS says that the access key is {arn}.")


def _identify_role(account: AccountRef) -> Identity:
    if not ROLE_ARN.fullmatch(account.settings["role_arn"]):
        raise LinkError(
            "This is not the ARN of a role, such as arn:aws:iam::123456789012:role/storekeeper.", "role_arn"
        )
    if not account.settings.get("external_id"):
        raise LinkError(NO_ID)
    try:
        arn = _assume(account, **_external_id(account))["AssumedRoleUser"]["Arn"]
    except ClientError as error:
        raise _link_error(error, REFUSED_ROLES) from error
    # A role that does not ask for the very external ID could be used through this console by any of its customers, who
    # have only to know the ARN (IAM user guide, "The confused deputy problem"): so AWS has to refuse us without it.
    proofs = [f"With the external ID, AWS lets the console assume the role, of account {arn.split(':')[4]}."]
    for how, given in (("without an", {}), ("with a wrong", {"ExternalId": str(uuid4())})):
        if not _is_refused(account, given):
            condition = json.dumps(_external_id_condition(account.settings.get("external_id", "")))
            raise LinkError(
                f"AWS lets the console assume this role {how} external ID too. Then anybody who knows the ARN could "
                "use your account through this console (the confused deputy). Make the condition of the role's trust "
                f"policy {condition}, in each statement that trusts the console, wait a minute, then try again.",
                "role_arn",
            )
        proofs.append(f"{how.capitalize()} external ID, AWS refuses.")
    return _identity(arn, *proofs)


def _is_refused(account: AccountRef, external_id: dict[str, str]) -> bool:
    try:
        _assume(account, **external_id)
    except ClientError as error:
        if code_of(error) != "AccessDenied":
            raise _link_error(error, REFUSED_ROLES) from error
        return True
    return False


def _identity(arn: str, *proofs: str) -> Identity:
    _, partition, _, _, number, _ = arn.split(":", 5)
    return Identity(number=number, partition=partition, arn=arn, proofs=proofs)


def _link_error(error: ClientError, meanings: dict[str, tuple[str, str]]) -> LinkError:
    code = code_of(error)
    reason = foreign.said(error.response.get("Error", {}).get("Message"), code)
    message, field = meanings.get(code, (foreign.told("AWS refused: {code}: {reason}", reason, code=code), ""))
    return LinkError(message, field, passing=code in BUSY)


# What an administrator sets up in AWS


def statements(
    account_number: str,
    partition: str = "aws",
    *,
    global_names: bool = False,
    principal: str = f"role/{ROLE_NAME}",
    places: Sequence[Place] = (),
) -> dict[str, Any]:
    """Return the policy of the console's role or user: all that it ever does, on its own buckets and these places only.

    `global_names` also allows names without the account's own namespace, for the few regions that lack it; `principal`
    ends the ARN of the role or user that gets the policy.
    """
    own = bucket_arn("pgbk-*", partition) + ("" if global_names else f"-{account_number}-*-an")
    # Their IDs have so many characters: a * would also stand for a slash, and a backup's key may hold "-log/".
    logs = [bucket_arn(f"pgbk-{'?' * 12}-log-{account_number}-*-an/*", partition)]
    if global_names:
        logs.insert(0, bucket_arn(f"pgbk-{'?' * 26}-log/*", partition))
    lists, emptied = f"{own}/{ON_OBJECTS['GetObject']}", logs if global_names else logs[0]
    empties = [action for op, keys in ON_OBJECTS.items() if keys == "*" for action in ACTIONS[op]]
    in_account = {"StringEquals": {"aws:ResourceAccount": account_number}}
    create = {"Sid": "CreateStoreBuckets", "Effect": "Allow", "Action": "s3:CreateBucket", "Resource": own}
    if not global_names:
        create["Condition"] = {"StringEquals": {"s3:x-amz-bucket-namespace": "account-regional"}}  # type: ignore[assignment]
    # Asked for while the bucket does not exist, or no longer, hence without a condition on whose it is. Creating one
    # that is locked also asks for the last two (Service Authorization Reference, "Amazon S3", CreateBucket).
    early = ("GetBucketTagging", "PutBucketOwnershipControls", "PutBucketVersioning", "PutObjectLockConfiguration")
    elsewhere = {*ON_OBJECTS, *IAM_ACTIONS, *BOUNDARY_ACTIONS, *early, "CreateBucket", "ListBuckets", "AssumeRole"}
    configure = [op for op in ACTIONS if op not in elsewhere | {"SimulatePrincipalPolicy"}]
    before = [action for op in ("CreateBucket", *early) for action in ACTIONS[op] if action != "s3:CreateBucket"]
    allowed: list[dict[str, Any]] = [
        create,
        {
            "Sid": "CheckedBeforeItExists",
            "Effect": "Allow",
            "Action": list(dict.fromkeys(before)),
            "Resource": own,
        },
        {
            "Sid": "ConfigureStoreBuckets",
            "Effect": "Allow",
            "Action": [action for op in configure for action in ACTIONS[op]],
            "Resource": own,
            "Condition": in_account,
        },
        {
            "Sid": "EmptyLogBucketOnDelete",
            "Effect": "Allow",
            "Action": empties,
            "Resource": emptied,
            "Condition": in_account,
        },
        {
            "Sid": "ReadListsOfBackups",
            "Effect": "Allow",
            "Action": [*ACTIONS["GetObject"]],
            "Resource": lists,
            "Condition": in_account,
        },
    ]
    allowed += statements_of(places, allowed, partition)
    read = [lists, *s3_places.lists(places, partition)] if places else lists
    objects = [f"{own}/*", *(bucket_arn(f"{one}/*", partition) for one in s3_places.existing(places))]
    return {
        "Version": "2012-10-17",
        "Statement": [
            *allowed,
            *_denials(objects if len(objects) > 1 else objects[0], read, emptied, empties),
            {"Sid": "FindStoreBuckets", "Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
            *_node_statements(account_number, partition),
            {
                "Sid": "CheckOwnPermissions",
                "Effect": "Allow",
                "Action": [*ACTIONS["SimulatePrincipalPolicy"]],
                "Resource": f"arn:{partition}:iam::{account_number}:{principal}",
            },
        ],
    }


def _denials(
    objects: str | list[str], lists: str | list[str], emptied: str | list[str], empties: list[str]
) -> list[dict[str, Any]]:
    """Return what the console is denied of objects, whatever else allows it: it may write buckets' policies itself."""
    reads = [*ACTIONS["GetObject"]]
    return [
        {"Sid": "NeverReadBackups", "Effect": "Deny", "Action": reads, "NotResource": lists},
        {"Sid": "NeverDeleteBackups", "Effect": "Deny", "Action": empties, "NotResource": emptied},
        {"Sid": "NeverChangeObjects", "Effect": "Deny", "NotAction": [*reads, *empties], "Resource": objects},
    ]


def _node_statements(account_number: str, partition: str) -> list[dict[str, Any]]:
    """Return what it takes to give database nodes their roles and instance profiles, below a path of our own."""
    iam = f"arn:{partition}:iam::{account_number}"
    roles, profiles = f"{iam}:role{IAM_PATH}*", f"{iam}:instance-profile{IAM_PATH}*"
    reads = ["iam:GetRole", "iam:GetInstanceProfile"]
    bounded = ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"]
    elsewhere = {*reads, *bounded, "iam:PassRole"}
    boundary = boundary_arn(account_number, partition)
    return [
        # The key is the boundary of the request where one is put on a role, and else the one that the role has
        # (Service Authorization Reference, "AWS Identity and Access Management").
        {
            "Sid": "GiveNodeRolesTheirBounds",
            "Effect": "Allow",
            "Action": bounded,
            "Resource": roles,
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
        },
        {
            "Sid": "ReadNodeBounds",
            "Effect": "Allow",
            "Action": [action for op in BOUNDARY_ACTIONS for action in BOUNDARY_ACTIONS[op]],
            "Resource": boundary,
        },
        {
            "Sid": "ManageNodeRoles",
            "Effect": "Allow",
            "Action": [action for op in IAM_ACTIONS for action in IAM_ACTIONS[op] if action not in elsewhere],
            "Resource": [roles, profiles],
        },
        # Also without the path: a name that nothing has, or something outside our path, may be checked without it.
        {
            "Sid": "FindNodeRoles",
            "Effect": "Allow",
            "Action": reads,
            "Resource": [f"{iam}:role/pgbk*", f"{iam}:instance-profile/pgbk*"],
        },
        {
            "Sid": "HandNodeRolesToInstances",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": roles,
            "Condition": {"StringEquals": {"iam:PassedToService": instance_service(partition)}},
        },
    ]


def instance_service(partition: str) -> str:
    """Return the principal of EC2, whose name has an ending of its own in China."""
    return "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"


def trust_policy(external_id: str, principal: str) -> dict[str, Any]:
    """Return the trust policy that lets the console (its ARN), and nobody else's use of it, assume the role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": "sts:AssumeRole",
                "Condition": _external_id_condition(external_id),
            }
        ],
    }


def _external_id_condition(external_id: str) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"sts:ExternalId": external_id}}
