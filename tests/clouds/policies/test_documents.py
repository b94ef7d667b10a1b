"""The forms in which the console's policy is handed out: JSON, CloudFormation, Terraform."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from textwrap import dedent
from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.aws import session as aws_session
from console.clouds.aws.boundary import BOUNDARY, boundary
from console.clouds.specs import AccountRef, DeploymentSettings
from tests.clouds.policies.roles import AWS, NUMBER, PRINCIPAL


def handed_out(settings, partition="aws", number=NUMBER, principal=PRINCIPAL):
    account = AccountRef(uuid4(), number, partition, settings, {})
    return {
        one.filename: one.text
        for one in AWS.linking.documents(replace(account, deployment=DeploymentSettings(principal=principal)))
    }


BY_ROLE = {"role_arn": f"arn:aws:iam::{NUMBER}:role/team/sk", "external_id": "8c1f"}


@pytest.mark.parametrize("ending", ["", "-all-regions"])
@pytest.mark.parametrize("given", [BY_ROLE, {"external_id": "8c1f"}])
def test_all_forms_hold_the_same_policies(given, ending):
    files = handed_out(given)
    permissions, trust = json.loads(files[f"permissions{ending}.json"]), json.loads(files["trust.json"])
    role = "team/sk" if given == BY_ROLE else "storekeeper"
    expected = aws_session.statements(NUMBER, principal=f"role/{role}", global_names=bool(ending))
    assert permissions == expected
    assert trust == aws_session.trust_policy("8c1f", PRINCIPAL)

    template = json.loads(files[f"storekeeper-role{ending}.template.json"])
    properties = template["Resources"]["Role"]["Properties"]
    assert f"{properties['Path']}{properties['RoleName']}" == f"/{role}"
    assert properties["AssumeRolePolicyDocument"] == trust
    [policy] = properties["Policies"]
    assert substituted(policy["PolicyDocument"]) == permissions
    managed = template["Resources"]["NodesBoundary"]["Properties"]
    bounds = json.loads(files["boundary.json"])
    assert (managed["ManagedPolicyName"], substituted(managed["PolicyDocument"])) == (BOUNDARY, bounds)
    assert bounds == boundary(NUMBER)

    module = files[f"storekeeper-role{ending}.tf"].replace("${data.aws_caller_identity.current.account_id}", NUMBER)
    assert "${" not in module
    found = [json.loads(dedent(text)) for text in re.findall(r"<<-JSON\n(.*?)\n  JSON\n", module, re.DOTALL)]
    assert found == [bounds, trust, permissions]
    assert f'name        = "{BOUNDARY}"' in module


def substituted(value):
    """Do what CloudFormation does."""
    if isinstance(value, list):
        return [substituted(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        return value["Fn::Sub"].replace("${AWS::AccountId}", NUMBER)
    return {key: substituted(one) for key, one in value.items()}


@pytest.mark.slow
def test_the_cloudformation_templates_are_valid():
    import cfnlint  # which takes a second to load

    templates = {name: text for name, text in handed_out(BY_ROLE).items() if name.endswith(".template.json")}
    assert templates
    for filename, text in templates.items():
        assert cfnlint.lint(text, regions=["eu-west-1"]) == [], filename


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_would_not_format_the_module_otherwise(tmp_path):
    for filename, text in handed_out(BY_ROLE).items():
        if filename.endswith(".tf"):
            (tmp_path / filename).write_text(text)
    assert list(tmp_path.iterdir())
    assert subprocess.run(["terraform", "fmt", "-check", "-diff", str(tmp_path)], check=False).returncode == 0


def test_documents_fit_the_account():
    assert list(handed_out({"access_key_id": "AKIA"})) == [
        "permissions.json",
        "boundary.json",
        "permissions-all-regions.json",
    ]
    sovereign = handed_out({"role_arn": f"arn:aws-eusc:iam::{NUMBER}:role/sk"}, partition="aws-eusc")
    assert (
        f"arn:aws-eusc:s3:::pgbk-{'?' * 26}-log/*" in sovereign["permissions.json"]
    )  # no region there has the namespace
    assert "permissions-all-regions.json" not in sovereign
    assert "YOUR-ACCOUNT-ID" in handed_out({}, partition="", number="")["permissions.json"]
    gov = handed_out({}, partition="", principal="arn:aws-us-gov:iam::1:root")
    assert "arn:aws-us-gov:s3:::" in gov["permissions.json"]
    server = AccountRef(uuid4(), "s3.example.com", "", {"has": "tags"}, {})
    assert list(CLOUDS["s3"].linking.documents(server)) == []  # it can keep no policy
