"""What the runs of drills prove of each database in each store: for judging, and for pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from clusters.models import Cluster, DrillRun, Health
from clusters.pgbackrest import drill

ENDED = (DrillRun.State.SUCCEEDED, DrillRun.State.FAILED, DrillRun.State.NOT_BELIEVED)
# Of a run that is lost, nobody knows how it went: it is no failure, and takes none away.
LOST = Q(state=DrillRun.State.LOST, ended_at=None)
Key = tuple[int, str, str]  # repository, node, database


@dataclass(frozen=True)
class Tries:
    """How restores and verifications of one database in one store went when they were last tried."""

    last_success: datetime | None = None  # when a restore last succeeded
    seconds: int | None = None  # how long that took: the measured RTO
    last_failure: datetime | None = None  # of a restore or a verification, where none of its kind has succeeded since
    failed_words: str = ""  # why; nothing where the last ones have succeeded
    verified_at: datetime | None = None  # when a verification last found nothing
    lost_at: datetime | None = (
        None  # when a run began of which there is no word, where none of its kind has ended since
    )


def proofs(cluster: Cluster) -> dict[Key, Tries]:
    """Return what is proved of each database of the cluster in each repository; one query."""
    return by_cluster([cluster]).get(cluster.pk, {})


def by_cluster(clusters: Iterable[Cluster]) -> dict[object, dict[Key, Tries]]:
    """Return the same for several clusters, by their keys; one query however many there are."""
    newer = DrillRun.objects.filter(
        cluster=OuterRef("cluster"),
        repository=OuterRef("repository"),
        node=OuterRef("node"),
        database=OuterRef("database"),
        what=OuterRef("what"),
    ).filter(Q(created_at__gt=OuterRef("created_at")) | Q(created_at=OuterRef("created_at"), pk__gt=OuterRef("pk")))
    good, ended = DrillRun.State.SUCCEEDED, newer.filter(state__in=ENDED)
    rows = (
        DrillRun.objects.filter(cluster__in=clusters, repository__isnull=False)
        # The last success, the last of all that have ended, and what is lost since then.
        .filter(
            ~Exists(newer.filter(state=good)) & Q(state=good)
            | ~Exists(ended) & Q(state__in=ENDED)
            | ~Exists(newer.filter(Q(state__in=ENDED) | LOST)) & LOST
        )
        .order_by("created_at", "pk")
    )
    found: dict[object, dict[Key, dict[str, object]]] = {}
    for run in rows:
        assert run.repository_id is not None  # asked for above
        facts = found.setdefault(run.cluster_id, {}).setdefault((run.repository_id, run.node, run.database), {})
        if run.state == DrillRun.State.LOST:
            facts["lost_at"] = run.created_at
        elif run.state != good:
            facts[f"failure {run.what}"] = run
        elif run.what == drill.RESTORE:
            facts |= {"last_success": run.ended_at, "seconds": run.seconds}
        else:
            facts["verified_at"] = run.ended_at
    return {pk: {key: _proof(facts) for key, facts in its.items()} for pk, its in found.items()}


def _proof(facts: dict[str, object]) -> Tries:
    failures = [one for name, one in facts.items() if name.startswith("failure ")]
    last = max(failures, key=lambda run: run.created_at, default=None)  # type: ignore[attr-defined]
    rest = {name: one for name, one in facts.items() if not name.startswith("failure ")}
    if last is None:
        return Tries(**rest)  # type: ignore[arg-type]
    assert isinstance(last, DrillRun)
    words = f"{last.get_what_display()}: {last.words}"
    return Tries(**rest, last_failure=last.ended_at or last.created_at, failed_words=words)  # type: ignore[arg-type]


def note(run: DrillRun) -> None:
    """Have what a run has proved, or not, judged now; an earlier success never takes a later one's place."""
    if run.cluster_id is None:
        return
    if run.state == DrillRun.State.SUCCEEDED and run.what == drill.RESTORE and run.repository_id:
        row = Health.objects.filter(repository=run.repository_id, node=run.node, database=run.database)
        row.filter(Q(proved_at=None) | Q(proved_at__lt=run.ended_at)).update(
            proved_at=run.ended_at, proof_seconds=run.seconds
        )
    Cluster.objects.filter(pk=run.cluster_id).judge_now()


def lose_silent() -> int:
    """Have those lost of which nothing more was heard in time; return how many."""
    found = 0
    for run in DrillRun.objects.unfinished().filter(due_at__lt=timezone.now())[:500]:
        words = "No word since it began: the machine died, or cannot reach the console."
        row = DrillRun.objects.unfinished().filter(pk=run.pk)
        if row.update(state=DrillRun.State.LOST, words=words):
            run.state = DrillRun.State.LOST
            note(run)
            found += 1
    return found
