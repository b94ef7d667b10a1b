"""What the console remembers of each stanza of a repository, whatever becomes of node, database and cluster.

What was seen at one look and is gone at the next has expired by the retention, or it is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters.models import BackupPolicy, Cluster, Inventory, KnownStanza, Node, Repository
from clusters.node_setup import node_setups
from clusters.pgbackrest.repository import StanzaState, from_json
from clusters.pgbackrest.retention import Retention, full_of, vanished
from clusters.replication import grouped
from clusters.repositories import inventory as inventories
from clusters.repositories import pace
from console.accounts import activity
from console.accounts.models import User
from console.cloud_accounts import budget
from console.clouds import calls
from console.clouds.contents import Objects
from console.clouds.steps import StepError

log = logging.getLogger(__name__)

TELLING = frozenset({"read", "empty"})  # of what else a look says, nothing follows
# A repository is written by anyone with the node's key, so what is kept of it has an end.
BACKUPS_AT_MOST = 10_000
LOST_AT_MOST = 1000
NAME_AT_MOST = 100  # characters of a folder's name
STRANGERS_AT_MOST = 200  # stanzas of a repository that were only seen
STRANGERS_STAY = timedelta(days=90)  # after they were last seen
BOUND = "as long as the repository; of stanzas that were only seen, 90 days after nothing is left of them"
SIZES_AT_MOST = 400
RETENTIONS_AT_MOST = 20
MADE_AT_MOST = 4000  # backups that evidence still knows after they have expired
# A backup that began with one configuration ends with it, and expires by its retention.
LAST_BACKUP = timedelta(days=2)
NEVER = 9_999_999  # full backups, or days: the most that pgBackRest takes
VERSIONS_LAST = timedelta(days=1)  # then what they hold is counted anew
COUNTED_A_LOOK = 5  # stanzas whose versions are counted
SETS_AT_MOST, COUNTED_AT_MOST = 20, 20_000  # full backups whose versions are counted, and objects of one stanza


def note_setup(cluster: Cluster) -> None:
    """Keep how each stanza of the cluster is set up, for every repository that its node writes to or has written to.

    Call it before anything of that is taken away: a restore needs it afterwards.
    """
    cluster = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    pace.soon(cluster)
    for node_setup in node_setups(cluster):
        node, written = node_setup.node, {one.repository_id for one in node_setup.attachments}
        if node != node_setup.hosts[0]:
            continue
        folder = node.repository_folder
        for database in node_setup.configuration.stanzas:
            setup = {
                "postgresql": str(database.postgresql),
                "data_directory": database.data_directory,
                "port": database.port,
                "region": node.region,
                "system_id": node_setup.system_ids.get(database.name, ""),
            }
            known = KnownStanza.objects.filter(repository__cluster=cluster, node=folder, name=database.name)
            known.update(**setup)
            KnownStanza.objects.bulk_create(
                [
                    KnownStanza(repository_id=pk, node=folder, name=database.name, **setup)
                    for pk in written - set(known.values_list("repository", flat=True))
                ],
                ignore_conflicts=True,
            )


def look(inventory: Inventory) -> Any:
    """Look as _look() does, and note how many calls that took, also when it fails."""
    store = inventory.repository.store
    with calls.tallied() as made:
        try:
            return _look(inventory)
        finally:
            if store:
                budget.note(store.cloud_account_id, made)


def _look(inventory: Inventory) -> Any:
    """Return what the repository holds, as inventory.look does; of what is lost, count what can still come back."""
    found = inventory.repository
    inventory.expected = pace.expected(found)
    content = inventories.look(inventory, {(one.node, one.stanza) for one in inventory.expected})
    learned = _learned(found, found.known_stanzas.all(), from_json(content), timezone.now())
    uncounted = sorted((one for one in learned if one.lost and _is_old(one.versions)), key=_is_stranger)
    if found.store is None:
        return content
    for known in uncounted[:COUNTED_A_LOOK]:
        objects = found.store.cloud.storage.objects(found.store.spec())
        inventory.versions[known.node, known.name] = _versions(objects, found.place_of(known.node), known)
    return content


def remember(inventory: Inventory) -> None:
    """Keep what was seen, and what is gone and had not expired; in the transaction that keeps the inventory."""
    found = inventory.repository
    Inventory.objects.filter(pk=inventory.pk).update(full_at=inventory.full_at)
    Cluster.objects.filter(repositories=found.pk).judge_now()
    at = inventory.read_at or timezone.now()
    rows = found.known_stanzas.select_for_update()
    missed: list[str] = []
    for known in sorted(_learned(found, rows, from_json(inventory.content), at), key=_is_stranger):
        known.versions = inventory.versions.get((known.node, known.name), known.versions)
        new = [one["backup"]["label"] for one in known.lost if one["missed_at"] == at.isoformat()]
        missed += [f"{label} of {known}" for label in new]
        known.save()
    if missed:
        log.error("%d backups are gone from repository %s", len(missed), found.pk)
        _note("Missed backups", found, missed, None)


def outdated() -> QuerySet[KnownStanza]:
    """Return what is known of stanzas that no cluster ever had, of which nothing is there any more or missed."""
    gone = KnownStanza.objects.filter(postgresql="", backups={}, lost_since=None)
    return gone.filter(seen_at__lt=Now() - STRANGERS_STAY)


def _is_stranger(known: KnownStanza) -> bool:
    """Return whether the stanza was only seen: the cluster never had it, so anybody may have written it."""
    return not known.postgresql


def _note(action: str, found: Repository, backups: list[str], by: User | None) -> None:
    subject = found.cluster or found.store or found
    after = {"store": str(found.store), "number": len(backups), "backups": backups[:20]}
    activity.record(action, subject, organisation=found.organisation, by=by, after=after)


def _learned(
    found: Repository, rows: Iterable[KnownStanza], states: list[StanzaState], at: datetime
) -> list[KnownStanza]:
    """Return the repository's stanzas with what follows from a look at it; nothing is saved."""
    if found.store_id is None:  # then nobody has looked
        return []
    known = {(one.node, one.name): one for one in rows}
    room = STRANGERS_AT_MOST - sum(map(_is_stranger, known.values()))
    seen = {(one.node, one.stanza): one for one in states if max(len(one.node), len(one.stanza)) <= NAME_AT_MOST}
    for key, state in seen.items():
        if room > 0 and key not in known and state.status in TELLING and (state.backups or state.last_wal):
            known[key] = KnownStanza(repository=found, node=state.node, name=state.stanza)
            room -= 1
    policies = _policies(found.cluster)
    for key, one in known.items():
        state = seen.get(key) or StanzaState(*key, "empty")
        if state.status in TELLING:
            _note_retention(one, policies, at, own_retention(found))
            _compare(one, state, at)
    return list(known.values())


