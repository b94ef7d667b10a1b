"""What the console keeps of what a machine says of a drill, and when it takes none of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext

from clusters.drills import believing, checking, proofs
from clusters.drills.report import DrillReport
from clusters.models import Cluster, Drill, DrillRun, Inventory, KnownStanza, Node, Repository
from clusters.models.drill import LATE
from clusters.reports.report import of_status

AN_HOUR = 200  # runs of one cluster that may begin
SOON = timedelta(seconds=5)
OLDEST = timedelta(days=31)  # a report that did not get through waits no longer than that
# Then nothing is left to compare it with: it is no proof, and no lie.
EXPIRED = "Its backup has expired meanwhile, so that it cannot be compared."
WAITS = timedelta(days=2)  # for a look into the store that shows the backup
AT_ONCE = 200  # runs that are compared in one sweep
OTHERS = "This run is another's."


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
    run = _known(cluster, said, node, drill)
    if run and _is_kept(run, said):
        return "kept already"
    plan = _plan(cluster, said, node, drill, run)
    with transaction.atomic():
        if run is None:
            # Who begins a run waits here: of two with one ID the second finds the first's, and the limit counts both.
            Cluster.objects.select_for_update(no_key=True).filter(pk=cluster.pk).first()
            run = _known(cluster, said, node, drill)
            if run and _is_kept(run, said):
                return "kept already"
        if plan:
            Drill.objects.filter(pk=plan.pk).update(reported_at=now, applied_digest=said.digest)
        run = run or _begin(cluster, plan, said, now)
        if said.event == "end":
            _end(run, plan, said, node, now)
    return "kept"


def _known(cluster: Cluster, said: DrillReport, node: Node | None, drill: Drill | None) -> DrillRun | None:
    """Return the run that is spoken of; None where it is new. Raises Refused where another has begun it."""
    run = DrillRun.objects.filter(run_id=said.run).first()
    if run and (run.cluster_id != cluster.pk or not _is_sender(run, node, drill, said)):
        raise Refused(OTHERS)
    return run


def _is_kept(run: DrillRun, said: DrillReport) -> bool:
    return said.event == "begin" or run.state not in {DrillRun.State.RUNNING, DrillRun.State.LOST}


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
        raise Refused(gettext("This is another plan than the console's. Run the set-up script again."))
    if node and said.node != node.repository_folder:
        raise Refused(
            gettext("{node} tries its own backups, and not those of {node_2}.").format(node=node, node_2=said.node)
        )
    return found


def _begin(cluster: Cluster, plan: Drill | None, said: DrillReport, now: datetime) -> DrillRun:
    # By when they came, not by when they say that they began: any time may be said.
    # None of those is older than OLDEST, which is for the index.
    since = now - timedelta(hours=1)
    hour = DrillRun.objects.filter(cluster=cluster, created_at__gt=since - OLDEST, received_at__gt=since)
    if hour.count() >= AN_HOUR:
        raise TooMany(gettext("{an_hour} runs have begun within an hour. Wait for an hour.").format(an_hour=AN_HOUR))
    repository = Repository.objects.filter(cluster=cluster, number=said.repository).first()
    if repository is None:
        raise Refused(
            gettext("{cluster} has no repo{repository}. Run the set-up script again.").format(
                cluster=cluster.name, repository=said.repository
            )
        )
    if said.stanza not in {one.name for one in cluster.databases_in(said.node)}:
        raise Refused(
            gettext("{cluster} has no database {stanza}. Run the set-up script again.").format(
                cluster=cluster.name, stanza=said.stanza
            )
        )
    assert plan is not None  # without one there is a run
    begun = _by_our_clock(said.begun, said, now)
    run = DrillRun(
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
        received_at=now,
        due_at=begun + timedelta(hours=plan.hours) + LATE,
    )
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:  # of another cluster, at the same moment
        raise Refused(OTHERS) from error
    return run


def _by_our_clock(seconds: int, said: DrillReport, now: datetime) -> datetime:
    """Return when something of the run was, by our clock: the machine says what its own shows as it sends.

    A run is not older than a report may be.
    """
    return max(_of_data(seconds, said, now), now - OLDEST)


def _of_data(seconds: int, said: DrillReport, now: datetime) -> datetime:
    """Return the same of a time in the copy, which may be as old as the oldest backup."""
    return now - timedelta(seconds=said.sent - seconds)


def _end(run: DrillRun, plan: Drill | None, said: DrillReport, node: Node | None, now: datetime) -> None:
    assert said.ended is not None  # the report has passed its grammar
    checked = checking.compared(plan, node, said)
    values: dict[str, Any] = {
        "ended_at": _by_our_clock(said.ended, said, now),
        "state": DrillRun.State.REPORTED if said.ok else DrillRun.State.FAILED,
        "words": "" if said.ok else said.words or "It says that it failed, and not why.",
        "label": said.label,
        "target": said.target,
        "lsn": said.lsn,
        "restored_to": _of_data(said.restored_to, said, now) if said.restored_to else None,
        # With what its checks lack: it may be compared when the plan is another one.
        "said": {name: getattr(said, name) for name in ("system_id", "timeline", "first_wal", "postgresql")}
        | {name: checked[name] for name in ("doubt", "note")},
        "size": said.size,
        "amcheck": said.amcheck,
        "results": checked["results"],
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
        not_there = f"Not believed: the store has no backup {run.label or '(it names none)'}."
        has_expired = known and _has_expired(known, run.label)
        return (DrillRun.State.LOST, EXPIRED) if has_expired else (DrillRun.State.NOT_BELIEVED, not_there)
    said = run.said | {"lsn": run.lsn, "target": run.target, "major": _major(known)}
    found = believing.doubts(
        said,
        backup,
        restored_to=run.restored_to,
        ended=run.ended_at or datetime.now(UTC),
        segment=_segment(run),
    )
    good = DrillRun.State.SUCCEEDED, str(run.said.get("note", ""))
    return (DrillRun.State.NOT_BELIEVED, f"Not believed: {found}") if found else good


def _has_expired(known: KnownStanza, label: str) -> bool:
    """Return whether the console has seen the backup, and has not missed it."""
    made = any(row[0] == label for row in known.made or ())
    return made and all(row["backup"]["label"] != label for row in known.lost)


def _checks_of(run: DrillRun) -> str:
    """Return what speaks against a success in the checks that it tells of; "" for nothing."""
    if run.what == Drill.What.VERIFY:
        return ""
    if any(not one["ok"] for one in run.results) or run.amcheck == "failed":
        return "it says that it succeeded, and that a check did not pass."
    return str(run.said.get("doubt", ""))


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
    looked = Inventory.objects.filter(repository=OuterRef("repository"), read_at__gte=OuterRef("created_at"))
    old = Q(created_at__lte=timezone.now() - WAITS)
    # Only what can be decided now, and so is gone then: else what waits of one tenant would keep all others' waiting.
    ready = DrillRun.objects.to_compare().filter(Q(repository=None) | old | Exists(looked))
    waiting = ready.order_by("pk")[:AT_ONCE]
    for run in waiting:
        compare(run)
    return len(waiting) + proofs.lose_silent()
