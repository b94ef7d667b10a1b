"""Having databases judged, and keeping what is said of them: only for what changed, or when time alone changes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Case, DateTimeField, F, Value, When
from django.db.models.functions import Now

from clusters.drills.proofs import Key, Tries, by_cluster
from clusters.health.judgement import Judgement, judge
from clusters.health.problems import NEXT_AT_MOST
from clusters.health.reading import Pair, pairs, with_facts
from clusters.health.verdicts import Verdict
from clusters.models import Cluster, Health
from clusters.pgbackrest.gaps import Hole
from clusters.pgbackrest.window import ended

log = logging.getLogger(__name__)

BATCH = 50  # clusters
HELD = timedelta(minutes=2)  # a worker that has not judged within that has died
ROWS_AT_ONCE = 500
AGAIN = timedelta(minutes=15)  # after an error of our own
FAILED = {
    "code": "error",
    "verdict": str(Verdict.UNKNOWN),
    "words": "The console could not judge this.",
    "advice": "Its log says why.",
    "since": "",
}

# Called with the organisations of which a verdict has changed, after that is committed.
changed: list[Callable[[set[UUID]], None]] = []


def judge_due(at_most: int = 1000) -> int:
    """Judge the databases of all clusters for which it is time, and return of how many clusters."""
    judged = 0
    while judged < at_most:
        held, now = _claim(min(BATCH, at_most - judged))
        if now is None:
            break
        try:
            _judge(held, now)
        except IntegrityError:  # a cluster was deleted meanwhile; what is left comes again
            log.info("Verdicts of %d clusters are judged again.", len(held))
        judged += len(held)
    return judged


def _claim(number: int) -> tuple[list[UUID], datetime | None]:
    """Return clusters that nobody else judges now, and the time by the database's clock."""
    with transaction.atomic():
        rows = Cluster.objects.to_judge().order_by(F("judge_at").asc(nulls_first=True))
        found = list(
            rows.select_for_update(skip_locked=True, of=("self",))
            .annotate(asked_at=Now())
            .values_list("pk", "asked_at")[:number]
        )
        if not found:
            return [], None
        now = found[0][1]
        Cluster.objects.filter(pk__in=[pk for pk, _ in found]).update(judge_at=now + HELD)
    return [pk for pk, _ in found], now


@dataclass
class _Changes:
    """What is to be written of a batch."""

    due: dict[UUID, datetime] = field(default_factory=dict)
    rows: list[Health] = field(default_factory=list)  # that are new, or another than they were
    gone: list[int] = field(default_factory=list)
    organisations: set[UUID] = field(default_factory=set)  # of which a verdict has changed


def _judge(held: Sequence[UUID], now: datetime) -> None:
    changes, clusters = _Changes(), list(with_facts(Cluster.objects.filter(pk__in=held)))
    tried = by_cluster(clusters)
    for cluster in clusters:
        _compare(cluster, tried.get(cluster.pk, {}), now, changes)
    with transaction.atomic():
        if changes.gone:
            Health.objects.filter(pk__in=changes.gone).delete()
        # In one INSERT, which is far quicker than as many updates in one statement.
        Health.objects.bulk_create(
            changes.rows, ROWS_AT_ONCE, update_conflicts=True, unique_fields=UNIQUE, update_fields=FIELDS
        )
        # Whoever has marked one meanwhile has taken away the mark of ours: then it is judged again.
        moment = Case(*(When(pk=pk, then=Value(at)) for pk, at in changes.due.items()), output_field=DateTimeField())
        Cluster.objects.filter(pk__in=list(changes.due), judge_at=now + HELD).update(judge_at=moment)
        if changes.organisations:
            transaction.on_commit(lambda: _tell(changes.organisations))


