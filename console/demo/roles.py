"""The roles that the console asks an administrator for; the demo has the emulated clouds give them to it.

The emulators know nothing of the product, so they are handed over as files.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from console.clouds.azure import documents as azure_documents
from console.clouds.google import permissions as google_permissions
from console.clouds.specs import AccountRef

NOBODY = UUID(int=0)


def azure_roles(*node_access: str) -> list[dict[str, Any]]:
    """Return the custom role in Azure for each of these ways in which nodes sign in."""
    accounts = {way: AccountRef(NOBODY, "", "", {"node_access": way}, {}) for way in node_access}
    return [
        {
            "name": f"{azure_documents.ROLE}, {way}",
            "permissions": azure_documents.permissions(account),
            "condition": azure_documents.condition(account),
            "principal": azure_documents.PRINCIPAL,
        }
        for way, account in accounts.items()
    ]


def google_roles(**settings: str) -> list[dict[str, Any]]:
    """Return the custom roles at Google for an account with these settings."""
    roles = google_permissions.roles(AccountRef(NOBODY, "", "", settings, {}))
    return [{"id": role.id, "permissions": role.permissions, "condition": role.condition} for role in roles]
