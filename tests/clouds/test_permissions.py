"""The console's own role: its policy holds what the plans ask for and nothing else, in every form of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from textwrap import dedent
from uuid import uuid4

import boto3
import cfnlint
import pytest

from console.clouds import CLOUDS
from console.clouds.aws import permissions as aws_permissions
from console.clouds.aws import session as aws_session
from console.clouds.aws.boundary import BOUNDARY, boundary
from console.clouds.contract import AccessSpec, AccountRef, DeploymentSettings, StoreSpec
from console.clouds.s3 import documents as s3_documents
from console.clouds.s3api import clients
from console.clouds.s3api.nodes import node_name
from console.clouds.steps import Failed, Refused
from console.demo.emulators.aws.emulator import Emulator
from console.demo.emulators.aws.permissions import Asked, as_list, judge
from tests.clouds import plans
from tests.clouds.aws_accounts import drop_boundary, make_boundary

NUMBER, ROLE = Emulator.account_id, "preflight-role"
ARN = f"arn:aws:iam::{NUMBER}:role/{ROLE}"
AWS = CLOUDS["aws"]
ACCOUNT = AccountRef(uuid4(), NUMBER, "aws", {"role_arn": ARN, "external_id": "8c1f"}, {})
ADMINISTRATOR = {"aws_access_key_id": Emulator.access_key_id, "aws_secret_access_key": Emulator.secret_access_key}
PRINCIPAL = "arn:aws:iam::111111111111:root"


def allowed(policy):
    return {action for one in policy["Statement"] if one["Effect"] == "Allow" for action in as_list(one["Action"])}


def admin(service, region="us-east-1"):
    return boto3.client(service, region_name=region, **ADMINISTRATOR)


def give(policy, **more):
    """Give the role this policy, and others by name, instead of those that it had."""
    iam = admin("iam")
    for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
    for name, document in {"storekeeper": policy, **more}.items():
        iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=json.dumps(document))


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def without(policy, action):
    """Return the policy as it is for an administrator who forgot one action."""
    kept = []
    for one in policy["Statement"]:
        if one["Effect"] == "Deny":
            kept.append(one)
            continue
        actions = [name for name in as_list(one["Action"]) if name != action]
        kept += [{**one, "Action": actions}] if actions else []
    return document(*kept)


@pytest.fixture
def role(amazon, monkeypatch):
    """The console's role with its policy, in an account that the console reaches by that alone."""
    key, secret = amazon.add_account("111111111111")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    clients.session.cache_clear()
    trust = json.dumps(aws_session.trust_policy("8c1f", PRINCIPAL))
    admin("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)
    policy = aws_session.statements(NUMBER, principal=f"role/{ROLE}")
    give(policy)
    amazon.asked.clear()
    yield policy
    for name in admin("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]:
        admin("iam").delete_role_policy(RoleName=ROLE, PolicyName=name)
    admin("iam").delete_role(RoleName=ROLE)
    clients.session.cache_clear()


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
    assert objects.read("c-a/n1/backup/db/backup.info", 10) == b"1"


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


# --- The forms in which it is handed out ----------------------------------------------------------------------------


def handed_out(settings, partition="aws", number=NUMBER, principal=PRINCIPAL):
    account = AccountRef(uuid4(), number, partition, settings, {})
    return {
        one.filename: one.text
        for one in AWS.linking.documents(replace(account, deployment=DeploymentSettings(principal=principal)))
    }


BY_ROLE = {"role_arn": f"arn:aws:iam::{NUMBER}:role/team/sk", "external_id": "8c1f"}


@pytest.mark.parametrize("ending", ["", "-all-regions"])
@pytest.mark.parametrize("given", [BY_ROLE, {"external_id": "8c1f"}])
def test_all_forms_hold_the_same_policies(given, ending):
    files = handed_out(given)
    permissions, trust = json.loads(files[f"permissions{ending}.json"]), json.loads(files["trust.json"])
    role = "team/sk" if given == BY_ROLE else "storekeeper"
    expected = aws_session.statements(NUMBER, principal=f"role/{role}", global_names=bool(ending))
    assert permissions == expected
    assert trust == aws_session.trust_policy("8c1f", PRINCIPAL)

    template = json.loads(files[f"storekeeper-role{ending}.template.json"])
    properties = template["Resources"]["Role"]["Properties"]
    assert f"{properties['Path']}{properties['RoleName']}" == f"/{role}"
    assert properties["AssumeRolePolicyDocument"] == trust
    [policy] = properties["Policies"]
    assert substituted(policy["PolicyDocument"]) == permissions
    managed = template["Resources"]["NodesBoundary"]["Properties"]
    bounds = json.loads(files["boundary.json"])
    assert (managed["ManagedPolicyName"], substituted(managed["PolicyDocument"])) == (BOUNDARY, bounds)
    assert bounds == boundary(NUMBER)

    module = files[f"storekeeper-role{ending}.tf"].replace("${data.aws_caller_identity.current.account_id}", NUMBER)
    assert "${" not in module
    found = [json.loads(dedent(text)) for text in re.findall(r"<<-JSON\n(.*?)\n  JSON\n", module, re.DOTALL)]
    assert found == [bounds, trust, permissions]
    assert f'name        = "{BOUNDARY}"' in module


def substituted(value):
    """Do what CloudFormation does."""
    if isinstance(value, list):
        return [substituted(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        return value["Fn::Sub"].replace("${AWS::AccountId}", NUMBER)
    return {key: substituted(one) for key, one in value.items()}


@pytest.mark.slow
def test_the_cloudformation_templates_are_valid():
    templates = {name: text for name, text in handed_out(BY_ROLE).items() if name.endswith(".template.json")}
    assert templates
    for filename, text in templates.items():
        assert cfnlint.lint(text, regions=["eu-west-1"]) == [], filename


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_would_not_format_the_module_otherwise(tmp_path):
    for filename, text in handed_out(BY_ROLE).items():
        if filename.endswith(".tf"):
            (tmp_path / filename).write_text(text)
    assert list(tmp_path.iterdir())
    assert subprocess.run(["terraform", "fmt", "-check", "-diff", str(tmp_path)], check=False).returncode == 0


def test_documents_fit_the_account():
    assert list(handed_out({"access_key_id": "AKIA"})) == [
        "permissions.json",
        "boundary.json",
        "permissions-all-regions.json",
    ]
    sovereign = handed_out({"role_arn": f"arn:aws-eusc:iam::{NUMBER}:role/sk"}, partition="aws-eusc")
    assert (
        f"arn:aws-eusc:s3:::pgbk-{'?' * 26}-log/*" in sovereign["permissions.json"]
    )  # no region there has the namespace
    assert "permissions-all-regions.json" not in sovereign
    assert "YOUR-ACCOUNT-ID" in handed_out({}, partition="", number="")["permissions.json"]
    gov = handed_out({}, partition="", principal="arn:aws-us-gov:iam::1:root")
    assert "arn:aws-us-gov:s3:::" in gov["permissions.json"]
    server = AccountRef(uuid4(), "s3.example.com", "", {"has": "tags"}, {})
    assert list(CLOUDS["s3"].linking.documents(server)) == []  # it can keep no policy


# --- Preflight ------------------------------------------------------------------------------------------------------


def checked(*regions):
    return {(one.label, one.on): one for one in AWS.linking.preflight(ACCOUNT, regions or ("eu-west-1",))}


def outcomes(lines, outcome):
    return {one.label for one in lines.values() if one.outcome == outcome}


OF_BOUNDARY = (f"Permissions boundary {BOUNDARY}", "No way around the boundary")


def test_preflight_has_a_line_for_each_permission(amazon, role):
    lines = checked()
    assert {label for label, _ in lines} == allowed(role) | {"Region eu-west-1", *OF_BOUNDARY}
    assert outcomes(lines, "pass") == {label for label, _ in lines}
    assert not any(one.statement for one in lines.values())


def test_preflight_changes_nothing_and_takes_few_calls(amazon, role):
    amazon.calls.clear()
    checked()
    operations = [call.operation for call in amazon.calls]
    assert set(operations) == {
        *("AssumeRole", "GetCallerIdentity", "SimulatePrincipalPolicy", "ListBuckets"),
        *("GetPolicy", "GetPolicyVersion"),
    }
    assert operations.count("SimulatePrincipalPolicy") == 12
    amazon.calls.clear()
    checked("eu-west-1", "us-west-2", "eu-central-1")
    assert [call.operation for call in amazon.calls].count("SimulatePrincipalPolicy") == 14  # creating, in each region


@pytest.mark.slow
def test_preflight_finds_exactly_what_is_missing(amazon, role):
    actions = allowed(role) - {aws_permissions.SIMULATES}
    assert len(actions) > 30
    for action in actions:
        give(without(role, action))
        lines = checked()
        assert outcomes(lines, "fail") == {action}
        [line] = [one for one in lines.values() if one.outcome == "fail"]
        assert line.without
        assert json.loads(line.statement)["Action"] == action
        # What it says to add is enough.
        give(without(role, action), added=document(json.loads(line.statement)))
        assert outcomes(checked(), "fail") == set()


def test_preflight_describes_what_breaks_for_each_action_of_the_policy():
    policy = aws_session.statements(NUMBER)
    assert aws_permissions.CONSEQUENCES.keys() <= allowed(policy)
    for one in policy["Statement"]:
        if one["Effect"] == "Deny":
            continue
        described = one["Sid"] in aws_permissions.CONSEQUENCES_BY_STATEMENT
        assert described or set(as_list(one["Action"])) <= aws_permissions.CONSEQUENCES.keys()


def test_preflight_never_passes_what_it_could_not_check(amazon, role):
    give(without(role, aws_permissions.SIMULATES))
    lines = checked()
    assert outcomes(lines, "pass") == {aws_permissions.LISTS, "Region eu-west-1", OF_BOUNDARY[0]}  # which were tried
    assert outcomes(lines, "fail") == {aws_permissions.SIMULATES}
    [line] = [one for one in lines.values() if one.outcome == "fail"]
    assert json.loads(line.statement)["Resource"] == ARN
    assert not line.required
    assert not any(one.statement for one in lines.values() if one.outcome == "unknown")


def test_preflight_sees_whether_the_boundary_is_there_and_as_it_should_be(amazon, role):
    for document_of_it, words in ((None, "There is none"), (aws_session.statements(NUMBER), "not as boundary.json")):
        drop_boundary()
        if document_of_it:
            make_boundary(document=document_of_it)
        [line] = [one for one in checked().values() if one.outcome == "fail"]
        assert (line.label, line.required) == (OF_BOUNDARY[0], True)
        assert words in line.why
    make_boundary()
    assert outcomes(checked(), "fail") == set()


UNBOUNDED = {"Effect": "Allow", "Action": ["iam:CreateRole", "iam:PutRolePolicy"], "Resource": "*"}


@pytest.mark.parametrize(
    "added",
    [
        UNBOUNDED,
        {**UNBOUNDED, "Action": "iam:*"},
        {**UNBOUNDED, "Action": "iam:CreatePolicyVersion"},
        {**UNBOUNDED, "Action": "iam:DeleteRolePermissionsBoundary"},
    ],
    ids=lambda one: str(one["Action"]),
)
def test_preflight_says_when_the_boundary_can_be_got_around(amazon, role, added):
    give(role, earlier=document(added))
    [line] = [one for one in checked().values() if one.outcome == "fail"]
    assert (line.label, line.required, line.statement) == (OF_BOUNDARY[1], False, "")
    assert "Replace its permissions" in line.why


def test_preflight_tells_a_denial_from_a_missing_permission(amazon, role):
    denial = {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}
    give(role, guard=document(denial))
    [line] = [one for one in checked().values() if one.outcome != "pass"]
    assert (line.label, line.outcome, line.statement) == ("s3:DeleteBucket", "fail", "")
    assert "explicit deny wins" in line.why


def test_preflight_does_not_judge_what_depends_on_the_call(amazon, role):
    office = {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}
    give(role, guard=document({"Effect": "Deny", "Action": "s3:Put*", "Resource": "*", "Condition": office}))
    lines = checked()
    assert outcomes(lines, "fail") == set()
    assert outcomes(lines, "unknown") == {one for one in allowed(role) if one.startswith("s3:Put")}
    assert "aws:SourceVpc" in next(one for one in lines.values() if one.outcome == "unknown").why


def test_preflight_sees_a_policy_that_is_limited_to_a_region(amazon, role):
    limited = json.loads(json.dumps(role).replace("-*-an", "-eu-west-1-an"))
    give(limited)
    assert outcomes(checked("eu-west-1"), "fail") == set()
    failing = [one for one in AWS.linking.preflight(ACCOUNT, ("eu-west-1", "us-west-2")) if one.outcome == "fail"]
    assert [(one.label, one.regions) for one in failing] == [("s3:CreateBucket", ("us-west-2",))]


def test_preflight_looks_for_global_names_where_a_region_needs_them(amazon, role):
    failing = [one for one in AWS.linking.preflight(ACCOUNT, ("eu-west-1", "me-south-1")) if one.outcome == "fail"]
    assert {one.on.rpartition(":")[2].partition("/")[0] for one in failing} == {"pgbk-*", f"pgbk-{'?' * 26}-log"}
    assert "s3:CreateBucket" in {one.label for one in failing}
    assert {one.regions for one in failing} == {("me-south-1",)}  # no other region needs them
    give(aws_session.statements(NUMBER, principal=f"role/{ROLE}", global_names=True))
    assert outcomes(checked("eu-west-1", "me-south-1"), "fail") == set()


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "AuthFailure", "RegionDisabledException"])
def test_preflight_says_which_region_is_not_enabled(amazon, role, code):
    with stubbed("sts", "eu-south-1") as answers:
        answers.add_client_error("get_caller_identity", code, "no", 403)
        lines = checked("eu-west-1", "eu-south-1")
    line = lines["Region eu-south-1", "Milan, Italy"]
    assert (line.outcome, line.regions) == ("fail", ("eu-south-1",))
    assert "not enabled" in line.why
    assert lines["Region eu-west-1", "Dublin, Ireland"].outcome == "pass"


def test_preflight_does_not_call_a_region_disabled_that_gives_no_answer(amazon, role):
    with stubbed("sts", "eu-south-1") as answers:
        answers.add_client_error("get_caller_identity", "Throttling", "slow", 400)
        line = checked("eu-west-1", "eu-south-1")["Region eu-south-1", "Milan, Italy"]
    assert line.outcome == "unknown"


@contextmanager
def stubbed(service, region):
    """Answer the next calls of the console's client for what the emulator cannot be made to say."""
    from botocore.stub import Stubber

    with Stubber(aws_session._client(service, ACCOUNT, region)) as answers:
        yield answers


DETAILS = [
    ({"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}, "service control policy", False),
    ({"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}, "permissions boundary", True),
    ({}, "No policy of the role", True),
]


@pytest.mark.parametrize(("details", "words", "mendable"), DETAILS)
def test_preflight_says_who_denies(details, words, mendable):
    [probe, *_] = aws_permissions._probes(ACCOUNT, ARN, ["eu-west-1"])
    answer = {"EvalActionName": "s3:CreateBucket", "EvalDecision": "implicitDeny", **details}
    line = aws_permissions._decided(probe, answer)
    assert line.outcome == "fail"
    assert words in line.why
    assert bool(line.statement) is mendable


def test_preflight_does_not_simulate_the_root_user(amazon):
    account = AccountRef(uuid4(), NUMBER, "aws", {"access_key_id": Emulator.access_key_id}, {"secret_access_key": "x"})
    root = f"arn:aws:iam::{NUMBER}:root"
    from botocore.stub import Stubber

    with Stubber(aws_session._client("sts", account, "us-east-1")) as answers:
        answers.add_response("get_caller_identity", {"Account": NUMBER, "Arn": root, "UserId": NUMBER})
        lines = AWS.linking.preflight(account, ["eu-west-1"])
    assert "SimulatePrincipalPolicy" not in {call.operation for call in amazon.calls}
    create = next(one for one in lines if one.label == "s3:CreateBucket")
    assert (create.outcome, "root user" in create.why) == ("pass", True)


def test_preflight_raises_when_nobody_answers(amazon, role):
    amazon.inject("SimulatePrincipalPolicy", code="ServiceFailure", status=500, times=9)
    with pytest.raises(Exception, match="busy"):
        checked()
    amazon.mend()
    assert outcomes(checked(), "fail") == set()
