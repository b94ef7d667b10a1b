"""Stores in the emulated Amazon, and what the tests read of their buckets."""

from uuid import uuid4

from botocore.exceptions import ClientError

from console.clouds import CLOUDS
from console.clouds.aws import session as aws_session
from console.clouds.specs import AccountRef, StoreSpec
from tests.clouds.aws_accounts import NUMBER, key_account

AWS = CLOUDS["aws"]
PRINCIPAL = "arn:aws:iam::111111111111:root"
READS = {"GetBucketTagging", "ListBuckets", "ListObjectVersions", "ListMultipartUploads", "GetBucketLogging"}


def role_account(arn, external_id="8c1f"):
    return AccountRef(uuid4(), NUMBER, "aws", {"role_arn": arn, "external_id": external_id}, {})


def make_spec(region="eu-west-1", *, account=None, complete=False, provider=AWS):
    account, store_id = account or key_account(), uuid4()
    bucket, log_bucket = provider.storage.names(store_id, region, account.number)
    return StoreSpec(store_id, "Orders (EU)", account, region, bucket, log_bucket, complete)


def s3(spec):
    return aws_session.s3_client(spec.account, spec.region)


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
