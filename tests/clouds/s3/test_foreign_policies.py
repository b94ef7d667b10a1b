"""A bucket's policy may be any text: servers other than Amazon's keep what they are given."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from console.clouds.s3api.existing import _is_everybody, _statements, joined_policy
from console.clouds.s3api.settings import POLICY
from console.clouds.steps import Failed

OURS = {"Version": "2012-10-17", "Statement": [{"Sid": "DenyInsecureTransport", "Effect": "Deny"}]}
UNREADABLE = [
    "no JSON",
    "[]",
    "7",
    '"text"',
    '{"Statement": "text"}',
    '{"Statement": 7}',
    '{"Statement": ["text"]}',
    '{"Statement": [{"Effect": "Allow"}, null]}',
    '{"Statement": [[]]}',
    '{"Statement": {"Sid": {}}}',
    '{"Statement": [{"Sid": []}]}',
    "[" * 100_000,
]


def parsed(text):
    return POLICY.parse({"Policy": text})


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_is_no_policy_is_said_and_left_as_it_is(text):
    found = parsed(text)
    assert POLICY.words(found) == "One that is not written as policies are"
    with pytest.raises(Failed, match="not written as policies are"):
        joined_policy(found, OURS)


@pytest.mark.parametrize("text", [None, "", "null"])
def test_none_is_none(text):
    assert (parsed(text), POLICY.words(parsed(text))) == (None, "No policy")


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["Statement", "Sid", "Principal", "AWS", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING)
def test_nothing_that_a_server_keeps_is_an_unexpected_error(value):
    found = parsed(json.dumps({"Statement": value} if not isinstance(value, dict) else value))
    assert POLICY.words(found)
    for one in _statements(found or {}):
        _is_everybody(one)
    try:
        joined = joined_policy(found, OURS)
    except Failed:
        assert "unreadable" in found
    else:
        assert len(_statements(joined)) >= 1
