"""What linking a Google project asks for."""

from __future__ import annotations

import json
import re

from console.clouds.contract import Field, LinkError
from console.clouds.google.session import FEDERATION, KEY, SIGN_INS

PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")  # Resource Manager, "Project IDs"
EMAIL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}@[a-z0-9][a-z0-9.:-]{0,80}\.gserviceaccount\.com")
PROVIDER = re.compile(
    r"projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)
KEY_ID = re.compile(r"[0-9a-f]{16,64}")
PEM = re.compile(r"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?")
KEY_PARTS = ("type", "client_email", "private_key_id", "private_key", "token_uri")


def _project_id(text: str) -> str:
    if not PROJECT_ID.fullmatch(text):
        raise LinkError("This is not the ID of a project: 6 to 30 lower-case letters, digits and hyphens.")
    return text


def _email(text: str) -> str:
    if not EMAIL.fullmatch(text):
        raise LinkError("Enter the service account's e-mail, such as storekeeper@my-project.iam.gserviceaccount.com.")
    return text


def _provider(text: str) -> str:
    """Return the resource name, without what is put before it as an audience."""
    name = text.removeprefix("https:").removeprefix("//iam.googleapis.com/")
    if not PROVIDER.fullmatch(name):
        raise LinkError(
            "Enter the provider's resource name: "
            "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER."
        )
    return name


def _key(text: str) -> str:
    """Return the few parts of a key file that are kept, as JSON; no address of it is ever used."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise LinkError("This is no JSON. Paste the whole file that Google made with the key.") from None
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise LinkError(
            "This is not the key of a service account. Google offers it as JSON when a key is made: IAM, Service "
            "Accounts, Keys."
        )
    parts = {name: str(found.get(name, "")) for name in KEY_PARTS if found.get(name)}
    if found.get("universe_domain", "googleapis.com") != "googleapis.com":
        raise LinkError("This key is for another cloud than Google's public one (universe_domain).")
    if not (
        EMAIL.fullmatch(parts.get("client_email", ""))
        and KEY_ID.fullmatch(parts.get("private_key_id", ""))
        and PEM.fullmatch(parts.get("private_key", ""))
    ):
        raise LinkError("Parts of the key file are missing or damaged. Paste the whole file as Google made it.")
    return json.dumps(parts)


FIELDS = (
    Field(
        "method",
        "How the console signs in",
        kind="choice",
        choices=tuple((one.key, one.label) for one in SIGN_INS),
    ),
    Field(
        "project_id",
        "Project ID",
        "Where the buckets are made; 6 to 30 lower-case letters, digits and hyphens. A project of its own is best: "
        "what the console may do then ends where its stores do.",
        required="Enter the project's ID.",
        at_most=30,
        placeholder="my-project-123456",
        clean=_project_id,
    ),
    Field(
        "workload_provider",
        "Workload Identity Provider",
        "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER. It has to trust whoever gives "
        "the console's processes their token.",
        required="Enter the provider's resource name.",
        at_most=200,
        method=FEDERATION,
        clean=_provider,
    ),
    Field(
        "service_account",
        "Service Account",
        "Whom the console acts as. Its role is described here; the console's identity needs "
        "roles/iam.workloadIdentityUser on it.",
        required="Enter the service account's e-mail.",
        at_most=160,
        placeholder="storekeeper@my-project-123456.iam.gserviceaccount.com",
        method=FEDERATION,
        identity=True,
        clean=_email,
    ),
    Field(
        "key",
        "Service Account Key",
        "The JSON file that Google made with the key: paste all of it. Only the e-mail, the key and its ID are kept.",
        kind="area",
        secret=True,
        required="Paste the key file.",
        at_most=10_000,
        method=KEY,
        clean=_key,
    ),
    Field(
        "node_access",
        "How database nodes sign in",
        "With a key, each cluster gets a service account and a key file. Attached, you start the nodes' machines with "
        "the cluster's service account, and there are no keys at all; that needs machines on Google Cloud.",
        kind="choice",
        choices=(("key", "With a key that the console makes"), ("attached", "As their machine's service account")),
    ),
)
