"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class Member(TypedDict):
    id: int
    name: str
    username: str
    email: str
    role: str
    since: str


class MembersCalls(Core):
    """The calls of members."""

    def list_members(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[Member]:
        """List the members of the organisation, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_members", {"limit": limit, "cursor": cursor})

    def remove_member(
        self,
        pk: int,
    ) -> None:
        """Remove a member, whose tokens end with that; an organisation always keeps an owner (409)."""
        self.nothing("remove_member", {"pk": pk})

    def get_member(
        self,
        pk: int,
    ) -> Member:
        """Show one member."""
        found: Member = self.row("get_member", {"pk": pk})
        return found

    def change_member(
        self,
        pk: int,
        *,
        role: str,
    ) -> Member:
        """Give a member another role; an organisation always keeps an owner (409).

        role: owner, admin, auditor or viewer.
        """
        found: Member = self.row("change_member", {"pk": pk, "role": role})
        return found
