"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class Backup(TypedDict):
    """One backup, as it was last seen in a store."""

    cluster_id: str | None
    cluster: str
    store_id: str | None
    store: str
    repository: int
    node: str
    database: str
    label: str
    type: str
    started_at: str
    completed_at: str
    database_bytes: int
    stored_bytes: int
    first_wal: str
    last_wal: str
    has_page_errors: bool
    seen_at: str | None


class BackupsCalls(Core):
    """The calls of backups."""

    def list_backups(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
        store_id: str | None | Omit = OMIT,
        node: str | Omit = OMIT,
        database: str | Omit = OMIT,
    ) -> Iterator[Backup]:
        """List the backups that were last seen, by repository, node, database and label (oldest first).

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_backups", {"limit": limit, "cursor": cursor, "cluster_id": cluster_id, "store_id": store_id, "node": node, "database": database})
