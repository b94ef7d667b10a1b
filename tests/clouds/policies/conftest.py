"""The console's role with its policy."""

from __future__ import annotations

import json

import pytest

from console.clouds.aws import session as aws_session
from console.clouds.s3api import clients
from tests.clouds.policies.roles import NUMBER, PRINCIPAL, ROLE, admin, give


@pytest.fixture
def role(amazon, monkeypatch):
    """The console's role with its policy, in an account that the console reaches by that alone."""
    key, secret = amazon.add_account("111111111111")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    clients.session.cache_clear()
    trust = json.dumps(aws_session.trust_policy("8c1f", PRINCIPAL))
    admin("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)
    policy = aws_session.statements(NUMBER, principal=f"role/{ROLE}")
    give(policy)
    amazon.asked.clear()
    yield policy
    for name in admin("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]:
        admin("iam").delete_role_policy(RoleName=ROLE, PolicyName=name)
    admin("iam").delete_role(RoleName=ROLE)
    clients.session.cache_clear()
