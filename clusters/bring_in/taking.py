"""What was opened becomes a cluster that the console watches; nothing is changed in a cloud."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext

from clusters.bring_in.opening import Place, entered, free_places, left_out, path_of
from clusters.models import (
    Attachment,
    BackupPolicy,
    Bringing,
    BroughtIn,
    Cluster,
    Database,
    KnownStanza,
    Node,
    NodeDatabase,
    Repository,
)
from clusters.pgbackrest import config_file
from clusters.pgbackrest.kept import Former, FormerRepository, Remark
from clusters.repositories import inventory
from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.cloud_accounts import preflight
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


IN_LISTS = 200  # the same of those in lists
CHANGED = "What is there has changed since it was shown. Look at what was found now, and add it then."


class TooMany(Exception):
    """As many are being brought in as may be; the message says what to do."""


def begin(membership: Membership, account: CloudAccount, given: dict[str, Any], *, by: User) -> Bringing:
    """Keep what was entered, encrypted, until a worker has opened it; raises TooMany."""
    with transaction.atomic():
        Organisation.locked(membership.organisation_id)
        kept = Bringing.objects.visible_to(membership).filter(
            cluster=None, batch=None, begun_at__gt=Now() - Bringing.KEPT
        )
        if kept.count() >= AT_ONCE:
            minutes = int(Bringing.KEPT.total_seconds() // 60)
            raise TooMany(
                gettext(
                    "{at_once} repositories were tried within {minutes} minutes. Wait until those are over."
                ).format(at_once=AT_ONCE, minutes=minutes)
            )
        row: Bringing = Bringing.objects.create(
            organisation=membership.organisation, cloud_account=account, entered=given, by=by
        )
        ask(Bringing.objects.filter(pk=row.pk))
    return row


def begin_list(
    membership: Membership, wishes: Sequence[tuple[CloudAccount, dict[str, Any]]], *, by: User | None
) -> UUID:
    """Keep what the lines of a list say, encrypted, and have a worker look at each; raises TooMany."""
    batch = uuid4()
    with transaction.atomic():
        Organisation.locked(membership.organisation_id)
        kept = Bringing.objects.visible_to(membership).filter(batch__isnull=False, cluster=None)
        if kept.count() + len(wishes) > IN_LISTS:
            raise TooMany(
                gettext(
                    "Lists with {in_lists} repositories are kept at most. Add or forget what is on the others first."
                ).format(in_lists=IN_LISTS)
            )
        Bringing.objects.bulk_create(
            Bringing(
                organisation_id=membership.organisation_id, cloud_account=account, entered=given, by=by, batch=batch
            )
            for account, given in wishes
        )
        ask(Bringing.objects.filter(batch=batch))
    return batch


def agree(rows: Iterable[Bringing], seen: Collection[str]) -> tuple[list[Bringing], list[Bringing]]:
    """Have those added of which exactly that was found; a worker looks once more before it adds one.

    Returns them, and those that are left since something else was found.
    """
    taken, left = [], []
    for row in rows:
        if not row.is_ready:
            continue
        if (digest := seen_of(row.content)) not in seen:
            left.append(row)
            continue
        given = {**row.entered, "agreed": digest}
        if Bringing.objects.filter(pk=row.pk, cluster=None).update(entered=given, tried_at=None):
            taken.append(row)
    ask(Bringing.objects.filter(pk__in=[row.pk for row in taken]))
    return taken, left


def look_again(rows: Iterable[Bringing]) -> int:
    """Have a worker look anew at those that were refused; return how many."""
    refused = [row for row in rows if row.error and not row.cluster_id]
    for row in refused:
        Bringing.objects.filter(pk=row.pk, cluster=None).update(error="", details={}, tried_at=None)
    ask(Bringing.objects.filter(pk__in=[row.pk for row in refused]))
    return len(refused)


def seen_of(content: dict[str, Any]) -> str:
    """Return a digest of what was found: which databases of which versions, where; backups come and go."""
    opened = {
        number: {name: [info.get("system_id"), info.get("postgresql")] for name, info in infos.items()}
        for number, infos in content["opened"].items()
    }
    return hashlib.sha256(json.dumps([opened, content["stores"]], sort_keys=True).encode()).hexdigest()


def of_all() -> SnapshotQuerySet:
    """Return those that a worker is to open, and forget those that are over, with what was entered."""
    Bringing.objects.all().over().delete()
    return Bringing.objects.waiting()


def take(row: Bringing) -> None:
    """Make the cluster of what look() has found, in the transaction that keeps it; of a list, once that was agreed to.

    Another one may have taken the name or the place since. Of two at once the second waits here, and is refused.
    """
    if row.batch and not _is_agreed(row):
        return
    Organisation.locked(row.organisation_id)
    given, found = row.entered, entered(row.entered)
    try:
        there = [one for one in free_places(row, found) if str(one.former.number) in row.content["opened"]]
    except StepError as error:
        kept = row.content if row.batch else {}
        Bringing.objects.filter(pk=row.pk).update(error=error.message, details=error.details, content=kept)
        return
    _make(row, given, found, there)


def _is_agreed(row: Bringing) -> bool:
    """Return whether what was found now is what somebody saw and takes; what is not taken needs that anew."""
    if not (agreed := row.entered.get("agreed")):
        return False
    if agreed == seen_of(row.content):
        return True
    given = {name: one for name, one in row.entered.items() if name != "agreed"}
    Bringing.objects.filter(pk=row.pk).update(entered=given, error=CHANGED, details={})
    return False


def _make(row: Bringing, given: dict[str, Any], found: Former, there: list[Place]) -> None:
    cluster = Cluster.objects.create(
        organisation_id=row.organisation_id,
        cloud_account_id=row.cloud_account_id,
        name=given["name"],
        state="available",
        nodes_made=1 + len(given.get("machines", ())),
    )
    Node.objects.create(
        cluster=cluster, name=NODE, region=given["region"], writes_to=Node.WritesTo.ALL, os_user="postgres"
    )
    opened = row.content["opened"]
    versions = {name: info for infos in opened.values() for name, info in infos.items() if info}
    owners = _owners(given)
    for one in found.stanzas:
        folder = one.data_directory or f"/var/lib/postgresql/{versions[one.name]['postgresql']}/{one.name}"
        Database.objects.create(
            cluster=cluster,
            name=one.name,
            version=versions[one.name]["postgresql"],
            data_directory=folder.rstrip("/"),
            port=one.port,
            folder=owners.get(one.name, NODE) if owners else "",
        )
    _add_machines(cluster, given.get("machines", ()), owners)
    made = [_repository(cluster, place, found, owners) for place in there]
    for repository in made:
        _remember(repository, cluster, versions)
    BroughtIn.objects.create(cluster=cluster, file=_file(given, found, there))
    _policy(cluster, there[0].former, found)
    Bringing.objects.filter(pk=row.pk).update(entered={}, content={}, cluster=cluster)
    row.cluster, row.content = cluster, {}
    after = {"repositories": [one.title for one in made], "stanzas": [one.name for one in found.stanzas]}
    activity.record("Brought in a repository", cluster, organisation=cluster.organisation, by=row.by, after=after)
    ask(inventory.of(cluster.pk))
    preflight.of(cluster.cloud_account).soon(timedelta())  # its permissions have to name the repositories now


def _owners(given: dict[str, Any]) -> dict[str, str]:
    """Return the first machine that has it, by the name of each stanza that the first machine of all has not."""
    return {
        name: f"n{number}"
        for number, machine in [*enumerate(given.get("machines", ()), 2)][::-1]
        for name in machine["databases"]
        if "lines" in machine
    }


def _add_machines(cluster: Cluster, machines: Sequence[dict[str, Any]], owners: Mapping[str, str]) -> None:
    """Make a node of each other machine of the list: those with the same stanzas are hosts of one replication."""
    databases = list(Database.objects.filter(cluster=cluster))
    for number, machine in enumerate(machines, 2):
        name, first = f"n{number}", next((owners[one] for one in machine["databases"] if one in owners), NODE)
        node = Node.objects.create(
            cluster=cluster,
            name=name,
            region=machine["region"],
            folder="" if first == name else first,
            writes_to=Node.WritesTo.ALL,
            os_user="postgres",
        )
        for database in databases:
            own = machine["databases"].get(database.name, {})
            folder, port = own.get("data_directory", "").rstrip("/"), own.get("port", database.port)
            differs = {}
            if folder and folder != database.data_directory:
                differs["data_directory"] = folder
            if port != database.port:
                differs["port"] = port
            if differs:
                NodeDatabase.objects.create(node=node, database=database, **differs)


def _repository(cluster: Cluster, place: Place, found: Former, owners: Mapping[str, str]) -> Repository:
    former = place.former
    repository: Repository = Repository.objects.create(
        cluster=cluster,
        store=place.store,
        number=former.number,
        secrets={"cipher_pass": former.passphrase},
        brought={
            "path": path_of(former),
            "node": NODE,
            "stanzas": [one.name for one in found.stanzas],
            "nodes": dict(owners),  # whose a stanza is that is not the first one's
            "kept": [[name, value] for name, value in former.kept],
            "retention": dict(former.retention),
            "guessed": not former.type,  # no file told it
        },
    )
    state = Attachment.State.ATTACHED
    Attachment.objects.create(cluster=cluster, store=place.store, repository=repository, state=state)
    return repository


def _remember(repository: Repository, cluster: Cluster, versions: dict[str, Any]) -> None:
    regions = dict(Node.objects.filter(cluster=cluster).values_list("name", "region"))
    KnownStanza.objects.bulk_create(
        KnownStanza(
            repository=repository,
            node=database.folder or NODE,
            name=database.name,
            postgresql=database.version,
            data_directory=database.data_directory,
            port=database.port,
            region=regions[database.folder or NODE],
            system_id=versions[database.name]["system_id"],
        )
        for database in Database.objects.filter(cluster=cluster)
    )


def _file(given: dict[str, Any], found: Former, there: list[Place]) -> dict[str, Any]:
    """Return what is kept of the file: no secret that is known for one."""
    left = [_left_out(one) for one in left_out(found, there)]
    machines = [*enumerate(given.get("machines", ()), 2)]
    others = [Remark(*one) for _, machine in machines for one in machine.get("remarks", ())]
    numbers = {place.former.number for place in there}
    mine = [one for one in found.lines if not _is_of_others(one.name, numbers)]
    return {
        "shown": config_file.read(given["text"]).shown() if given.get("text") else [],
        "shown_of": {f"n{number}": one["shown"] for number, one in machines if one.get("shown")},
        "lines": [one.as_json() for one in mine],
        "remarks": [
            [one.what, one.why]
            for one in (*(() if given.get("text") else GUESSED), *left, *_differences(given), *found.remarks, *others)
        ],
        "left": [one.what for one in left],
    }


def _differences(given: dict[str, Any]) -> Iterator[Remark]:
    """Yield what another machine's file has otherwise than the first one's, by the names of the options alone."""
    for number, machine in enumerate(given.get("machines", ()), 2):
        for name in machine["differs"]:
            yield Remark(name, f"The file of n{number} has it otherwise. All nodes go on with what {NODE} has.")


def _is_of_others(name: str, numbers: set[int]) -> bool:
    """Return whether an option is of a repository that is not brought in."""
    match = re.match(r"repo(\d+)-", name)
    return bool(match) and int(match[1]) not in numbers  # type: ignore[index]


def _left_out(one: FormerRepository) -> Remark:
    where = f"behind the host {one.behind}" if one.behind else f"of type {one.type}"
    where = f"{where} at {one.server}" if one.server and not one.behind else where
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
