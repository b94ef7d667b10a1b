"""What of clusters is told as alerts: each rule asks a query or two, whatever number of clusters there is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, Q
from django.db.models.functions import Now
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Cluster, KnownStanza, Node, State
from clusters.models.health import Health
from clusters.models.node import DOUBLE_FOR, MACHINE_SILENT
from console.alerts import conditions
from console.alerts.conditions import Condition, Organisations, Rule, Severity
from console.alerts.models import Alert
from console.alerts.upkeep import of
from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec
from console.operations.models import Heartbeat

OPENS = MACHINE_SILENT + timedelta(minutes=10)  # of silence: one that misses a few reports is no news
CALM = timedelta(minutes=20)  # of reports, until it is silent no more
AGAIN = "It reports again. This ends once it has done so for 20 minutes."
LOST = timedelta(days=1)  # a node that has been silent for so long is no hiccup
UNKNOWN_FOR = timedelta(hours=1)
RENEWED_LATE = timedelta(days=7)  # the console renews the nodes' signatures itself, a month before their end
# Severity, level, and how the title ends.
VERDICTS = {
    Verdict.NOT_RECOVERABLE: (Severity.CRITICAL, 1, "is not recoverable"),
    Verdict.AT_RISK: (Severity.CRITICAL, 0, "is at risk"),
    Verdict.BEHIND: (Severity.WARNING, 1, "is falling behind"),
    Verdict.UNKNOWN: (Severity.WARNING, 0, "cannot be judged"),
}
ARCHIVER = {"archiver", "not_archiving", "backlog", "down"}  # codes of Health.problems
FOREIGN = "foreign"


def _health(organisations: Organisations) -> Iterable[Health]:
    rows = Health.objects.filter(**of(organisations), verdict__in=VERDICTS)
    return rows.select_related("cluster", "repository").only(
        *("organisation", "node", "database", "verdict", "since", "problems", "newest"),
        *("cluster__name", "cluster__organisation", "repository__store_name", "repository__store"),
    )


def _about(cluster: Cluster, subject: Model | None = None, url: str = "") -> dict[str, Any]:
    """Return what a condition is about: the cluster, or something of it with a page of its own."""
    about = subject or cluster
    return {
        "organisation": cluster.organisation_id,
        "cluster": cluster.pk,
        "cluster_name": cluster.name,
        "url": url or cluster.get_absolute_url(),
        "subject_kind": about._meta.label_lower,
        "subject_id": str(about.pk),
    }


def verdicts(organisations: Organisations) -> Iterable[Condition]:
    """Yield each database in each store that cannot be relied upon."""
    unsure = timezone.now() - UNKNOWN_FOR
    for one in _health(organisations):
        if one.verdict == Verdict.UNKNOWN and one.since > unsure:
            continue
        severity, level, ends = VERDICTS[Verdict(one.verdict)]
        store = one.repository.store_name
        yield Condition(
            **_about(one.cluster, one),
            key=f"verdict:{one.repository_id}:{one.node}:{one.database}",
            rule="verdict",
            severity=severity,
            level=level,
            title=f"{one.cluster.name}: {one.database} on {one.node} {ends} from {store}"
            if one.verdict == Verdict.NOT_RECOVERABLE
            else f"{one.cluster.name}: {one.database} on {one.node} {ends} in {store}",
            words=one.reason,
            advice=one.advice,
            group=f"verdict:store:{one.repository.store_id or one.repository_id}",
        )


def _by_code(organisations: Organisations, codes: set[str]) -> Iterable[tuple[Health, dict[str, str]]]:
    """Yield the first problem of one of these codes of each row that has one."""
    for one in _health(organisations):
        found = next((problem for problem in one.problems if problem.get("code") in codes), None)
        if found:
            yield one, found


def archivers(organisations: Organisations) -> Iterable[Condition]:
    """Yield each database of a node whose WAL does not reach its stores: once, whatever number of stores it has."""
    for one, problem in _by_code(organisations, ARCHIVER):
        yield Condition(
            **_about(one.cluster),
            key=f"archiver:{one.cluster_id}:{one.node}:{one.database}",
            rule="archiver",
            severity=Severity.CRITICAL if problem.get("verdict") == Verdict.AT_RISK else Severity.WARNING,
            title=f"{one.cluster.name}: archiving of {one.database} on {one.node} fails",
            words=problem.get("words", ""),
            advice=problem.get("advice", ""),
            group=f"archiver:{one.cluster_id}",
        )


def silent_nodes(organisations: Organisations) -> Iterable[Condition]:
    """Yield each node that has reported before and is silent, and each that was until just now.

    A node that comes and goes has one alert: what it says last, with when that changed, is all the memory this needs.
    While the console itself was down it heard nobody, so then silence counts from when it came up.
    """
    now, up = timezone.now(), Heartbeat.objects.up_since()
    told = {one.subject_id: one for one in Alert.objects.open().filter(**of(organisations), rule="silent")}
    rows = Node.objects.filter(**of(organisations, "cluster__organisation__in"), reported_at__isnull=False)
    rows = rows.filter(Q(reported_at__lt=Now() - OPENS) | Q(pk__in=told))
    for one in rows.select_related("cluster").defer("secrets", "cluster__keys", "cluster__former_keys"):
        assert one.reported_at is not None
        alert = told.get(str(one.pk))
        if alert is None and up and now - up < OPENS:
            continue
        lost = now - one.reported_at > LOST
        words = f"Its last report came at {one.reported_at:%Y-%m-%d %H:%M} UTC."
        if alert and not one.is_silent:
            if alert.words == AGAIN and now - alert.changed_at > CALM:
                continue
            lost, words = alert.severity == Severity.CRITICAL, AGAIN  # nothing to tell anybody yet
        yield Condition(
            **_about(one.cluster, one, one.get_absolute_url()),
            key=f"silent:{one.pk}",
            rule="silent",
            severity=Severity.CRITICAL if lost else Severity.WARNING,
            title=f"{one.cluster.name}: {one.name} is silent",
            words=words,
            advice="See whether the machine runs, reaches the console, and has its report in cron.",
            group=f"silent:{one.cluster_id}",
        )


def losses(organisations: Organisations) -> Iterable[Condition]:
    """Yield each repository's stanza of which backups were seen, are gone, and had not expired."""
    rows = KnownStanza.objects.filter(**of(organisations, "repository__organisation__in"), lost_since__isnull=False)
    rows = rows.filter(repository__store__isnull=False).select_related("repository", "repository__store")
    for one in rows.defer("repository__secrets", "backups", "sizes", "versions", "retentions"):
        found = one.repository
        assert one.lost_since is not None
        assert found.store is not None
        yield Condition(
            organisation=found.organisation_id,
            key=f"vanished:{one.pk}",
            rule="vanished",
            severity=Severity.CRITICAL,
            level=1,
            title=f"{found.cluster_name}: backups of {one} vanished from {found.store.name}",
            words=f"{len(one.lost):,} that had not expired are gone, missed since {one.lost_since:%Y-%m-%d %H:%M} UTC.",
            advice="See on the store's page what can come back, and find out who deleted them.",
            url=found.store.get_absolute_url(),
            subject_kind="clusters.knownstanza",
            subject_id=str(one.pk),
            cluster=found.cluster_id,
            cluster_name=found.cluster_name,
            group=f"vanished:{found.store_id}",
        )


