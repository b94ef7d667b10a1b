"""What the AWS provider does, against the strict emulator; what all providers do alike: test_contract.py."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto.sts.models import sts_backends

from console.clouds import CLOUDS
from console.clouds.aws import session as aws_session
from console.clouds.contract import AccountRef, LinkError, StoreSpec
from console.clouds.s3api import buckets, clients
from console.clouds.steps import Conflict, Failed, NotReady, Refused, StepError, TooLate
from console.demo.emulators.aws.emulator import Emulator
from tests.clouds import plans
from tests.clouds.aws_accounts import NUMBER, SECRET, key_account
from tests.clouds.plans import run, steps

STRANGER = "999999999999"
AWS = CLOUDS["aws"]
REGIONS = ("eu-west-1", "us-east-1", "me-south-1")  # usual; answers 200 to a second creation; without the namespace
READS = {"GetBucketTagging", "ListBuckets", "ListObjectVersions", "ListMultipartUploads", "GetBucketLogging"}


def role_account(arn, external_id="8c1f"):
    return AccountRef(uuid4(), NUMBER, "aws", {"role_arn": arn, "external_id": external_id}, {})


def make_spec(region="eu-west-1", *, account=None, complete=False, provider=AWS):
    account, store_id = account or key_account(), uuid4()
    bucket, log_bucket = provider.storage.names(store_id, region, account.number)
    return StoreSpec(store_id, "Orders (EU)", account, region, bucket, log_bucket, complete)


def s3(spec):
    return aws_session.s3_client(spec.account, spec.region)


def other_client(region, key, secret):
    return boto3.client("s3", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret)


def make_bucket(client, name, region, **tags):
    configuration = {} if region == "us-east-1" else {"LocationConstraint": region}
    if tags:
        configuration["Tags"] = [{"Key": key.replace("_", ":", 1), "Value": value} for key, value in tags.items()]
    more = {"CreateBucketConfiguration": configuration} if configuration else {}
    if name.endswith("-an"):
        more["BucketNamespace"] = "account-regional"
    client.create_bucket(Bucket=name, **more)


def names(spec):
    return {one["Name"] for one in s3(spec).list_buckets()["Buckets"]}


def read(call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    answer.pop("ResponseMetadata")
    return answer


def bucket_state(client, bucket):
    return {
        name: read(getattr(client, name), Bucket=bucket)
        for name in (
            "get_bucket_tagging",
            "get_bucket_policy",
            "get_bucket_lifecycle_configuration",
            "get_bucket_logging",
            "get_bucket_ownership_controls",
            "get_bucket_location",
        )
    }


def state(spec):
    return {bucket: bucket_state(s3(spec), bucket) for bucket in (spec.bucket, spec.log_bucket)}


def settled(plan, spec, tries=4):
    """Run the plan as the engine does: again after each NotReady."""
    for _ in range(tries):
        try:
            return run(plan, spec)
        except NotReady:
            continue
    raise AssertionError("it never settled")


# --- Creating -------------------------------------------------------------------------------------------------------


def test_provision_is_seven_calls_in_four_rounds(amazon):
    run(plans.creation(AWS), make_spec())
    assert [call.operation for call in amazon.calls] == [
        *("CreateBucket", "CreateBucket", "PutBucketPolicy", "PutBucketPolicy"),
        *("PutBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "PutBucketLogging"),
    ]
    assert {call.status for call in amazon.calls} <= {200, 204}
    assert [len(stage) for stage in plans.creation(AWS)] == [2, 2, 2, 1]


def test_provision_reads_the_tags_first_in_us_east_1(amazon):
    run(plans.creation(AWS), make_spec("us-east-1"))
    assert len(amazon.calls) == 9
    assert sum(call.operation == "GetBucketTagging" for call in amazon.calls) == 2


def test_provision_runs_the_steps_of_a_round_at_once(amazon):
    spec = make_spec()
    with ThreadPoolExecutor() as pool:
        for stage in plans.creation(AWS):
            list(pool.map(lambda step: step.run(spec), stage))
    assert len(amazon.calls) == 7


@pytest.mark.parametrize("region", REGIONS)
def test_provision_leaves_what_the_specification_says(amazon, region):
    spec = make_spec(region)
    run(plans.creation(AWS), spec)
    found = state(spec)
    for bucket in (spec.bucket, spec.log_bucket):
        tags = {tag["Key"]: tag["Value"] for tag in found[bucket]["get_bucket_tagging"]["TagSet"]}
        assert tags == {
            "storekeeper:store-id": str(spec.id),
            "storekeeper:store-name": "Orders _EU_",
            "storekeeper:managed-by": "storekeeper",
        }
        rules = found[bucket]["get_bucket_ownership_controls"]["OwnershipControls"]["Rules"]
        assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert found[bucket]["get_bucket_location"].get("LocationConstraint") in (region, None)

    def policy(bucket):
        return json.loads(found[bucket]["get_bucket_policy"]["Policy"])["Statement"]

    tls, old = policy(spec.bucket)  # two, because the conditions of one statement are ANDed
    assert (tls["Effect"], old["Effect"]) == ("Deny", "Deny")
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert old["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    delivery, tls, _ = policy(spec.log_bucket)
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Resource"] == f"arn:aws:s3:::{spec.log_bucket}/*"
    assert delivery["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{spec.bucket}"},
        "StringEquals": {"aws:SourceAccount": NUMBER},
    }
    assert tls["Resource"] == [f"arn:aws:s3:::{spec.log_bucket}", f"arn:aws:s3:::{spec.log_bucket}/*"]
    [expiry] = found[spec.log_bucket]["get_bucket_lifecycle_configuration"]["Rules"]
    assert expiry["Expiration"]["Days"] == 90
    assert expiry["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    [abort] = found[spec.bucket]["get_bucket_lifecycle_configuration"]["Rules"]
    assert "Expiration" not in abort
    assert abort["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert found[spec.bucket]["get_bucket_logging"]["LoggingEnabled"] == {
        "TargetBucket": spec.log_bucket,
        "TargetPrefix": "access/",
        "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
    }


def test_bucket_names():
    store_id = UUID("00112233-4455-4677-8899-aabbccddeeff")
    bucket, log_bucket = AWS.storage.names(store_id, "eu-west-1", NUMBER)
    assert bucket == "pgbk-ezvk54zxpo74-123456789012-eu-west-1-an"
    assert log_bucket == bucket.replace(f"-{NUMBER}", f"-log-{NUMBER}")
    bucket, log_bucket = AWS.storage.names(store_id, "me-south-1", NUMBER)
    assert len(bucket) == 5 + 26
    assert log_bucket == f"{bucket}-log"
    china = replace(key_account(), partition="aws-cn")
    assert AWS.storage.identifier(china, "b") == "arn:aws-cn:s3:::b"


def test_tags_are_cleaned_and_cut(amazon):
    spec = replace(make_spec(), name="Zürich <prod>\n" + "x" * 300)
    plans.create(AWS, spec)
    tags = {tag["Key"]: tag["Value"] for tag in s3(spec).get_bucket_tagging(Bucket=spec.bucket)["TagSet"]}
    assert tags["storekeeper:store-name"].startswith("Zürich _prod__xxx")
    assert len(tags["storekeeper:store-name"]) == 256


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("tags", [{}, {"storekeeper_store-id": "another"}, {"team": "web"}])
@pytest.mark.parametrize("occupied", ["bucket", "log_bucket"])
def test_provision_never_touches_a_bucket_that_is_not_the_stores(amazon, region, tags, occupied):
    spec = make_spec(region)
    bucket = getattr(spec, occupied)
    make_bucket(s3(spec), bucket, region, **tags)
    before = bucket_state(s3(spec), bucket)
    amazon.calls.clear()
    with pytest.raises(Failed, match="exists in this account and does not belong to this store"):
        run(plans.creation(AWS), spec)
    assert {call.operation for call in amazon.calls if call.bucket == bucket and call.status < 300} <= READS
    assert bucket_state(s3(spec), bucket) == before
    run(plans.deletion(AWS), spec)  # the store is deletable, and the bucket stays
    assert names(spec) == {bucket}
    assert bucket_state(s3(spec), bucket) == before


@pytest.mark.parametrize("region", REGIONS)
def test_provision_never_touches_a_bucket_of_another_account(amazon, region):
    spec = replace(make_spec(region), bucket="pgbk-occupied", log_bucket="pgbk-occupied-log")
    stranger = other_client(region, *amazon.add_account(STRANGER))
    make_bucket(stranger, spec.bucket, region)
    before = bucket_state(stranger, spec.bucket)
    with pytest.raises(StepError) as raised:
        run(plans.creation(AWS), spec)
    if region != "us-east-1":  # where no store has a name outside its account's namespace
        assert isinstance(raised.value, Conflict)
        assert raised.value.details["bucket"] == spec.bucket
    run(plans.deletion(AWS), spec)
    assert names(spec) == set()
    assert bucket_state(stranger, spec.bucket) == before


def test_access_logging_repairs_its_target(amazon):
    spec = make_spec()
    run(plans.creation(AWS)[:3], spec)
    s3(spec).delete_bucket_policy(Bucket=spec.log_bucket)
    with pytest.raises(NotReady) as raised:
        plans.ensure(AWS, "logging", spec)
    assert raised.value.patience == 30
    plans.ensure(AWS, "logging", spec)


# --- Errors ---------------------------------------------------------------------------------------------------------


# The codes that the fault matrix does not walk (tests/faults/table.py).
ERRORS = [
    ("CreateBucket", "RequestLimitExceeded", 503, NotReady, 600, "slow down"),
    ("PutBucketPolicy", "ServiceUnavailable", 503, NotReady, 600, "slow down"),
    ("PutBucketPolicy", "Unheard", 500, NotReady, 600, "slow down"),
    ("PutBucketLogging", "CrossLocationLoggingProhibitted", 403, Failed, None, "is not in region eu-west-1"),
    ("CreateBucket", "AuthFailure", 401, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "AllAccessDisabled", 403, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "InvalidLocationConstraint", 400, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "InvalidAccessKeyId", 403, Failed, None, "Change its access key"),
    ("CreateBucket", "SignatureDoesNotMatch", 403, Failed, None, "Change its access key"),
    ("CreateBucket", "InvalidBucketName", 400, Failed, None, "fault in the console"),
    ("CreateBucket", "InvalidNamespaceHeader", 400, Failed, None, "fault in the console"),
    ("PutBucketPolicy", "MalformedPolicy", 400, Failed, None, "fault in the console"),
    ("CreateBucket", "SomethingNew", 400, Failed, None, "SomethingNew: The message"),
]


@pytest.mark.parametrize(("operation", "code", "status", "kind", "patience", "words"), ERRORS)
def test_errors_say_what_to_do(amazon, operation, code, status, kind, patience, words):
    spec = make_spec()
    amazon.inject(operation, code=code, status=status, message="The message of {AWS}", times=3)
    with pytest.raises(StepError) as raised:
        run(plans.creation(AWS), spec)
    error = raised.value
    assert type(error) is kind
    assert words in error.message
    assert getattr(error, "patience", None) == patience
    assert error.details["code"] == code
    assert error.details["request_id"]
    assert error.details["bucket"] in (spec.bucket, spec.log_bucket)
    assert SECRET not in str(error) + repr(error) + repr(error.details)


def test_errors_name_the_one_action_that_aws_names(amazon):
    message = "User: x is not authorized to perform: s3:TagResource on resource: y with an explicit deny in a service…"
    amazon.inject("CreateBucket", code="AccessDenied", status=403, message=message)
    with pytest.raises(Failed, match="explicit deny wins") as raised:
        run(plans.creation(AWS), make_spec())
    assert raised.value.details["action"] == "s3:TagResource"


def test_errors_of_the_network_are_tried_again(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match="no answer") as raised:
        plans.create(AWS, make_spec())
    assert raised.value.patience == 600


def test_errors_of_name_resolution_are_tried_again(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid")

    def no_resolver(*_, **__):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    with pytest.raises(NotReady, match="cannot find the address"):
        plans.create(AWS, make_spec())


# --- Deleting -------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(amazon):
    spec = make_spec(complete=True)
    run(plans.creation(AWS), spec)
    amazon.calls.clear()
    return spec


def empty(spec, bucket):
    client = s3(spec)
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    page = client.list_object_versions(Bucket=bucket)
    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def test_remove_deletes_the_backup_bucket_first(amazon, store):
    run(plans.deletion(AWS), store)
    assert [call.bucket for call in amazon.calls if call.operation == "DeleteBucket"] == [
        store.bucket,
        store.log_bucket,
    ]
    assert names(store) == set()


def test_remove_refuses_objects(amazon, store):
    for number in range(3):
        s3(store).put_object(Bucket=store.bucket, Key=f"k{number}", Body=b"1")
    before = state(store)
    with pytest.raises(Refused, match=r"holds 3 objects\. Empty it in AWS, then delete the store again") as raised:
        run(plans.deletion(AWS), store)
    assert raised.value.details["commands"].startswith(f"aws s3 rm s3://{store.bucket} --recursive")
    assert "delete-objects" not in raised.value.details["commands"]
    assert state(store) == before
    empty(store, store.bucket)
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_counts_versions_markers_and_uploads(amazon, store):
    client = s3(store)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "a", "b", "c", "d"):
        client.put_object(Bucket=store.bucket, Key=key, Body=b"1")
    client.delete_object(Bucket=store.bucket, Key="d")
    client.create_multipart_upload(Bucket=store.bucket, Key="e")
    with pytest.raises(Refused) as raised:
        run(plans.deletion(AWS), store)
    assert "holds 3 objects, 3 older versions, 1 delete marker and 1 unfinished upload." in raised.value.message
    assert "DeleteMarkers[]" in raised.value.details["commands"]
    assert "abort-multipart-upload" in raised.value.details["commands"]
    empty(store, store.bucket)
    run(plans.deletion(AWS), store)


def test_remove_refuses_unfinished_uploads(amazon, store):
    s3(store).create_multipart_upload(Bucket=store.bucket, Key="e")
    with pytest.raises(Refused, match="still holds 1 unfinished upload"):
        run(plans.deletion(AWS), store)


def test_remove_says_so_when_there_are_more(amazon, store, monkeypatch):
    monkeypatch.setattr(buckets, "PAGE", 2)
    for number in range(3):
        s3(store).put_object(Bucket=store.bucket, Key=f"k{number}", Body=b"1")
    with pytest.raises(Refused, match="still holds more than 2 objects"):
        run(plans.deletion(AWS), store)


def test_remove_turns_logging_on_again_when_a_backup_came_in_between(amazon, store):
    before = state(store)
    plans.check_empty(AWS, store)
    s3(store).put_object(Bucket=store.bucket, Key="late", Body=b"1")
    with pytest.raises(Refused, match="1 object"):
        plans.delete_backups(AWS, store)
    assert state(store) == before


def test_remove_turns_logging_on_again_after_a_deletion_that_got_stuck(amazon, store):
    before = state(store)
    amazon.inject("DeleteBucket", code="AccessDenied", status=403)
    with pytest.raises(Failed, match="s3:DeleteBucket"):
        run(plans.deletion(AWS), store)
    s3(store).put_object(Bucket=store.bucket, Key="late", Body=b"1")
    with pytest.raises(Refused):
        run(plans.deletion(AWS), store)
    assert state(store) == before


def test_remove_deletes_the_access_logs(amazon, store):
    client = s3(store)
    client.create_multipart_upload(Bucket=store.log_bucket, Key="m")
    for number in range(12):
        client.put_object(Bucket=store.log_bucket, Key=f"access/{number}", Body=b"1")
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_deletes_versioned_access_logs(amazon, store):
    client = s3(store)
    client.put_object(Bucket=store.log_bucket, Key="null", Body=b"1")
    client.put_bucket_versioning(Bucket=store.log_bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        client.put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    client.delete_object(Bucket=store.log_bucket, Key="a")
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_waits_for_late_logs(amazon, store):
    amazon.inject("DeleteBucket", code="BucketNotEmpty", status=409, bucket=store.log_bucket)
    with pytest.raises(NotReady, match="late access logs") as raised:
        run(plans.deletion(AWS), store)
    assert raised.value.patience == 3600
    run(plans.deletion(AWS), store)


@pytest.mark.parametrize("done", range(7))
def test_remove_after_a_half_made_creation(amazon, done):
    spec = make_spec()
    for step in steps(plans.creation(AWS))[:done]:
        step.run(spec)
    run(plans.deletion(AWS), spec)
    assert names(spec) == set()


def test_remove_without_the_backup_bucket(amazon, store):
    s3(store).delete_bucket(Bucket=store.bucket)
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_leaves_a_complete_stores_bucket_alone_when_its_tag_is_gone(amazon, store):
    s3(store).delete_bucket_tagging(Bucket=store.log_bucket)
    with pytest.raises(Failed, match=f"storekeeper:store-id={store.id}"):
        plans.delete_logs(AWS, store)
    assert store.log_bucket in names(store)


def test_remove_says_which_log_could_not_be_deleted(amazon, store):
    s3(store).put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    amazon.inject("DeleteObjects", code="AccessDenied", status=403)
    with pytest.raises(Failed) as raised:
        plans.delete_logs(AWS, store)
    assert json.loads(raised.value.details["statement"])["Resource"] == f"arn:aws:s3:::{store.log_bucket}/*"
    with Stubber(s3(store)) as answers:  # DeleteObjects answers 200 even when it deleted nothing
        tags = [{"Key": "storekeeper:store-id", "Value": str(store.id)}]
        answers.add_response("get_bucket_tagging", {"TagSet": tags})
        answers.add_response("list_object_versions", {"Versions": [{"Key": "a", "VersionId": "null"}]})
        refused = {"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}
        answers.add_response("delete_objects", {"Errors": [refused]})
        with pytest.raises(Failed, match="refused s3:DeleteObject"):
            plans.delete_logs(AWS, store)


def test_remove_goes_on_later_when_there_are_many_logs(amazon, store, monkeypatch):
    monkeypatch.setattr(buckets, "PAGES_PER_RUN", 1)
    s3(store).put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    with pytest.raises(NotReady, match="there are many"):
        plans.delete_logs(AWS, store)
    plans.delete_logs(AWS, store)


def test_restore_puts_logging_back_twice_over(amazon, store):
    before = state(store)
    amazon.inject("DeleteBucket", code="AccessDenied", status=403)
    with pytest.raises(Failed):
        run(plans.deletion(AWS), store)
    assert state(store) != before
    for _ in range(2):
        run(plans.cancellation(AWS), store)
        assert state(store) == before


@pytest.mark.parametrize("tag", ["", "another"])
def test_restore_touches_no_bucket_that_is_not_the_stores(amazon, store, tag):
    """Without its tag it cannot be told whose it is; with another's, the store's own bucket is gone."""
    s3(store).delete_bucket_tagging(Bucket=store.bucket)
    if tag:
        tags = [{"Key": "storekeeper:store-id", "Value": tag}]
        s3(store).put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tags})
    amazon.calls.clear()
    with pytest.raises(TooLate if tag else Failed):
        run(plans.cancellation(AWS), store)
    assert {call.operation for call in amazon.calls} <= READS


def test_remove_but_logs_leaves_nothing_that_takes_new_logs(amazon, store):
    for _ in range(2):
        run(plans.deletion_but_logs(AWS), store)
    assert names(store) == {store.log_bucket}
    assert not plans.clear_logs(AWS, store, False)
    empty(store, store.log_bucket)
    assert plans.clear_logs(AWS, store, True)
    assert plans.clear_logs(AWS, store, True)
    assert names(store) == set()


def test_remove_but_logs_after_a_half_made_creation(amazon):
    spec = make_spec()
    run(plans.deletion_but_logs(AWS), spec)
    assert plans.clear_logs(AWS, spec, False)  # there is none


# --- Accounts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def role(amazon, monkeypatch):
    """A role in the customer's account, whose trust policy can be set, and a console with an identity of its own."""
    key, secret = amazon.add_account("111111111111")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    iam = boto3.client(
        "iam", region_name="us-east-1", aws_access_key_id=Emulator.access_key_id, aws_secret_access_key=SECRET
    )

    def make(trust):
        name = f"console-{uuid4()}"
        permissions = json.dumps(aws_session.statements(NUMBER, principal=f"role/{name}"))
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="storekeeper", PolicyDocument=permissions)
        return arn

    clients.session.cache_clear()  # it would keep the identity that it found first
    yield make
    clients.session.cache_clear()


