"""What an administrator of AWS adds for a bucket that is not named like ours, and what the console makes of that."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from console.clouds.aws.boundary import boundary, is_boundary
from console.clouds.aws.existing import needs
from console.clouds.s3api.existing import joined_policy, joined_rules
from console.clouds.specs import AccountRef

ACCOUNT = AccountRef(uuid4(), "123456789012", "aws", {}, {})


def test_the_boundary_may_name_other_buckets_and_nothing_else():
    whole = boundary(ACCOUNT.number)
    assert is_boundary(whole, ACCOUNT)
    added = json.loads(needs(ACCOUNT, "archive")[1].text)
    assert added["Resource"] == ["arn:aws:s3:::archive", "arn:aws:s3:::archive/*"]
    assert is_boundary({**whole, "Statement": [*whole["Statement"], added]}, ACCOUNT)
    for more in ({**added, "Action": "s3:*"}, {**added, "Condition": {}}, {**added, "Effect": "Deny"}, "x"):
        assert not is_boundary({**whole, "Statement": [*whole["Statement"], more]}, ACCOUNT)
    assert not is_boundary({**whole, "Statement": whole["Statement"][:1]}, ACCOUNT)
    assert not is_boundary(None, ACCOUNT)


def test_the_console_is_given_nothing_that_deletes():
    actions = json.loads(needs(ACCOUNT, "archive")[0].text)["Action"]
    assert {"s3:PutBucketPolicy", "s3:GetBucketTagging", "s3:ListBucket"} <= {*actions}
    assert not [one for one in actions if "Delete" in one or one in {"s3:CreateBucket", "s3:GetObject", "s3:PutObject"}]


OURS = {"Version": "2012-10-17", "Statement": [{"Sid": "DenyOldTLS", "Effect": "Deny", "Action": "s3:*"}]}


@pytest.mark.parametrize(
    ("found", "sids"),
    [
        (None, ["DenyOldTLS"]),
        ({"Statement": {"Sid": "A", "Effect": "Allow"}}, ["A", "DenyOldTLS"]),
        ({"Statement": [{"Sid": "TLS", "Effect": "Deny", "Action": ["s3:*"]}]}, ["TLS"]),  # says the same
        ({"Statement": [{"Sid": "DenyOldTLS", "Effect": "Allow"}]}, ["DenyOldTLS", "DenyOldTLSStorekeeper"]),
    ],
    ids=["none", "one", "the same", "another of the name"],
)
def test_a_policy_keeps_its_statements(found, sids):
    joined = joined_policy(found, OURS)
    assert [one["Sid"] for one in joined["Statement"]] == sids
    assert joined_policy(joined, OURS) == joined


def test_a_lifecycle_keeps_its_rules():
    theirs = [{"ID": "abort-mpu", "Status": "Enabled", "Prefix": "tmp/", "Expiration": {"Days": 3}}]
    joined = joined_rules(theirs)
    assert joined[0] == theirs[0]
    assert [one["ID"] for one in joined] == ["abort-mpu", "storekeeper-abort-mpu"]
    assert joined_rules(joined) == joined
    assert [one["ID"] for one in joined_rules(None)] == ["abort-mpu"]
