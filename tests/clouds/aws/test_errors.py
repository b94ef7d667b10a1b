"""What AWS answers when something is wrong, and what people are told."""

import socket

import pytest

from console.clouds.steps import Failed, NotReady, StepError
from tests.clouds import plans
from tests.clouds.aws.specs import AWS, make_spec
from tests.clouds.aws_accounts import SECRET
from tests.clouds.plans import run

# The codes that the fault matrix does not walk (tests/faults/table.py).
ERRORS = [
    ("CreateBucket", "RequestLimitExceeded", 503, NotReady, 600, "slow down"),
    ("PutBucketPolicy", "ServiceUnavailable", 503, NotReady, 600, "slow down"),
    ("PutBucketPolicy", "Unheard", 500, NotReady, 600, "slow down"),
    ("PutBucketLogging", "CrossLocationLoggingProhibitted", 403, Failed, None, "is not in region eu-west-1"),
    ("CreateBucket", "AuthFailure", 401, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "AllAccessDisabled", 403, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "InvalidLocationConstraint", 400, Failed, None, "Region eu-west-1 is not enabled"),
    ("CreateBucket", "InvalidAccessKeyId", 403, Failed, None, "Change its access key"),
    ("CreateBucket", "SignatureDoesNotMatch", 403, Failed, None, "Change its access key"),
    ("CreateBucket", "InvalidBucketName", 400, Failed, None, "fault in the console"),
    ("CreateBucket", "InvalidNamespaceHeader", 400, Failed, None, "fault in the console"),
    ("PutBucketPolicy", "MalformedPolicy", 400, Failed, None, "fault in the console"),
    ("CreateBucket", "SomethingNew", 400, Failed, None, "SomethingNew: The message"),
]


@pytest.mark.parametrize(("operation", "code", "status", "kind", "patience", "words"), ERRORS)
def test_errors_say_what_to_do(amazon, operation, code, status, kind, patience, words):
    spec = make_spec()
    amazon.inject(operation, code=code, status=status, message="The message of {AWS}", times=3)
    with pytest.raises(StepError) as raised:
        run(plans.creation(AWS), spec)
    error = raised.value
    assert type(error) is kind
    assert words in error.message
    assert getattr(error, "patience", None) == patience
    assert error.details["code"] == code
    assert error.details["request_id"]
    assert error.details["bucket"] in (spec.bucket, spec.log_bucket)
    assert SECRET not in str(error) + repr(error) + repr(error.details)


def test_errors_name_the_one_action_that_aws_names(amazon):
    message = "User: x is not authorized to perform: s3:TagResource on resource: y with an explicit deny in a service…"
    amazon.inject("CreateBucket", code="AccessDenied", status=403, message=message)
    with pytest.raises(Failed, match="explicit deny wins") as raised:
        run(plans.creation(AWS), make_spec())
    assert raised.value.details["action"] == "s3:TagResource"


def test_errors_of_the_network_are_tried_again(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match="no answer") as raised:
        plans.create(AWS, make_spec())
    assert raised.value.patience == 600


def test_errors_of_name_resolution_are_tried_again(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid")

    def no_resolver(*_, **__):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    with pytest.raises(NotReady, match="cannot find the address"):
        plans.create(AWS, make_spec())