def _compare(cluster: Cluster, tried: Mapping[Key, Tries], now: datetime, changes: _Changes) -> None:
    """Add what changes by what is said of the cluster's databases now; `tried` are its restores."""
    rows = {(one.repository_id, one.node, one.database): one for one in cluster.health.all()}
    try:
        judged = [(pair, judge(pair.facts)) for pair in pairs(cluster, now, tried)]
    except Exception:
        # Others have written what is read. Nothing good that was said is kept for true, and no other cluster waits.
        log.exception("The databases of cluster %s could not be judged.", cluster.pk)
        changes.due[cluster.pk] = now + AGAIN
        for row in rows.values():
            _alter(row, _failed(row, now), now, changes)
        return
    for pair, found in judged:
        row = rows.pop(pair.key, None)
        values = _values(pair, found)
        if row is None:
            changes.rows.append(_made(pair, values, now))
            changes.organisations.add(cluster.organisation_id)
        else:
            _alter(row, values, now, changes)
    if rows:
        changes.gone += [row.pk for row in rows.values()]
        changes.organisations.add(cluster.organisation_id)
    changes.due[cluster.pk] = min((found.due for _, found in judged), default=now + NEXT_AT_MOST)


def _failed(row: Health, now: datetime) -> dict[str, Any]:
    """Return the fields of a row that could not be judged: what was worse than not to know stays."""
    said = next((one.get("since") for one in row.problems if one["code"] == FAILED["code"]), "") or now.isoformat()
    error = {**FAILED, "since": said}
    if Verdict(row.verdict).rank < Verdict.UNKNOWN.rank:
        return {"problems": [*(one for one in row.problems if one["code"] != FAILED["code"]), error]}
    since = row.since if row.verdict == Verdict.UNKNOWN else now
    return {"verdict": str(Verdict.UNKNOWN), "rank": Verdict.UNKNOWN.rank, "since": since, "problems": [error]}


def _alter(row: Health, values: Mapping[str, Any], now: datetime, changes: _Changes) -> None:
    if all(getattr(row, name) == value for name, value in values.items()):
        return
    if row.verdict != values.get("verdict", row.verdict):
        changes.organisations.add(row.organisation_id)
    for name, value in {**values, "judged_at": now}.items():
        setattr(row, name, value)
    row.pk = None  # it is found by what it is of
    changes.rows.append(row)


def _tell(organisations: set[UUID]) -> None:
    for one in changed:
        one(organisations)


def _made(pair: Pair, values: Mapping[str, Any], now: datetime) -> Health:
    return Health(
        organisation_id=pair.cluster.organisation_id,
        cluster=pair.cluster,
        repository=pair.repository,
        node=pair.node,
        database=pair.database,
        judged_at=now,
        **values,
    )


def _values(pair: Pair, found: Judgement) -> dict[str, Any]:
    """Return the row's fields."""
    usable, look = found.window.reach.usable, pair.facts.look
    return {
        "verdict": str(found.verdict),
        "rank": found.verdict.rank,
        "since": found.since,
        "problems": list(found.problems),
        "held": list(found.held),
        "coming": found.coming,
        "coming_since": found.coming_since,
        "oldest": found.window.oldest,
        "newest": found.window.newest,
        "backup_at": _stopped(usable),
        "full_at": _stopped([one for one in usable if one.kind == "full"]),
        "wal_at": pair.wal_at,
        "gaps": [_gap(one) for one in found.window.reach.holes],
        "missed": [{"kind": one.kind, "at": one.at.isoformat()} for one in found.missed],
        "read_at": look.read_at,
        "bytes": pair.bytes,
        "bytes_before": pair.bytes_before,
    }


UNIQUE = ("repository", "node", "database")
FIELDS = (
    *("verdict", "rank", "since", "problems", "held", "coming", "coming_since", "oldest", "newest", "backup_at"),
    *("full_at", "wal_at", "gaps", "missed", "read_at", "bytes", "bytes_before", "judged_at"),
)


def _stopped(backups: Sequence[Any]) -> datetime | None:
    return max((ended(one) for one in backups), default=None)


def _gap(hole: Hole) -> dict[str, Any]:
    gap = hole.gap
    return {
        "timeline": gap.timeline,
        "after": gap.after,
        "before": gap.before,
        "segments": gap.segments,
        "from": hole.begin.isoformat(),
        "to": hole.end.isoformat() if hole.end else None,
    }
