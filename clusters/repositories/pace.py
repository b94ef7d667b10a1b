"""When a repository is looked into next: soon after a backup was to end, and rarely while nothing is expected.

A look costs calls, for which clouds ask money; one that comes too late says too late what is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from clusters.models import Cluster, Inventory, Repository
from clusters.node_setup import policy_of, written_by, zone_of
from clusters.pgbackrest import gaps, schedules
from clusters.pgbackrest.repository import StanzaState, from_json
from clusters.replication import groups
from console.cloud_accounts import budget

SOON = timedelta(seconds=90)  # after a backup was to end, or something was changed
FIRST = timedelta(minutes=10)  # what does not come is looked for again after this, then after twice as long, and so on
RETAINED = timedelta(days=1)  # nobody writes there any more
LOOKS_BACK = (timedelta(hours=2), timedelta(hours=26), timedelta(days=8), timedelta(days=32))
LASTING = 5  # so many backups of a kind say how long the next one takes


@dataclass(frozen=True)
class Expected:
    """A stanza that a node writes into a repository, and when its backups begin."""

    node: str  # whose folder it is
    stanza: str
    schedules: Mapping[str, str] = field(default_factory=dict)  # kind of backup: cron expression
    zone: ZoneInfo | None = None  # of the node's clock; None where it is not known: then UTC


def expected(found: Repository) -> list[Expected]:
    """Return what nodes write into the repository; nothing where no cluster has it."""
    cluster = Cluster.objects.with_node_setup().filter(pk=found.cluster_id).first() if found.cluster_id else None
    if cluster is None:
        return []
    return [
        Expected(folder, database.name, policy_of(cluster, hosts[0]).schedules, zone_of(hosts))
        for folder, hosts in groups(cluster).items()
        if any(one.repository_id == found.pk for one in written_by(cluster, hosts[0]))
        for database in cluster.databases_in(folder)
    ]


def every(inventory: Inventory) -> timedelta:
    """Return how long until the next look."""
    found = inventory.repository
    if found.detached_at:
        return RETAINED
    at_most = timedelta(hours=budget.of(found.store.cloud_account_id).hours) if found.store else RETAINED
    since = found.attachment.attached_at if hasattr(found, "attachment") else None
    apart = timedelta(seconds=inventory.pk % 30)  # what is scheduled for all is not looked for at one moment
    return next_look(timezone.now(), at_most, inventory.expected, from_json(inventory.content), since) + apart


def soon(cluster: Cluster) -> None:
    """Have the cluster's repositories looked into soon: something about them was changed."""
    Inventory.objects.filter(repository__cluster=cluster).soon(SOON)
    Cluster.objects.filter(pk=cluster.pk).judge_now()


def next_look(
    now: datetime,
    at_most: timedelta,
    expected: Sequence[Expected],
    states: Iterable[StanzaState],
    since: datetime | None = None,
) -> timedelta:
    """Return how long until there may be something new, at most that; `since` is when the last change was made."""
    seen = {(one.node, one.stanza): one for one in states}
    waits = [at_most]
    for one in expected:
        state = seen.get((one.node, one.stanza))
        waits.append(_until_next(now, one, state, since))
        if state and gaps.pending(state, now):  # which is a gap if it does not come
            waits.append(FIRST)
    return max(SOON, min(waits))


def _until_next(now: datetime, one: Expected, state: StanzaState | None, since: datetime | None) -> timedelta:
    newest = max((backup.stopped for backup in state.backups), default=0) if state else 0
    begun, coming = [], []
    for kind, expression in one.schedules.items():
        lasts = usual_duration(state, kind)
        last, following = _around(expression, now, one.zone)
        coming.append(following + lasts + SOON - now)
        if last and last.timestamp() > newest:
            begun.append(last + lasts + SOON)
    if begun:  # and not seen yet
        ends = max(begun)
        coming.append(ends - now if ends > now else max(FIRST, now - ends))
    if not one.schedules or not newest:
        last_change = max(newest, since.timestamp() if since else 0)
        coming.append(max(FIRST, timedelta(seconds=now.timestamp() - last_change)))
    return min(coming)


def usual_duration(state: StanzaState | None, kind: str) -> timedelta:
    """Return how long such a backup takes, by the longest of the last ones."""
    known = [one.stopped - one.started for one in state.backups if one.kind == kind][-LASTING:] if state else []
    return timedelta(seconds=min(max(0, *known, 0), 86_400))


def _around(expression: str, now: datetime, zone: ZoneInfo | None) -> tuple[datetime | None, datetime]:
    """Return the schedule's last run, if that was within a month, and its next one."""
    clock = zone or UTC
    here = now.astimezone(clock).replace(tzinfo=None)
    last = following = None
    for back in LOOKS_BACK:
        for run in schedules.runs(expression, here - back):
            if run > here:
                following = run
                break
            last = run
        if last:
            break
    assert following is not None  # a schedule never ends
    return last.replace(tzinfo=clock) if last else None, following.replace(tzinfo=clock)
