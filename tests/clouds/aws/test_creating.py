"""How AWS makes a store; what all providers do alike: tests/clouds/contract."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import boto3
import pytest

from console.clouds.steps import Conflict, Failed, NotReady, StepError
from tests.clouds import plans
from tests.clouds.aws.specs import AWS, READS, bucket_state, make_spec, names, s3, state
from tests.clouds.aws_accounts import NUMBER, key_account
from tests.clouds.plans import run

STRANGER = "999999999999"
REGIONS = ("eu-west-1", "us-east-1", "me-south-1")  # usual; answers 200 to a second creation; without the namespace


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
