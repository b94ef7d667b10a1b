"""What a thief of the console's identity at Amazon can do: each way up is tried with its very permissions.

SECURITY.md, "What a stolen identity can do", says in words what stands here.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from console.clouds import CLOUDS
from console.clouds.aws import session as aws_session
from console.clouds.aws.boundary import boundary, boundary_arn
from console.clouds.aws.errors import ACTIONS
from console.clouds.specs import AccessSpec, StoreSpec
from console.demo.emulators.aws.emulator import EVERYTHING, Emulator
from console.demo.emulators.aws.permissions import Asked, as_list, judge
from tests.clouds.aws_accounts import key_account
from tests.clouds.plans import creation, run

NUMBER, ELSEWHERE = Emulator.account_id, "222222222222"
AWS = CLOUDS["aws"]
REGION, BACKUP = "eu-west-1", "c-k3v9x2m7q4ta/n1/backup/orders/20261101-000000F/pg_data/PG_VERSION.zst"
ROLE, OWN, NODES = "stolen-role", "pgbk-own", "pgbk-c-k3v9x2m7q4ta"
ARN = f"arn:aws:iam::{NUMBER}:role/{ROLE}"
ADMINISTRATOR = {"aws_access_key_id": Emulator.access_key_id, "aws_secret_access_key": Emulator.secret_access_key}


def admin(service):
    return boto3.client(service, region_name=REGION, **ADMINISTRATOR)


def refused(call, **arguments):
    """Return whether AWS refuses the call to this caller; any other error is one of the test."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return True
        raise
    return False


class Thief:
    """Signs as the console does in a customer's account: with a session of its role."""

    def __init__(self, session):
        self.keys = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }

    def __call__(self, service):
        return boto3.client(service, region_name=REGION, **self.keys)

    def become(self, arn):
        return Thief(self("sts").assume_role(RoleArn=arn, RoleSessionName="thief")["Credentials"])


@pytest.fixture
def store(amazon):
    """A store with a backup in it, and the role of a cluster that uses it."""
    account, pk = key_account(), uuid4()
    spec = StoreSpec(pk, "orders", account, REGION, *AWS.storage.names(pk, REGION, NUMBER), complete=True)
    run(creation(AWS), spec)
    admin("s3").put_object(Bucket=spec.bucket, Key=BACKUP, Body=b"15")
    cluster = AccessSpec(uuid4(), "orders", account, "c-k3v9x2m7q4ta", (spec.bucket,))
    run(AWS.access.grant, cluster)
    yield spec
    run(AWS.access.delete, cluster)


