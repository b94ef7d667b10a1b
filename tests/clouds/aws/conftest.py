"""A role that the console assumes in the emulated Amazon."""

import json
from uuid import uuid4

import boto3
import pytest

from console.clouds.aws import session as aws_session
from console.clouds.s3api import clients
from console.demo.emulators.aws.emulator import Emulator
from tests.clouds.aws_accounts import NUMBER, SECRET


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
