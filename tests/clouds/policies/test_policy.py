"""The console's policy holds what its plans ask for and nothing else, on AWS and on an S3 server."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from console.clouds.aws import session as aws_session
from console.clouds.s3 import documents as s3_documents
from console.clouds.s3api.nodes import node_name
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import Failed, Refused
from console.demo.emulators.aws.permissions import Asked, judge
from tests.clouds import plans
from tests.clouds.policies.roles import ACCOUNT, ARN, AWS, NUMBER, ROLE, admin, allowed, give, without

# --- Each call is in the policy, and nothing else -------------------------------------------------------------------


def spec_in(region):
    store_id = uuid4()
    return StoreSpec(store_id, "orders", ACCOUNT, region, *AWS.storage.names(store_id, region, NUMBER), complete=True)


def access_to(*buckets):
    return AccessSpec(uuid4(), "orders", ACCOUNT, "c-k3v9x2m7q4ta", buckets)


def run(plan, spec):
    for stage in plan:
        for step in stage:
            step.run(spec)


@contextmanager
def as_administrator(amazon):
    """Leave out of what was asked what is done here: not the console's work."""
    kept = set(amazon.asked)
    yield
    amazon.asked.clear()
    amazon.asked.update(kept)


def link(amazon, region):
    AWS.linking.identify(ACCOUNT)


def preflight(amazon, region):
    assert {check.outcome for check in AWS.linking.preflight(ACCOUNT, [region])} == {"pass"}


def create_repair_and_delete(amazon, region):
    spec = spec_in(region)
    run(plans.creation(AWS), spec)
    run(plans.creation(AWS), spec)
    with as_administrator(amazon):
        s3 = admin("s3", region)
        for number in range(3):
            s3.put_object(Bucket=spec.log_bucket, Key=f"access/{number}", Body=b"1")
        s3.create_multipart_upload(Bucket=spec.log_bucket, Key="unfinished")
        s3.put_object(Bucket=spec.bucket, Key="a", Body=b"1")
    with pytest.raises(Refused):
        run(plans.deletion(AWS), spec)
    with as_administrator(amazon):
        s3.delete_object(Bucket=spec.bucket, Key="a")
    run(plans.deletion(AWS), spec)


def attach_detach_and_dismiss(amazon, region):
    access = access_to("pgbk-one", "pgbk-two")
    with as_administrator(amazon):  # a role of an earlier version, which has no boundary yet
        run(AWS.access.grant[:1], access)
        admin("iam").delete_role_permissions_boundary(RoleName=node_name(access))
    for plan in (AWS.access.grant, AWS.access.grant, AWS.access.revoke, AWS.access.delete, AWS.access.delete):
        run(plan, access)


def look_into_backups(amazon, region):
    spec = spec_in(region)
    run(plans.creation(AWS), spec)
    with as_administrator(amazon):
        admin("s3", region).put_object(Bucket=spec.bucket, Key="c-a/n1/backup/db/backup.info", Body=b"1")
    objects = AWS.storage.objects(spec)
    assert objects.folders("c-a/") == ["n1"]
    assert list(objects.entries("c-a/"))
    assert objects.read("c-a/n1/backup/db/backup.info", 10).data == b"1"


def protect_compare_and_mend(amazon, region):
    spec = replace(spec_in(region), versions_days=30, lock_days=14)
    for plan in (plans.creation(AWS), plans.versions(AWS), plans.lock(AWS)):
        run(plan, spec)
    for control in AWS.storage.settings(spec):
        assert control.matches(control.observe()), control.key
        control.ensure()
    with as_administrator(amazon):
        admin("s3", region).put_bucket_tagging(Bucket=spec.bucket, Tagging={"TagSet": []})
    for control in AWS.storage.settings(spec):
        control.ensure()  # also where it differs


def count_cancel_and_keep_logs(amazon, region):
    spec = spec_in(region)
    run(plans.creation(AWS), spec)
    assert plans.contents(AWS, spec, lambda counted: None).is_empty
    run(plans.cancellation(AWS), spec)
    run(plans.deletion_but_logs(AWS), spec)
    plans.clear_logs(AWS, spec, True)


def survey(amazon, region):
    list(AWS.storage.list_unmanaged(ACCOUNT, ()))


