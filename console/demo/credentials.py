"""Who may sign in to the demo, and the keys that it keeps from one start to the next."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from console.demo.files import write_private

PEOPLE = {  # key in demo.json: username, and what the terminal says of them
    "owner": ("olivia", "owner"),
    "admin": ("adam", "administrator"),
    "auditor": ("audrey", "may only look, at the audit log, too"),
    "viewer": ("vera", "may only look"),
    "stranger": ("sam", "administrator of another organisation"),
    "developer": ("dora", "owner of an organisation with the Developer edition"),
    "support": ("sue", "support, at /admin/"),
}
# Of the emulated Amazon: the example key of AWS's documentation, which opens nothing anywhere else.
AMAZON = {
    "account_id": "123456789012",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # Amazon's own example
}
# Of the emulated Azure: its tenant and subscription, and the application that the console signs in as.
AZURE = {
    "tenant_id": "11111111-2222-4333-8444-555555555555",
    "subscription_id": "99999999-8888-4777-8666-555555555555",
    "resource_group": "rg-backups",
    "client_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
    "client_secret": "emulated~secret",  # of the emulator alone
    "administrator_id": "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee",
    "administrator_secret": "emulated~administrator",
}
# Whom the token of the console's own identity is for: the emulated application trusts it, as that of a Kubernetes pod.
AZURE_IDENTITY = {
    "issuer": "https://console.example",
    "subject": "storekeeper",
    "audience": "api://AzureADTokenExchange",
}

# Of the emulated Google, and what there trusts the console's own identity.
GOOGLE = {
    "project": "storekeeper-demo",
    "number": "415104041262",
    "workload_provider": "projects/415104041262/locations/global/workloadIdentityPools/storekeeper/providers/console",
    "subject": "system:serviceaccount:storekeeper:console",
    "identity_file": "identity.jwt",  # in its folder: the token of the console's own identity
}


def azure_token() -> str:
    """Return the token of the console's own identity that the emulated Azure takes, which looks at its claims alone."""
    claims = {"iss": AZURE_IDENTITY["issuer"], "sub": AZURE_IDENTITY["subject"], "aud": AZURE_IDENTITY["audience"]}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(part.rstrip("=") for part in parts), "unsigned"])


def load_secrets(path: Path) -> dict[str, Any]:
    """Return the keys and passwords of this demo, made at its first start."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if "SECRET_KEY" not in kept:
        fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        kept = {"SECRET_KEY": secrets.token_urlsafe(48), "FIELD_ENCRYPTION_KEYS": fernet_key}
    passwords = {username: secrets.token_urlsafe(9) for username, _ in PEOPLE.values()}
    kept["passwords"] = {**passwords, **kept.get("passwords", {})}
    write_private(path, json.dumps(kept, indent=2))
    return kept
