"""The layer in front of the object server, and that server's administrator."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from console.clouds.s3api import clients
from tests.clouds.quirks.layer import Layer


@pytest.fixture(scope="package")
def administrator(object_server):
    """The client of the server's own administrator, past the layer."""
    return boto3.Session().client(
        "s3",
        endpoint_url=object_server.endpoint,
        verify=str(object_server.ca_file),
        region_name=object_server.region,
        aws_access_key_id=object_server.access_key_id,
        aws_secret_access_key=object_server.secret_access_key,
    )


@pytest.fixture(scope="package")
def running_layer(object_server, administrator):
    def holds(bucket):
        try:
            return bool(administrator.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents"))
        except ClientError:  # there is no such bucket: the server says so itself
            return False

    with Layer(object_server, holds).running() as layer:
        yield layer


@pytest.fixture
def layer(running_layer):
    running_layer.row = None
    running_layer.seen.clear()
    yield running_layer
    running_layer.row = None
    clients.forget_clients()
