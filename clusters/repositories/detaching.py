"""What cannot be restored any more, or not from as near, when some of a cluster's repositories are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clusters.models import Cluster, Repository
from clusters.repositories.backups import RepositoryView, Row, StanzaView, bookcases

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Side:
    """What some of the repositories hold of one node's present database."""

    fulls: Sequence[tuple[Row, Repository]]  # oldest first
    wal: StanzaView | None  # the one with the newest WAL
    wal_in: Repository | None

    @property
    def newest(self) -> tuple[Row, Repository] | None:
        """Return the newest full backup, and where it is."""
        return self.fulls[-1] if self.fulls else None

    @property
    def wal_at(self) -> datetime:
        """Return when the newest WAL came."""
        return (self.wal.last_wal_at if self.wal else None) or LONG_AGO


def side(views: Sequence[tuple[RepositoryView, StanzaView]], databases: Collection[str]) -> Side:
    """Return what these hold of the databases with these system identifiers; of any, where there are none."""
    counted = {"", *databases}
    fulls = [
        (row, case.repository)
        for case, view in views
        for row in view.rows
        if row.backup.kind == "full" and (not databases or row.backup.system_id in counted)
    ]
    archives = [
        (view, case.repository)
        for case, view in views
        if view.last_wal_at and (not databases or view.stanza_state.system_id in counted)
    ]
    newest = max(archives, key=lambda one: one[0].last_wal_at or LONG_AGO, default=(None, None))
    return Side(sorted(fulls, key=lambda one: one[0].backup.stopped), *newest)


def costs(cluster: Cluster, numbers: Collection[int]) -> tuple[list[str], bool]:
    """Return what leaving out these repositories means, in sentences, and whether all of them have been looked into.

    It goes by each node's present database: as it reported, or else the one that archived last. A full backup of an
    earlier one, or an older one elsewhere, makes no good for the newest; where there is none newer, it counts.
    """
    cases = bookcases(cluster)
    said: list[str] = []
    for (node, stanza), views in _stanzas(cases).items():
        databases = _counted(views)
        going = side([one for one in views if one[0].repository.number in numbers], databases)
        kept = side([one for one in views if one[0].repository.number not in numbers], databases)
        found = list(_of(f"{stanza} on {node}", going, kept))
        said += [*found, _window(f"{stanza} on {node}", kept)] if found else []
    read = all(
        case.inventory
        and case.inventory.read_at
        and all(one.stanza_state.status in {"read", "empty"} for one in case.stanza_views)
        for case in cases
        if case.repository.number in numbers
    )
    return said, read


def held_for(cluster: Cluster, node: str) -> dict[int, str]:
    """Return by repository number what is there of the node's present databases, in words; nothing of the others."""
    said: dict[int, list[str]] = {}
    for (name, stanza), views in _stanzas(bookcases(cluster)).items():
        if name != node:
            continue
        for case, view in views:
            here = side([(case, view)], _counted(views))
            full = f"newest full {_time(here.newest[0].stopped_at)}" if here.newest else "no full"
            wal = f"newest WAL {_time(here.wal_at)}" if here.wal else "no WAL"
            said.setdefault(case.repository.number, []).append(f"{stanza}: {full}, {wal}")
    return {number: "; ".join(found) for number, found in said.items()}


def _stanzas(cases: Iterable[RepositoryView]) -> dict[tuple[str, str], list[tuple[RepositoryView, StanzaView]]]:
    """Return by node and stanza what each repository has of it."""
    found: dict[tuple[str, str], list[tuple[RepositoryView, StanzaView]]] = {}
    for case in cases:
        for view in case.stanza_views:
            found.setdefault((view.stanza_state.node, view.stanza_state.stanza), []).append((case, view))
    return found


def _counted(views: Sequence[tuple[RepositoryView, StanzaView]]) -> frozenset[str]:
    """Return the system identifiers that count: the present database's, and while that has no full backup, all before.

    After an upgrade the earlier database's backups are all that there is, until the first full one.
    """
    present = _present(views)
    if not present or side(views, {present}).fulls:
        return frozenset({present} - {""})
    before = (view.own_ids or {past.system_id for past in view.stanza_state.history} for _, view in views)
    return frozenset({present}).union(*before)


def _present(views: Sequence[tuple[RepositoryView, StanzaView]]) -> str:
    """Return the system identifier of the node's present database: as it reported, or of what archived last."""
    reported = next((view.known_id for _, view in views if view.known_id), "")
    latest = max((view for _, view in views), key=lambda view: view.last_wal_at or LONG_AGO)
    return reported or latest.stanza_state.system_id


def _of(what: str, going: Side, kept: Side) -> Iterator[str]:
    if going.newest:
        row, where = going.newest
        newest = f"the newest {row.backup.label} of {_time(row.stopped_at)}"
        if not kept.newest:
            yield f"{_in(where)} holds the only full backups of {what}, {newest}."
        elif kept.newest[0].backup.stopped < row.backup.stopped:
            other, elsewhere = kept.newest
            yield (
                f"{_in(where)} holds the newest full backup of {what}, {row.backup.label} of {_time(row.stopped_at)}. "
                f"What stays has {other.backup.label} of {_time(other.stopped_at)}, in {_in(elsewhere)}."
            )
    if going.wal and going.wal_in and going.wal_at > kept.wal_at and not _same_end(going, kept):
        ends = f"what stays ends {_time(kept.wal_at)}" if kept.wal else "no WAL of it stays"
        yield f"{_in(going.wal_in)} holds the newest WAL of {what}, of {_time(going.wal_at)}: {ends}."


def _same_end(going: Side, kept: Side) -> bool:
    """Return whether both have the same last segment: two stores get it a moment apart."""
    assert going.wal
    return bool(kept.wal and kept.wal.stanza_state.last_wal == going.wal.stanza_state.last_wal)


def _window(what: str, kept: Side) -> str:
    if not kept.newest:
        return f"Then {what} cannot be restored from any attached store, until a full backup is made in one that stays."
    first = kept.fulls[0][0].stopped_at
    last = max(kept.wal_at, kept.newest[0].stopped_at)
    return f"Then {what} can be restored to a time from {_time(first)} to {_time(last)}."


def _in(repository: Repository) -> str:
    return f"{repository.store_name} (repo{repository.number})"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
