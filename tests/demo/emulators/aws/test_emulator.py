"""Each rule of the emulator, once allowed and once refused."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto.core.utils import utcnow
from moto.sts.models import sts_backends

from console.demo.emulators.aws.calls import find_bucket
from console.demo.emulators.aws.emulator import Emulator

HOME, OTHER = Emulator.account_id, "210987654321"
BUCKET, LOGS = "pgbk-one", "pgbk-one-log"


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    emulator = Emulator().start()
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    yield running
    running.latency_ms = 0
    running.reset()


@pytest.fixture(scope="module")
def other_key(running: Emulator) -> tuple[str, str]:
    return running.add_account(OTHER)


def client(
    service: str,
    emulator: Emulator,
    region: str = "eu-west-1",
    key: tuple[str, ...] = (Emulator.access_key_id, Emulator.secret_access_key),
    **config: Any,
) -> Any:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=emulator.url,
        config=Config(retries={"total_max_attempts": 1}, **config),
        **dict(zip(names, key, strict=False)),
    )


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    return client("s3", emulator)


@pytest.fixture
def stranger(emulator: Emulator, other_key: tuple[str, str]) -> Any:
    return client("s3", emulator, key=other_key)


def refused(call: Any, /, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def configuration(region: str = "eu-west-1", **tags: str) -> dict[str, Any]:
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    return {
        "CreateBucketConfiguration": place | {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    }


def deny_insecure(bucket: str) -> dict[str, Any]:
    arn = f"arn:aws:s3:::{bucket}"
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": condition,
    }


def allow_logs(source: str, target: str, account: str = HOME) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": account},
        },
    }


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def logging_to(target: str) -> dict[str, Any]:
    key_format = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    return {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "access/", "TargetObjectKeyFormat": key_format}}


def test_create_bucket_keeps_the_tags_it_was_given(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration(store="1", name="Main"))
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert tags == {"store": "1", "name": "Main"}


def test_create_bucket_forgets_the_tags_of_a_deleted_namesake(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration(store="1"))
    s3.delete_bucket(Bucket=BUCKET)
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(s3.get_bucket_tagging, Bucket=BUCKET) == (404, "NoSuchTagSet")


def test_create_bucket_gives_the_defaults_of_2023(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    ownership = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_create_bucket_twice_in_us_east_1_changes_nothing(emulator: Emulator) -> None:
    s3 = client("s3", emulator, "us-east-1")
    s3.create_bucket(Bucket=BUCKET, **configuration("us-east-1", store="1"))
    s3.create_bucket(Bucket=BUCKET, ObjectOwnership="ObjectWriter", **configuration("us-east-1", store="2"))
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "store", "Value": "1"}]
    rules = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_create_bucket_twice_elsewhere_is_refused(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (409, "BucketAlreadyOwnedByYou")


def test_create_bucket_refuses_another_accounts_name(s3: Any, stranger: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(stranger.create_bucket, Bucket=BUCKET, **configuration()) == (409, "BucketAlreadyExists")


def test_create_bucket_refuses_the_region_us_east_1_as_a_constraint(emulator: Emulator) -> None:
    s3 = client("s3", emulator, "us-east-1")
    constraint = {"CreateBucketConfiguration": {"LocationConstraint": "us-east-1"}}
    assert refused(s3.create_bucket, Bucket=BUCKET, **constraint) == (400, "InvalidLocationConstraint")


def test_create_bucket_refuses_an_unknown_region(emulator: Emulator) -> None:
    s3 = client("s3", emulator, "eu-west-9")
    refusal = refused(s3.create_bucket, Bucket=BUCKET, **configuration("eu-west-9"))
    assert refusal == (400, "InvalidLocationConstraint")


@pytest.mark.parametrize("name", ["Bad_Name", "ab", "xn--store", "store-s3alias", "192.168.5.4", "a..b", "-store"])
def test_bucket_name_refuses(s3: Any, name: str) -> None:
    assert refused(s3.create_bucket, Bucket=name, **configuration()) == (400, "InvalidBucketName")


def test_namespace_allows_the_callers_account_and_region(s3: Any) -> None:
    name = f"pgbk-one-{HOME}-eu-west-1-an"
    s3.create_bucket(Bucket=name, BucketNamespace="account-regional", **configuration())
    s3.head_bucket(Bucket=name, ExpectedBucketOwner=HOME)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (f"pgbk-one-{HOME}-eu-west-1-an", {}),
        (f"pgbk-one-{OTHER}-eu-west-1-an", {"BucketNamespace": "account-regional"}),
        (f"pgbk-one-{HOME}-eu-west-2-an", {"BucketNamespace": "account-regional"}),
    ],
)
def test_namespace_refuses(s3: Any, name: str, arguments: dict[str, str]) -> None:
    refusal = refused(s3.create_bucket, Bucket=name, **arguments, **configuration())
    assert refusal == (400, "InvalidNamespaceHeader")


def test_owner_refuses_another_accounts_bucket(s3: Any, stranger: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(stranger.get_bucket_tagging, Bucket=BUCKET) == (403, "AccessDenied")
    assert refused(stranger.head_bucket, Bucket=BUCKET) == (403, "403")
    assert refused(stranger.delete_bucket, Bucket=BUCKET) == (403, "AccessDenied")
    s3.delete_bucket(Bucket=BUCKET)


def test_owner_refuses_a_bucket_that_the_expected_owner_has_not(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.list_objects_v2(Bucket=BUCKET, ExpectedBucketOwner=HOME)
    refusal = refused(s3.list_objects_v2, Bucket=BUCKET, ExpectedBucketOwner=OTHER)
    assert refusal == (403, "AccessDenied")


def test_acls_are_refused_unless_turned_on(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(s3.put_bucket_acl, Bucket=BUCKET, ACL="private") == (400, "AccessControlListNotSupported")
    refusal = refused(s3.put_object, Bucket=BUCKET, Key="k", ACL="public-read")
    assert refusal == (400, "AccessControlListNotSupported")
    refusal = refused(s3.create_bucket, Bucket="pgbk-two", ACL="public-read", **configuration())
    assert refusal == (400, "InvalidBucketAclWithObjectOwnership")
    s3.create_bucket(Bucket="pgbk-two", ObjectOwnership="ObjectWriter", **configuration())
    s3.put_bucket_acl(Bucket="pgbk-two", ACL="private")


def test_policy_refuses_what_is_malformed_or_public(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    assert refused(s3.put_bucket_policy, Bucket=BUCKET, Policy="no") == (400, "MalformedPolicy")
    refusal = refused(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy(deny_insecure("pgbk-two")))
    assert refusal == (400, "MalformedPolicy")
    assert refused(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy(public)) == (403, "AccessDenied")
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny_insecure(BUCKET)))


def test_policy_for_tls_only_allows_objects_and_is_read_back_whole(s3: Any) -> None:
    document = policy(deny_insecure(BUCKET))
    s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_bucket_policy(Bucket=BUCKET, Policy=document)
    s3.put_object(Bucket=BUCKET, Key="some/key", Body=b"data")
    assert s3.get_object(Bucket=BUCKET, Key="some/key")["Body"].read() == b"data"
    assert s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "some/key"}]})["Deleted"]
    assert s3.get_bucket_policy(Bucket=BUCKET)["Policy"] == document


def test_policy_that_denies_without_condition_refuses_objects(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    deny = {key: value for key, value in deny_insecure(BUCKET).items() if key != "Condition"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny))
    assert refused(s3.put_object, Bucket=BUCKET, Key="k")[0] == 403


def test_logging_is_read_back_whole_and_delivered(s3: Any) -> None:
    for bucket in (LOGS, BUCKET):
        s3.create_bucket(Bucket=bucket, **configuration())
    s3.put_bucket_policy(Bucket=LOGS, Policy=policy(deny_insecure(LOGS), allow_logs(BUCKET, LOGS)))
    s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus=logging_to(LOGS))
    answer = s3.get_bucket_logging(Bucket=BUCKET)
    assert {"LoggingEnabled": answer["LoggingEnabled"]} == logging_to(LOGS)
    s3.list_objects_v2(Bucket=BUCKET)
    assert s3.list_objects_v2(Bucket=LOGS, Prefix="access/")["KeyCount"]
    s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=BUCKET)


def test_logging_refuses_a_target_that_does_not_permit_it(s3: Any) -> None:
    arguments = {"Bucket": BUCKET, "BucketLoggingStatus": logging_to(LOGS)}
    invalid = (400, "InvalidTargetBucketForLogging")
    s3.create_bucket(Bucket=BUCKET, **configuration())
    assert refused(s3.put_bucket_logging, **arguments) == invalid
    s3.create_bucket(Bucket=LOGS, **configuration())
    for statement in (deny_insecure(LOGS), allow_logs("pgbk-two", LOGS), allow_logs(BUCKET, LOGS, OTHER)):
        s3.put_bucket_policy(Bucket=LOGS, Policy=policy(statement))
        assert refused(s3.put_bucket_logging, **arguments) == invalid


def test_logging_refuses_another_region(emulator: Emulator, s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    client("s3", emulator, "eu-west-2").create_bucket(Bucket=LOGS, **configuration("eu-west-2"))
    refusal = refused(s3.put_bucket_logging, Bucket=BUCKET, BucketLoggingStatus=logging_to(LOGS))
    assert refusal == (403, "CrossLocationLoggingProhibited")


def in_parallel(*calls: Any) -> list[str]:
    """Return each call's error code, or "" when it was allowed."""
    codes: list[str] = []

    def run(call: Any) -> None:
        try:
            call()
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