def _compare(known: KnownStanza, state: StanzaState, at: datetime) -> None:
    seen = {one.label: one.stopped for one in state.backups}
    # Of a list that is too long, the oldest are not at hand: what is known of them stays.
    beyond = min(seen, default="") if state.omitted else ""
    before = {label: one["stopped"] for label, one in known.backups.items() if label >= beyond}
    retentions = [Retention(one["by_time"], one["full"], one["diff"]) for one in known.retentions]
    gone = vanished(before, seen, retentions, max(at, timezone.now()).timestamp())
    last_seen = (known.seen_at or at).isoformat()
    lost = [one for one in known.lost if seen.get(one["backup"]["label"]) != one["backup"]["stopped"]]
    # The first that are missed stay: whoever has the key may write as many as he likes, and delete them, too.
    lost += [
        {"backup": known.backups[label], "seen_at": last_seen, "missed_at": at.isoformat()} for label in sorted(gone)
    ]
    _set_lost(known, lost[:LOST_AT_MOST], at)
    _note_made(known, state)
    # Those that are known come first, for the same reason.
    first = {label: one["seen_at"] for label, one in known.backups.items()}
    there = {label: one for label, one in known.backups.items() if label < beyond}
    for one in sorted(state.backups, key=lambda one: one.label not in first):
        there[one.label] = {**asdict(one), "seen_at": first.get(one.label, at.isoformat())}
    known.backups = dict(islice(there.items(), BACKUPS_AT_MOST))
    known.wal_at = parse_datetime(state.last_wal_at) or known.wal_at
    if seen:
        newest = datetime.fromtimestamp(max(seen.values()), UTC)
        known.backup_at = max(newest, known.backup_at or newest)
    if state.backups or state.last_wal:
        known.seen_at = at
    if known.seen_at:
        today = at.date().isoformat()
        others = [row for row in known.sizes if row[0] != today]
        known.sizes = [*others, [today, state.backup_bytes, state.wal_bytes]][-SIZES_AT_MOST:]