def strangers(organisations: Organisations) -> Iterable[Condition]:
    """Yield where another database writes than the node's, and each node as which another machine reports."""
    for one, problem in _by_code(organisations, {FOREIGN}):
        yield Condition(
            **_about(one.cluster),
            key=f"foreign:{one.repository_id}:{one.node}:{one.database}",
            rule="foreign",
            severity=Severity.CRITICAL,
            title=f"{one.cluster.name}: another database writes as {one.database} of {one.node}",
            words=problem.get("words", ""),
            advice=problem.get("advice", ""),
        )
    rows = Node.objects.filter(
        **of(organisations, "cluster__organisation__in"), other_machine_at__gt=Now() - DOUBLE_FOR
    )
    for node in rows.select_related("cluster").defer("secrets", "cluster__keys", "cluster__former_keys"):
        yield Condition(
            **_about(node.cluster, node, node.get_absolute_url()),
            key=f"double:{node.pk}",
            rule="foreign",
            severity=Severity.WARNING,
            title=f"{node.cluster.name}: another machine reports as {node.name}",
            words="Its reports are not taken while the first machine reports.",
            advice=f"Stop the copy, or let it take the place of {node.name}: the node's page says how.",
        )


def late_signatures(organisations: Organisations) -> Iterable[Condition]:
    """Yield the clusters whose nodes' signatures should have been renewed, and were not."""
    asked = {key: one.access.keys_due for key, one in CLOUDS.items() if one.access.keys_due}
    rows = Cluster.objects.filter(**of(organisations), cloud_account__provider_key__in=asked)
    for one in rows.exclude(state=State.DELETING).select_related("cloud_account"):
        # What is asked is when its keys end; its buckets, each cluster's a query, have nothing to do with that.
        account = one.cloud_account.credentials()
        due = asked[one.cloud_account.provider_key](AccessSpec(one.pk, one.name, account, one.prefix, (), one.keys))
        if due and due + RENEWED_LATE < timezone.now():
            yield Condition(
                **_about(one),
                key=f"signature:{one.pk}",
                rule="key",
                severity=Severity.CRITICAL,
                title=f"{one.name}: what its nodes sign in with ends soon",
                words=f"It was to be renewed at {due:%Y-%m-%d %H:%M} UTC. Once it has ended, nothing is archived.",
                advice="See on the cluster's page why its last task failed, and press Repair.",
            )


def names(organisation: UUID) -> dict[UUID, str]:
    """Return the organisation's clusters, by ID."""
    return dict(Cluster.objects.filter(organisation=organisation).values_list("pk", "name"))


conditions.cluster_names.append(names)
conditions.register(
    Rule("verdict", "A database got worse", verdicts),
    Rule("archiver", "Archiving fails", archivers),
    Rule("silent", "A node is silent", silent_nodes),
    Rule("vanished", "Backups vanished", losses),
    Rule("foreign", "A foreign database or machine", strangers),
)
conditions.extend("key", "A key or signature is about to end", late_signatures)
