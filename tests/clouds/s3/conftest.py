"""A linked S3 server, and a store on it."""

from contextlib import suppress
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from console.clouds.s3 import session as s3_session
from console.clouds.s3api import clients
from tests.clouds import plans
from tests.clouds.plans import run
from tests.clouds.s3_accounts import S3, make_spec, on


@pytest.fixture
def account(object_server):
    yield on(object_server)
    clients.forget_clients()


@pytest.fixture
def s3(account):
    """The administrator's own client."""
    return s3_session.s3_client(account)


@pytest.fixture
def iam(account):
    return s3_session.iam_client(account)


@pytest.fixture
def spec(account):
    """A store that is not made yet; whatever is made of it is gone afterwards."""
    spec = make_spec(account)
    yield spec
    for name in (spec.bucket, spec.log_bucket):
        with suppress(ClientError):
            s3_session.s3_client(account).delete_bucket(Bucket=name)


@pytest.fixture
def store(spec):
    run(plans.creation(S3), spec)
    return replace(spec, complete=True)
