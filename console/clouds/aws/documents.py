"""The console's role in an AWS account as an administrator wants it: policies, a CloudFormation template, Terraform.

All of them are made from the same statements, so none can be behind the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from textwrap import indent
from typing import Any

from console.clouds import scripts
from console.clouds.aws.boundary import BOUNDARY, boundary, boundary_arn
from console.clouds.aws.linking import KEY
from console.clouds.aws.session import ROLE_NAME, statements, trust_policy
from console.clouds.contract import Document
from console.clouds.regions import regions
from console.clouds.specs import AccountRef

BOUNDARY_FILE = "boundary.json"
BOUNDARY_HINT = (
    "The most that nodes can ever be allowed, as a managed policy of its own: the console makes no role without."
)
PERMISSIONS_FILE = "permissions.json"
CREATE_POLICY = f"aws iam create-policy --policy-name {BOUNDARY} --policy-document file://{BOUNDARY_FILE}"
NUMBER = "YOUR-ACCOUNT-ID"  # stands in a policy for the number that is not known before the account is linked
MANAGED_AT_MOST = 6144  # characters, without white space ("IAM and AWS STS quotas")
DESCRIPTION = "Lets the Storekeeper console make and watch backup stores, and give database nodes their own."
BOUNDARY_DESCRIPTION = "The most that the IAM roles of database nodes, which Storekeeper makes, can be allowed."
TEMPLATE = f"{ROLE_NAME}-role.template.json"
DEPLOY = (
    f"aws cloudformation deploy --template-file {TEMPLATE} --stack-name {ROLE_NAME} --capabilities CAPABILITY_NAMED_IAM"
)
# Where CloudFormation takes a template from a file, by partition. A link that fills it in (quickcreate) takes one from
# a public bucket of S3 alone, which a console of one's own does not have.
CREATE_STACK = {
    "aws": "https://console.aws.amazon.com/cloudformation/home#/stacks/create",
    "aws-cn": "https://console.amazonaws.cn/cloudformation/home#/stacks/create",
    "aws-us-gov": "https://console.amazonaws-us-gov.com/cloudformation/home#/stacks/create",
}


def access_documents(account: AccountRef) -> list[Document]:
    """Return the files that make the console's role; for an account with an access key, its user's permissions."""
    principal = account.deployment.principal
    partition = account.partition or principal.split(":")[1]
    here = [region for region in regions("aws") if region.partition == partition]
    lacking = [region.code for region in here if not region.account_namespace]
    by_key = "access_key_id" in account.settings or account.settings.get("method") == KEY
    files = _user_files if by_key else _role_files
    usual = files(account, principal, partition, len(lacking) == len(here))
    if len(lacking) in {0, len(here)}:
        return usual
    wider = [one for one in files(account, principal, partition, True) if one not in usual]
    where = f"Also for stores in {' and '.join(lacking)}, where bucket names are in no namespace of the account's own."
    return [*usual, *(_for_all_regions(one, where) for one in wider)]


def merge_statements(found: Sequence[str]) -> str:
    """Return statements of a policy as one list of JSON, those on the same resource as one."""
    joined: dict[str, dict[str, Any]] = {}
    for text in found:
        statement = json.loads(text)
        action = statement.pop("Action")
        kept = joined.setdefault(json.dumps(statement), {"Effect": "Allow", "Action": [], **statement})
        kept["Action"] = list(dict.fromkeys([*kept["Action"], action]))
    return json.dumps(list(joined.values()), indent=2)


def _for_all_regions(document: Document, where: str) -> Document:
    first, _, rest = document.filename.partition(".")
    filename = f"{first}-all-regions.{rest}"
    command, again = (text.replace(document.filename, filename) for text in (document.command, document.again))
    return replace(
        document, filename=filename, label=f"{document.label}, all regions", hint=where, command=command, again=again
    )


def _user_files(account: AccountRef, principal: str, partition: str, global_names: bool) -> list[Document]:
    number, user = account.number or NUMBER, "user/${aws:username}"
    policy = statements(number, partition, global_names=global_names, principal=user, places=account.places)
    hint = "For the user whose access key it is, as a managed policy: a user's own policies end at 2,048 characters."
    if len(json.dumps(policy, separators=(",", ":"))) > MANAGED_AT_MOST:
        hint = f"AWS takes {MANAGED_AT_MOST:,} characters in a managed policy, and this one is longer: use a role."
    make = f"aws iam create-policy --policy-name {ROLE_NAME} --policy-document file://{PERMISSIONS_FILE}"
    again = _new_version(f"arn:{partition}:iam::{number}:policy/{ROLE_NAME}", PERMISSIONS_FILE)
    return [
        Document(PERMISSIONS_FILE, "Permissions", _json(policy), hint, make, again),
        _boundary_file(account, number, partition),
    ]


def _boundary_file(account: AccountRef, number: str, partition: str) -> Document:
    text = _json(boundary(number, partition, account.places))
    again = _new_version(boundary_arn(number, partition), BOUNDARY_FILE)
    return Document(BOUNDARY_FILE, "Nodes' boundary", text, BOUNDARY_HINT, CREATE_POLICY, again)


def _new_version(arn: str, filename: str) -> str:
    """Return how a managed policy gets its present text; AWS keeps five: the oldest has to go first."""
    return f"aws iam create-policy-version --policy-arn {arn} --policy-document file://{filename} --set-as-default"


def _role_files(account: AccountRef, principal: str, partition: str, global_names: bool) -> list[Document]:
    role = account.settings.get("role_arn", "").partition(":role/")[2] or ROLE_NAME
    trust = trust_policy(account.settings.get("external_id", ""), principal)
    path, _, name = f"/{role}".rpartition("/")

    def permissions(number: str) -> dict[str, Any]:
        own = f"role/{role}"
        return statements(number, partition, global_names=global_names, principal=own, places=account.places)

    def both(number: str) -> tuple[dict[str, Any], dict[str, Any]]:
        return permissions(number), boundary(number, partition, account.places)

    template = cloudformation(name, f"{path}/", trust, *both("${AWS::AccountId}"))
    module = terraform(name, f"{path}/", trust, *both("${data.aws_caller_identity.current.account_id}"))
    policy = permissions(account.number or NUMBER)
    told = "What the role may do: all that the console does."
    put = f"aws iam put-role-policy --role-name {name} --policy-name {ROLE_NAME}"
    put = f"{put} --policy-document file://{PERMISSIONS_FILE}"
    return [
        Document(PERMISSIONS_FILE, "Permissions", _json(policy), told, put, put),
        Document("trust.json", "Trust policy", _json(trust), "Who may assume the role: the console alone."),
        _boundary_file(account, account.number or NUMBER, partition),
        Document(
            TEMPLATE,
            "CloudFormation",
            _json(template),
            "Makes the role with all of them.",
            DEPLOY,
            DEPLOY,
            way="CloudFormation",
            page=CREATE_STACK.get(partition, ""),
            page_words="Create stack",
        ),
        Document(
            f"{ROLE_NAME}-role.tf",
            "Terraform",
            module,
            "Makes the role with all of them.",
            again=scripts.APPLY,
            way="Terraform",
        ),
    ]


def _json(document: Any) -> str:
    return json.dumps(document, indent=2)


def cloudformation(
    name: str, path: str, trust: dict[str, Any], permissions: dict[str, Any], bounds: dict[str, Any]
) -> dict[str, Any]:
    """Return the template of the role and the nodes' boundary; CloudFormation fills in ${AWS::…} in their policies."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": DESCRIPTION,
        "Resources": {
            "NodesBoundary": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {
                    "ManagedPolicyName": BOUNDARY,
                    "Description": BOUNDARY_DESCRIPTION,
                    "PolicyDocument": _substituted(bounds),
                },
            },
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": name,
                    "Path": path,
                    "Description": DESCRIPTION,
                    "AssumeRolePolicyDocument": trust,
                    "Policies": [{"PolicyName": ROLE_NAME, "PolicyDocument": _substituted(permissions)}],
                },
            },
        },
        "Outputs": {"RoleArn": {"Description": "Enter this in the console.", "Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    }


def _substituted(value: Any) -> Any:
    """Return the value with Fn::Sub around each text that CloudFormation has to fill in."""
    if isinstance(value, dict):
        return {key: _substituted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_substituted(one) for one in value]
    return {"Fn::Sub": value} if isinstance(value, str) and "${AWS::" in value else value


def terraform(name: str, path: str, trust: dict[str, Any], permissions: dict[str, Any], bounds: dict[str, Any]) -> str:
    """Return the same in Terraform's language, as `terraform fmt` writes it."""
    return f'''data "aws_caller_identity" "current" {{}}

resource "aws_iam_policy" "{BOUNDARY}" {{
  name        = "{BOUNDARY}"
  description = {json.dumps(BOUNDARY_DESCRIPTION)}

  policy = <<-JSON
{indent(_json(bounds), "    ")}
  JSON
}}

resource "aws_iam_role" "{ROLE_NAME}" {{
  name        = {json.dumps(name)}
  path        = {json.dumps(path)}
  description = {json.dumps(DESCRIPTION)}

  assume_role_policy = <<-JSON
{indent(_json(trust), "    ")}
  JSON
}}

resource "aws_iam_role_policy" "{ROLE_NAME}" {{
  name = "{ROLE_NAME}"
  role = aws_iam_role.{ROLE_NAME}.id

  policy = <<-JSON
{indent(_json(permissions), "    ")}
  JSON
}}

output "role_arn" {{
  description = "Enter this in the console."
  value       = aws_iam_role.{ROLE_NAME}.arn
}}
'''