def _note_made(known: KnownStanza, state: StanzaState) -> None:
    """Keep the backups that are new, for evidence; of those that are known, once, what is known of them."""
    rows = [asdict(one) for one in state.backups]
    if all(one["label"] in known.backups for one in rows):
        return
    if known.made is None:
        rows += [*known.backups.values(), *(one["backup"] for one in known.lost)]
    there = {row[0]: row for row in known.made or []}
    for one in rows:
        took = max(0, one["stopped"] - one["started"])
        there.setdefault(one["label"], [one["label"], one["stopped"], took, one["stored"]])
    known.made = sorted(there.values(), key=lambda row: (row[1], row[0]))[-MADE_AT_MOST:]


def _set_lost(known: KnownStanza, lost: list[dict[str, Any]], at: datetime) -> None:
    if lost != known.lost:
        known.lost, known.versions = lost, {}
    known.lost_since = (known.lost_since or at) if lost else None


def forget_lost(repository: Repository, *, until: datetime, by: User | None) -> int:
    """Have nobody told any more of the backups that were missed until then, because somebody deleted them himself.

    Returns how many these were.
    """
    forgotten: list[str] = []
    with transaction.atomic():
        Cluster.objects.filter(repositories=repository.pk).judge_now()
        for known in repository.known_stanzas.select_for_update().exclude(lost_since=None):
            left = [one for one in known.lost if one["missed_at"] > until.isoformat()]
            forgotten += [f"{one['backup']['label']} of {known}" for one in known.lost if one not in left]
            _set_lost(known, left, until)
            known.save(update_fields=["lost", "lost_since", "versions"])
        if forgotten:
            _note("Said who deleted backups", repository, forgotten, by)
    return len(forgotten)


# By which retention the node expires


def note_retentions(cluster: Cluster) -> None:
    """Keep by which retention each stanza of the cluster expires from now on."""
    pace.soon(cluster)
    policies, now = _policies(cluster), timezone.now()
    brought = {one.pk: own_retention(one) for one in Repository.objects.filter(cluster=cluster)}
    for known in KnownStanza.objects.select_for_update().filter(repository__cluster=cluster):
        _note_retention(known, policies, now, brought[known.repository_id])
        known.save(update_fields=["retentions"])


def _policies(cluster: Cluster | None) -> dict[str | None, BackupPolicy]:
    """Return the policies of its folders by their names, and under None the cluster's, which all others have."""
    if cluster is None:
        return {}
    # Asked anew: what came with the cluster may be from before a change.
    own = {one.node_id: one for one in BackupPolicy.objects.filter(cluster=cluster)}
    others = own.get(None) or BackupPolicy()
    return {None: others} | {
        name: own.get(hosts[0].pk) or others
        for folder, hosts in grouped(Node.objects.filter(cluster=cluster)).items()
        for name in (*(one.name for one in hosts), folder)
    }


