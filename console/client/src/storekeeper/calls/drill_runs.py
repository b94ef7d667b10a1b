"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import OMIT, Core, Omit
from .shapes import (
    DrillRun,
)


class DrillRunsCalls(Core):
    """The calls of drill-runs."""

    def list_drill_runs(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
    ) -> Iterator[DrillRun]:
        """List what drills and verifications have shown, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_drill_runs", {"limit": limit, "cursor": cursor, "cluster_id": cluster_id})
