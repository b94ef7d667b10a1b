"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import OMIT, Core, Omit


class Proximity(TypedDict):
    """What is to be said of a choice of stores."""

    sentence: str
    is_good: bool
    nodes: list[Reach]
    method: str


class Reach(TypedDict):
    """How far one node archives; null where no store is chosen, or none would be nearer."""

    node: str
    region: str
    store_id: str | None
    store_region: str
    km: int | None
    round_trip_ms: int | None
    nearer_store_id: str | None
    nearer_km: int | None


class ProximityCalls(Core):
    """The calls of proximity."""

    def judge_proximity(
        self,
        *,
        cloud_account_id: str | None | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
        regions: list[str] | Omit = OMIT,
        store_ids: list[str] | Omit = OMIT,
    ) -> Proximity:
        """Say how far each node would archive, of a cluster or of one that is planned; nothing is changed.

        regions: One for each node: codes or places.
        """
        found: Proximity = self.row("judge_proximity", {"cloud_account_id": cloud_account_id, "cluster_id": cluster_id, "regions": regions, "store_ids": store_ids})
        return found
