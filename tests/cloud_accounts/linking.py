"""Forms that link an account, and the role that one of them names."""

from __future__ import annotations

import json

import boto3

from console.cloud_accounts.models import Attempt
from console.clouds.aws.session import trust_policy
from console.operations import snapshots

SECRET = "marked-secret-hunter2"


def by_key(amazon, **values):
    return {
        "provider": "aws",
        "name": "prod",
        "method": "access_key",
        "access_key_id": amazon.access_key_id,
        "secret_access_key": amazon.secret_access_key,
        **values,
    }


def make_role(amazon, external_id, name="storekeeper", condition=True):
    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    trust = trust_policy(external_id, "*")
    if not condition:
        del trust["Statement"][0]["Condition"]
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def by_endpoint(**values):
    return {
        "provider": "s3",
        "name": "cellar",
        "endpoint": "https://s3.example.com:9000",
        "region": "us-east-1",
        "access_key_id": "KEY",
        "secret_access_key": SECRET,
        **values,
    }


def on(server, **values):
    return by_endpoint(
        **{
            "endpoint": server.endpoint,
            "ca_certificate": server.ca_certificate,
            "access_key_id": server.access_key_id,
            "secret_access_key": server.secret_access_key,
            **values,
        }
    )


def work():
    """Do what the workers do about the attempts that wait."""
    for attempt in Attempt.objects.waiting().filter(held_until=None):
        snapshots.read(Attempt.LABEL, attempt.pk)


def submit(client, url, values=None, **options):
    """Post a form, have a worker ask the cloud, and return what the dialog then shows: the form, or where to go."""
    answer = client.post(url, values or {}, **options)
    attempt = Attempt.objects.waiting().order_by("begun_at", "pk").last()
    if not attempt:
        return answer
    assert answer.status_code == (200 if "headers" in options else 302), answer
    work()
    return client.get(url, {"attempt": attempt.key}, **options)