def own_retention(found: Repository) -> dict[str, Any] | None:
    """Return how a repository that was brought in expires, where that is as its file had it."""
    own = found.brought.get("retention") if found.brought else None
    if own is None:
        return None
    if found.is_retention_unknown:  # so that no backup which its machine expires is told of as lost
        return {"by_time": False, "full": 1, "diff": 1}
    # Without repo-retention-full nothing expires by itself (pgBackRest's configuration reference).
    full = int(own.get("full", NEVER))
    return {
        "by_time": own.get("full-type") == "time",
        "full": full,
        "diff": int(own["diff"]) if "diff" in own else None,
    }


def _note_retention(
    known: KnownStanza,
    policies: Mapping[str | None, BackupPolicy],
    at: datetime,
    own: dict[str, Any] | None = None,
) -> None:
    """Add the one that is in force; forget those before it once the node is sure to expire by them no more."""
    policy = policies.get(known.node) or policies.get(None)
    if policy is None:  # the cluster is gone, and its node expires by what it had last, if it is there still
        return
    by_time = policy.retention_type == BackupPolicy.RetentionType.TIME
    now = own or {"by_time": by_time, "full": policy.retention_full, "diff": policy.retention_diff}
    last = known.retentions[-1] if known.retentions else {}
    if any(last.get(name, "") != value for name, value in now.items()):
        known.retentions = [*known.retentions, {**now, "since": at.isoformat()}][-RETENTIONS_AT_MOST:]
    elif len(known.retentions) > 1 and last["since"] < (at - LAST_BACKUP).isoformat() and _is_applied(known):
        known.retentions = known.retentions[-1:]


def _is_applied(known: KnownStanza) -> bool:
    cluster = Cluster.objects.with_node_setup().filter(repositories=known.repository_id).get()
    there = [one for one in node_setups(cluster) if known.node in {one.node.name, one.node.repository_folder}]
    return bool(there) and all(one.state == "applied" for one in there)


# What the store's versions still hold


def _is_old(versions: Mapping[str, Any]) -> bool:
    looked_at = parse_datetime(versions.get("looked_at", ""))
    return looked_at is None or timezone.now() - looked_at > VERSIONS_LAST


def _versions(objects: Objects, place: str, known: KnownStanza) -> dict[str, Any]:
    """Return how much of the lost backups was deleted or overwritten and can come back, and how much is there still.

    Or why that cannot be seen: the look itself has succeeded all the same.
    """
    labels = {one["backup"]["label"] for one in known.lost}
    base = f"{place}/backup/{known.name}/".lstrip("/")
    sets = sorted({full_of(label) for label in labels}, reverse=True)
    found: dict[str, Any] = {"objects": 0, "bytes": 0, "there": 0, "folder": False, "looked_at": timezone.now()}
    deleted = (entry for one in sets[:SETS_AT_MOST] for entry in objects.deleted(f"{base}{one}"))
    there = (entry for one in sets[:SETS_AT_MOST] for entry in objects.entries(f"{base}{one}"))
    gone: list[datetime] = []
    try:
        for entry in islice(deleted, COUNTED_AT_MOST):
            folder = base.startswith(entry.key)
            if folder or _label(entry.key, base) in labels:
                gone.append(entry.deleted_at)
                found["folder"] = found["folder"] or folder
                found["objects"], found["bytes"] = found["objects"] + 1, found["bytes"] + entry.size
        found["there"] = sum(_label(entry.key, base) in labels for entry in islice(there, COUNTED_AT_MOST))
    except StepError as error:
        found |= {"error": error.message, "details": error.details}
    found["more"] = len(sets) > SETS_AT_MOST or COUNTED_AT_MOST in {found["objects"], found["there"]}
    found |= {"first": min(gone), "last": max(gone)} if gone else {}
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in found.items()}


def _label(key: str, base: str) -> str:
    return key.removeprefix(base).partition("/")[0]
