"""The emulator knows whose key it is, and which roles that account may assume."""

import urllib.request
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from moto.core.utils import utcnow
from moto.sts.models import sts_backends

from console.demo.emulators.aws.emulator import Emulator
from tests.demo.emulators.aws.clients import BUCKET, HOME, OTHER, client, configuration, policy, refused


def test_caller_identity_is_the_keys_account(emulator: Emulator, other_key: tuple[str, str]) -> None:
    assert client("sts", emulator).get_caller_identity()["Account"] == HOME
    assert client("sts", emulator, key=other_key).get_caller_identity()["Account"] == OTHER


def test_caller_refuses_unknown_keys(emulator: Emulator) -> None:
    unknown = ("AKIAUNKNOWNUNKNOWN12", "secret")
    assert refused(client("s3", emulator, key=unknown).list_buckets) == (403, "InvalidAccessKeyId")
    assert refused(client("sts", emulator, key=unknown).get_caller_identity) == (403, "InvalidClientTokenId")


def test_caller_refuses_a_key_with_another_secret(emulator: Emulator, role_arn: str, stranger: Any) -> None:
    key, *token = assumed(emulator, role_arn)[::2]
    for wrong in ((Emulator.access_key_id, "wrong"), (key, "wrong", *token)):
        assert refused(client("s3", emulator, key=wrong).list_buckets) == (403, "SignatureDoesNotMatch")
        assert refused(client("sts", emulator, key=wrong).get_caller_identity) == (403, "SignatureDoesNotMatch")
    assert refused(client("iam", emulator, "us-east-1", wrong).list_roles) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("key", ["plain", "a b+c&d=e/ü~(*)%41", "/begins//and/ends/"])
def test_caller_may_name_whatever_objects(emulator: Emulator, key: str) -> None:
    s3 = client("s3", emulator, signature_version="s3v4")
    s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"content", Metadata={"note": "two  spaces"})
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"]] == [key]
    signed = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key})
    with urllib.request.urlopen(signed, timeout=5) as answer:
        assert answer.read() == b"content"
    s3.delete_object(Bucket=BUCKET, Key=key)


@pytest.fixture(scope="module")
def role_arn(running: Emulator, other_key: tuple[str, str]) -> str:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{HOME}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "right-id"}},
    }
    iam = client("iam", running, "us-east-1", other_key)
    role = iam.create_role(RoleName="storekeeper", AssumeRolePolicyDocument=policy(trust))
    allowed = policy({"Effect": "Allow", "Action": "s3:CreateBucket", "Resource": "arn:aws:s3:::*"})
    iam.put_role_policy(RoleName="storekeeper", PolicyName="create", PolicyDocument=allowed)
    return str(role["Role"]["Arn"])


def assumed(emulator: Emulator, role_arn: str) -> tuple[str, ...]:
    arguments = {"RoleArn": role_arn, "RoleSessionName": "test", "ExternalId": "right-id"}
    keys = client("sts", emulator).assume_role(**arguments)["Credentials"]
    return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]


def test_assume_role_lands_in_the_roles_account(emulator: Emulator, role_arn: str, stranger: Any) -> None:
    key = assumed(emulator, role_arn)
    assert client("sts", emulator, key=key).get_caller_identity()["Account"] == OTHER
    client("s3", emulator, key=key).create_bucket(Bucket=BUCKET, **configuration())
    stranger.head_bucket(Bucket=BUCKET, ExpectedBucketOwner=OTHER)


@pytest.mark.parametrize("external_id", [{}, {"ExternalId": "wrong-id"}])
def test_assume_role_refuses_without_the_external_id(
    emulator: Emulator, role_arn: str, external_id: dict[str, str]
) -> None:
    sts = client("sts", emulator)
    refusal = refused(sts.assume_role, RoleArn=role_arn, RoleSessionName="test", **external_id)
    assert refusal == (403, "AccessDenied")