PRINCIPAL = "arn:aws:iam::111111111111:root"


def test_identify_with_an_access_key(amazon):
    identity = AWS.linking.identify(key_account(number=""))
    assert (identity.number, identity.partition) == (NUMBER, "aws")


@pytest.mark.parametrize(
    ("code", "field"),
    [("InvalidClientTokenId", "access_key_id"), ("SignatureDoesNotMatch", "secret_access_key"), ("Odd", "")],
)
def test_identify_says_what_is_wrong_with_a_key(amazon, code, field):
    amazon.inject("GetCallerIdentity", code=code, status=403, times=3)
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account())
    assert raised.value.field == field
    assert SECRET not in str(raised.value)


def test_identify_refuses_an_unknown_key(amazon):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account(key="AKIAUNKNOWNUNKNOWN00"))
    assert raised.value.field == "access_key_id"


@pytest.mark.parametrize(("key", "secret", "field"), [("", "x", "access_key_id"), ("x", "", "secret_access_key")])
def test_identify_asks_for_both_halves_of_a_key(amazon, key, secret, field):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account(key=key, secret=secret))
    assert raised.value.field == field


def test_identify_with_a_role(amazon, role):
    arn = role(aws_session.trust_policy("8c1f", PRINCIPAL))
    identity = AWS.linking.identify(role_account(arn))
    assert (identity.number, identity.partition) == (NUMBER, "aws")
    assert [call.operation for call in amazon.calls if call.operation == "AssumeRole"] == ["AssumeRole"] * 3
    assert [one.split(",")[0] for one in identity.proofs] == [
        "With the external ID",
        "Without an external ID",
        "With a wrong external ID",
    ]


