"""Where a bucket is asked for: for each name the very answer that botocore gives without the console's short cut."""

from __future__ import annotations

from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from console.clouds import CLOUDS
from console.clouds.regions import regions
from console.clouds.s3api import clients, endpoints
from console.clouds.s3api.buckets import global_names

KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}
CALLS = ("PutBucketPolicy", "CreateBucket")  # whose static parameters differ
OTHERS = ("backups.example.org", "pgbk-short", "UPPER", "pgbk-of-somebody-else", "pgbk-aaaa--x-s3")


def asked_at(client, operation, bucket):
    model = client.meta.service_model.operation_model(operation)
    context = {}
    try:
        url, headers, properties = client._resolve_endpoint_ruleset(model, {"Bucket": bucket}, context)
    except Exception as error:
        return str(error)
    return url, headers, properties, context


def names(region):
    store = uuid4()
    return [*CLOUDS["aws"].storage.names(store, region, "123456789012"), *global_names(store), *OTHERS]


@pytest.mark.parametrize("options", [{}, {"endpoint_url": "https://s3.example.org"}], ids=["amazon", "another server"])
@pytest.mark.parametrize("region", [one.code for one in regions("aws")])
def test_each_bucket_is_asked_for_where_botocore_asks_for_it(region, options):
    given = {"config": Config(signature_version="s3v4"), **KEYS, **options}
    ours = clients.new_client("s3", region, **given)
    plain = boto3.client("s3", region_name=region, **given)
    for _ in range(2):  # the first store of the region, and one after it
        for name in names(region):
            for operation in CALLS:
                assert asked_at(ours, operation, name) == asked_at(plain, operation, name)


def test_the_rules_are_gone_through_once_for_all_stores_of_a_region():
    client = clients.new_client("s3", "eu-west-1", config=Config(), **KEYS)
    behind, gone_through = client._ruleset_resolver._provider._behind, []
    evaluate = behind.ruleset.evaluate
    behind.ruleset.evaluate = lambda given: gone_through.append(given["Bucket"]) or evaluate(given)
    for _ in range(5):
        for name in CLOUDS["aws"].storage.names(uuid4(), "eu-west-1", "123456789012"):
            assert name in asked_at(client, "CreateBucket", name)[0]
    assert len(gone_through) == 2  # one for each kind of bucket


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_go_through_the_rules(name):
    assert not endpoints.OURS.fullmatch(name)
