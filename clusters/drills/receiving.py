"""What the console keeps of what a machine says of a drill, and when it takes none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from clusters.drills import believing, proofs
from clusters.drills.report import DrillReport
from clusters.models import Cluster, Drill, DrillRun, Inventory, KnownStanza, Node, Repository
from clusters.models.drill import LATE
from clusters.reports.report import of_status

AN_HOUR = 200  # runs of one cluster that may begin
SOON = timedelta(seconds=5)
OLDEST = timedelta(days=31)  # a report that did not get through waits no longer than that
WAITS = timedelta(days=2)  # for a look into the store that shows the backup


class Refused(Exception):
    """The report is not kept; the message says why."""


class Gone(Refused):
    """The plan was removed."""


class TooMany(Refused):
    """More runs begin than any plan asks for."""


def receive(cluster: Cluster, said: DrillReport, *, node: Node | None, drill: Drill | None) -> str:
    """Keep what is said, and return what became of it in a word; raises Refused, and then keeps nothing of it.

    It came with the token of `node`, or of `drill`, whose machine is a drill machine.
    """
    now = timezone.now()
    run = DrillRun.objects.filter(run_id=said.run).first()
    if run and (run.cluster_id != cluster.pk or not _is_sender(run, node, drill, said)):
        raise Refused("This run is another's.")
    if run and (said.event == "begin" or run.state not in {DrillRun.State.RUNNING, DrillRun.State.LOST}):
        return "kept already"
    plan = _plan(cluster, said, node, drill, run)
    with transaction.atomic():
        if plan:
            Drill.objects.filter(pk=plan.pk).update(reported_at=now, applied_digest=said.digest)
        run = run or _begin(cluster, plan, said, node, now)
        if said.event == "end":
            _end(run, plan, said, now)
    return "kept"


def _is_sender(run: DrillRun, node: Node | None, drill: Drill | None, said: DrillReport) -> bool:
    """Return whether who has begun a run is who speaks of it, and of the same."""
    is_same = (run.node, run.database, run.number, run.what) == (said.node, said.stanza, said.repository, said.what)
    mine = run.drill_id == drill.pk if drill else bool(node and not run.machine and run.node == node.repository_folder)
    return is_same and mine


def _plan(
    cluster: Cluster, said: DrillReport, node: Node | None, drill: Drill | None, run: DrillRun | None
) -> Drill | None:
    """Return the plan that the report is of; None where it was removed since the run began."""
    found = drill or cluster.drills.filter(pk=said.plan, machine="").first()
    if found is None and run is None:
        raise Gone("This plan was removed in the console. Run the node's set-up script again.")
    if found and (found.pk != said.plan or found.what != said.what):
        raise Refused("This is another plan than the console's. Run the set-up script again.")
    if node and said.node != node.repository_folder:
        raise Refused(f"{node} tries its own backups, and not those of {said.node}.")
    return found


def _begin(cluster: Cluster, plan: Drill | None, said: DrillReport, node: Node | None, now: datetime) -> DrillRun:
    hour = DrillRun.objects.filter(cluster=cluster, created_at__gt=now - timedelta(hours=1))
    if hour.count() >= AN_HOUR:
        raise TooMany(f"{AN_HOUR} runs have begun within an hour. Wait for an hour.")
    repository = Repository.objects.filter(cluster=cluster, number=said.repository).first()
    if repository is None:
        raise Refused(f"{cluster.name} has no repo{said.repository}. Run the set-up script again.")
    if not cluster.databases.filter(name=said.stanza).exists():
        raise Refused(f"{cluster.name} has no database {said.stanza}. Run the set-up script again.")
    assert plan is not None  # without one there is a run
    begun = _by_our_clock(said.begun, said, now)
    return DrillRun.objects.create(
        organisation_id=cluster.organisation_id,
        cluster=cluster,
        cluster_name=cluster.name,
        drill=plan,
        repository=repository,
        number=repository.number,
        store=repository.store_name,
        node=said.node,
        database=said.stanza,
        what=said.what,
        machine=plan.machine,
        machine_id=said.machine,
        run_id=said.run,
        created_at=begun,
        due_at=begun + timedelta(hours=plan.hours) + LATE,
    )


def _by_our_clock(seconds: int, said: DrillReport, now: datetime) -> datetime:
    """Return a time of the machine's clock by ours: it says what that shows as it sends."""
    return now - min(timedelta(seconds=said.sent - seconds), OLDEST)


