"""What is known of each database of a cluster in each of its stores, for judging; the cluster comes with_health()."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Prefetch, QuerySet
from django.utils.dateparse import parse_datetime

from clusters import replication
from clusters.drills import proofs
from clusters.health.facts import Before, Facts, Host, Look, Proof
from clusters.health.schedule import Missed, Plan
from clusters.health.verdicts import Verdict
from clusters.models import Attachment, BackupPolicy, Cluster, Health, KnownStanza, Node, Repository
from clusters.node_setup import node_setups, policy_of, written_by, zone_of
from clusters.reports.primaries import Host as Saying
from clusters.reports.primaries import two_primaries
from clusters.reports.report import Report, of_status
from clusters.repositories.backups import Descent, RepositoryView, StanzaView, bookcases

WEEK = timedelta(days=7)
NEVER_MADE = {"stanza", "first_backup", "no_backup"}  # problems of a database that is set up and has no backup


@dataclass(frozen=True)
class Pair:
    """One database in one store, with what is kept beside its verdict."""

    cluster: Cluster
    repository: Repository
    node: str  # whose folder it is
    database: str
    facts: Facts
    wal_at: datetime | None
    bytes: int
    bytes_before: int | None

    @property
    def key(self) -> tuple[int, str, str]:
        """Return what tells it from all others."""
        return self.repository.pk, self.node, self.database


def with_facts(clusters: QuerySet[Cluster]) -> QuerySet[Cluster]:
    """Return the clusters with all that their databases are judged by, in a fixed number of queries."""
    known = KnownStanza.objects.defer("backups", "versions", "retentions")
    attachments = Attachment.objects.select_related("store", "repository").order_by("repository__number")
    repositories = Repository.objects.select_related("store", "inventory").order_by("number")
    return clusters.select_related("cloud_account", "brought_in").prefetch_related(
        "databases",
        "policies",
        "stanzas",
        "health",
        "drills",
        Prefetch("nodes", Node.objects.prefetch_related("chosen", "differences")),
        Prefetch("attachments", attachments),
        Prefetch("repositories", repositories.prefetch_related(Prefetch("known_stanzas", known))),
    )


def pairs(cluster: Cluster, now: datetime, tried: Mapping[proofs.Key, proofs.Tries]) -> Iterator[Pair]:
    """Yield each database of the cluster in each store that should have it; `tried` are its restores."""
    groups = replication.groups(cluster)
    reports = {one.pk: of_status(one.status) for one in cluster.nodes.all()}
    saying = [Saying(one.name, one.repository_folder, reports[one.pk], one.reported_at) for one in cluster.nodes.all()]
    both = {(one.folder, one.stanza): one.names for one in two_primaries(saying)}
    applied = {one.node.pk: one.state != "outdated" for one in node_setups(cluster)}
    before = {(one.repository_id, one.node, one.database): one for one in cluster.health.all()}
    cases = {case.repository.pk: case for case in bookcases(cluster)}
    for folder, hosts in groups.items():
        writer = replication.primary(cluster, folder) or hosts[0]
        policy, zone = policy_of(cluster, hosts[0]), zone_of(hosts)
        for attachment in written_by(cluster, hosts[0]):
            case = cases[attachment.repository_id]
            host = _host(writer, reports[writer.pk], case.repository.number, applied[writer.pk])
            for database in cluster.databases_in(folder):
                row = before.get((case.repository.pk, folder, database.name))
                since = max(one for one in (attachment.attached_at, hosts[0].created_at, hosts[0].follows_since) if one)
                yield _pair(
                    _Where(cluster, case, folder, database.name, host, policy, since),
                    Plan(policy.schedules, zone, _since(since, policy, row, now), host.ahead),
                    both.get((folder, database.name), ""),
                    row,
                    proof=_proof(tried.get((case.repository.pk, folder, database.name)), row),
                    now=now,
                )


@dataclass(frozen=True)
class _Where:
    cluster: Cluster
    case: RepositoryView
    folder: str
    database: str
    host: Host
    policy: BackupPolicy
    since: datetime


def _pair(where: _Where, plan: Plan, both: str, row: Health | None, *, proof: Proof, now: datetime) -> Pair:
    cluster, repository = where.cluster, where.case.repository
    key = (where.folder, where.database)
    view = next(
        (one for one in where.case.stanza_views if (one.stanza_state.node, one.stanza_state.stanza) == key), None
    )
    known = next((one for one in repository.known_stanzas.all() if (one.node, one.name) == key), None)
    # What is gone altogether has a view, too, so that its page can say so.
    seen = view.stanza_state if view and view.stanza_state.status else None
    facts = Facts(
        now=now,
        database=where.database,
        store=repository.store_name,
        host=where.host,
        look=_look(repository, where.since),
        state=seen,
        own=view.own_ids if view else frozenset(),
        foreign=_foreign(view, where.host.node) if view else "",
        two_primaries=both,
        account=cluster.blocked,
        known_at=known.backup_at if known else None,
        lost=len(known.lost) if known else 0,
        lost_since=known.lost_since if known else None,
        since=where.since,
        plan=plan,
        is_watched=cluster.is_watched_only,
        may_drop=bool(where.policy.queue_max),
        rpo=timedelta(minutes=cluster.rpo_minutes) if cluster.rpo_minutes else None,
        proof_within=timedelta(days=cluster.proof_days) if cluster.proof_days else None,
        proof=proof,
        before=_before(row) if row else None,
    )
    wal_at = view.last_wal_at if view else None
    return Pair(
        cluster, repository, *key, facts, wal_at, view.total if view else 0, _a_week_ago(known, now) if known else None
    )


def _proof(tried: proofs.Tries | None, row: Health | None) -> Proof:
    """Return how its restores went; what has succeeded is known for longer than the runs are kept."""
    good_at, seconds = (row.proved_at, row.proof_seconds) if row else (None, None)
    if tried is None:
        return Proof(good_at, seconds)
    if tried.last_success:
        good_at, seconds = tried.last_success, tried.seconds
    return Proof(good_at, seconds, tried.last_failure, tried.failed_words, tried.lost_at)


def _host(node: Node, report: Report, number: int, is_applied: bool) -> Host:
    ahead = node.sent_at - node.reported_at if node.sent_at and node.reported_at else timedelta()
    # Scripts of a former release do not say which stores are in the file.
    has_store = number in node.applied_targets or (report.version == 1 and not node.applied_targets)
    return Host(node.name, node.reported_at, ahead, report, has_store and node.reported_at is not None, is_applied)


def _look(repository: Repository, since: datetime) -> Look:
    found = getattr(repository, "inventory", None)
    if found is None:
        return Look()
    return Look(found.read_at, found.error, (found.read_at or since) if found.error else None, found.due_at)


def _since(since: datetime, policy: BackupPolicy, row: Health | None, now: datetime) -> datetime:
    """Return from when on runs of the schedule are to be kept."""
    found = max(since, policy.changed_at) if policy.changed_at else since
    if row is None or row.backup_at:
        return found
    # While there is no backup, from when it was set up; that is only known since it was judged.
    begun = [parse_datetime(one.get("since", "")) for one in row.problems if one["code"] in NEVER_MADE]
    return max(found, min((one for one in begun if one), default=now))


def _before(row: Health) -> Before:
    missed = [Missed(one["kind"], at) for one in row.missed if (at := parse_datetime(one["at"]))]
    said = (Verdict(row.verdict), row.since, row.problems, row.held or (), row.coming, row.coming_since)
    return Before(*said, missed, row.newest)


def _foreign(view: StanzaView, node: str) -> str:
    """Return in a sentence what writes into the folder and is not the database's own; "" of nothing."""
    state = view.stanza_state
    if view.descent == Descent.FOREIGN:
        return f"Another database than that of {node} writes into its folder: system identifier {state.system_id}."
    if view.descent in {Descent.EARLIER, Descent.UPGRADED}:
        return f"{node} runs another database than the stanza is of now, so that its WAL is not taken."
    if view.strays:
        numbers = " and ".join(str(one.number) for one in view.strays)
        return f"Something else than {node} archives timeline {numbers} into its folder."
    if view.strange_archives:
        return f"WAL of a database that {state.stanza} never was lies in its archive: {view.strange_archives[0]}."
    return ""


def _a_week_ago(known: KnownStanza, now: datetime) -> int | None:
    rows = [row for row in known.sizes if date.fromisoformat(row[0]) <= (now - WEEK).date()]
    return int(rows[-1][1] + rows[-1][2]) if rows else None