# Whatever the console does in an account stands here. A new plan, reading or check is added to this list.
ALL_THAT_THE_CONSOLE_DOES = (
    link,
    preflight,
    create_repair_and_delete,
    attach_detach_and_dismiss,
    look_into_backups,
    protect_compare_and_mend,
    count_cancel_and_keep_logs,
    survey,
)


@pytest.mark.slow
@pytest.mark.parametrize("regions", [("eu-west-1", "us-east-1"), ("me-south-1", "eu-west-1")])
def test_the_policy_holds_what_the_plans_ask_for_and_nothing_else(amazon, role, regions):
    if "me-south-1" in regions:
        role = aws_session.statements(NUMBER, principal=f"role/{ROLE}", global_names=True)
        with as_administrator(amazon):
            give(role)
    for region in regions:
        for work in ALL_THAT_THE_CONSOLE_DOES:
            work(amazon, region)  # and none of it is refused
    asked = {one.action for one in amazon.asked}
    assert asked == allowed(role)
    assert not {call.operation for call in amazon.calls if call.status == 403} - {"AssumeRole"}


@pytest.mark.parametrize("action", ["s3:PutBucketLogging", "s3:TagResource", "iam:TagRole", "iam:PassRole"])
def test_a_call_that_the_policy_lacks_is_refused(amazon, role, action):
    give(without(role, action))
    work = create_repair_and_delete if action.startswith("s3:") else attach_detach_and_dismiss
    with pytest.raises(Failed, match=f"refused {action}") as raised:
        work(amazon, "eu-west-1")
    assert action in json.loads(raised.value.details["statement"])["Action"]


def test_the_policy_fits_into_a_role_and_a_managed_policy():
    for global_names in (False, True):
        policy = aws_session.statements(NUMBER, "aws-us-gov", global_names=global_names)
        assert len(re.sub(r"\s", "", json.dumps(policy))) <= 6144  # "IAM and AWS STS quotas"


# --- What it denies -------------------------------------------------------------------------------------------------


