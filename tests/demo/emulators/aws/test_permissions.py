"""The emulator judges callers by their policies as AWS does."""

from __future__ import annotations

import json
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from console.demo.emulators.aws.permissions import Asked, judge, judge_call

BUCKET, ARN = "pgbk-judged", "arn:aws:s3:::pgbk-judged"


def allow(action="*", resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="*", resource="*", **more):
    return {**allow(action, resource, **more), "Effect": "Deny"}


def when(operator, **values):
    return {"Condition": {operator: {name.replace("_", ":"): value for name, value in values.items()}}}


RULES = [  # statements, what is asked on ARN with {"a:b": "one"}, the decision
    ([], "s3:GetObject", "implicitDeny"),
    ([allow()], "s3:GetObject", "allowed"),
    ([allow(), deny("s3:Get*")], "s3:GetObject", "explicitDeny"),
    ([allow("S3:getobject")], "s3:GetObject", "allowed"),
    ([allow("s3:Get?bject")], "s3:GetObject", "allowed"),
    ([allow("s3:Get")], "s3:GetObject", "implicitDeny"),
    ([allow("s3:GetObject", "arn:aws:s3:::pgbk-*")], "s3:GetObject", "allowed"),
    ([allow("s3:GetObject", "arn:aws:s3:::PGBK-*")], "s3:GetObject", "implicitDeny"),
    ([allow("s3:GetObject", f"{ARN}/*")], "s3:GetObject", "implicitDeny"),
    ([{"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "*"}], "s3:GetObject", "allowed"),
    ([{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}], "s3:GetObject", "implicitDeny"),
    ([{"Effect": "Allow", "Action": "*", "NotResource": ARN}], "s3:GetObject", "implicitDeny"),
    ([allow(**when("StringEquals", A_b="one"))], "s3:GetObject", "allowed"),
    ([allow(**when("StringEquals", a_b=["two", "one"]))], "s3:GetObject", "allowed"),
    ([allow(**when("StringEquals", a_b="two"))], "s3:GetObject", "implicitDeny"),
    ([allow(**when("StringEquals", a_c="one"))], "s3:GetObject", "implicitDeny"),
    ([allow(**when("StringEqualsIfExists", a_c="one"))], "s3:GetObject", "allowed"),
    ([allow(**when("StringNotEquals", a_b="one"))], "s3:GetObject", "implicitDeny"),
    ([allow(), deny(**when("StringNotEquals", a_c="one"))], "s3:GetObject", "explicitDeny"),
    ([allow(**when("StringLike", a_b="o*"))], "s3:GetObject", "allowed"),
    ([allow(**when("StringEquals", a_b="o*"))], "s3:GetObject", "implicitDeny"),
    ([allow(**when("StringEqualsIgnoreCase", a_b="ONE"))], "s3:GetObject", "allowed"),
    ([allow(**when("Null", a_c="true"))], "s3:GetObject", "allowed"),
    ([allow(**when("Null", a_b="true"))], "s3:GetObject", "implicitDeny"),
    ([allow(Condition={"StringLike": {"a:b": "o*"}, "Null": {"a:b": True}})], "s3:GetObject", "implicitDeny"),
]


@pytest.mark.parametrize(("statements", "action", "decision"), RULES)
def test_judge(statements, action, decision):
    assert judge(statements, Asked(action, ARN), {"a:b": "one"}) == decision


@pytest.mark.parametrize(
    "statement", [allow(**when("IpAddress", a_b="10.0.0.0/8")), allow(resource="${aws:username}"), allow(Principal="*")]
)
def test_judge_does_not_let_through_what_it_does_not_know(statement):
    with pytest.raises(NotImplementedError):
        judge([statement], Asked("s3:GetObject", ARN), {"a:b": "10.0.0.1"})


NONE, YES, NO = "implicitDeny", "allowed", "explicitDeny"
CALLS = [  # by its own policies, by its boundary, by the resource's policy, in its own account; the decision
    (YES, YES, "", True, YES),
    (YES, NONE, "", True, NONE),
    (NONE, YES, "", True, NONE),
    (NONE, YES, "itself", True, YES),
    (NONE, NONE, "itself", True, YES),  # a session that is named is beyond the boundary
    (NONE, NONE, "role", True, NONE),
    (NONE, YES, "role", True, YES),
    (NONE, YES, "account", True, NONE),
    (NONE, NO, "itself", True, NO),
    (YES, YES, NO, True, NO),
    (NO, YES, "itself", True, NO),
    (NONE, YES, "itself", False, NONE),
    (YES, YES, "account", False, YES),
    (YES, NONE, "itself", False, NONE),
]


@pytest.mark.parametrize(("own", "bound", "theirs", "at_home", "decision"), CALLS)
def test_judge_call(own, bound, theirs, at_home, decision):
    assert judge_call(own, bound, theirs, at_home=at_home) == decision


def test_a_boundary_that_is_gone_allows_nothing(amazon):
    iam = client(amazon, "iam", amazon.access_key_id, amazon.secret_access_key)
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow()]})
    bound = iam.create_policy(PolicyName=f"bound-{uuid4()}", PolicyDocument=document)["Policy"]["Arn"]
    name, trust = f"bounded-{uuid4()}", {**allow("sts:AssumeRole"), "Principal": {"AWS": amazon.account_id}}
    del trust["Resource"]
    with pytest.raises(ClientError, match="does not exist or is not attachable"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, PermissionsBoundary=f"{bound}-not")
    trusts = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts, PermissionsBoundary=bound)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document)
    sts = client(amazon, "sts", amazon.access_key_id, amazon.secret_access_key)
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    keys = {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }
    s3 = boto3.client("s3", endpoint_url=amazon.url, region_name="us-east-1", **keys)
    assert s3.list_buckets()["Buckets"] == []
    iam.delete_policy(PolicyArn=bound)
    with pytest.raises(ClientError, match="because no permissions boundary allows"):
        s3.list_buckets()
    iam.delete_role_policy(RoleName=name, PolicyName="all")
    iam.delete_role(RoleName=name)


