"""What the tests of S3 servers read of a server, and what they make it answer."""

import secrets
from contextlib import contextmanager
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from console.clouds.s3 import session as s3_session
from console.clouds.s3api import clients
from console.clouds.s3api.errors import code_of
from console.clouds.specs import AccessSpec
from tests.worlds.boto import Body

slow = pytest.mark.slow


def node_spec(account, *buckets, **values):
    return AccessSpec(uuid4(), "Orders (EU)", account, f"c-{secrets.token_hex(6)}", buckets, **values)


def names(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def read(call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        return code_of(error)
    answer.pop("ResponseMetadata")
    return answer


def state(spec):
    client = s3_session.s3_client(spec.account)
    return {
        bucket: [
            read(getattr(client, f"get_bucket_{what}"), Bucket=bucket)
            for what in ("tagging", "policy", "lifecycle_configuration", "logging", "ownership_controls", "versioning")
        ]
        for bucket in (spec.bucket, spec.log_bucket)
    }


@contextmanager
def answering(operation, status, code, service="s3"):
    """Let the server answer this to each such call of the clients that are made from now on."""
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>" if code else ""

    def answer(request, **_):
        return AWSResponse(request.url, status, {}, Body(text.encode()))

    events, event = clients.session().events, f"before-send.{service}.{operation}"
    events.register(event, answer)
    clients.forget_clients()
    try:
        yield
    finally:
        events.unregister(event, answer)
        clients.forget_clients()
