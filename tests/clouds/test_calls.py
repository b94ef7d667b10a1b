"""Every call of a cloud is a line of the log that says for which operation it was, and what the cloud calls it."""

from __future__ import annotations

import json
import logging

import pytest

from console.web.logs import JSONFormatter, WithOrigin
from stores import actions
from tests.delivery import deliver


@pytest.fixture
def lines(caplog):
    """A function that returns what is logged of calls, as the operator's log has it."""
    caplog.handler.addFilter(origin := WithOrigin())
    caplog.set_level(logging.INFO, "storekeeper.calls")
    yield lambda: [json.loads(JSONFormatter().format(one)) for one in caplog.records if one.name == "storekeeper.calls"]
    caplog.handler.removeFilter(origin)


def test_each_call_is_logged_with_its_operation_and_the_id_that_amazon_gave_it(account, alice, amazon, lines):
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    deliver(store.operation.pk)
    said = lines()
    assert {"CreateBucket", "PutBucketPolicy"} <= {line["call"] for line in said}
    of_s3 = [line for line in said if line["service"] == "s3"]
    assert {line["operation_id"] for line in of_s3} == {str(store.operation.pk)}
    assert {line["organisation_id"] for line in of_s3} == {str(account.organisation_id)}
    given = [line["aws_request_id"] for line in of_s3]
    assert all(given)
    assert len({*given}) == len(given)


def test_a_call_that_is_refused_is_logged_with_why(account, alice, amazon, lines):
    amazon.inject("CreateBucket", code="TooManyBuckets", status=400, times=2)
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    deliver(store.operation.pk)
    refused = [line for line in lines() if line["call"] == "CreateBucket"]
    assert {line["code"] for line in refused} == {"TooManyBuckets"}
    assert all(line["aws_request_id"] for line in refused)
