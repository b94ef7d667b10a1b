"""What is left of nodes that were taken out of their cluster: their folder in each store, until it is seen empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clusters.models import Cluster, RemovedNode
from clusters.repositories.retained import Holding, holding


@dataclass(frozen=True)
class Removed:
    """A removed node, with what the repositories hold of it."""

    node: RemovedNode
    holdings: Sequence[Holding]  # of each repository whose store is there, by number
    sharing: Sequence[str]  # nodes of the cluster that write into the same folder

    @property
    def held(self) -> list[Holding]:
        """Return the repositories that hold something of it, or that nobody has looked into since it was removed."""
        return [one for one in self.holdings if one.stanza_states or not self._was_seen(one)]

    @property
    def holds(self) -> bool:
        """Return whether anything of it was seen in a store."""
        return any(one.stanza_states for one in self.holdings)

    @property
    def is_empty(self) -> bool:
        """Return whether a worker has seen, after the removal, that nothing is in its folder anywhere."""
        return not self.held

    @property
    def is_quiet(self) -> bool:
        """Return whether there is nothing to do about it: it never reported, and nothing of it is in a store."""
        return self.node.reported_at is None and not self.holds

    @property
    def kept_by(self) -> str:
        """Return why it is not forgotten without more ado, in a sentence; "" when nothing keeps it."""
        if self.node.is_still_at_work:
            return f"{self.node} has reported since it was removed: its configuration is still in place."
        if self.sharing or self.is_empty:
            return ""
        seen = [one for one in self.held if one.stanza_states]
        if not seen:
            return "No worker has looked into its folder since it was removed; one does so every 10 minutes."
        words = "; ".join(f"{one.repository.store_name} holds {one.words}" for one in seen)
        return f"{words.replace(chr(0xA0), ' ')}."

    def _was_seen(self, one: Holding) -> bool:
        return one.read_at is not None and one.read_at > self.node.removed_at


def removed_nodes(cluster: Cluster) -> list[Removed]:
    """Return the nodes that were removed from the cluster (with_node_setup())."""
    return [_removed(cluster, one) for one in cluster.removed_nodes.all()]


def _removed(cluster: Cluster, node: RemovedNode) -> Removed:
    folder = node.repository_folder
    there = [one for one in cluster.repositories.all() if one.store_id]
    return Removed(
        node,
        [holding(one, nodes=[folder]) for one in there],
        [one.name for one in cluster.nodes.all() if one.repository_folder == folder],
    )