def test_identify_refuses_a_role_that_does_not_ask_for_the_external_id(amazon, role):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    del trust["Statement"][0]["Condition"]
    with pytest.raises(LinkError, match="without an external ID") as raised:
        AWS.linking.identify(role_account(role(trust)))
    assert raised.value.field == "role_arn"
    assert '{"StringEquals": {"sts:ExternalId": "8c1f"}}' in str(raised.value)


@pytest.mark.parametrize(
    "condition",
    [
        {"Null": {"sts:ExternalId": "false"}},
        {"StringLike": {"sts:ExternalId": "*"}},
        {"StringNotEquals": {"sts:ExternalId": ""}, "Null": {"sts:ExternalId": "false"}},
    ],
)
def test_identify_refuses_a_role_that_takes_any_external_id(amazon, role, condition):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    trust["Statement"][0]["Condition"] = condition
    with pytest.raises(LinkError, match="with a wrong external ID") as raised:
        AWS.linking.identify(role_account(role(trust)))
    assert raised.value.field == "role_arn"


def test_identify_refuses_a_role_with_a_second_statement_that_is_open(amazon, role):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    trust["Statement"].append({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    with pytest.raises(LinkError, match="confused deputy"):
        AWS.linking.identify(role_account(role(trust)))


def test_identify_refuses_a_role_with_another_external_id(amazon, role):
    with pytest.raises(LinkError, match="trust policy") as raised:
        AWS.linking.identify(role_account(role(aws_session.trust_policy("other", PRINCIPAL))))
    assert raised.value.field == "role_arn"


def test_identify_does_not_take_a_failed_test_for_a_passed_one(amazon, role, monkeypatch):
    account = role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL)))
    assume = aws_session._assume

    def assume_without_luck(account, **external_id):
        if not external_id:
            amazon.inject("AssumeRole", code="Throttling", status=400, times=3)
        return assume(account, **external_id)

    monkeypatch.setattr(aws_session, "_assume", assume_without_luck)
    with pytest.raises(LinkError, match="Throttling") as raised:
        AWS.linking.identify(account)
    assert raised.value.passing


