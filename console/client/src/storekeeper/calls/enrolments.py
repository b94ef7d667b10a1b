"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class Enrolment(TypedDict):
    id: int
    is_open: bool
    by: str
    created_at: str
    expires_at: str
    revoked_at: str | None
    places: list[EnrolmentPlace]


class EnrolmentPlace(TypedDict):
    id: int
    cluster_id: str
    node: str
    called: str
    hostname: str
    taken_at: str | None
    taken_from: str


class NewEnrolmentToken(TypedDict):
    """An enrolment with its token, which is shown this one time."""

    id: int
    is_open: bool
    by: str
    created_at: str
    expires_at: str
    revoked_at: str | None
    places: list[EnrolmentPlace]
    token: str
    command: str


class EnrolmentsCalls(Core):
    """The calls of enrolments."""

    def list_enrolments(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[Enrolment]:
        """List the enrolments, newest first, with the nodes that have taken their files and those that wait.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_enrolments", {"limit": limit, "cursor": cursor})

    def begin_enrolment(
        self,
        *,
        cluster_ids: list[str],
        hours: int | Omit = OMIT,
        machines: str | Omit = OMIT,
        whose: str | Omit = OMIT,
    ) -> NewEnrolmentToken:
        """Make a token with which machines take what their nodes are handed; it is shown this one time. It is good
        while the person who made it may see secrets, so a service account makes none.

        hours: 1, 4, 8 or 24.
        machines: Lines of a host name, a space, and a node such as orders-7q4t/n1.
        whose: new: those that have never reported; all.
        """
        found: NewEnrolmentToken = self.row("begin_enrolment", {"cluster_ids": cluster_ids, "hours": hours, "machines": machines, "whose": whose})
        return found

    def get_enrolment(
        self,
        pk: int,
    ) -> Enrolment:
        """Show one enrolment."""
        found: Enrolment = self.row("get_enrolment", {"pk": pk})
        return found

    def allow_enrolment_again(
        self,
        pk: int,
        place: int,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Enrolment:
        """Let a node be enrolled once more with the same token.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Enrolment = self.row("allow_enrolment_again", {"pk": pk, "place": place, "idempotency_key": idempotency_key})
        return found

    def revoke_enrolment(
        self,
        pk: int,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Enrolment:
        """Have the token of an enrolment taken no more.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Enrolment = self.row("revoke_enrolment", {"pk": pk, "idempotency_key": idempotency_key})
        return found
