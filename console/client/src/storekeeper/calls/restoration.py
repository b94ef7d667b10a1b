"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import OMIT, Begun, Core, Omit
from .shapes import (
    Task,
)


class BroughtFile(TypedDict):
    """A node's file that was brought, and what came of it."""

    node: str
    cluster: str
    at: str
    is_awaited: bool
    error: str
    taken_at: str | None


class RestorationFinding(TypedDict):
    """One thing that differs, or is still looked for."""

    key: str
    kind: str
    title: str
    text: str
    is_waiting: bool
    can_be_left: bool
    settled_by: str


class RestorationShown(TypedDict):
    """What was found since the database was restored from a copy."""

    is_open: bool
    begun_at: str | None
    copied_at: str | None
    ended_at: str | None
    open: list[RestorationFinding]
    settled: list[RestorationFinding]
    nodes_alike: int
    files: list[BroughtFile]


class RestorationCalls(Core):
    """The calls of restoration."""

    def get_restoration(
        self,
    ) -> RestorationShown:
        """Show what differs from what is there since the console was restored from a copy, if it was."""
        found: RestorationShown = self.row("get_restoration", {})
        return found

    def end_restoration(
        self,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> RestorationShown:
        """End the comparison, when all is settled (409): what was held back goes on.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: RestorationShown = self.row("end_restoration", {"idempotency_key": idempotency_key})
        return found

    def look_again_after_restoration(
        self,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[RestorationShown]:
        """Have everything looked at again.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("look_again_after_restoration", {"idempotency_key": idempotency_key})

    def bring_node_file(
        self,
        *,
        cloud_account_id: str,
        text: str,
        idempotency_key: str | Omit = OMIT,
        name: str | Omit = OMIT,
    ) -> Begun[BroughtFile]:
        """Take a node's file, and have a worker try what its passphrases open; what is found stands at Location.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        name: What the cluster is called, where it is not known.
        """
        return self.begun("bring_node_file", {"idempotency_key": idempotency_key, "cloud_account_id": cloud_account_id, "text": text, "name": name})

    def settle_restoration_finding(
        self,
        *,
        key: str,
        idempotency_key: str | Omit = OMIT,
    ) -> RestorationShown:
        """Leave one thing as it is; who is a member is for a token to say that manages members.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: RestorationShown = self.row("settle_restoration_finding", {"idempotency_key": idempotency_key, "key": key})
        return found

    def give_held_task_up(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Task]:
        """End a task that was held back, where it is.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("give_held_task_up", {"pk": pk, "idempotency_key": idempotency_key})

    def let_held_task_go_on(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Task]:
        """Let a task go on that was held back.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("let_held_task_go_on", {"pk": pk, "idempotency_key": idempotency_key})