@pytest.fixture
def user(amazon):
    """A user, and a function that gives a policy."""
    iam = client(amazon, "iam", amazon.access_key_id, amazon.secret_access_key)
    name = f"user-{uuid4()}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]

    def give(*statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)

    return arn, (key["AccessKeyId"], key["SecretAccessKey"]), give


def client(amazon, service, key, secret):
    return boto3.client(
        service,
        endpoint_url=amazon.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def test_calls_are_refused_in_awss_words(amazon, user):
    arn, key, give = user
    s3 = client(amazon, "s3", *key)
    with pytest.raises(ClientError, match=f"{arn} is not authorized to perform: s3:CreateBucket on resource: {ARN} b"):
        s3.create_bucket(Bucket=BUCKET)
    give(allow("s3:CreateBucket", ARN))
    s3.create_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError, match="perform: s3:PutBucketOwnershipControls"):
        s3.create_bucket(Bucket=BUCKET, ObjectOwnership="BucketOwnerEnforced")
    give(allow("s3:*"), deny("s3:DeleteBucket"))
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        s3.delete_bucket(Bucket=BUCKET)
    assert client(amazon, "sts", *key).get_caller_identity()["Arn"] == arn  # which needs no permission


def test_naming_a_version_asks_for_another_action(amazon, user):
    _, key, give = user
    give(allow(["s3:CreateBucket", "s3:PutObject", "s3:DeleteObject"]))
    s3 = client(amazon, "s3", *key)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"")
    with pytest.raises(ClientError, match="s3:DeleteObjectVersion"):
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a", "VersionId": "null"}]})
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}]})
    assert Asked("s3:DeleteObject", f"{ARN}/a") in amazon.asked


def test_simulations_answer_as_the_calls_would(amazon, user):
    arn, key, give = user
    iam = client(amazon, "iam", *key)
    question = {
        "PolicySourceArn": arn,
        "ActionNames": ["s3:PutObject", "s3:DeleteObject"],
        "ResourceArns": [ARN],
        "ContextEntries": [{"ContextKeyName": "aws:b", "ContextKeyValues": ["one"], "ContextKeyType": "string"}],
    }
    with pytest.raises(ClientError, match="iam:SimulatePrincipalPolicy"):
        iam.simulate_principal_policy(**question)
    give(
        allow("iam:SimulatePrincipalPolicy", arn),
        allow("s3:PutObject", **when("StringEquals", aws_b="one")),
        allow("s3:DeleteObject", **when("StringEquals", aws_c="one")),
    )
    put, delete = iam.simulate_principal_policy(**question)["EvaluationResults"]
    assert (put["EvalActionName"], put["EvalResourceName"], put["EvalDecision"]) == ("s3:PutObject", ARN, "allowed")
    assert delete["EvalDecision"] == "implicitDeny"
    assert delete["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:c"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"PolicySourceArn": "arn:aws:iam::123456789012:root"}, "InvalidInput"),
        ({"PolicySourceArn": "arn:aws:sts::123456789012:assumed-role/a/session"}, "InvalidInput"),
        ({"PolicySourceArn": "arn:aws:iam::123456789012:role/nobody"}, "NoSuchEntity"),
        ({"ActionNames": ["s3:Put*"]}, "InvalidInput"),
    ],
)
def test_simulations_refuse_what_cannot_be_simulated(amazon, user, changed, code):
    iam = client(amazon, "iam", amazon.access_key_id, amazon.secret_access_key)
    question = {"PolicySourceArn": user[0], "ActionNames": ["s3:PutObject"], "ResourceArns": [ARN], **changed}
    with pytest.raises(ClientError) as raised:
        iam.simulate_principal_policy(**question)
    assert raised.value.response["Error"]["Code"] == code
