"""What a node's file says is taken up: passphrases that open their repositories, stores in use, keys, nodes, clusters.

Nothing is made or changed in a cloud: it is there already, and the console only learns of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from clusters import keys
from clusters.models import Attachment, BackupPolicy, Cluster, Database, Node, Repository, new_token
from clusters.node_setup import NodeSetup, node_setups
from clusters.pgbackrest.backup_info import NotOurs as OtherPassphrase
from clusters.pgbackrest.backup_info import Unreadable, decrypt, parse
from clusters.pgbackrest.configuration import BY_NUMBER
from clusters.pgbackrest.repository import INFO_AT_MOST
from console.accounts import activity
from console.clouds.specs import AccessSpec
from console.clouds.steps import Failed, NotReady
from console.restoration import node_file
from console.restoration.models import NodeFile, is_open
from console.restoration.node_file import Given, RepositoryPart
from stores.models import State, Store


@dataclass
class Found:
    """A repository of the file, with its store, and what opened with the passphrase."""

    part: RepositoryPart
    store: Store
    opened: int = 0  # lists of backups
    versions: dict[str, str] | None = None  # PostgreSQL's by stanza, as the lists of backups say


class _Asked(dict[str, str]):
    """The nodes' keys, as a cloud asks for them: what it writes into an option says which key belongs there."""

    def __bool__(self) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"\x00{name}"

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def look(row: NodeFile) -> Any:
    """Return what the file holds, once each of its passphrases has opened what is there; raises a StepError."""
    try:
        given = node_file.read(row.entered.get("text", ""))
    except node_file.NotOurs as error:
        raise Failed(str(error)) from error
    found = []
    for part in given.repositories:
        store = _store_of(part, row)
        _refuse_conflict(_known_cluster(row, given), part, store)
        found.append(_look_at(part, store, given))
    notes = [f"repo{one.part.number} in {one.store.name}: {_opened(one.opened)}" for one in found]
    versions = {name: version for one in found for name, version in (one.versions or {}).items()}
    return {"notes": notes, "versions": versions, "stores": {str(one.part.number): str(one.store.pk) for one in found}}


def _opened(number: int) -> str:
    if not number:
        return "nothing is there yet that the passphrase could open"
    return f"the passphrase opens the list{'s' if number > 1 else ''} of backups"


def _known_cluster(row: NodeFile, given: Given) -> Cluster | None:
    rows = Cluster.objects.filter(organisation=row.organisation_id, cloud_account=row.cloud_account_id)
    return next((one for one in rows if one.prefix == given.prefix), None)


def _refuse_conflict(cluster: Cluster | None, part: RepositoryPart, store: Store) -> None:
    """Raise Failed where the number is another repository's here."""
    known = Repository.objects.filter(cluster=cluster, number=part.number).first() if cluster else None
    if known and (known.store_id, known.prefix) != (store.pk, part.prefix):
        raise Failed(
            f"repo{part.number} is {known.title} here, and {store.name}, /{part.prefix} on the node. Give up the task "
            "that attaches it here, if it is held back; else ask for help. Nothing was changed."
        )


def _store_of(part: RepositoryPart, row: NodeFile) -> Store:
    stores = Store.objects.filter(organisation=row.organisation_id, cloud_account=row.cloud_account_id)
    store: Store | None = stores.filter(bucket__in=list(part.options.values())).select_related("cloud_account").first()
    if store is None:
        raise Failed(
            f"repo{part.number} is in no store that the console knows in this account. Adopt that store first, then "
            "give the file again."
        )
    if store.state != State.AVAILABLE:
        raise NotReady(f"repo{part.number} is in {store.name}, which is {store.get_state_display().lower()}.")
    return store


def _look_at(part: RepositoryPart, store: Store, given: Given) -> Found:
    """Open the list of backups of each stanza; a stanza without one has nothing that could be lost."""
    found = Found(part, store, versions={})
    objects = store.cloud.storage.objects(store.spec())
    base = f"{part.prefix}/{part.folder}/backup"
    for stanza in given.stanzas:
        for name in ("backup.info", "backup.info.copy"):
            data = objects.read(f"{base}/{stanza}/{name}", INFO_AT_MOST).data
            if data is None:
                continue
            try:
                info = parse(decrypt(data, part.passphrase))
            except OtherPassphrase as error:
                raise Failed(
                    f"The passphrase of repo{part.number} does not open the backups of {stanza} in {store.name}. Is "
                    "the file an older one? Take the one that the node has now."
                ) from error
            except Unreadable:
                continue  # pgBackRest writes it twice
            found.opened += 1
            assert found.versions is not None
            found.versions[stanza] = str(info["postgresql"]).partition(".")[0]
            break
    return found


