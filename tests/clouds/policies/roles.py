"""The console's role on the emulated Amazon, and the policies that it is given."""

from __future__ import annotations

import json
from uuid import uuid4

import boto3

from console.clouds import CLOUDS
from console.clouds.specs import AccountRef
from console.demo.emulators.aws.emulator import Emulator
from console.demo.emulators.aws.permissions import as_list

NUMBER, ROLE = Emulator.account_id, "preflight-role"
ARN = f"arn:aws:iam::{NUMBER}:role/{ROLE}"
AWS = CLOUDS["aws"]
ACCOUNT = AccountRef(uuid4(), NUMBER, "aws", {"role_arn": ARN, "external_id": "8c1f"}, {})
ADMINISTRATOR = {"aws_access_key_id": Emulator.access_key_id, "aws_secret_access_key": Emulator.secret_access_key}
PRINCIPAL = "arn:aws:iam::111111111111:root"


def allowed(policy):
    return {action for one in policy["Statement"] if one["Effect"] == "Allow" for action in as_list(one["Action"])}


def admin(service, region="us-east-1"):
    return boto3.client(service, region_name=region, **ADMINISTRATOR)


def give(policy, **more):
    """Give the role this policy, and others by name, instead of those that it had."""
    iam = admin("iam")
    for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
    for name, document in {"storekeeper": policy, **more}.items():
        iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=json.dumps(document))


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def without(policy, action):
    """Return the policy as it is for an administrator who forgot one action."""
    kept = []
    for one in policy["Statement"]:
        if one["Effect"] == "Deny":
            kept.append(one)
            continue
        actions = [name for name in as_list(one["Action"]) if name != action]
        kept += [{**one, "Action": actions}] if actions else []
    return document(*kept)
