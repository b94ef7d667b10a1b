"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict

from ..core import OMIT, Core, Omit
from .shapes import (
    NewAPIToken,
)


class ServiceAccountShown(TypedDict):
    """Somebody who is no person, with a role and tokens of its own."""

    id: str
    name: str
    role: str
    by: str
    created_at: str


class ServiceAccountsCalls(Core):
    """The calls of service-accounts."""

    def list_service_accounts(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[ServiceAccountShown]:
        """List the service accounts, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_service_accounts", {"limit": limit, "cursor": cursor})

    def create_service_account(
        self,
        *,
        name: str,
        role: str,
        idempotency_key: str | Omit = OMIT,
    ) -> ServiceAccountShown:
        """Make a service account, which has no token yet.

        role: owner, admin, auditor or viewer.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: ServiceAccountShown = self.row("create_service_account", {"idempotency_key": idempotency_key, "name": name, "role": role})
        return found

    def remove_service_account(
        self,
        pk: str,
    ) -> None:
        """Remove a service account with its tokens."""
        self.nothing("remove_service_account", {"pk": pk})

    def create_service_account_token(
        self,
        pk: str,
        *,
        name: str,
        scopes: list[str],
        idempotency_key: str | Omit = OMIT,
        days: int | None | Omit = OMIT,
        kind: Literal["token", "client"] | Omit = OMIT,
        until: str | Omit = OMIT,
    ) -> NewAPIToken:
        """Make a token of a service account, and show it this one time.

        scopes: At most those of the token that is sent.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        days: 30, 90 or 365.
        kind: client: client ID and secret.
        until: Or a day (UTC), such as 2026-11-30.
        """
        found: NewAPIToken = self.row("create_service_account_token", {"pk": pk, "idempotency_key": idempotency_key, "name": name, "scopes": scopes, "days": days, "kind": kind, "until": until})
        return found