def test_identify_refuses_what_is_no_role(amazon):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(role_account("arn:aws:iam::123456789012:user/me"))
    assert raised.value.field == "role_arn"


def test_identify_says_that_the_console_has_no_identity(amazon):
    clients.session.cache_clear()
    account = role_account("arn:aws:iam::123456789012:role/console")
    with pytest.raises(LinkError, match="console itself has no AWS identity"):
        AWS.linking.identify(account)
    with pytest.raises(Failed, match="console itself has no AWS identity"):
        plans.create(AWS, make_spec(account=account))


def test_identify_without_a_network(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LinkError, match="no answer") as raised:
        AWS.linking.identify(key_account())
    assert raised.value.field == ""


def test_provision_with_a_role_assumes_it_once(amazon, role):
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    amazon.calls.clear()
    run(plans.creation(AWS), spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 1
    assert len(amazon.calls) == 8
    run(plans.deletion(AWS), spec)


def test_provision_assumes_the_role_again_when_the_session_ran_out(amazon, role):
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    plans.create_log(AWS, spec)
    for partitions in list(sts_backends.values()):
        for assumed in partitions["aws"].assumed_roles:
            assumed.expiration = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    with pytest.raises(NotReady):
        plans.create(AWS, spec)
    plans.create(AWS, spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 2


def test_provision_says_when_the_role_does_not_trust_the_console_any_more(amazon, role):
    account = role_account(role(aws_session.trust_policy("other", PRINCIPAL)))
    with pytest.raises(Failed, match="does not let the console assume") as raised:
        plans.create(AWS, make_spec(account=account))
    assert raised.value.details["action"] == "sts:AssumeRole"


def test_provision_says_when_the_consoles_own_credentials_are_refused(amazon, role):
    account = role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL)))
    amazon.inject("AssumeRole", code="ExpiredToken", status=403)
    with pytest.raises(Failed, match="the console's own credentials"):
        plans.create(AWS, make_spec(account=account))


