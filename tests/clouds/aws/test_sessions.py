"""How the console signs in to AWS while it works: roles, clients, and what its policy lets it call."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from moto.sts.models import sts_backends

from console.clouds.aws import session as aws_session
from console.clouds.s3api import clients
from console.clouds.steps import Failed, NotReady, StepError
from tests.clouds import plans
from tests.clouds.aws.specs import AWS, PRINCIPAL, make_spec, role_account
from tests.clouds.aws_accounts import NUMBER, SECRET, key_account
from tests.clouds.plans import run


def test_provision_with_a_role_assumes_it_once(amazon, role):
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    amazon.calls.clear()
    run(plans.creation(AWS), spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 1
    assert len(amazon.calls) == 8
    run(plans.deletion(AWS), spec)


def test_provision_assumes_the_role_again_when_the_session_ran_out(amazon, role):
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    plans.create_log(AWS, spec)
    for partitions in list(sts_backends.values()):
        for assumed in partitions["aws"].assumed_roles:
            assumed.expiration = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    with pytest.raises(NotReady):
        plans.create(AWS, spec)
    plans.create(AWS, spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 2


def test_provision_says_when_the_role_does_not_trust_the_console_any_more(amazon, role):
    account = role_account(role(aws_session.trust_policy("other", PRINCIPAL)))
    with pytest.raises(Failed, match="does not let the console assume") as raised:
        plans.create(AWS, make_spec(account=account))
    assert raised.value.details["action"] == "sts:AssumeRole"


def test_provision_says_when_the_consoles_own_credentials_are_refused(amazon, role):
    account = role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL)))
    amazon.inject("AssumeRole", code="ExpiredToken", status=403)
    with pytest.raises(Failed, match="the console's own credentials"):
        plans.create(AWS, make_spec(account=account))


def test_clients_are_made_once_for_each_account_and_region_and_set_of_credentials(amazon):
    account = key_account()
    first = aws_session.s3_client(account, "eu-west-1")
    assert aws_session.s3_client(account, "eu-west-1") is first
    assert aws_session.s3_client(account, "eu-west-2") is not first
    changed = replace(account, secrets={"secret_access_key": "new"})
    assert aws_session.s3_client(changed, "eu-west-1") is not first
    clients.forget_clients(account)
    assert clients._clients == {}


def test_clients_use_path_style_on_the_emulator(amazon):
    client = aws_session.s3_client(key_account(), "eu-west-1")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert url.startswith(f"{amazon.url}/b/k")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_secrets_are_in_no_repr(amazon):
    account = key_account()
    spec = make_spec(account=account)
    with suppress(StepError):
        plans.create(AWS, spec)
    entries = list(clients._clients.values())
    assert SECRET not in repr((account, spec, entries))


def test_statements_allow_every_call_and_touch_no_backup_object():
    allows = [one for one in aws_session.statements(NUMBER)["Statement"] if one["Effect"] == "Allow"]
    allowed = {action for one in allows for action in as_list(one["Action"])}
    needed = {action for actions in aws_session.ACTIONS.values() for action in actions if action.startswith("s3:")}
    assert needed <= allowed
    assert not allowed & {"s3:PutObject", "s3:DeleteObjectVersion", "s3:*"}
    for one in allows:
        if ":s3:::" in one["Resource"]:
            assert f"-{NUMBER}-" in one["Resource"]
        if "s3:DeleteObject" in one["Action"]:
            assert one["Resource"] == f"arn:aws:s3:::pgbk-{'?' * 12}-log-{NUMBER}-*-an/*"
        if "s3:GetObject" in one["Action"]:  # the lists of backups, and no backup
            assert one["Resource"] == f"arn:aws:s3:::pgbk-*-{NUMBER}-*-an/c-*/backup/*/backup.info*"
    assert "arn:aws-cn:s3:::pgbk-*" in json.dumps(aws_session.statements(NUMBER, "aws-cn", global_names=True))


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_a_session_that_aws_no_longer_knows_is_opened_again(amazon, role):
    """The role was deleted and made again: the keys of the old session are refused, those of a new one are not."""
    spec = make_spec(account=role_account(role(aws_session.trust_policy("8c1f", PRINCIPAL))))
    amazon.inject("CreateBucket", code="InvalidAccessKeyId", status=403)
    with pytest.raises(NotReady, match="new one"):
        plans.creation(AWS)[0][0].run(spec)
    plans.creation(AWS)[0][0].run(spec)
    assert [call.operation for call in amazon.calls].count("AssumeRole") == 2