ID = "abcdefghijkl"
OWN, LOGS = f"pgbk-{ID}-{NUMBER}-eu-west-1-an", f"pgbk-{ID}-log-{NUMBER}-eu-west-1-an"
LONG = "pgbk-abcdefghijklmnopqrstuvwxyz"  # where names are in no namespace of the account's own
BOUND = {"iam:PermissionsBoundary": f"arn:aws:iam::{NUMBER}:policy/storekeeper-nodes"}
OURS = {"aws:ResourceAccount": NUMBER, "s3:x-amz-bucket-namespace": "account-regional"}
INFO = "c-k3v9/n1/backup/orders/backup.info"
CASES = [  # action, resource, context, allowed
    ("s3:CreateBucket", OWN, OURS, True),
    ("s3:CreateBucket", OWN, {}, False),  # in the global namespace
    ("s3:CreateBucket", "pgbk-x", {}, False),
    ("s3:CreateBucket", "pgbk-x", OURS, False),
    ("s3:CreateBucket", "backups", OURS, False),
    ("s3:PutBucketPolicy", OWN, OURS, True),
    ("s3:PutBucketPolicy", OWN, {"aws:ResourceAccount": "999999999999"}, False),
    ("s3:PutBucketPolicy", "pgbk-x-999999999999-eu-west-1-an", {"aws:ResourceAccount": "999999999999"}, False),
    ("s3:PutBucketPolicy", "customers-own", OURS, False),
    ("s3:GetBucketTagging", OWN, {}, True),  # while it does not exist
    ("s3:DeleteBucket", OWN, OURS, True),
    ("s3:DeleteBucket", OWN, {}, False),
    ("s3:DeleteBucket", "customers-own", OURS, False),
    ("s3:ListBucket", "customers-own", OURS, False),
    ("s3:GetObject", f"{OWN}/{INFO}", OURS, True),
    ("s3:GetObject", f"{OWN}/{INFO}.copy", OURS, True),
    ("s3:GetObject", f"{OWN}/c-k3v9/n1/backup/orders/20261101-000000F/backup.manifest", OURS, False),
    ("s3:GetObject", f"{OWN}/c-k3v9/n1/archive/orders/17-1/0000000100000000/000000010000000000000009.zst", OURS, False),
    ("s3:PutObject", f"{OWN}/{INFO}", OURS, False),
    ("s3:DeleteObject", f"{OWN}/{INFO}", OURS, False),
    ("s3:DeleteObjectVersion", f"{OWN}/{INFO}", OURS, False),
    ("s3:DeleteObject", f"{LOGS}/access/1", OURS, True),
    ("s3:GetObject", f"{LOGS}/access/1", OURS, False),
    ("s3:DeleteObject", f"{LOGS}/access/1", {"aws:ResourceAccount": "999999999999"}, False),
    ("s3:DeleteObject", "customers-own-log/1", OURS, False),
    ("iam:CreateRole", f"arn:aws:iam::{NUMBER}:role/pgbk/pgbk-c-x", BOUND, True),
    ("iam:CreateRole", f"arn:aws:iam::{NUMBER}:role/pgbk/pgbk-c-x", {}, False),
    ("iam:PutRolePolicy", f"arn:aws:iam::{NUMBER}:role/pgbk/pgbk-c-x", BOUND, True),
    ("iam:PutRolePolicy", f"arn:aws:iam::{NUMBER}:role/pgbk/pgbk-c-x", {}, False),
    ("iam:CreateRole", f"arn:aws:iam::{NUMBER}:role/administrator", {}, False),
    ("iam:PutRolePolicy", ARN, {}, False),  # its own
    ("iam:AttachRolePolicy", f"arn:aws:iam::{NUMBER}:role/pgbk/pgbk-c-x", {}, False),
    ("iam:PassRole", f"arn:aws:iam::{NUMBER}:role/pgbk/x", {"iam:PassedToService": "ec2.amazonaws.com"}, True),
    ("iam:PassRole", f"arn:aws:iam::{NUMBER}:role/pgbk/x", {"iam:PassedToService": "lambda.amazonaws.com"}, False),
    ("iam:PassRole", f"arn:aws:iam::{NUMBER}:role/administrator", {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    ("iam:SimulatePrincipalPolicy", ARN, {}, True),
    ("iam:SimulatePrincipalPolicy", f"arn:aws:iam::{NUMBER}:role/administrator", {}, False),
]


@pytest.mark.parametrize(("action", "resource", "context", "expected"), CASES)
def test_the_policy_denies_what_is_not_the_consoles(action, resource, context, expected):
    policy = aws_session.statements(NUMBER, principal=f"role/{ROLE}")
    arn = resource if resource.startswith("arn:") else f"arn:aws:s3:::{resource}"
    assert (judge(policy["Statement"], Asked(action, arn), context) == "allowed") is expected


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:CreateBucket", "pgbk-x", True),
        ("s3:CreateBucket", "backups", False),
        ("s3:DeleteObject", f"{LONG}-log/access/1", True),
        ("s3:DeleteObject", f"{LOGS}/access/1", True),
        ("s3:DeleteObject", f"{LONG}/{INFO}", False),
        ("s3:DeleteObject", f"{OWN}/{INFO}", False),
        ("s3:PutObject", f"{LONG}/{INFO}", False),
        ("s3:GetObject", "pgbk-x/c-k3v9/n1/backup/orders/20261101-000000F/pg_data/PG_VERSION.zst", False),
    ],
)
def test_the_policy_for_all_regions_denies_what_is_not_the_consoles(action, resource, expected):
    policy = aws_session.statements(NUMBER, global_names=True)
    decision = judge(policy["Statement"], Asked(action, f"arn:aws:s3:::{resource}"), {"aws:ResourceAccount": NUMBER})
    assert (decision == "allowed") is expected


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:CreateBucket", "arn:aws:s3:::pgbk-x", True),
        ("s3:CreateBucket", "arn:aws:s3:::other", False),
        ("s3:PutObject", "arn:aws:s3:::pgbk-probe-x/probe", True),
        ("s3:PutObject", f"arn:aws:s3:::{LONG}/{INFO}", False),
        ("s3:DeleteObject", f"arn:aws:s3:::{LONG}/{INFO}", False),
        ("s3:DeleteObject", f"arn:aws:s3:::{LONG}-log/access/1", True),
        ("s3:GetObject", f"arn:aws:s3:::{LONG}/{INFO}", True),
        ("iam:CreateUser", "arn:aws:iam:::user/pgbk-c-x", True),
        ("iam:CreateAccessKey", "arn:aws:iam:::user/root", False),
    ],
)
def test_the_policy_for_a_server_denies_what_is_not_the_consoles(action, resource, expected):
    assert (judge(s3_documents.policy()["Statement"], Asked(action, resource), {}) == "allowed") is expected
