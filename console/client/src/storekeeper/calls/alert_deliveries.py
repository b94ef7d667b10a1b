"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import OMIT, Core, Omit
from .shapes import (
    Sent,
)


class AlertDeliveriesCalls(Core):
    """The calls of alert-deliveries."""

    def list_alert_deliveries(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        channel_id: str | None | Omit = OMIT,
    ) -> Iterator[Sent]:
        """List what was sent, or is to be, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_alert_deliveries", {"limit": limit, "cursor": cursor, "channel_id": channel_id})
