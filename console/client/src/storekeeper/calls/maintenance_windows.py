"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class Window(TypedDict):
    """A time in which nobody is told of alerts."""

    id: str
    cluster_id: str | None
    cluster: str
    starts_at: str
    ends_at: str
    why: str
    by: str


class MaintenanceWindowsCalls(Core):
    """The calls of maintenance-windows."""

    def list_maintenance_windows(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[Window]:
        """List the maintenance windows that are on or to come, by their start.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_maintenance_windows", {"limit": limit, "cursor": cursor})

    def plan_maintenance_window(
        self,
        *,
        starts_at: str,
        ends_at: str,
        why: str,
        idempotency_key: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
    ) -> Window:
        """Plan a maintenance window.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Window = self.row("plan_maintenance_window", {"idempotency_key": idempotency_key, "starts_at": starts_at, "ends_at": ends_at, "why": why, "cluster_id": cluster_id})
        return found

    def end_maintenance_window(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Window:
        """End a maintenance window now, or drop one that has not begun; what is still open is told.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Window = self.row("end_maintenance_window", {"pk": pk, "idempotency_key": idempotency_key})
        return found
