"""Clients of the emulated Amazon, and what they send."""

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from console.demo.emulators.aws.emulator import Emulator

HOME, OTHER = Emulator.account_id, "210987654321"
BUCKET, LOGS = "pgbk-one", "pgbk-one-log"


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


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