def test_configuration_writes_on_one_bucket_conflict(emulator: Emulator, s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    emulator.latency_ms = 100
    codes = in_parallel(
        lambda: s3.put_bucket_tagging(Bucket=BUCKET, Tagging=tagging),
        lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(deny_insecure(BUCKET))),
        lambda: s3.get_bucket_location(Bucket=BUCKET),
    )
    assert codes == ["", "", "OperationAborted"]
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging=tagging)


def test_configuration_writes_on_two_buckets_overlap(emulator: Emulator, s3: Any) -> None:
    emulator.latency_ms = 200
    start = time.monotonic()
    calls = [lambda name=f"pgbk-{n}": s3.create_bucket(Bucket=name, **configuration()) for n in range(8)]
    assert set(in_parallel(*calls)) == {""}
    assert 0.2 < time.monotonic() - start < 1


def test_caller_identity_is_the_keys_account(emulator: Emulator, other_key: tuple[str, str]) -> None:
    assert client("sts", emulator).get_caller_identity()["Account"] == HOME
    assert client("sts", emulator, key=other_key).get_caller_identity()["Account"] == OTHER


def test_caller_refuses_unknown_keys(emulator: Emulator) -> None:
    unknown = ("AKIAUNKNOWNUNKNOWN12", "secret")
    assert refused(client("s3", emulator, key=unknown).list_buckets) == (403, "InvalidAccessKeyId")
    assert refused(client("sts", emulator, key=unknown).get_caller_identity) == (403, "InvalidClientTokenId")


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


