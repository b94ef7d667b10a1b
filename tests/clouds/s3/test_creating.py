"""How a store is made on a server; what all providers do alike: tests/clouds/contract."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from console.clouds.s3api import clients
from console.clouds.steps import Conflict, Failed, NotReady, StepError
from tests.clouds import plans
from tests.clouds.plans import run, steps
from tests.clouds.s3.buckets import answering, names, node_spec, slow, state
from tests.clouds.s3_accounts import S3, an_account, make_spec

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


# --- Creating -------------------------------------------------------------------------------------------------------


@slow
def test_every_step_runs_twice_and_leaves_the_same(spec, s3):
    for step in steps(plans.creation(S3)):
        once = step.run(spec)
        after = state(spec)
        assert step.run(spec) == once
        assert state(spec) == after
    for step in steps(plans.deletion(S3)):
        step.run(spec)
        step.run(spec)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


@slow
def test_provision_leaves_what_the_specification_says(spec, s3):
    notes = {}
    with ThreadPoolExecutor() as pool:
        for stage in plans.creation(S3):
            for step, made in zip(stage, pool.map(lambda step: step.run(spec), stage), strict=True):
                notes[step.title] = made.note if made else ""
    assert notes == {
        "Creating the log bucket": "This server has no public access block.",
        "Creating the backup bucket": "This server has no public access block.",
        "Closing the log bucket to all but log delivery": "",
        "Closing the backup bucket to plain HTTP": "",
        "Setting the log bucket to expire old logs": "",
        "Setting the backup bucket to drop unfinished uploads": "",
        "Turning on access logging": "This server has no access logging.",
        "Trying out what a backup does": "",
    }
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=spec.bucket)["TagSet"]}
    assert tags == {
        "storekeeper:store-id": str(spec.id),
        "storekeeper:store-name": "Orders _EU_",
        "storekeeper:managed-by": "storekeeper",
    }
    for bucket in (spec.bucket, spec.log_bucket):
        [tls] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    [abort] = s3.get_bucket_lifecycle_configuration(Bucket=spec.bucket)["Rules"]
    assert "Expiration" not in abort
    assert abort["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    [expiry] = s3.get_bucket_lifecycle_configuration(Bucket=spec.log_bucket)["Rules"]
    assert expiry["Expiration"]["Days"] == 90


@slow
@pytest.mark.parametrize("done", range(9))
def test_remove_after_a_half_made_creation(spec, s3, done):
    for step in steps(plans.creation(S3))[:done]:
        step.run(spec)
    run(plans.deletion(S3), spec)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


@slow
def test_provision_goes_on_after_a_crash_before_the_tag(spec, s3):
    s3.create_bucket(Bucket=spec.bucket)
    run(plans.creation(S3), spec)
    assert s3.get_bucket_tagging(Bucket=spec.bucket)["TagSet"]


@slow
def test_access_logging_creates_no_bucket(spec, s3):
    with pytest.raises(NotReady):
        plans.ensure(S3, "logging", spec)
    assert spec.bucket not in names(s3)


@slow
@pytest.mark.parametrize("occupied", ["bucket", "log_bucket"])
@pytest.mark.parametrize("tags", [{}, {"storekeeper:store-id": "another"}, {"team": "web"}])
def test_a_bucket_that_is_not_the_stores_is_never_touched(spec, s3, occupied, tags):
    bucket = getattr(spec, occupied)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"1")
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    before = state(spec)[bucket]
    with pytest.raises(Failed, match="does not belong to this store"):
        run(plans.creation(S3), spec)
    run(plans.deletion(S3), spec)
    assert state(spec)[bucket] == before
    assert s3.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"1"


@slow
def test_without_tags_the_name_is_the_proof(spec, account, s3):
    bare = replace(spec, account=replace(account, settings={**account.settings, "has": ""}))
    with answering("PutBucketTagging", 501, "NotImplemented"), answering("GetBucketTagging", 501, "NotImplemented"):
        first = plans.creation(S3)[0][1].run(bare)
        assert first.note == "This server has no bucket tags and public access block."
        run(plans.creation(S3), bare)
        run(plans.deletion(S3), bare)
        run(plans.deletion(S3), bare)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


# --- Errors ---------------------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize(
    ("step", "operation", "status", "code", "kind", "words"),
    [
        (1, "CreateBucket", 403, "AccessDenied", Failed, "refused s3:CreateBucket on pgbk-"),
        (1, "CreateBucket", 409, "BucketAlreadyExists", Conflict, "taken on this server"),
        (1, "CreateBucket", 400, "TooManyBuckets", Failed, "no more buckets"),
        (1, "PutBucketTagging", 403, "AccessDenied", Failed, "refused s3:PutBucketTagging"),
        (3, "PutBucketPolicy", 403, "AccessDenied", Failed, "refused s3:PutBucketPolicy"),
        (3, "PutBucketPolicy", 503, "SlowDown", NotReady, "slow down"),
        (3, "PutBucketPolicy", 500, "", NotReady, "slow down"),
        (3, "PutBucketPolicy", 404, "NoSuchBucket", NotReady, "does not show bucket"),
        (3, "PutBucketPolicy", 403, "InvalidAccessKeyId", Failed, "does not accept the console's access key"),
        (5, "PutBucketLifecycleConfiguration", 403, "AccessDenied", Failed, "refused s3:PutLifecycleConfiguration"),
        (6, "PutBucketLogging", 403, "AccessDenied", Failed, "refused s3:PutBucketLogging"),
    ],
)
def test_a_refusal_says_what_to_do_and_names_the_server(spec, step, operation, status, code, kind, words):
    plan = steps(plans.creation(S3))
    for one in plan[:step]:
        one.run(spec)
    with answering(operation, status, code), pytest.raises(kind, match=words) as raised:
        plan[step].run(spec)
    assert "AWS" not in raised.value.message
    if words.startswith("refused"):
        assert json.loads(raised.value.details["statement"])["Resource"] == f"arn:aws:s3:::{spec.bucket}"
        assert spec.account.number in raised.value.message
    plan[step].run(spec)


@slow
def test_a_server_that_does_not_answer_is_asked_again():
    with pytest.raises(NotReady, match="no answer from localhost:9") as raised:
        plans.create(S3, make_spec(an_account("https://localhost:9")))
    assert raised.value.patience == 600
    clients.forget_clients()


# --- Nodes ----------------------------------------------------------------------------------------------------------


@slow
def test_the_server_behaves_as_the_code_says_it_does(store, s3, iam):
    """The traps that the provider's order answers: should they go, so may the care."""
    name = f"pgbk-trap-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    document = json.dumps(S3.access.policy(node_spec(store.account, store.bucket)))
    iam.put_user_policy(UserName=name, PolicyName="kept", PolicyDocument=document)
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name)
    assert iam.get_user_policy(UserName=name, PolicyName="kept")["PolicyDocument"]  # of the user that was deleted
    iam.delete_user_policy(UserName=name, PolicyName="kept")
    iam.delete_user(UserName=name)
    s3.put_object(Bucket=store.bucket, Key="backup", Body=b"1")
    s3.delete_bucket(Bucket=store.bucket)  # with what was in it
    assert store.bucket not in names(s3)
    with suppress(StepError, ClientError):
        s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    assert store.bucket in names(s3)  # made by asking it to log
