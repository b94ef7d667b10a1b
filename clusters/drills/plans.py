"""Plans as the machines are handed them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusters.models import Drill, Node
from clusters.pgbackrest import drill as pure
from clusters.pgbackrest.configuration import StanzaConfiguration

GIB = 2**30


def of_node(drills: Iterable[Drill], node: Node, *, is_first: bool) -> list[Drill]:
    """Return the plans that a node does itself: those for each node only the first host of its replication."""
    return [one for one in drills if one.is_on_nodes and (one.node_id == node.pk or (one.node_id is None and is_first))]


def jobs(
    found: Drill, folder: str, stanzas: Sequence[StanzaConfiguration], numbers: Sequence[int], names: dict[int, str]
) -> list[pure.Job]:
    """Return what it tries of one folder: each stanza in each repository. `names` are the databases' by their key."""
    wanted = names.get(found.database_id) if found.database_id else None
    return [
        pure.Job(folder, stanza.name, number, stanza.postgresql)
        for stanza in stanzas
        if wanted in (None, stanza.name)
        for number in numbers
    ]


def plan(found: Drill, its: Sequence[pure.Job]) -> pure.Plan:
    """Return the plan with these jobs, as a machine is handed it."""
    is_restore = found.is_restore
    return pure.Plan(
        id=found.pk,
        what=found.what,
        schedule=found.schedule,
        jobs=its,
        kind=found.backup,
        checks=pure.checks(found.checks) if is_restore else (),
        database=found.check_database,
        is_amchecked=is_restore and found.is_amchecked,
        place=found.folder if is_restore else "",
        keep_free=found.keep_free * GIB if is_restore else 0,
        seconds=found.hours * 3600,
    )
