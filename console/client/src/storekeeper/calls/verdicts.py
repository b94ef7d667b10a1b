"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict

from ..core import OMIT, Core, Omit


class JudgedDatabase(TypedDict):
    """Whether one database of one node can be restored from one store."""

    cluster_id: str
    cluster: str
    node: str
    database: str
    store_id: str | None
    store: str
    repository: int
    verdict: str
    since: str
    reasons: list[Reason]
    restorable_from: str | None
    restorable_to: str | None
    newest_backup_at: str | None
    newest_full_backup_at: str | None
    newest_wal_at: str | None
    proved_at: str | None
    proof_seconds: int | None
    bytes: int
    read_at: str | None
    judged_at: str


class Reason(TypedDict):
    code: str
    words: str
    advice: str


Verdict = Literal["not_recoverable", "at_risk", "behind", "unknown", "not_set_up", "recoverable"]


class VerdictsCalls(Core):
    """The calls of verdicts."""

    def list_verdicts(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
        verdict: Verdict | None | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
        store_id: str | None | Omit = OMIT,
    ) -> Iterator[JudgedDatabase]:
        """List for each database of each node in each store whether it can be restored and to when; the worst first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        verdict: As on the page.
        """
        return self.rows("list_verdicts", {"limit": limit, "cursor": cursor, "q": q, "verdict": verdict, "cluster_id": cluster_id, "store_id": store_id})