def _end(run: DrillRun, plan: Drill | None, said: DrillReport, now: datetime) -> None:
    assert said.ended is not None  # the report has passed its grammar
    sql = plan.check_list if plan else []
    values: dict[str, Any] = {
        "ended_at": _by_our_clock(said.ended, said, now),
        "state": DrillRun.State.REPORTED if said.ok else DrillRun.State.FAILED,
        "words": "" if said.ok else said.words or "It says that it failed, and not why.",
        "label": said.label,
        "target": said.target,
        "lsn": said.lsn,
        "restored_to": _by_our_clock(said.restored_to, said, now) if said.restored_to else None,
        "said": {name: getattr(said, name) for name in ("system_id", "timeline", "first_wal", "postgresql")},
        "size": said.size,
        "amcheck": said.amcheck,
        "results": [
            asdict(one) | {"sql": sql[one.number - 1].sql if 0 < one.number <= len(sql) else ""} for one in said.results
        ],
        "restore_seconds": said.restore_seconds,
        "recovery_seconds": said.recovery_seconds,
        "check_seconds": said.check_seconds,
    }
    open_states = (DrillRun.State.RUNNING, DrillRun.State.LOST)
    if not DrillRun.objects.filter(pk=run.pk, state__in=open_states).update(**values):
        return  # the same report was quicker
    for name, value in values.items():
        setattr(run, name, value)
    if run.state == DrillRun.State.REPORTED:
        compare(run)
    else:
        proofs.note(run)


def compare(run: DrillRun) -> None:
    """Say whether a run that says it has succeeded is believed; one with a newer backup than was seen waits."""
    state, words = _judged(run)
    if state == DrillRun.State.REPORTED:
        return
    if DrillRun.objects.to_compare().filter(pk=run.pk).update(state=state, words=words):
        run.state, run.words = state, words
        proofs.note(run)


def _judged(run: DrillRun) -> tuple[str, str]:
    wrong = _checks_of(run)
    if wrong:
        return DrillRun.State.NOT_BELIEVED, f"Not believed: {wrong}"
    if run.what == Drill.What.VERIFY:
        return DrillRun.State.SUCCEEDED, ""
    if run.seconds is None:
        return DrillRun.State.NOT_BELIEVED, "Not believed: it does not say how long the restore took."
    known = KnownStanza.objects.filter(repository=run.repository_id, node=run.node, name=run.database).first()
    backup: Mapping[str, Any] | None = known.backups.get(run.label) if known else None
    if backup is None:
        inventory = Inventory.objects.filter(repository=run.repository_id).first()
        seen_at = inventory.read_at if inventory else None
        if run.label and (seen_at is None or seen_at < run.created_at) and timezone.now() - run.created_at < WAITS:
            if inventory:
                Inventory.objects.filter(pk=inventory.pk).soon(SOON)
            return DrillRun.State.REPORTED, ""
        return DrillRun.State.NOT_BELIEVED, f"Not believed: the store has no backup {run.label or '(it names none)'}."
    said = run.said | {"lsn": run.lsn, "target": run.target, "major": _major(known)}
    found = believing.doubts(
        said,
        backup,
        restored_to=run.restored_to,
        ended=run.ended_at or datetime.now(UTC),
        segment=_segment(run),
    )
    return (DrillRun.State.NOT_BELIEVED, f"Not believed: {found}") if found else (DrillRun.State.SUCCEEDED, "")


def _checks_of(run: DrillRun) -> str:
    """Return what speaks against a success in the checks that it tells of; "" for nothing."""
    if run.what == Drill.What.VERIFY:
        return ""
    if any(not one["ok"] for one in run.results) or run.amcheck == "failed":
        return "it says that it succeeded, and that a check did not pass."
    return ""


def _major(known: KnownStanza | None) -> int | None:
    text = known.postgresql if known else ""
    return int(text) if text.isascii() and text.isdigit() else None


def _segment(run: DrillRun) -> int:
    """Return the size of a WAL segment, as the node has reported it."""
    node = Node.objects.filter(cluster=run.cluster_id, name=run.node).first()
    told = of_status(node.status).of(run.database) if node else None
    return (told.segment if told else None) or believing.SEGMENT_SIZE


def settle() -> int:
    """Compare what waits for a look into its store, and have those lost that are silent; return how many of both."""
    waiting = DrillRun.objects.to_compare().order_by("pk")[:200]
    for run in waiting:
        compare(run)
    return len(waiting) + proofs.lose_silent()