def test_assume_role_refuses_callers_that_are_not_trusted(
    emulator: Emulator, role_arn: str, other_key: tuple[str, str]
) -> None:
    sts = client("sts", emulator, key=other_key)
    arguments = {"RoleArn": role_arn, "RoleSessionName": "test", "ExternalId": "right-id"}
    assert refused(sts.assume_role, **arguments) == (403, "AccessDenied")


TRUSTED = {"Principal": {"AWS": f"arn:aws:iam::{HOME}:root"}}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([TRUSTED], ""),
        ([{"Principal": "*"}], ""),
        ([{"Principal": {"AWS": HOME}}], ""),
        ([{"Principal": {"AWS": [f"arn:aws:iam::{OTHER}:root", HOME]}}], ""),
        ([{"Principal": {"AWS": f"arn:aws:iam::{HOME}:user/nobody"}}], "AccessDenied"),
        ([{"Principal": {"AWS": f"arn:aws:iam::{HOME}:r*"}}], "AccessDenied"),  # no wildcards but the lone one
        ([{"Principal": {"Service": "ec2.amazonaws.com"}}], "AccessDenied"),
        ([TRUSTED | {"Action": "sts:TagSession"}], "AccessDenied"),
        ([TRUSTED | {"Action": ["sts:*"]}], ""),
        ([TRUSTED | {"Condition": {"StringEquals": {"aws:PrincipalAccount": HOME}}}], ""),
        ([TRUSTED | {"Condition": {"StringEquals": {"aws:PrincipalAccount": OTHER}}}], "AccessDenied"),
        ([TRUSTED | {"Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{HOME}:user/admin*"}}}], ""),
        ([TRUSTED, TRUSTED | {"Effect": "Deny", "Condition": {"Null": {"sts:ExternalId": "true"}}}], "AccessDenied"),
        ([TRUSTED | {"Condition": {"StringEquals": {"STS:externalid": "any"}}}], "AccessDenied"),
    ],
)
def test_assume_role_judges_the_trust_policy(
    emulator: Emulator, other_key: tuple[str, str], statements: list[dict[str, Any]], expected: str
) -> None:
    iam, name = client("iam", emulator, "us-east-1", other_key), f"role-{uuid4()}"
    trust = policy(*({"Effect": "Allow", "Action": "sts:AssumeRole"} | one for one in statements))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    assume = client("sts", emulator).assume_role
    if expected:
        assert refused(assume, RoleArn=arn, RoleSessionName="test") == (403, expected)
    else:
        assume(RoleArn=arn, RoleSessionName="test")


def test_assume_role_of_another_account_needs_a_permission_too(emulator: Emulator, role_arn: str) -> None:
    iam, name = client("iam", emulator, "us-east-1"), f"user-{uuid4()}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    sts = client("sts", emulator, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    arguments = {"RoleArn": role_arn, "RoleSessionName": "test", "ExternalId": "right-id"}
    assert refused(sts.assume_role, **arguments) == (403, "AccessDenied")
    allow = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn})
    iam.put_user_policy(UserName=name, PolicyName="assume", PolicyDocument=allow)
    sts.assume_role(**arguments)


def test_assume_role_refuses_an_external_id_that_is_none(emulator: Emulator, role_arn: str) -> None:
    arguments = {"RoleArn": role_arn, "RoleSessionName": "test", "ExternalId": "a b"}
    assert refused(client("sts", emulator).assume_role, **arguments) == (400, "ValidationError")


def test_assume_role_refuses_unknown_roles_in_awss_words(emulator: Emulator) -> None:
    arn = f"arn:aws:iam::{OTHER}:role/nobody"
    with pytest.raises(ClientError, match=rf"User: arn:aws:iam::{HOME}:user/.* perform: sts:AssumeRole on .*{arn}"):
        client("sts", emulator).assume_role(RoleArn=arn, RoleSessionName="test")


def test_session_is_refused_once_it_ran_out(emulator: Emulator, role_arn: str) -> None:
    key = assumed(emulator, role_arn)
    session = sts_backends[OTHER]["aws"].get_assumed_role_from_access_key(key[0])
    assert session
    session.expiration = utcnow()
    assert refused(client("s3", emulator, key=key).list_buckets) == (400, "ExpiredToken")
