"""Who the console is on AWS, by a key or by a role, and what is wrong with what was filled in."""

import pytest

from console.clouds.aws import session as aws_session
from console.clouds.contract import LinkError
from console.clouds.s3api import clients
from console.clouds.steps import Failed
from tests.clouds import plans
from tests.clouds.aws.specs import AWS, PRINCIPAL, make_spec, role_account
from tests.clouds.aws_accounts import NUMBER, SECRET, key_account


def test_identify_with_an_access_key(amazon):
    identity = AWS.linking.identify(key_account(number=""))
    assert (identity.number, identity.partition) == (NUMBER, "aws")


@pytest.mark.parametrize(
    ("code", "field"),
    [("InvalidClientTokenId", "access_key_id"), ("SignatureDoesNotMatch", "secret_access_key"), ("Odd", "")],
)
def test_identify_says_what_is_wrong_with_a_key(amazon, code, field):
    amazon.inject("GetCallerIdentity", code=code, status=403, times=3)
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account())
    assert raised.value.field == field
    assert SECRET not in str(raised.value)


def test_identify_refuses_an_unknown_key(amazon):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account(key="AKIAUNKNOWNUNKNOWN00"))
    assert raised.value.field == "access_key_id"


@pytest.mark.parametrize(("key", "secret", "field"), [("", "x", "access_key_id"), ("x", "", "secret_access_key")])
def test_identify_asks_for_both_halves_of_a_key(amazon, key, secret, field):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(key_account(key=key, secret=secret))
    assert raised.value.field == field


def test_identify_with_a_role(amazon, role):
    arn = role(aws_session.trust_policy("8c1f", PRINCIPAL))
    identity = AWS.linking.identify(role_account(arn))
    assert (identity.number, identity.partition) == (NUMBER, "aws")
    assert [call.operation for call in amazon.calls if call.operation == "AssumeRole"] == ["AssumeRole"] * 3
    assert [one.split(",")[0] for one in identity.proofs] == [
        "With the external ID",
        "Without an external ID",
        "With a wrong external ID",
    ]


def test_identify_refuses_a_role_that_does_not_ask_for_the_external_id(amazon, role):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    del trust["Statement"][0]["Condition"]
    with pytest.raises(LinkError, match="without an external ID") as raised:
        AWS.linking.identify(role_account(role(trust)))
    assert raised.value.field == "role_arn"
    assert '{"StringEquals": {"sts:ExternalId": "8c1f"}}' in str(raised.value)


@pytest.mark.parametrize(
    "condition",
    [
        {"Null": {"sts:ExternalId": "false"}},
        {"StringLike": {"sts:ExternalId": "*"}},
        {"StringNotEquals": {"sts:ExternalId": ""}, "Null": {"sts:ExternalId": "false"}},
    ],
)
def test_identify_refuses_a_role_that_takes_any_external_id(amazon, role, condition):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    trust["Statement"][0]["Condition"] = condition
    with pytest.raises(LinkError, match="with a wrong external ID") as raised:
        AWS.linking.identify(role_account(role(trust)))
    assert raised.value.field == "role_arn"


def test_identify_refuses_a_role_with_a_second_statement_that_is_open(amazon, role):
    trust = aws_session.trust_policy("8c1f", PRINCIPAL)
    trust["Statement"].append({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    with pytest.raises(LinkError, match="confused deputy"):
        AWS.linking.identify(role_account(role(trust)))


def test_identify_refuses_a_role_with_another_external_id(amazon, role):
    with pytest.raises(LinkError, match="trust policy") as raised:
        AWS.linking.identify(role_account(role(aws_session.trust_policy("other", PRINCIPAL))))
    assert raised.value.field == "role_arn"


def test_identify_does_not_take_a_failed_test_for_a_passed_one(amazon, role, monkeypatch):
    account = role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL)))
    assume = aws_session._assume

    def assume_without_luck(account, **external_id):
        if not external_id:
            amazon.inject("AssumeRole", code="Throttling", status=400, times=3)
        return assume(account, **external_id)

    monkeypatch.setattr(aws_session, "_assume", assume_without_luck)
    with pytest.raises(LinkError, match="Throttling") as raised:
        AWS.linking.identify(account)
    assert raised.value.passing


def test_identify_refuses_what_is_no_role(amazon):
    with pytest.raises(LinkError) as raised:
        AWS.linking.identify(role_account("arn:aws:iam::123456789012:user/me"))
    assert raised.value.field == "role_arn"


def test_identify_says_that_the_console_has_no_identity(amazon):
    clients.session.cache_clear()
    account = role_account("arn:aws:iam::123456789012:role/console")
    with pytest.raises(LinkError, match="console itself has no AWS identity"):
        AWS.linking.identify(account)
    with pytest.raises(Failed, match="console itself has no AWS identity"):
        plans.create(AWS, make_spec(account=account))


def test_identify_without_a_network(amazon, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LinkError, match="no answer") as raised:
        AWS.linking.identify(key_account())
    assert raised.value.field == ""