def take(row: NodeFile) -> None:
    """Take up what look() has found, in the transaction that keeps it."""
    given = node_file.read(row.entered.get("text", ""))
    if not is_open(row.organisation_id):
        return
    stores = {int(number): Store.objects.get(pk=pk) for number, pk in row.content["stores"].items()}
    cluster, made = _cluster(row, given)
    node, added = _node(cluster, given, stores)
    notes = list(row.content["notes"])
    if made:
        notes.append(f"The cluster {cluster} was not known; it is now, with its folder {cluster.prefix}")
        _policy(cluster, given)
    if added:
        notes.append(f"Its node {node} was not known; its place is that of its store: correct it if that is wrong")
    notes += _databases(cluster, given, row.content["versions"])
    for part in given.repositories:
        notes += _repository(cluster, part, stores[part.number])
    notes += _keys(cluster, given, stores)
    notes += _finish(cluster, node, given)
    NodeFile.objects.filter(pk=row.pk).update(entered={}, taken_at=timezone.now(), content={"notes": notes})
    row.content = {"notes": notes}
    after = {"cluster": cluster.name, "repositories": [f"repo{part.number}" for part in given.repositories]}
    activity.record("Took up a node's file", node, organisation=cluster.organisation, by=row.by, after=after)


def _cluster(row: NodeFile, given: Given) -> tuple[Cluster, bool]:
    if known := _known_cluster(row, given):
        return Cluster.objects.select_for_update().get(pk=known.pk), False
    rows = Cluster.objects.filter(organisation=row.organisation_id)
    name = row.cluster_name or given.cluster
    taken = {one.lower() for one in rows.values_list("name", flat=True)}
    number = 2
    while name.lower() in taken:
        name, number = f"{(row.cluster_name or given.cluster)[:55]} {number}", number + 1
    pk = given.cluster_id or node_file.id_of(given.prefix)
    if Cluster.objects.filter(pk=pk).exists():  # of another organisation, whose file somebody has pasted here
        pk = node_file.id_of(given.prefix)
    cluster = Cluster.objects.create(
        id=pk,
        organisation_id=row.organisation_id,
        cloud_account_id=row.cloud_account_id,
        name=name,
        state="available",
    )
    return cluster, True


def _node(cluster: Cluster, given: Given, stores: dict[int, Store]) -> tuple[Node, bool]:
    folder = given.repositories[0].folder
    region = stores[given.repositories[0].number].region
    node, made = Node.objects.get_or_create(
        cluster=cluster,
        name=given.node,
        defaults={
            "region": region,
            "folder": "" if folder == given.node else folder,
            "os_user": given.os_user,
            "pgbackrest_version": given.release if given.release in BY_NUMBER else "",
        },
    )
    if given.token and given.cluster_id == cluster.pk and not node.takes(given.token):
        node.secrets = {**new_token(), "report_token": given.token}
        node.save(update_fields=["secrets"])
    highest = max(cluster.nodes_made, int(given.node.removeprefix("n")))
    Cluster.objects.filter(pk=cluster.pk).update(nodes_made=highest)
    cluster.nodes_made = highest
    return node, made


def _policy(cluster: Cluster, given: Given) -> None:
    """Give a cluster that was not known the plan that its node's file names."""
    options = given.repositories[0].options
    schedules = {f"{kind}_schedule": given.schedules.get(kind, "") for kind in ("full", "diff", "incr")}
    policy = BackupPolicy(cluster=cluster, **schedules)
    if options.get("retention-full-type") in BackupPolicy.RetentionType.values:
        policy.retention_type = options["retention-full-type"]
    policy.retention_full = int(options.get("retention-full", policy.retention_full))
    policy.retention_diff = int(options["retention-diff"]) if options.get("retention-diff") else None
    if queue := re.fullmatch(r"(\d+)GiB", given.settings.get("archive-push-queue-max", "")):
        policy.queue_max = int(queue[1])
    if given.settings.get("io-timeout", "").isdecimal():
        policy.io_timeout = int(given.settings["io-timeout"])
    policy.save()


