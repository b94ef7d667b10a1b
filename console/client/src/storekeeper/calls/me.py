"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import Core


class Me(TypedDict):
    """Whose token was sent, and what can be done with it now."""

    username: str
    service_account: str
    organisation_id: str
    organisation: str
    edition: str
    role: str
    token: str
    scopes: list[str]
    permissions: list[str]
    expires_at: str


class MeCalls(Core):
    """The calls of me."""

    def me(
        self,
    ) -> Me:
        """Say whose token this is, and what can be done with it now."""
        found: Me = self.row("me", {})
        return found