@pytest.fixture
def thief(amazon, store):
    """The console's role, with all that its documents give it and nothing else."""
    iam = admin("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{NUMBER}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(trust))
    policy = aws_session.statements(NUMBER, principal=f"role/{ROLE}")
    iam.put_role_policy(RoleName=ROLE, PolicyName="storekeeper", PolicyDocument=json.dumps(policy))
    session = admin("sts").assume_role(RoleArn=ARN, RoleSessionName="storekeeper")["Credentials"]
    yield Thief(session)
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role_policy(RoleName=OWN, PolicyName="all")
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role(RoleName=OWN)
    iam.delete_role_policy(RoleName=ROLE, PolicyName="storekeeper")
    iam.delete_role(RoleName=ROLE)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def make_role(thief, **more):
    """Make a role below the console's path that trusts the thief, who may then do whatever it may."""
    trust = {"Effect": "Allow", "Principal": {"AWS": ARN}, "Action": "sts:AssumeRole"}
    return thief("iam").create_role(RoleName=OWN, Path="/pgbk/", AssumeRolePolicyDocument=document(trust), **more)


def resources(bucket):
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def touches_backups(caller, store):
    """Return what the caller can do to a backup by calls of its own."""
    s3, one = caller("s3"), {"Bucket": store.bucket, "Key": BACKUP}
    tries = {
        "read": lambda: s3.get_object(**one),
        "write": lambda: s3.put_object(**one, Body=b"forged"),
        "add": lambda: s3.put_object(Bucket=store.bucket, Key="c-k3v9x2m7q4ta/new", Body=b"forged"),
        "delete": lambda: s3.delete_object(**one),
        "delete a version": lambda: s3.delete_object(**one, VersionId="null"),
    }
    return {name for name, attempt in tries.items() if not refused(attempt)}


# --- What is refused ------------------------------------------------------------------------------------------------

ADMINISTRATORS = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_it_touches_no_backup(thief, store):
    assert touches_backups(thief, store) == set()


def test_it_makes_no_role_that_may_more_than_nodes(thief, store):
    """A role without the boundary, which trusts the thief and may do everything: the shortest way to the account."""
    for bounds in ({}, {"PermissionsBoundary": ADMINISTRATORS}):
        if not refused(make_role, thief=thief, **bounds):
            thief("iam").put_role_policy(RoleName=OWN, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
            assert touches_backups(thief.become(f"arn:aws:iam::{NUMBER}:role/pgbk/{OWN}"), store) == set()
            pytest.fail("a role without the boundary was made")


def test_a_role_with_the_boundary_is_of_no_use_to_it(thief, store):
    """Of its own making, with every permission, trusting the thief: it is assumed, and may nothing."""
    arn = make_role(thief, PermissionsBoundary=boundary_arn(NUMBER, "aws"))["Role"]["Arn"]
    thief("iam").put_role_policy(RoleName=OWN, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    itself = thief.become(arn)
    assert touches_backups(itself, store) == set()
    assert refused(itself("s3").list_buckets)
    assert refused(itself("iam").create_user, UserName="thief")
    assert refused(itself("iam").delete_role_permissions_boundary, RoleName=OWN)


def test_the_nodes_roles_stay_as_they_are(thief, store):
    iam, name, bound = thief("iam"), NODES, boundary_arn(NUMBER, "aws")
    trust = document({"Effect": "Allow", "Principal": {"AWS": ARN}, "Action": "sts:AssumeRole"})
    policy = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    tries = {
        "assume it": (
            thief("sts").assume_role,
            {"RoleArn": f"arn:aws:iam::{NUMBER}:role/pgbk/{name}", "RoleSessionName": "thief"},
        ),
        "have it trust": (iam.update_assume_role_policy, {"RoleName": name, "PolicyDocument": trust}),
        "attach": (iam.attach_role_policy, {"RoleName": name, "PolicyArn": ADMINISTRATORS}),
        "unbind": (iam.delete_role_permissions_boundary, {"RoleName": name}),
        "bind otherwise": (
            iam.put_role_permissions_boundary,
            {"RoleName": name, "PermissionsBoundary": ADMINISTRATORS},
        ),
        "a version": (iam.create_policy_version, {"PolicyArn": bound, "PolicyDocument": policy, "SetAsDefault": True}),
        "its version": (iam.set_default_policy_version, {"PolicyArn": bound, "VersionId": "v1"}),
        "its end": (iam.delete_policy, {"PolicyArn": bound}),
        "a policy": (iam.create_policy, {"PolicyName": "storekeeper-nodes", "PolicyDocument": policy}),
        "a user": (iam.create_user, {"UserName": "thief"}),
        "a key": (iam.create_access_key, {"UserName": name}),
        "its own policy": (iam.put_role_policy, {"RoleName": ROLE, "PolicyName": "x", "PolicyDocument": policy}),
    }
    assert {name for name, (call, given) in tries.items() if not refused(call, **given)} == set()


def test_a_policy_of_a_bucket_does_not_let_it_in(thief, store):
    """S3 has no condition on what a bucket's policy says, so the console can write any; it is denied all the same."""
    session = thief("sts").get_caller_identity()["Arn"]
    for who in (ARN, session, f"arn:aws:iam::{NUMBER}:root", "*"):
        policy = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "s3:*", "Resource": resources(store.bucket)}
        thief("s3").delete_public_access_block(Bucket=store.bucket)
        thief("s3").put_bucket_policy(Bucket=store.bucket, Policy=document(policy))
        assert touches_backups(thief, store) == set(), who


def test_nor_does_one_let_in_a_role_of_its_making(thief, store):
    """What a bucket's policy gives a session by its own name is beyond what a boundary allows, not what it denies."""
    arn = make_role(thief, PermissionsBoundary=boundary_arn(NUMBER, "aws"))["Role"]["Arn"]
    itself = thief.become(arn)
    session = itself("sts").get_caller_identity()["Arn"]
    policy = {
        "Effect": "Allow",
        "Principal": {"AWS": [arn, session]},
        "Action": "s3:*",
        "Resource": resources(store.bucket),
    }
    thief("s3").put_bucket_policy(Bucket=store.bucket, Policy=document(policy))
    assert touches_backups(itself, store) == set()


# --- Walked: each call that AWS knows ---------------------------------------------------------------------------------

BUCKET = f"pgbk-{'a' * 12}-{NUMBER}-{REGION}-an"
IAM = f"arn:aws:iam::{NUMBER}"
# Of everything in the account that is not a node's, it may ask who it is and what it may do, and read the boundary.
NAMESPACE = {"s3:x-amz-bucket-namespace": "account-regional"}
READS = {"iam:GetPolicy", "iam:GetPolicyVersion", "iam:SimulatePrincipalPolicy"}
# What S3 calls otherwise than its operations: the actions of objects, and those of the account.
MORE = (
    "GetObjectVersion",
    "DeleteObjectVersion",
    "BypassGovernanceRetention",
    "ReplicateObject",
    "ObjectOwnerOverrideToBucketOwner",
)


def every(service):
    """Return all operations that botocore knows of a service, as actions, and those that have another name."""
    known = boto3.Session().client(service, region_name=REGION, **ADMINISTRATOR).meta.service_model.operation_names
    ours = {action for actions in ACTIONS.values() for action in actions if action.startswith(f"{service}:")}
    return sorted({f"{service}:{name}" for name in known} | ours | {f"s3:{name}" for name in MORE if service == "s3"})


def may(action, resource, **context):
    given = {"aws:ResourceAccount": NUMBER, "aws:SecureTransport": "true", **context}
    policy = aws_session.statements(NUMBER, principal=f"role/{ROLE}")["Statement"]
    return judge(policy, Asked(action, resource), given) == "allowed"


@pytest.mark.slow
def test_walk_all_that_iam_does_to_others():
    """Of no role, user, group, policy or provider but the nodes' does it change anything, with whichever boundary."""
    others = (
        "role/storekeeper",
        f"role/{ROLE}",
        "user/anna",
        "group/all",
        "policy/storekeeper-nodes",
        "saml-provider/x",
    )
    found = {
        action
        for action in every("iam")
        for one in (*others, "instance-profile/web", "server-certificate/x", "mfa/anna")
        for bound in (boundary_arn(NUMBER, "aws"), ADMINISTRATORS)
        if may(action, f"{IAM}:{one}", **{"iam:PermissionsBoundary": bound})
    }
    found |= {action for action in every("iam") if may(action, "*")}
    assert len(every("iam")) > 150
    assert found == READS


def test_walk_all_that_iam_does_to_nodes_roles_without_the_boundary():
    """Without it, or with another, a role is at most looked at, tagged, emptied and deleted: none gets a permission."""
    role = f"{IAM}:role/pgbk/pgbk-c-x"
    for context in ({}, {"iam:PermissionsBoundary": ADMINISTRATORS}):
        found = {one for one in every("iam") if may(one, role, **context) and "InstanceProfile" not in one}
        assert found == {"iam:GetRole", "iam:TagRole", "iam:DeleteRole", "iam:DeleteRolePolicy"}


@pytest.mark.slow
def test_walk_all_that_s3_does_to_a_backup():
    objects = (f"{BUCKET}/{BACKUP}", f"{BUCKET}/c-k3v9x2m7q4ta/n1/archive/app-log/17-1/1.zst")
    for one in objects:
        assert [action for action in every("s3") if may(action, f"arn:aws:s3:::{one}")] == []
    assert len(every("s3")) > 90


def test_walk_all_that_s3_does_to_a_bucket():
    """All that it changes of a bucket is here, each of which SECURITY.md names with what comes of it."""
    found = {one for one in every("s3") if may(one, f"arn:aws:s3:::{BUCKET}", **NAMESPACE)}
    assert {one for one in found if not one.startswith(("s3:Get", "s3:List", "s3:Head"))} == {
        *("s3:CreateBucket", "s3:DeleteBucket", "s3:TagResource"),
        *("s3:PutBucketLogging", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketOwnershipControls"),
        *("s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning"),
        *("s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("service", ["ec2", "kms", "sts", "lambda", "organizations"])
def test_walk_other_services(service):
    """It starts no machine with a node's role, which is how a role that only EC2 hands out is had."""
    assert [one for one in every(service) if may(one, "*")] == []
    assert not may("iam:PassRole", f"{IAM}:role/pgbk/x", **{"iam:PassedToService": "lambda.amazonaws.com"})


# --- What the boundary is for a node --------------------------------------------------------------------------------

INSTANCE = {"ec2:SourceInstanceARN": f"arn:aws:ec2:{REGION}:{NUMBER}:instance/i-1"}
NODE_CALLS = (
    ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    *((action, f"arn:aws:s3:::{BUCKET}/{BACKUP}") for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")),
)


@pytest.mark.parametrize("asked", NODE_CALLS, ids=[one for one, _ in NODE_CALLS])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [(INSTANCE, "allowed"), ({}, "explicitDeny"), ({**INSTANCE, "aws:ResourceAccount": ELSEWHERE}, "implicitDeny")],
)
def test_the_boundary_lets_nodes_work_on_their_machines(asked, keys, expected):
    bounds = boundary(NUMBER)["Statement"]
    assert judge(bounds, Asked(*asked), {"aws:ResourceAccount": NUMBER, **keys}) == expected
    assert (
        judge(bounds, Asked(asked[0], "arn:aws:s3:::payroll/x"), {"aws:ResourceAccount": NUMBER, **keys}) != "allowed"
    )


def test_the_boundary_holds_whatever_policies_of_nodes_ask_for():
    spec = AccessSpec(uuid4(), "orders", key_account(), "c-k3v9x2m7q4ta", (BUCKET,))
    asked = {action for one in AWS.access.policy(spec)["Statement"] for action in as_list(one["Action"])}
    assert asked == {action for action, _ in NODE_CALLS}
    recovering = AWS.access.policy(replace(spec, reads_until=datetime.now(UTC)))["Statement"]
    reads = {action for one in recovering for action in as_list(one["Action"])}
    assert reads == {"s3:ListBucket", "s3:ListBucketVersions", "s3:GetObject", "s3:GetObjectVersion"}
    assert asked | reads == set(boundary(NUMBER)["Statement"][0]["Action"])


# --- What remains ---------------------------------------------------------------------------------------------------
# Each of these is in SECURITY.md: who changes this, changes that.


def test_remains_that_it_lets_another_account_in(amazon, thief, store):
    """By the bucket's policy, of whose content S3 knows no condition."""
    key, secret = amazon.add_account(ELSEWHERE)

    def outside(service):
        return boto3.client(service, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret)

    assert touches_backups(outside, store) == set()
    policy = {"Effect": "Allow", "Principal": {"AWS": ELSEWHERE}, "Action": "s3:*", "Resource": resources(store.bucket)}
    thief("s3").put_bucket_policy(Bucket=store.bucket, Policy=document(policy))
    assert touches_backups(outside, store) == {"read", "write", "add", "delete", "delete a version"}


def test_remains_that_it_has_backups_expire(thief, store):
    """Object Lock keeps versions from a rule, too ("Managing the lifecycle of objects", Amazon S3 user guide)."""
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    assert not refused(
        thief("s3").put_bucket_lifecycle_configuration, Bucket=store.bucket, LifecycleConfiguration={"Rules": [rule]}
    )


def test_remains_that_it_ends_the_access_logs_and_the_nodes_access(thief, store):
    assert not refused(thief("s3").put_bucket_logging, Bucket=store.bucket, BucketLoggingStatus={})
    assert not refused(thief("iam").delete_role_policy, RoleName=NODES, PolicyName="backup-stores")


def test_what_remains_is_seen_by_the_next_check(thief, store):
    """What it changes of a bucket differs from what the store should have: the daily comparison makes it degraded."""
    policy = {"Effect": "Allow", "Principal": {"AWS": ELSEWHERE}, "Action": "s3:*", "Resource": resources(store.bucket)}
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3 = thief("s3")
    s3.put_bucket_policy(Bucket=store.bucket, Policy=document(policy))
    s3.put_bucket_lifecycle_configuration(Bucket=store.bucket, LifecycleConfiguration={"Rules": [rule]})
    s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    s3.delete_public_access_block(Bucket=store.bucket)
    differing = {one.key for one in AWS.storage.settings(store) if not one.log and not one.matches(one.observe())}
    assert differing >= {"policy", "lifecycle", "logging", "public_access_block"}
