"""The console's access to a Google project as an administrator sets it up: roles, commands, Terraform.

All of them are made from the table of calls, so none can be behind the others.
"""

from __future__ import annotations

import json

from console.clouds import scripts
from console.clouds.contract import AccountRef, Document
from console.clouds.google import setup
from console.clouds.google.errors import who
from console.clouds.google.permissions import Role, roles
from console.clouds.google.session import BY_FEDERATION, NAME, PROJECT
from console.clouds.proof import TAG, goes_into_files

PROOF_HINT = (
    "Lets your organisation, and no other, link the project by workload identity. Other text may stand there too."
)
KEYS_HINT = (
    "With keys for the nodes, the console may make keys of every service account in the project, since no condition "
    "can limit that: use a project of its own, or have nodes sign in as their machine's service account."
)


def access_documents(account: AccountRef) -> list[Document]:
    """Return the files that give the console its access."""
    project = account.number or account.settings.get("project_id") or PROJECT
    member = who(account) if "@" in who(account) else f"{NAME}@{project}.iam.gserviceaccount.com"
    found = roles(account)
    hint = "All that the console does, in roles of your own." if _attached(account) else KEYS_HINT
    again, module = setup.again(account), _terraform(account, found, project, member)
    return [
        Document(setup.FILE, "gcloud", setup.script(account, found), hint, setup.command(account), again),
        Document(f"{NAME}.tf", "Terraform", module, "Makes the same.", again=scripts.APPLY),
        *(Document(f"{role.id}.yaml", role.title, _yaml(role), _hint(role), _create(role, project)) for role in found),
    ]


def _attached(account: AccountRef) -> bool:
    return account.settings.get("node_access") == "attached"


def _hint(role: Role) -> str:
    return f"Bound with the condition {role.condition}" if role.condition else "Bound without a condition."


def _yaml(role: Role) -> str:
    lines = [f"title: {json.dumps(role.title)}", "stage: GA", "includedPermissions:"]
    return "\n".join([*lines, *(f"- {one}" for one in role.permissions), ""])


def _create(role: Role, project: str) -> str:
    return f"gcloud iam roles create {role.id} --project={project} --file={role.id}.yaml"


def _terraform(account: AccountRef, found: tuple[Role, ...], project: str, member: str) -> str:
    parts, identity = [], json.dumps(f"serviceAccount:{member}")
    if goes_into_files(BY_FEDERATION, account.settings):
        parts = [_terraform_account(account, project, member)]
        identity = f"google_service_account.{NAME}.member"  # which is there first
    for role in found:
        permissions = "\n".join(f"    {json.dumps(one)}," for one in role.permissions)
        parts.append(
            f'resource "google_project_iam_custom_role" "{role.id}" {{\n'
            f"  project     = {json.dumps(project)}\n"
            f"  role_id     = {json.dumps(role.id)}\n"
            f"  title       = {json.dumps(role.title)}\n"
            f"  permissions = [\n{permissions}\n  ]\n"
            "}\n"
        )
        condition = (
            f"\n  condition {{\n    title      = {json.dumps(role.id)}\n"
            f"    expression = {json.dumps(role.condition)}\n  }}\n"
            if role.condition
            else ""
        )
        parts.append(
            f'resource "google_project_iam_member" "{role.id}" {{\n'
            f"  project = {json.dumps(project)}\n"
            f"  role    = google_project_iam_custom_role.{role.id}.id\n"
            f"  member  = {identity}\n"
            f"{condition}"
            "}\n"
        )
    return "\n".join(parts)


def _terraform_account(account: AccountRef, project: str, member: str) -> str:
    """Return the service account, in its own project, with the external ID in its description."""
    name, _, host = member.partition("@")
    home = host.removesuffix(".iam.gserviceaccount.com") or project
    description = f"{TAG}={account.settings['external_id']}"
    itself = (
        f'\nresource "google_service_account_iam_member" "{NAME}" {{\n'
        f"  service_account_id = google_service_account.{NAME}.name\n"
        f"  role               = {json.dumps(setup.VIEWER)}\n"
        f"  member             = google_service_account.{NAME}.member\n"
        "}\n"
    )
    return (
        f"# {PROOF_HINT} If it is there already:\n"
        f"# terraform import google_service_account.{NAME} projects/{home}/serviceAccounts/{member}\n"
        f'resource "google_service_account" "{NAME}" {{\n'
        f"  project     = {json.dumps(home)}\n"
        f"  account_id  = {json.dumps(name)}\n"
        f"  description = {json.dumps(description)}\n"
        "}\n"
    ) + (itself if home != project else "")
