"""What the nodes of a cluster may use on AWS: granted, taken back and dismissed, against the strict emulator."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from console.clouds import CLOUDS
from console.clouds.aws import access as aws_access
from console.clouds.aws import session as aws_session
from console.clouds.aws.errors import ACTIONS, IAM_ACTIONS
from console.clouds.s3api import clients
from console.clouds.specs import AccessSpec
from console.clouds.steps import Failed, NotReady
from tests.clouds.aws_accounts import NUMBER, drop_boundary, key_account, make_boundary
from tests.clouds.plans import run, steps

AWS = CLOUDS["aws"]
BUCKETS = tuple(f"pgbk-ezvk54zxpo7{n}-{NUMBER}-eu-west-1-an" for n in range(3))
PREFIX = "c-k3v9x2m7q4ta"
NAME = f"pgbk-{PREFIX}"
ROLE_ARN = f"arn:aws:iam::{NUMBER}:role/pgbk/{NAME}"
PROFILE_ARN = f"arn:aws:iam::{NUMBER}:instance-profile/pgbk/{NAME}"
PLANS = {"grant": AWS.access.grant, "revoke": AWS.access.revoke, "dismiss": AWS.access.delete}
READS = {"GetRole", "GetInstanceProfile"}

pytestmark = pytest.mark.usefixtures("amazon")


@pytest.fixture
def spec(amazon):
    return AccessSpec(uuid4(), "Orders (EU)", key_account(), PREFIX, BUCKETS[:2])


@pytest.fixture
def iam(spec):
    return aws_session.iam_client(spec.account)


def read(call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    answer.pop("ResponseMetadata")
    return answer


def state(iam, name=NAME):
    """Return all that these plans may change, without the times and IDs that a new role gets."""
    role = read(iam.get_role, RoleName=name)
    profile = read(iam.get_instance_profile, InstanceProfileName=name)
    if isinstance(role, dict):
        role = {key: value for key, value in role["Role"].items() if key not in ("CreateDate", "RoleId")}
    if isinstance(profile, dict):
        found = profile["InstanceProfile"]
        profile = {"Arn": found["Arn"], "Tags": found["Tags"], "Roles": [one["RoleName"] for one in found["Roles"]]}
    policy = read(iam.get_role_policy, RoleName=name, PolicyName="backup-stores")
    return role, profile, policy if isinstance(policy, str) else policy["PolicyDocument"]


GONE = ("NoSuchEntity",) * 3


def make_foreign_role(iam, *tags, name=NAME, path="/"):
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, Tags=list(tags))


def writes(amazon):
    return {call.operation for call in amazon.calls if call.status == 200} - READS


# --- What is granted ------------------------------------------------------------------------------------------------


def test_grant_is_six_calls_in_two_rounds(amazon, spec):
    run(AWS.access.grant, spec)
    assert [call.operation for call in amazon.calls] == [
        *("CreateRole", "CreateInstanceProfile"),
        *("GetRole", "PutRolePolicy", "GetInstanceProfile", "AddRoleToInstanceProfile"),
    ]
    assert [len(stage) for stage in AWS.access.grant] == [2, 2]


def test_grant_leaves_what_the_specification_says(iam, spec):
    run(AWS.access.grant, spec)
    role, profile, policy = state(iam)
    tags = [
        {"Key": "storekeeper:cluster-id", "Value": str(spec.id)},
        {"Key": "storekeeper:cluster-name", "Value": "Orders _EU_"},
        {"Key": "storekeeper:managed-by", "Value": "storekeeper"},
    ]
    assert role["Arn"] == ROLE_ARN
    assert role["Tags"] == tags
    assert role["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    assert profile == {"Arn": PROFILE_ARN, "Tags": tags, "Roles": [NAME]}
    assert policy == AWS.access.policy(spec)
    assert AWS.access.facts(spec) == [("IAM Role ARN", ROLE_ARN), ("Instance Profile ARN", PROFILE_ARN)]


def test_access_policy_is_exactly_the_clusters_own_folders(spec):
    policy = AWS.access.policy(spec)
    expected = []
    for bucket in BUCKETS[:2]:
        listing = {"StringLike": {"s3:prefix": [PREFIX, f"{PREFIX}/*"]}}
        arn = f"arn:aws:s3:::{bucket}"
        objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        expected += [
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn, "Condition": listing},
            {"Effect": "Allow", "Action": objects, "Resource": f"{arn}/{PREFIX}/*"},
        ]
    assert policy == {"Version": "2012-10-17", "Statement": expected}
    text = json.dumps(policy)
    assert ':*"' not in text.replace(":::*", "")
    assert BUCKETS[2] not in text
    other = replace(spec, prefix="c-other")
    assert PREFIX not in json.dumps(AWS.access.policy(other))


def test_access_in_china(spec):
    there = replace(spec, account=replace(spec.account, partition="aws-cn"))
    assert "arn:aws-cn:s3:::pgbk-" in json.dumps(AWS.access.policy(there))
    assert aws_access.trust(there)["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com.cn"}
    assert AWS.access.facts(there)[0][1] == f"arn:aws-cn:iam::{NUMBER}:role/pgbk/{NAME}"
    assert aws_session.iam_client(there.account).meta.region_name == "cn-north-1"


def test_grant_replaces_the_buckets_as_a_whole(iam, spec):
    run(AWS.access.grant, spec)
    after = replace(spec, buckets=(BUCKETS[2],))
    run(AWS.access.grant, after)
    policy = state(iam)[2]
    assert policy == AWS.access.policy(after)
    assert BUCKETS[0] not in json.dumps(policy)
    run(AWS.access.grant, replace(spec, buckets=()))
    assert state(iam)[2] == "NoSuchEntity"


def test_clients_of_iam_are_one_for_each_account(iam, spec):
    assert aws_session.iam_client(spec.account) is iam
    assert aws_session.s3_client(spec.account, "us-east-1") is not iam
    assert aws_session.iam_client(key_account()) is not iam


# --- The permissions boundary ---------------------------------------------------------------------------------------


def bound_of(iam):
    return iam.get_role(RoleName=NAME)["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")


def test_a_role_has_its_boundary_from_the_first_moment(amazon, iam, spec):
    kept = aws_access.ensure_role(spec).keep
    assert bound_of(iam) == kept["boundary"] == f"arn:aws:iam::{NUMBER}:policy/storekeeper-nodes"
    assert [call.operation for call in amazon.calls][:1] == ["CreateRole"]
    assert aws_access.ensure_role(replace(spec, keys=kept)) is None
    assert AWS.access.outdated(replace(spec, keys=kept)) == ""


@pytest.mark.parametrize("before", ["", "arn:aws:iam::aws:policy/AdministratorAccess"])
def test_a_role_of_an_earlier_version_gets_the_boundary(iam, spec, before):
    run(AWS.access.grant, spec)
    if before:
        iam.put_role_permissions_boundary(RoleName=NAME, PermissionsBoundary=before)
    else:
        iam.delete_role_permissions_boundary(RoleName=NAME)
    assert "permissions boundary" in AWS.access.outdated(spec)
    run(AWS.access.grant, spec)
    assert bound_of(iam) == f"arn:aws:iam::{NUMBER}:policy/storekeeper-nodes"


def test_a_role_that_is_not_ours_gets_no_boundary(iam, spec):
    make_foreign_role(iam)
    with pytest.raises(Failed, match="does not belong to this cluster"):
        aws_access.ensure_role(spec)
    assert bound_of(iam) is None
    iam.delete_role(RoleName=NAME)


def test_no_role_is_made_where_there_is_no_boundary(iam, spec):
    drop_boundary()
    try:
        with pytest.raises(NotReady, match=r"no policy storekeeper-nodes.*boundary\.json"):
            run(AWS.access.grant, spec)
        assert state(iam)[0] == "NoSuchEntity"
    finally:
        make_boundary()
    run(AWS.access.grant, spec)
    assert bound_of(iam)


# --- Again and again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", PLANS)
def test_each_step_twice_leaves_the_same_state(iam, spec, verb):
    if verb != "grant":
        run(AWS.access.grant, spec)
    for step in steps(PLANS[verb]):
        step.run(spec)
        once = state(iam)
        step.run(spec)
        assert state(iam) == once


def test_each_plan_twice_leaves_the_same_state(iam, spec):
    for plan in (AWS.access.grant, AWS.access.grant):
        run(plan, spec)
        assert state(iam)[2] == AWS.access.policy(spec)
    for plan in (AWS.access.revoke, AWS.access.revoke):
        run(plan, spec)
        role, profile, policy = state(iam)
        assert (role["Arn"], profile["Roles"], policy) == (ROLE_ARN, [NAME], "NoSuchEntity")
    run(AWS.access.grant, spec)
    for plan in (AWS.access.delete, AWS.access.delete):
        run(plan, spec)
        assert state(iam) == GONE


def test_revoke_and_dismiss_of_nothing(iam, spec):
    run(AWS.access.revoke, spec)
    run(AWS.access.delete, spec)
    assert state(iam) == GONE


@pytest.mark.parametrize("done", range(5))
def test_plans_converge_after_a_crash(iam, spec, done):
    for step in steps(AWS.access.grant)[:done]:
        step.run(spec)
    run(AWS.access.revoke, spec)
    run(AWS.access.grant, spec)
    granted = state(iam)
    for step in steps(AWS.access.delete)[:done]:
        step.run(spec)
    run(AWS.access.delete, spec)
    assert state(iam) == GONE
    for step in steps(AWS.access.grant)[:done]:
        step.run(spec)
    run(AWS.access.delete, spec)
    assert state(iam) == GONE
    run(AWS.access.grant, spec)
    assert state(iam) == granted


def test_grant_runs_the_steps_of_a_round_at_once(iam, spec):
    with ThreadPoolExecutor() as pool:
        for stage in AWS.access.grant:
            list(pool.map(lambda step: step.run(spec), stage))
    assert state(iam)[2] == AWS.access.policy(spec)


# --- What is not ours -----------------------------------------------------------------------------------------------

FOREIGN_TAGS = [(), ({"Key": "storekeeper:cluster-id", "Value": "another"},), ({"Key": "team", "Value": "web"},)]


@pytest.mark.parametrize("tags", FOREIGN_TAGS)
@pytest.mark.parametrize("path", ["/", "/pgbk/"])
def test_a_role_that_is_not_ours_is_left_alone(amazon, iam, spec, tags, path):
    make_foreign_role(iam, *tags, path=path)
    try:
        iam.put_role_policy(
            RoleName=NAME, PolicyName="backup-stores", PolicyDocument=json.dumps(AWS.access.policy(spec))
        )
        before = state(iam)
        amazon.calls.clear()
        for step in (aws_access.ensure_role, aws_access.ensure_node_policy, aws_access.remove_node_policy):
            with pytest.raises(
                Failed, match=f"A role named {NAME} exists in this account and does not belong"
            ) as raised:
                step(spec)
            assert raised.value.details == {"role": NAME}
            assert f"storekeeper:cluster-id={spec.id}" in raised.value.message
        run(AWS.access.delete, spec)
        assert writes(amazon) == set()
        assert state(iam) == before
    finally:
        iam.delete_role_policy(RoleName=NAME, PolicyName="backup-stores")
        iam.delete_role(RoleName=NAME)


@pytest.mark.parametrize("tags", FOREIGN_TAGS)
def test_a_profile_that_is_not_ours_is_left_alone(amazon, iam, spec, tags):
    aws_access.ensure_role(spec)
    iam.create_instance_profile(InstanceProfileName=NAME, Path="/pgbk/", Tags=list(tags))
    before = state(iam)
    amazon.calls.clear()
    for step in (aws_access.ensure_instance_profile, aws_access.ensure_profile_holds_role):
        with pytest.raises(Failed, match=f"An instance profile named {NAME} exists in this account") as raised:
            step(spec)
        assert raised.value.details == {"instance_profile": NAME}
    aws_access.remove_instance_profile(spec)
    assert writes(amazon) == set()
    assert state(iam) == before
    run(AWS.access.delete, spec)
    assert state(iam) == ("NoSuchEntity", before[1], "NoSuchEntity")


def test_a_profile_of_ours_with_another_role_keeps_it(iam, spec):
    run(AWS.access.grant[:1], spec)
    make_foreign_role(iam, name="web", path="/pgbk/")
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName="web")
    with pytest.raises(Failed, match=r"holds another role, web\. It was left there"):
        run(AWS.access.grant, spec)
    with pytest.raises(NotReady, match="take it out of all instance profiles, then delete the cluster again"):
        run(AWS.access.delete, spec)
    assert state(iam)[1]["Roles"] == ["web"]


def test_a_role_with_a_policy_of_somebody_else_is_not_deleted(iam, spec):
    run(AWS.access.grant, spec)
    iam.put_role_policy(RoleName=NAME, PolicyName="theirs", PolicyDocument=json.dumps(AWS.access.policy(spec)))
    with pytest.raises(NotReady, match="detach all other policies from the role") as raised:
        run(AWS.access.delete, spec)
    assert raised.value.patience == 60  # then final: right after a change AWS may only not have seen it yet
    iam.delete_role_policy(RoleName=NAME, PolicyName="theirs")
    run(AWS.access.delete, spec)
    assert state(iam) == GONE


# --- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "resource"),
    [
        ("CreateRole", ROLE_ARN),
        ("GetRole", ROLE_ARN),
        ("PutRolePolicy", ROLE_ARN),
        ("CreateInstanceProfile", PROFILE_ARN),
        ("AddRoleToInstanceProfile", [PROFILE_ARN, ROLE_ARN]),
    ],
)
def test_a_missing_permission_is_named_with_the_statement_to_add(amazon, spec, operation, resource):
    amazon.inject(operation, code="AccessDenied", status=403, message="No.")
    with pytest.raises(Failed) as raised:
        run(AWS.access.grant, spec)
    actions = ", ".join(ACTIONS[operation])
    assert f"AWS refused {actions} on " in raised.value.message
    assert NAME in raised.value.message
    assert json.loads(raised.value.details["statement"]) == {
        "Effect": "Allow",
        "Action": list(ACTIONS[operation]),
        "Resource": resource,
    }


def test_a_missing_permission_that_aws_names_is_the_only_one_asked_for(amazon, spec):
    message = f"User: x is not authorized to perform: iam:PassRole on resource: {ROLE_ARN}"
    amazon.inject("AddRoleToInstanceProfile", code="AccessDenied", status=403, message=message)
    with pytest.raises(Failed, match="AWS refused iam:PassRole on instance profile") as raised:
        run(AWS.access.grant, spec)
    statement = json.loads(raised.value.details["statement"])
    assert statement == {"Effect": "Allow", "Action": ["iam:PassRole"], "Resource": ROLE_ARN}


@pytest.mark.parametrize(
    ("operation", "code", "reaction", "patience", "words"),
    [
        ("PutRolePolicy", "MalformedPolicyDocument", Failed, None, "fault in the console"),
        ("CreateInstanceProfile", "InvalidClientTokenId", Failed, None, "Change its access key"),
    ],
)
def test_errors_are_told_in_words(amazon, iam, spec, operation, code, reaction, patience, words):
    amazon.inject(operation, code=code, status=400, times=3)  # which is how often botocore itself tries
    with pytest.raises(reaction, match=words) as raised:
        run(AWS.access.grant, spec)
    assert getattr(raised.value, "patience", None) == patience
    amazon.clear_faults()
    run(AWS.access.grant, spec)
    assert state(iam)[2] == AWS.access.policy(spec)


def test_no_answer_names_iam(spec, monkeypatch):
    clients.forget_clients()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match="no answer from AWS IAM in us-east-1"):
        aws_access.ensure_role(spec)


def test_a_role_that_vanished_between_two_calls_of_a_step_is_done(iam, spec):
    tags = [{"Key": "storekeeper:cluster-id", "Value": str(spec.id)}]
    role = {"Path": "/pgbk/", "RoleName": NAME, "RoleId": "A" * 20, "Arn": ROLE_ARN, "CreateDate": 0, "Tags": tags}
    with Stubber(iam) as answers:
        answers.add_response("get_role", {"Role": role})
        answers.add_client_error("delete_role_policy", "NoSuchEntity")
        answers.add_client_error("delete_role", "NoSuchEntity")
        aws_access.remove_role(spec)
        answers.assert_no_pending_responses()


# --- How many stores fit --------------------------------------------------------------------------------------------


def test_access_refusal_names_the_number_that_aws_accepts(spec):
    assert AWS.access.refusal(spec) == ""
    assert AWS.access.refusal(replace(spec, buckets=BUCKETS[:1])) == ""
    many = tuple(f"pgbk-{n:012}-{NUMBER}-eu-west-1-an" for n in range(60))
    refusal = AWS.access.refusal(replace(spec, buckets=many))
    fit = next(n for n in range(60) if f"has room for {n} of them" in refusal)
    assert refusal.startswith("60 stores are too many for one cluster: ")
    assert fit > 20
    fits, one_too_many = (replace(spec, buckets=many[:n]) for n in (fit, fit + 1))
    assert AWS.access.refusal(fits) == ""
    assert AWS.access.refusal(one_too_many) != ""
    run(AWS.access.grant, fits)
    with pytest.raises(Failed, match="longer than AWS allows"):
        run(AWS.access.grant, one_too_many)


@pytest.mark.parametrize("length", range(4, 64))
def test_access_refusal_counts_as_aws_does(spec, length):
    many = tuple(f"{n:0{length}}" for n in range(60))
    counts = [len(json.dumps(AWS.access.policy(replace(spec, buckets=many[:n]))).replace(" ", "")) for n in range(61)]
    fit = sum(count <= 10_240 for count in counts) - 1
    assert f"has room for {fit} of them" in AWS.access.refusal(replace(spec, buckets=many))
    assert AWS.access.refusal(replace(spec, buckets=many[:fit])) == ""


# --- The console's own policy ---------------------------------------------------------------------------------------


def test_statements_allow_every_call_that_the_plans_make(amazon, spec):
    run(AWS.access.grant, spec)
    aws_session.iam_client(spec.account).delete_role_permissions_boundary(RoleName=NAME)
    amazon.calls.clear()
    for plan in (AWS.access.grant, AWS.access.revoke, AWS.access.delete, AWS.access.grant, AWS.access.delete):
        run(plan, spec)
    made = {call.operation for call in amazon.calls}
    assert made == set(IAM_ACTIONS)
    policy = [one for one in aws_session.statements(NUMBER)["Statement"] if one["Effect"] == "Allow"]
    for operation in made:
        for action in ACTIONS[operation]:
            resource = PROFILE_ARN if "InstanceProfile" in action else ROLE_ARN
            allowed = [arn for one in policy if action in as_list(one["Action"]) for arn in as_list(one["Resource"])]
            assert any(fnmatchcase(resource, arn) for arn in allowed)


READ_ACTIONS = {
    *("iam:GetRole", "iam:GetInstanceProfile", "iam:SimulatePrincipalPolicy"),
    *("iam:GetPolicy", "iam:GetPolicyVersion"),
}


def test_statements_let_the_console_change_only_what_is_below_its_path():
    for partition, service in (("aws", "ec2.amazonaws.com"), ("aws-cn", "ec2.amazonaws.com.cn")):
        below, handed_over = 0, 0
        for one in aws_session.statements(NUMBER, partition)["Statement"]:
            if one["Effect"] == "Deny":
                continue
            actions = as_list(one["Action"])
            if not actions[0].startswith("iam:"):
                assert not [action for action in actions if action.startswith("iam:")]
            elif not set(actions) <= READ_ACTIONS:
                iam = f"arn:{partition}:iam::{NUMBER}"
                assert set(as_list(one["Resource"])) <= {f"{iam}:role/pgbk/*", f"{iam}:instance-profile/pgbk/*"}
                below += 1
            if "iam:PassRole" in actions:
                assert actions == ["iam:PassRole"]
                assert one["Condition"] == {"StringEquals": {"iam:PassedToService": service}}
                handed_over += 1
        assert below >= 1
        assert handed_over == 1


@pytest.mark.parametrize("global_names", [False, True])
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
def test_statements_fit_a_managed_policy(partition, global_names):
    policy = aws_session.statements(NUMBER, partition, global_names=global_names)
    assert (
        len(json.dumps(policy, separators=(",", ":"))) <= 6144
    )  # "IAM and AWS STS quotas"; an inline policy of a user has less room


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_reset_of_the_emulator_forgets_the_nodes_roles_alone(amazon, iam, spec):
    run(AWS.access.grant, spec)
    make_foreign_role(iam, name="kept")
    amazon.reset()
    assert state(iam) == GONE
    assert read(iam.get_role, RoleName="kept") != "NoSuchEntity"
    iam.delete_role(RoleName="kept")