def test_request_id_is_on_every_answer(emulator: Emulator, s3: Any) -> None:
    created = s3.create_bucket(Bucket=BUCKET, **configuration())["ResponseMetadata"]
    assert created["RequestId"] == created["HTTPHeaders"]["x-amz-request-id"]
    assert created["HostId"]
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_policy(Bucket=BUCKET)
    failed = caught.value.response["ResponseMetadata"]
    assert failed["RequestId"] == failed["HTTPHeaders"]["x-amz-request-id"] != created["RequestId"]
    answered = client("sts", emulator).get_caller_identity()["ResponseMetadata"]
    assert answered["RequestId"] == answered["HTTPHeaders"]["x-amzn-requestid"]


def test_inject_before_does_nothing_so_many_times(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", code="SlowDown", status=503, message="Slow down", bucket=BUCKET, times=2)
    s3.create_bucket(Bucket=LOGS, **configuration())
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    s3.create_bucket(Bucket=BUCKET, **configuration())


def test_inject_after_answers_the_error_though_it_is_done(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="after")
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (500, "InternalError")
    s3.head_bucket(Bucket=BUCKET)


def test_inject_drop_answers_nothing_though_it_is_done(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="drop")
    with pytest.raises(ConnectionClosedError):
        s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.head_bucket(Bucket=BUCKET)
    assert emulator.calls == [("CreateBucket", BUCKET, 0), ("HeadBucket", BUCKET, 200)]


def test_inject_hang_answers_late(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="hang", seconds=0.6)
    hasty = client("s3", emulator, read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        hasty.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": []})
    time.sleep(0.5)
    assert ("CreateBucket", BUCKET, 200) in emulator.calls


def test_inject_refuses_another_moment(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="between"):
        emulator.inject("CreateBucket", when="between")


def test_calls_count_by_operation_and_bucket(emulator: Emulator, s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "abort",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
    )
    s3.list_object_versions(Bucket=BUCKET)
    s3.list_multipart_uploads(Bucket=BUCKET)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload)
    s3.put_object(Bucket=BUCKET, Key="k")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}]})
    s3.delete_bucket(Bucket=BUCKET)
    assert [(call.operation, call.status) for call in emulator.calls] == [
        ("CreateBucket", 200),
        ("PutBucketLifecycleConfiguration", 200),
        ("ListObjectVersions", 200),
        ("ListMultipartUploads", 200),
        ("CreateMultipartUpload", 200),
        ("UploadPart", 200),
        ("AbortMultipartUpload", 204),
        ("PutObject", 200),
        ("CopyObject", 200),
        ("DeleteObjects", 200),
        ("DeleteBucket", 204),
    ]
    assert Counter(call.bucket for call in emulator.calls) == {BUCKET: 11}


