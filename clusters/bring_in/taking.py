"""What was opened becomes a cluster that the console watches; nothing is changed in a cloud."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from clusters.bring_in.opening import Place, entered, free_places, left_out
from clusters.models import (
    Attachment,
    BackupPolicy,
    Bringing,
    BroughtIn,
    Cluster,
    Database,
    KnownStanza,
    Node,
    Repository,
)
from clusters.pgbackrest import config_file
from clusters.pgbackrest.kept import Former, FormerRepository, Remark
from clusters.repositories import inventory
from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.cloud_accounts.models import CloudAccount
from console.clouds.steps import StepError
from console.operations.actions import ask
from console.operations.snapshots import SnapshotQuerySet

NODE = "n1"
GUESSED = (
    Remark(
        "pg1-path, pg1-port",
        "No file told them, so they are guessed. Say on the node's page what its machine is like, before its set-up "
        "script runs there.",
    ),
    Remark(
        "repo1-retention-full", "No file told it, so no full backup expires by itself until you change the retention."
    ),
)
AT_ONCE = 20  # of an organisation that are kept with what was entered: each holds a file, and asks a worker to look


class TooMany(Exception):
    """As many are being brought in as may be; the message says what to do."""


def begin(membership: Membership, account: CloudAccount, given: dict[str, Any], *, by: User) -> Bringing:
    """Keep what was entered, encrypted, until a worker has opened it; raises TooMany."""
    with transaction.atomic():
        Organisation.locked(membership.organisation_id)
        kept = Bringing.objects.visible_to(membership).filter(cluster=None, begun_at__gt=Now() - Bringing.KEPT)
        if kept.count() >= AT_ONCE:
            minutes = int(Bringing.KEPT.total_seconds() // 60)
            raise TooMany(f"{AT_ONCE} repositories were tried within {minutes} minutes. Wait until those are over.")
        row: Bringing = Bringing.objects.create(
            organisation=membership.organisation, cloud_account=account, entered=given, by=by
        )
        ask(Bringing.objects.filter(pk=row.pk))
    return row


def of_all() -> SnapshotQuerySet:
    """Return those that a worker is to open, and forget those that are over, with what was entered."""
    Bringing.objects.filter(begun_at__lte=Now() - Bringing.KEPT).delete()
    return Bringing.objects.waiting()


def take(row: Bringing) -> None:
    """Make the cluster of what look() has found, in the transaction that keeps it.

    Another one may have taken the name or the place since. Of two at once the second waits here, and is refused.
    """
    Organisation.locked(row.organisation_id)
    given, found = row.entered, entered(row)
    try:
        there = free_places(row, found)
    except StepError as error:
        Bringing.objects.filter(pk=row.pk).update(error=error.message, details=error.details, content={})
        return
    _make(row, given, found, there)


def _make(row: Bringing, given: dict[str, Any], found: Former, there: list[Place]) -> None:
    cluster = Cluster.objects.create(
        organisation_id=row.organisation_id,
        cloud_account_id=row.cloud_account_id,
        name=given["name"],
        state="available",
        nodes_made=1,
    )
    node = Node.objects.create(
        cluster=cluster, name=NODE, region=given["region"], writes_to=Node.WritesTo.ALL, os_user="postgres"
    )
    opened = row.content["opened"]
    versions = {name: info for infos in opened.values() for name, info in infos.items() if info}
    for one in found.stanzas:
        folder = one.data_directory or f"/var/lib/postgresql/{versions[one.name]['postgresql']}/{one.name}"
        Database.objects.create(
            cluster=cluster,
            name=one.name,
            version=versions[one.name]["postgresql"],
            data_directory=folder.rstrip("/"),
            port=one.port,
        )
    made = [_repository(cluster, place, found) for place in there]
    for repository in made:
        _remember(repository, cluster, node, versions)
    BroughtIn.objects.create(cluster=cluster, file=_file(given, found, there))
    _policy(cluster, there[0].former, found)
    Bringing.objects.filter(pk=row.pk).update(entered={}, content={}, cluster=cluster)
    row.cluster, row.content = cluster, {}
    after = {"repositories": [one.title for one in made], "stanzas": [one.name for one in found.stanzas]}
    activity.record("Brought in a repository", cluster, organisation=cluster.organisation, by=row.by, after=after)
    ask(inventory.of(cluster.pk))


def _repository(cluster: Cluster, place: Place, found: Former) -> Repository:
    former = place.former
    path = "/".join(filter(None, (former.container, former.path)))
    repository: Repository = Repository.objects.create(
        cluster=cluster,
        store=place.store,
        number=former.number,
        secrets={"cipher_pass": former.passphrase},
        brought={
            "path": path,
            "node": NODE,
            "stanzas": [one.name for one in found.stanzas],
            "kept": [[name, value] for name, value in former.kept],
            "retention": dict(former.retention),
            "guessed": not former.type,  # no file told it
        },
    )
    state = Attachment.State.ATTACHED
    Attachment.objects.create(cluster=cluster, store=place.store, repository=repository, state=state)
    return repository


def _remember(repository: Repository, cluster: Cluster, node: Node, versions: dict[str, Any]) -> None:
    KnownStanza.objects.bulk_create(
        KnownStanza(
            repository=repository,
            node=node.name,
            name=database.name,
            postgresql=database.version,
            data_directory=database.data_directory,
            port=database.port,
            region=node.region,
            system_id=versions[database.name]["system_id"],
        )
        for database in Database.objects.filter(cluster=cluster)
    )


def _file(given: dict[str, Any], found: Former, there: list[Place]) -> dict[str, Any]:
    """Return what is kept of the file: no secret that is known for one."""
    left = [_left_out(one) for one in left_out(found, there)]
    numbers = {place.former.number for place in there}
    mine = [one for one in found.lines if not _is_of_others(one.name, numbers)]
    return {
        "shown": config_file.read(given["text"]).shown() if given.get("text") else [],
        "lines": [one.as_json() for one in mine],
        "remarks": [[one.what, one.why] for one in (*(() if given.get("text") else GUESSED), *left, *found.remarks)],
        "left": [one.what for one in left],
    }


def _is_of_others(name: str, numbers: set[int]) -> bool:
    """Return whether an option is of a repository that is not brought in."""
    match = re.match(r"repo(\d+)-", name)
    return bool(match) and int(match[1]) not in numbers  # type: ignore[index]


def _left_out(one: FormerRepository) -> Remark:
    where = f"behind the host {one.behind}" if one.behind else f"of type {one.type}"
    return Remark(
        f"repo{one.number}",
        f"It is {where}, and in no store of this account: after the hand-over nothing is written there.",
    )


def _policy(cluster: Cluster, first: FormerRepository, found: Former) -> None:
    """Give the cluster a policy that keeps as the first repository does; backups are planned at the hand-over."""
    own = first.retention
    policy = BackupPolicy(cluster=cluster, full_schedule="", incr_schedule="")
    if full := own.get("full"):
        policy.retention_full = int(full)
        policy.retention_type = "time" if own.get("full-type") == "time" else "count"
    if diff := own.get("diff"):
        policy.retention_diff = int(diff)
    policy.save()


def facts(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Return what is kept of each repository as its file had it: which one, and the options."""
    for one in cluster.repositories.all():
        if one.brought is not None:
            own = [f"{name}={value}" for name, value in one.brought["kept"]]
            own += [f"retention-{name}={value}" for name, value in (one.brought.get("retention") or {}).items()]
            yield str(one), ", ".join(own) or "none"


def counted(cluster: Cluster) -> Iterator[tuple[str, int]]:
    """Return the repositories that keep a number of full backups, as their file had it, and how many."""
    for one in cluster.repositories.all():
        own = (one.brought or {}).get("retention") or {}
        if "full" in own and own.get("full-type") != "time":
            yield str(one), int(own["full"])
