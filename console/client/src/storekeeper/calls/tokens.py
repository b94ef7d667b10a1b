"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict

from ..core import OMIT, Core, Omit
from .shapes import (
    NewAPIToken,
)


class APIToken(TypedDict):
    """A key to the API, without what opens anything."""

    id: str
    kind: str
    name: str
    shown: str
    scopes: list[str]
    owner: str
    service_account_id: str | None
    is_good: bool
    created_at: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None


class TokensCalls(Core):
    """The calls of tokens."""

    def list_tokens(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[APIToken]:
        """List one's own tokens, newest first; with a token that manages members, all of the organisation.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_tokens", {"limit": limit, "cursor": cursor})

    def create_token(
        self,
        *,
        name: str,
        scopes: list[str],
        idempotency_key: str | Omit = OMIT,
        days: int | None | Omit = OMIT,
        kind: Literal["token", "client"] | Omit = OMIT,
        until: str | Omit = OMIT,
    ) -> NewAPIToken:
        """Make a token of whoever calls, and show it this one time.

        scopes: At most those of the token that is sent.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        days: 30, 90 or 365.
        kind: client: client ID and secret.
        until: Or a day (UTC), such as 2026-11-30.
        """
        found: NewAPIToken = self.row("create_token", {"idempotency_key": idempotency_key, "name": name, "scopes": scopes, "days": days, "kind": kind, "until": until})
        return found

    def revoke_token(
        self,
        pk: str,
    ) -> None:
        """End a token, and all access tokens that were got with it, now; the one that is sent, too."""
        self.nothing("revoke_token", {"pk": pk})
