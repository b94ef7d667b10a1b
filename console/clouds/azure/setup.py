"""The script that gives the console its access in Azure, to be run the first time and after each upgrade.

Options and answers of the commands: "az" in Microsoft's reference of the Azure CLI. What it would otherwise break:
`az ad app credential reset` takes all other secrets away unless it appends, and `az role definition update` takes away
whatever is not named again.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from console.clouds import scripts
from console.clouds.azure.linking import FIELDS
from console.clouds.azure.session import BY_FEDERATION, FEDERATION
from console.clouds.proof import TAG, goes_into_files
from console.clouds.specs import AccountRef

FILE = "storekeeper-setup.sh"
KEEPS = "permissions"  # the argument that neither makes a secret nor trusts anybody
LABELS = {field.name: field.label for field in FIELDS}


def command(account: AccountRef) -> str:
    """Return how the script is run: with what it has to be told while the account is not linked."""
    return again(account) or f"sh {FILE} SIGN-IN SUBSCRIPTION-ID RESOURCE-GROUP"


def again(account: AccountRef) -> str:
    """Return how the script of a linked account is run; nothing for one that is not."""
    return f"sh {FILE}" if account.number else ""


def namespaces(*, signatures: bool) -> list[str]:
    """Return the resource providers that have to be registered in the subscription."""
    needed = ["Microsoft.Storage", "Microsoft.Insights"]
    return needed if signatures else [*needed, "Microsoft.ManagedIdentity"]


def script(
    account: AccountRef, *, role: str, description: str, permissions: dict[str, list[str]], condition: str
) -> str:
    """Return the script; `role` and `condition` as the shell fills them in ($group, $principal), without quotes."""
    settings = account.settings
    external_id = settings.get("external_id", "") if goes_into_files(BY_FEDERATION, settings) else ""
    usual = (FEDERATION if settings.get("method") == FEDERATION else KEEPS) if account.number else ""
    return scripts.filled(
        Path(__file__).with_name("setup.sh"),
        usual=usual,
        subscription=account.number,
        group=shlex.quote(settings.get("resource_group", "")),
        client=settings.get("client_id", ""),
        namespaces=" ".join(namespaces(signatures=not condition)),
        role=role,
        description=description,
        actions="\n  ".join(["", *permissions["actions"]]),
        data_actions="\n  ".join(["", *permissions["dataActions"]]),
        condition=condition,
        tag=TAG,
        external_id=external_id,
        **{f"label_{name}": json.dumps(f"  {label:26}") for name, label in LABELS.items()},
    )