def _databases(cluster: Cluster, given: Given, versions: dict[str, str]) -> Iterator[str]:
    for name, options in given.stanzas.items():
        folder = options.get("pg1-path", "")
        if Database.objects.filter(cluster=cluster, name=name).exists():
            continue
        said = re.search(r"/(1[0-9]|9)(?:/|$)", folder)
        version = versions.get(name) or (said[1] if said else "")
        if version not in Database.VERSIONS:
            yield f"The PostgreSQL of {name} is not known: add this database by hand"
            continue
        port = int(options.get("pg1-port") or 5432)
        others = Database.objects.filter(cluster=cluster)
        if others.filter(port=port).exists() or others.filter(data_directory=folder).exists():
            yield f"{name} has the port or the folder of another database here: add it by hand"
            continue
        Database.objects.create(cluster=cluster, name=name, version=version, data_directory=folder, port=port)
        yield f"The database {name} was not known"


def _repository(cluster: Cluster, part: RepositoryPart, store: Store) -> Iterator[str]:
    """Keep the passphrase under its number, and that the store is in use."""
    known = Repository.objects.filter(cluster=cluster, number=part.number).first()
    if known and known.passphrase != part.passphrase:
        # The one of the file has opened what is there; the other one stays in the row, since nothing is thrown away.
        known.secrets = {**known.secrets, "cipher_pass": part.passphrase, "before_restoration": known.passphrase}
        known.save(update_fields=["secrets"])
        yield f"The passphrase of repo{part.number} was another one here"
    if known is None:
        known = Repository.objects.create(
            cluster=cluster,
            store=store,
            number=part.number,
            prefix=part.prefix,
            secrets={"cipher_pass": part.passphrase},
        )
        yield f"The passphrase of repo{part.number} was not known"
    attachment = Attachment.objects.filter(cluster=cluster, store=store).first()
    if attachment is None:
        Attachment.objects.create(cluster=cluster, store=store, repository=known, state=Attachment.State.ATTACHED)
        yield f"{store} is attached as {known}"
    elif attachment.repository_id != known.pk and attachment.repository.number < known.number:
        Repository.objects.filter(pk=attachment.repository_id).update(detached_at=timezone.now(), empty_at=None)
        Attachment.objects.filter(pk=attachment.pk).update(repository=known)
        yield f"{known} has replaced {attachment.repository} in {store}"
    Repository.objects.filter(pk=known.pk, attachment__isnull=False).update(detached_at=None)


def _keys(cluster: Cluster, given: Given, stores: dict[int, Store]) -> Iterator[str]:
    """Keep the key with which the node signs in, as its cloud writes it into the file."""
    cloud, made = cluster.cloud, dict(cluster.keys)
    asked = AccessSpec(
        id=cluster.pk,
        name=cluster.name,
        account=cluster.cloud_account.credentials(),
        prefix=cluster.prefix,
        buckets=tuple(store.bucket for store in stores.values()),
        keys=_Asked(),
    )
    reached = {one.number: one.reached for one in Repository.objects.filter(cluster=cluster)}
    for part in given.repositories:
        if part.number in cluster.own_keys:
            continue
        kept = reached.get(part.number, {})
        wanted = cloud.access.repository(stores[part.number].spec(), replace(asked, kept=kept))
        for option, value in wanted.options:
            if value.startswith("\x00") and option in part.options:
                made[value.removeprefix("\x00")] = part.options[option]
        if wanted.files:
            yield f"The key of repo{part.number} is in a file of its own, which was not given: replace the nodes' key"
    if made != cluster.keys and cloud.access.key_id(made) != cluster.former_key_id:
        was = "another one here" if cluster.key_id else "not known"
        keys.keep(cluster, made)
        cluster.refresh_from_db()
        yield f"The nodes' key was {was}"


def _finish(cluster: Cluster, node: Node, given: Given) -> Iterator[str]:
    """Have the node write where it does, and compare the file that it would be handed with the one that it has."""
    wanted = [part.number for part in given.repositories]
    mine = _setup(cluster, node)
    if mine.numbers != wanted:
        attached = Attachment.objects.filter(cluster=cluster, repository__number__in=wanted)
        Node.objects.filter(pk=node.pk).update(writes_to=Node.WritesTo.CHOSEN)
        node.chosen.set(attached)
        mine = _setup(cluster, node)
    same = mine.configuration.render(secrets=True).strip() == given.sha256_text.strip()
    if same:
        keys.note_file(mine)
        yield f"{node} would be handed exactly the file that it has"
    else:
        yield f"{node} would be handed another file than it has: look at its page, then run the set-up script again"
    if not given.token:
        yield f"Its report.sh was not given: {node} may have to be set up again before its reports are taken"


def _setup(cluster: Cluster, node: Node) -> NodeSetup:
    fresh = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    return next(one for one in node_setups(fresh) if one.node.pk == node.pk)
