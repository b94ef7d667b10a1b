"""What preflight finds missing in a role's permissions."""

from __future__ import annotations

import json
from contextlib import contextmanager
from uuid import uuid4

import pytest

from console.clouds.aws import permissions as aws_permissions
from console.clouds.aws import session as aws_session
from console.clouds.aws.boundary import BOUNDARY
from console.clouds.specs import AccountRef
from console.demo.emulators.aws.emulator import Emulator
from console.demo.emulators.aws.permissions import as_list
from tests.clouds.aws_accounts import drop_boundary, make_boundary
from tests.clouds.policies.roles import ACCOUNT, ARN, AWS, NUMBER, ROLE, allowed, document, give, without
from tests.sampling import THOROUGH


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
    statements, kept = [], role
    at_once = 1 if THOROUGH else 6  # all of which have to be found
    for number in range(0, len(actions), at_once):
        missing, lacking = sorted(actions)[number : number + at_once], role
        for action in missing:
            lacking, kept = without(lacking, action), without(kept, action)
        give(lacking)
        lines = [one for one in checked().values() if one.outcome == "fail"]
        assert sorted(one.label for one in lines) == missing
        assert all(one.without for one in lines)
        statements += [json.loads(one.statement) for one in lines]
        assert sorted(one["Action"] for one in statements[number:]) == missing
    # What it says to add is enough, also where all of it is missing.
    give(kept, added=document(*statements))
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
    amazon.clear_faults()
    assert outcomes(checked(), "fail") == set()
