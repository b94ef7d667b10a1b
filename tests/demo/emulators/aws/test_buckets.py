"""The emulator's buckets are as strict as Amazon's: names, owners, policies, logging, conflicts."""

import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.demo.emulators.aws.emulator import Emulator
from tests.demo.emulators.aws.clients import BUCKET, HOME, LOGS, OTHER, client, configuration, policy, refused


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
    emulator.latency_ms = 500
    start = time.monotonic()
    calls = [lambda name=f"pgbk-{n}": s3.create_bucket(Bucket=name, **configuration()) for n in range(8)]
    assert set(in_parallel(*calls)) == {""}
    assert 0.5 < time.monotonic() - start < 3.5  # one after the other they take four seconds


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