def test_buckets_are_found_in_the_host_name_too(emulator: Emulator) -> None:
    client("s3", emulator).create_bucket(Bucket=BUCKET, **configuration())
    connection = f"{BUCKET}.s3.eu-west-1.amazonaws.com"
    s3 = client("s3", emulator)
    s3.meta.events.register("before-sign.s3", lambda request, **_: request.headers.add_header("Host", connection))
    s3.meta.events.register("before-sign.s3", lambda request, **_: setattr(request, "url", f"{emulator.url}/?tagging"))
    assert refused(s3.get_bucket_tagging, Bucket="ignored-name") == (404, "NoSuchTagSet")
    assert emulator.calls[-1] == ("GetBucketTagging", BUCKET, 404)


def test_buckets_are_listed_page_by_page_with_their_regions_when_asked_for_some(
    emulator: Emulator, s3: Any, stranger: Any
) -> None:
    names = [f"paged-{number}" for number in range(5)]
    for name in (*names, "other-bucket"):
        s3.create_bucket(Bucket=name, **configuration())
    stranger.create_bucket(Bucket="paged-theirs", **configuration())
    assert all("BucketRegion" not in one for one in s3.list_buckets()["Buckets"])
    seen: list[Any] = []
    token: dict[str, str] = {}
    pages = 0
    while token or not pages:
        page = s3.list_buckets(Prefix="paged-", MaxBuckets=2, **token)
        seen += page["Buckets"]
        token = {"ContinuationToken": page["ContinuationToken"]} if "ContinuationToken" in page else {}
        pages += 1
    assert pages == 3
    assert [one["Name"] for one in seen] == names
    assert {one["BucketRegion"] for one in seen} == {"eu-west-1"}
    assert s3.list_buckets(BucketRegion="us-west-2")["Buckets"] == []


def test_reset_forgets_buckets_faults_and_calls_but_no_accounts(
    emulator: Emulator, s3: Any, other_key: tuple[str, str]
) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    emulator.inject("ListBuckets")
    emulator.reset()
    assert emulator.calls == []
    assert s3.list_buckets()["Buckets"] == []
    assert client("sts", emulator, key=other_key).get_caller_identity()["Account"] == OTHER


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "console.demo.emulators.aws.emulator", "--latency", "5", "--watch-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_command_serves_until_terminated_and_is_steered_over_http(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    line = process.stdout.readline().strip()
    assert line.startswith("Amazon, emulated, on http://127.0.0.1:")
    remote = Emulator()
    remote.url = line.rpartition(" ")[2]

    def steer(method: str, path: str, data: object = None) -> Any:
        body = json.dumps(data).encode()
        request = urllib.request.Request(f"{remote.url}/_emulator/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    account = steer("POST", "accounts", {"account_id": OTHER})
    s3 = client("s3", remote, key=(account["access_key_id"], account["secret_access_key"]))
    steer("POST", "faults", {"operation": "CreateBucket", "code": "SlowDown", "status": 503})
    assert [fault["code"] for fault in steer("GET", "faults")] == ["SlowDown"]
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    assert steer("GET", "calls") == [{"operation": "CreateBucket", "bucket": BUCKET, "status": 503}]
    steer("DELETE", "calls")
    assert steer("GET", "calls") == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_unfinished_uploads_are_listed_page_by_page(emulator: Emulator) -> None:
    s3 = client("s3", emulator)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    made = {(key, s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]) for key in ("b", "a", "b", "b", "c")}
    whole = s3.list_multipart_uploads(Bucket=BUCKET)
    assert (len(whole["Uploads"]), whole["IsTruncated"]) == (5, False)
    for size in (1, 2, 5):
        pages = list(s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET, MaxUploads=size))
        listed = [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]]
        assert listed == sorted(made)
        assert len(pages) == -(-5 // size)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET, KeyMarker="c")


def test_a_request_that_ends_in_the_middle_of_its_body_changes_nothing(amazon):
    """As of a client that was killed: in us-east-1 no body at all would be a bucket without tags."""
    host, port = amazon.url.removeprefix("http://").split(":")
    credential = f"{amazon.access_key_id}/20261101/us-east-1/s3/aws4_request"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            f"PUT /half-a-request HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 300\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={credential}\r\n\r\n".encode()
        )
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert find_bucket("half-a-request") is None