def test_clients_are_made_once_for_each_account_and_region_and_set_of_credentials(amazon):
    account = key_account()
    first = aws_session.s3_client(account, "eu-west-1")
    assert aws_session.s3_client(account, "eu-west-1") is first
    assert aws_session.s3_client(account, "eu-west-2") is not first
    changed = replace(account, secrets={"secret_access_key": "new"})
    assert aws_session.s3_client(changed, "eu-west-1") is not first
    clients.forget_clients(account)
    assert clients._clients == {}


def test_clients_use_path_style_on_the_emulator(amazon):
    client = aws_session.s3_client(key_account(), "eu-west-1")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert url.startswith(f"{amazon.url}/b/k")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_secrets_are_in_no_repr(amazon):
    account = key_account()
    spec = make_spec(account=account)
    with suppress(StepError):
        plans.create(AWS, spec)
    entries = list(clients._clients.values())
    assert SECRET not in repr((account, spec, entries))


def test_statements_allow_every_call_and_touch_no_backup_object():
    allows = [one for one in aws_session.statements(NUMBER)["Statement"] if one["Effect"] == "Allow"]
    allowed = {action for one in allows for action in as_list(one["Action"])}
    needed = {action for actions in aws_session.ACTIONS.values() for action in actions if action.startswith("s3:")}
    assert needed <= allowed
    assert not allowed & {"s3:PutObject", "s3:DeleteObjectVersion", "s3:*"}
    for one in allows:
        if ":s3:::" in one["Resource"]:
            assert f"-{NUMBER}-" in one["Resource"]
        if "s3:DeleteObject" in one["Action"]:
            assert one["Resource"] == f"arn:aws:s3:::pgbk-{'?' * 12}-log-{NUMBER}-*-an/*"
        if "s3:GetObject" in one["Action"]:  # the lists of backups, and no backup
            assert one["Resource"] == f"arn:aws:s3:::pgbk-*-{NUMBER}-*-an/c-*/backup/*/backup.info*"
    assert "arn:aws-cn:s3:::pgbk-*" in json.dumps(aws_session.statements(NUMBER, "aws-cn", global_names=True))


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_a_session_that_aws_no_longer_knows_is_opened_again(amazon, role):
    """The role was deleted and made again: the keys of the old session are refused, those of a new one are not."""
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    amazon.inject("CreateBucket", code="InvalidAccessKeyId", status=403)
    with pytest.raises(NotReady, match="new one"):
        plans.creation(AWS)[0][0].run(spec)
    plans.creation(AWS)[0][0].run(spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 2
