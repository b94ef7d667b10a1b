"""The console's access to a Google project as an administrator sets it up: roles, commands, Terraform.

All of them are made from the table of calls, so none can be behind the others.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from console.clouds import scripts
from console.clouds.contract import Document
from console.clouds.google import setup
from console.clouds.google.errors import who
from console.clouds.google.permissions import Binding, Role, bindings, roles, roles_of_places
from console.clouds.google.session import BY_FEDERATION, NAME, PROJECT
from console.clouds.proof import TAG, goes_into_files
from console.clouds.specs import AccountRef

PROOF_HINT = (
    "Lets your organisation, and no other, link the project by workload identity. Other text may stand there too."
)
MODULE_FILE = f"{NAME}.tf"
ITSELF = f"""
resource "google_service_account_iam_member" "itself" {{
  service_account_id = google_service_account.storekeeper.name
  role               = {json.dumps(setup.VIEWER)}
  member             = google_service_account.storekeeper.member
}}
"""
KEYS_HINT = (
    "With keys for the nodes, the console may make keys of every service account in the project, since no condition "
    "can limit that: use a project of its own, or have nodes sign in as their machine's service account."
)


def access_documents(account: AccountRef) -> list[Document]:
    """Return the files that give the console its access."""
    project = account.number or account.settings.get("project_id") or PROJECT
    member = who(account) if "@" in who(account) else f"{NAME}@{project}.iam.gserviceaccount.com"
    found, of_places = roles(account), roles_of_places(account)
    hint = "All that the console does, in roles of your own." if _attached(account) else KEYS_HINT
    again, module = setup.again(account), _terraform(account, found, member)
    every = (*found, *of_places)
    return [
        Document(setup.FILE, "gcloud", setup.script(account), hint, setup.command(account), again, "gcloud"),
        Document(MODULE_FILE, "Terraform", module, "Makes the same.", again=scripts.APPLY, way="Terraform"),
        *(Document(f"{role.id}.yaml", role.title, _yaml(role), _hint(role), _create(role, project)) for role in every),
    ]


def _attached(account: AccountRef) -> bool:
    return account.settings.get("node_access") == "attached"


def _hint(role: Role) -> str:
    if role.id.endswith("Existing"):
        return "Bound on each bucket that was there before, and on none else."
    return f"Bound with the condition {role.condition}" if role.condition else "Bound without a condition."


def _yaml(role: Role) -> str:
    lines = [f"title: {json.dumps(role.title)}", "stage: GA", "includedPermissions:"]
    return "\n".join([*lines, *(f"- {one}" for one in role.permissions), ""])


def _create(role: Role, project: str) -> str:
    return f"gcloud iam roles create {role.id} --project={project} --file={role.id}.yaml"


def _terraform(account: AccountRef, found: tuple[Role, ...], member: str) -> str:
    """Return the same in Terraform's language, as `terraform fmt` writes it."""
    name, _, host = member.partition("@")
    home, settings = host.removesuffix(".iam.gserviceaccount.com"), account.settings if account.number else {}
    elsewhere = bool(account.number) and home != account.number
    federated = goes_into_files(BY_FEDERATION, account.settings)
    return scripts.filled(
        Path(__file__).with_name(MODULE_FILE),
        default_project_id=scripts.default(account.number),
        default_sign_in=scripts.default(settings.get("method", ""), width=11),
        provider=settings.get("workload_provider", ""),
        services=json.dumps([*setup.SERVICES, *setup.FEDERATED]),
        hint=PROOF_HINT,
        home=json.dumps(home) if elsewhere else "var.project_id",
        account_id=name,
        description=f"{TAG}={account.settings['external_id']}" if federated else "",
        roles="\n".join(
            (
                *(_terraform_role(role) for role in found),
                *(_terraform_custom(role) for role in roles_of_places(account)),
                *(_terraform_binding(one) for one in bindings(account)),
            )
        ),
        itself=ITSELF if elsewhere else "",
    )


def _terraform_role(role: Role) -> str:
    title, expression = json.dumps(role.id), json.dumps(role.condition)
    limited = f"\n  condition {{\n    title      = {title}\n    expression = {expression}\n  }}\n"
    return f"""{_terraform_custom(role)}
resource "google_project_iam_member" "{role.id}" {{
  project = var.project_id
  role    = google_project_iam_custom_role.{role.id}.id
  member  = google_service_account.storekeeper.member
{limited if role.condition else ""}}}
"""


def _terraform_binding(one: Binding) -> str:
    """Return the resource, whose name stays as it is when others come and go."""
    name = sha256(f"{one.bucket}/{one.condition}".encode()).hexdigest()[:8]
    title, expression = json.dumps(one.role), json.dumps(one.condition)
    limited = f"\n  condition {{\n    title      = {title}\n    expression = {expression}\n  }}\n"
    return f"""resource "google_storage_bucket_iam_member" "{one.role}-{name}" {{
  bucket = {json.dumps(one.bucket)}
  role   = google_project_iam_custom_role.{one.role}.id
  member = google_service_account.storekeeper.member
{limited if one.condition else ""}}}
"""


def _terraform_custom(role: Role) -> str:
    permissions = "\n".join(f"    {json.dumps(one)}," for one in role.permissions)
    title = json.dumps(role.id)
    return f"""resource "google_project_iam_custom_role" "{role.id}" {{
  project = var.project_id
  role_id = {title}
  title   = {json.dumps(role.title)}
  permissions = [
{permissions}
  ]
  depends_on = [google_project_service.storekeeper]
}}
"""
