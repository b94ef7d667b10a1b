"""The console's custom role in Azure, and the files with which an administrator sets it up; one table serves both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from console.clouds import scripts
from console.clouds.azure import setup
from console.clouds.azure.access import CONTRIBUTOR
from console.clouds.azure.errors import ALWAYS, BY_IDENTITY, BY_SIGNATURE, DATA_ACTIONS
from console.clouds.azure.session import BY_FEDERATION, GROUP_NAME, gives_signatures, scope_of
from console.clouds.contract import Document
from console.clouds.proof import TAG, goes_into_files
from console.clouds.specs import AccountRef

ROLE = "Storekeeper"
DESCRIPTION = "What Storekeeper does: backup stores, and the access of database nodes to them. It writes no backups."
ROLE_FILE, MODULE_FILE = "storekeeper-role.json", "storekeeper.tf"
SEVERAL = "The tag may hold several IDs, with spaces between."
ASSIGNS = "Microsoft.Authorization/roleAssignments"
PRINCIPAL = "<object ID of the console's service principal>"  # stands for it where nobody knows it yet


def calls(account: AccountRef) -> dict[str, tuple[str, ...]]:
    """Return the calls that the console ever makes in the account, with the actions that each needs."""
    return {**ALWAYS, **(BY_SIGNATURE if gives_signatures(account) else BY_IDENTITY)}


def permissions(account: AccountRef) -> dict[str, list[str]]:
    """Return the actions of the console's role: all that its calls need, and nothing else."""
    needed = list(dict.fromkeys(action for actions in calls(account).values() for action in actions))
    return {
        "actions": [one for one in needed if one not in DATA_ACTIONS],
        "dataActions": [one for one in needed if one in DATA_ACTIONS],
    }


def condition(account: AccountRef, principal: str = PRINCIPAL) -> str:
    """Return the condition of the role's assignment: of all roles the console gives and takes one, and never to itself.

    Only to identities, of which its own is one: with that role it could read, write and delete backups. "Delegate Azure
    role assignment management to others with conditions"; "Authorization actions and attributes".
    """
    if gives_signatures(account):
        return ""
    return " AND ".join(
        f"((!(ActionMatches{{'{ASSIGNS}/{verb}'}})) OR "
        f"(@{side}[{ASSIGNS}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{CONTRIBUTOR}}} AND "
        f"@{side}[{ASSIGNS}:PrincipalType] StringEqualsIgnoreCase 'ServicePrincipal' AND "
        f"@{side}[{ASSIGNS}:PrincipalId] ForAnyOfAllValues:GuidNotEquals {{{principal}}}))"
        for verb, side in (("write", "Request"), ("delete", "Resource"))
    )


def definition(account: AccountRef) -> dict[str, Any]:
    """Return the custom role, as `az role definition create` takes it."""
    return {
        "Name": f"{ROLE} ({_group(account)})",
        "Description": DESCRIPTION,
        "IsCustom": True,
        "Actions": permissions(account)["actions"],
        "DataActions": permissions(account)["dataActions"],
        "AssignableScopes": [_scope(account)],
    }


def _group(account: AccountRef) -> str:
    return account.settings.get("resource_group") or GROUP_NAME


def _scope(account: AccountRef) -> str:
    return scope_of({"subscription_id": account.number, **account.settings})


def access_documents(account: AccountRef) -> list[Document]:
    """Return the role, the commands that set up an application with it, and the same in Terraform's language."""
    role, told = json.dumps(definition(account), indent=2), "Makes the application, the role, its assignment, a secret."
    return [
        Document(
            setup.FILE, "Azure CLI", script(account), told, setup.command(account), setup.again(account), "Azure CLI"
        ),
        Document(ROLE_FILE, "Custom role", role, "What the console may do, in one resource group."),
        Document(MODULE_FILE, "Terraform", terraform(account), "Makes the same.", again=scripts.APPLY, way="Terraform"),
    ]


def script(account: AccountRef) -> str:
    """Return the script that sets up the console's application, its role and its way to sign in, or repairs them."""
    return setup.script(
        account,
        role=f"{ROLE} ($group)",
        description=DESCRIPTION,
        permissions=permissions(account),
        condition=condition(account, "$principal"),  # which has no other $, and no double quotes
    )


def terraform(account: AccountRef) -> str:
    """Return the same in Terraform's language, as `terraform fmt` writes it."""
    given: Mapping[str, list[str]] = permissions(account)
    limits = condition(account, "${azuread_service_principal.storekeeper.object_id}")
    limited = f'\n  condition_version  = "2.0"\n  condition          = {json.dumps(limits)}' if limits else ""
    settings = account.settings if account.number else {}
    return scripts.filled(
        Path(__file__).with_name(MODULE_FILE),
        default_subscription_id=scripts.default(account.number),
        default_resource_group=scripts.default(settings.get("resource_group", "")),
        default_sign_in=scripts.default(settings.get("method", ""), width=11),
        namespaces=json.dumps(setup.namespaces(signatures=gives_signatures(account))),
        role=f"{ROLE} (${{var.resource_group}})",
        description=DESCRIPTION,
        actions=_list(given["actions"]),
        data_actions=_list(given["dataActions"]),
        condition=limited,
        tag=_terraform_tag(account),
    )


def _terraform_tag(account: AccountRef) -> str:
    """Return what merges our tag into those of a resource group that Terraform need not own."""
    if not goes_into_files(BY_FEDERATION, account.settings):
        return ""
    tags = f"tags = {{ {json.dumps(TAG)} = {json.dumps(account.settings['external_id'])} }}"
    return f"""
# Lets your organisation, and no other, link the resource group by workload identity federation.
# {SEVERAL}
resource "azapi_resource_action" "storekeeper" {{
  count       = local.federation
  type        = "Microsoft.Resources/tags@2022-09-01"
  resource_id = "${{local.scope}}/providers/Microsoft.Resources/tags/default"
  method      = "PATCH"
  body        = {{ operation = "Merge", properties = {{ {tags} }} }}
  depends_on  = [azurerm_resource_group.storekeeper]
}}
"""


def _list(values: list[str]) -> str:
    rows = "\n".join(f"{json.dumps(one)}," for one in values)
    return f"[\n{indent(rows, '      ')}\n    ]"
