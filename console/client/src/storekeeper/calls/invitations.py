"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class InvitationShown(TypedDict):
    """Somebody who may join by a link that was sent to them."""

    id: str
    email: str
    role: str
    by: str
    created_at: str
    expires_at: str
    is_open: bool


class NewInvitation(TypedDict):
    """An invitation with its link, which is shown this one time."""

    id: str
    email: str
    role: str
    by: str
    created_at: str
    expires_at: str
    is_open: bool
    link: str
    sent: str


class InvitationsCalls(Core):
    """The calls of invitations."""

    def list_invitations(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[InvitationShown]:
        """List who is invited, newest first; never a link.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_invitations", {"limit": limit, "cursor": cursor})

    def invite_member(
        self,
        *,
        email: str,
        role: str,
        idempotency_key: str | Omit = OMIT,
    ) -> NewInvitation:
        """Invite somebody, in place of an earlier invitation; the link is sent, and shown this one time.

        role: owner, admin, auditor or viewer.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: NewInvitation = self.row("invite_member", {"idempotency_key": idempotency_key, "email": email, "role": role})
        return found

    def revoke_invitation(
        self,
        pk: str,
    ) -> None:
        """Take an invitation back: its link leads nowhere any more."""
        self.nothing("revoke_invitation", {"pk": pk})
