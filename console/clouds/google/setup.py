"""The script that gives the console its access at Google, to be run the first time and after each upgrade.

Commands and what they answer: "gcloud" in the reference of Google's CLI. A role's `--permissions` would take away
what is not named again; another condition is another binding, which has to be taken away itself.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from console.clouds import scripts
from console.clouds.google.linking import FIELDS
from console.clouds.google.permissions import Binding, Role, bindings, roles, roles_of_places
from console.clouds.google.session import BY_FEDERATION, FEDERATION
from console.clouds.proof import TAG, goes_into_files
from console.clouds.specs import AccountRef

FILE = "storekeeper-setup.sh"
KEEPS = "permissions"  # the argument that neither makes a key nor trusts anybody
SERVICES = ("storage.googleapis.com", "iam.googleapis.com", "cloudresourcemanager.googleapis.com")
FEDERATED = ("sts.googleapis.com", "iamcredentials.googleapis.com")
VIEWER = "roles/iam.serviceAccountViewer"


def command(account: AccountRef) -> str:
    """Return how the script is run: with what it has to be told while the project is not linked."""
    return again(account) or f"sh {FILE} SIGN-IN PROJECT-ID"


def again(account: AccountRef) -> str:
    """Return how the script of a linked project is run; nothing for one that is not."""
    return f"sh {FILE}" if account.number else ""


def script(account: AccountRef) -> str:
    """Return the script, which makes the console's roles and binds them."""
    settings = account.settings
    usual = (FEDERATION if settings.get("method") == FEDERATION else KEEPS) if account.number else ""
    return scripts.filled(
        Path(__file__).with_name("setup.sh"),
        usual=usual,
        project=account.number,
        email=settings.get("client_email") or settings.get("service_account", ""),
        provider=settings.get("workload_provider", ""),
        services=" ".join((*SERVICES, *FEDERATED)),
        roles="\n".join(line for role in roles(account) for line in (_made(role), _bound(role))),
        places="\n".join([*map(_made, roles_of_places(account)), *map(_bound_on_bucket, bindings(account))]),
        tag=TAG,
        viewer=VIEWER,
        external_id=settings.get("external_id", "") if goes_into_files(BY_FEDERATION, settings) else "",
        **{f"label_{field.name}": json.dumps(f"  {field.label:26}") for field in FIELDS},
    )


def _made(role: Role) -> str:
    listed = ",\\\n".join(role.permissions)
    return f'role {role.id} {shlex.quote(role.title)} "\\\n{listed}"'


def _bound(role: Role) -> str:
    return f"bind {role.id} {shlex.quote(role.condition or 'None')}"


def _bound_on_bucket(one: Binding) -> str:
    return f"bind_bucket {one.bucket} {one.role} {shlex.quote(one.condition or 'None')}"
