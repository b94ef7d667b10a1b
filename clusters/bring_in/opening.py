"""What a worker does first: it opens the lists of a repository with its passphrase, and finds out whose they are.

Nothing is written. What is refused leaves as a StepError, with the field that it is about in its details.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext

from clusters.models import Bringing, Cluster, Database, Repository
from clusters.pgbackrest import archive_info, backup_info, config_file, kept
from clusters.pgbackrest.backup_info import NotOurs, Unreadable, decrypt
from clusters.pgbackrest.kept import Former, FormerRepository, FormerStanza, KeptLine
from clusters.pgbackrest.repository import INFO_AT_MOST
from console.clouds.contents import Objects
from console.clouds.specs import AccessSpec
from console.clouds.steps import Denied, Failed, NotReady
from stores.models import State, Store

CLUSTERS_FOLDER = re.compile(r"c-[a-z2-7]{12}(?:/.*)?")  # that the console gives its clusters
STANZAS_AT_MOST = 20
Info = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A repository of what was entered, in the store that it is in."""

    former: FormerRepository
    store: Store


def entered(given: dict[str, Any]) -> Former:
    """Return what was entered, of all machines of a cluster; the form has seen that it can be read.

    Options are those of the first machine, and what the others' files say of stanzas that only they have.
    """
    found = _of_first(given)
    stanzas, lines = {one.name: one for one in found.stanzas}, [*found.lines]
    for machine in given.get("machines", ()):
        for name, own in machine["databases"].items():
            stanzas.setdefault(name, FormerStanza(name, own["data_directory"], own["port"]))
        lines += [KeptLine(*one) for one in machine.get("lines", ())]
    return replace(found, stanzas=tuple(stanzas.values()), lines=tuple(lines))


def _of_first(given: dict[str, Any]) -> Former:
    """Return what was entered of the first machine, from the file or from the fields alone."""
    if given.get("text"):
        found = kept.former(config_file.read(given["text"]), given["stanzas"])
        if not given.get("passphrase"):
            return found
        # A file whose passphrase was taken out, as people do before they show one.
        return kept.with_passphrase(found, given["passphrase"])
    one = FormerRepository(
        number=1,
        type="",
        path=given["path"],
        bucket=Store.objects.get(pk=given["store"]).bucket,
        container="",
        passphrase=given.get("passphrase", ""),
        cipher="aes-256-cbc" if given.get("passphrase") else "none",
        behind="",
    )
    return Former((one,), tuple(FormerStanza(name, "", 5432) for name in given["stanzas"]), (), ())


def look(row: Bringing) -> Any:
    """Return what opened, by repository number and stanza; raises Failed or NotReady with the field in its details."""
    found = entered(row.entered)
    there = free_places(row, found)
    opened: dict[str, dict[str, Info]] = {}
    for place in there:
        objects = place.store.cloud.storage.objects(place.store.spec())
        try:
            infos = {one.name: _open(objects, place, one.name) for one in found.stanzas[:STANZAS_AT_MOST]}
            if any(infos.values()) or not (elsewhere := _elsewhere(place)):
                opened[str(place.former.number)] = infos
            elif _is_chosen(row, place):
                raise Failed(f"None of these stanzas is in {place.store.name}. {elsewhere}", field="store")
        except Failed as error:
            if _is_chosen(row, place) or not _elsewhere(place):
                if said := _refused(place, error):
                    raise said from error
                raise
    for one in found.stanzas:
        _agree(one.name, [infos[one.name] for infos in opened.values() if infos[one.name]])
    stores = {str(one.former.number): str(one.store.pk) for one in there}
    return {"opened": opened, "stores": {number: stores[number] for number in opened}}


def _refused(place: Place, error: Failed) -> Failed | None:
    """Return the error with what the console's own policy would need; None where it is none of that."""
    store = place.store
    needs = isinstance(error, Denied) and store.cloud.existing.lists_need(
        store.cloud_account.credentials(), store.bucket, path_of(place.former)
    )
    if not needs:
        return None
    # The statement of the error is for the lists that the console has by itself, and would not do.
    details = {name: one for name, one in error.details.items() if name != "statement"}
    action = details.get("action", "reading")
    return Failed(f"{store.cloud.vocabulary.name} refused {action} in {store.bucket}. {needs}", **details)


def _is_chosen(row: Bringing, place: Place) -> bool:
    return str(place.store.pk) == str(row.entered["store"])


def _elsewhere(place: Place) -> str:
    """Return that the file has it on another server, which may have a bucket of the same name; "" where it has not.

    A server may be known by several names, so this says nothing of what opens.
    """
    ours, theirs = _server(place.store), place.former.server
    if not (ours and theirs and ours != theirs):
        return ""
    return f"The file has repo{place.former.number} at {theirs}, and the store is at {ours}: choose the store it is in."


def _server(store: Store) -> str:
    """Return host and port at which a node reaches the store; "" where no option says."""
    nobody = AccessSpec(store.pk, store.name, store.cloud_account.credentials(), "", (store.bucket,))
    return kept.server(dict(store.cloud.access.repository(store.spec(), nobody).options))


def free_places(row: Bringing, found: Former) -> list[Place]:
    """Return the same as places(), where name and places are nobody's; nothing is asked of a cloud."""
    if Cluster.objects.filter(organisation=row.organisation_id).named(row.entered["name"]).exists():
        raise Failed("A cluster of this name exists. Choose another name.", field="name")
    there = places(row, found)
    for place in there:
        _refuse_owned(place, [one.name for one in found.stanzas])
    return there


def places(row: Bringing, found: Former) -> list[Place]:
    """Return the repositories that are in stores of the account, by number."""
    chosen = str(row.entered["store"])
    stores = {
        one.bucket: one
        for one in Store.objects.filter(
            organisation=row.organisation_id, cloud_account=row.cloud_account_id
        ).select_related("cloud_account")
    }
    there = [Place(one, stores[one.bucket]) for one in found.repositories if one.bucket in stores]
    if chosen not in {str(one.store.pk) for one in there}:
        names = ", ".join(f"repo{one.number}" for one in found.repositories) or "none"
        raise Failed(f"No repository of the file is in this store; it has {names}. Choose theirs.", field="store")
    for one in there:
        if one.store.state != State.AVAILABLE:
            words = one.store.get_state_display().lower()
            raise NotReady(f"{one.store.name} is {words}. Wait until it is available.", field="store")
    return list(_one_each(there))


def _one_each(there: list[Place]) -> Iterator[Place]:
    """Yield one place of each store: of several, that which is on its server, since another may have such a bucket."""
    for store in dict.fromkeys(one.store.pk for one in there):
        mine = [one for one in there if one.store.pk == store]
        near = [one for one in mine if one.former.server in {"", _server(one.store)}] if len(mine) > 1 else mine
        if len(near) != 1:
            names = " and ".join(f"repo{one.former.number}" for one in mine)
            raise Failed(
                f"{names} of the file are in {mine[0].store.name}, and a cluster has one repository in a store. Give "
                "the file here with the options of one of them alone; on the machine it stays as it is.",
                field="text",
            )
        yield near[0]


def _refuse_owned(place: Place, stanzas: Iterable[str]) -> None:
    """Raise Failed for a folder that is, or may be, a cluster's; nothing of another organisation's is told."""
    path, store = path_of(place.former), place.store
    if CLUSTERS_FOLDER.fullmatch(path):
        mine = {one.prefix: one for one in Cluster.objects.filter(organisation=store.organisation_id)}
        owner = mine.get(path.partition("/")[0])
        words = f"It is the folder of {owner.name}" if owner else "It is the folder of a cluster that a console made"
        raise Failed(f"{words}: that has it already, and nobody else may write there.", field=_field(place))
    for other in Repository.objects.filter(store=store, cluster__isnull=False).exclude(brought__isnull=True):
        if other.is_same_place(path, stanzas):
            raise Failed(f"{other.cluster_name} has brought it in already, as {other}.", field=_field(place))


def path_of(former: FormerRepository) -> str:
    """Return where its keys begin, without a slash; on Azure that begins with the container."""
    return "/".join(filter(None, (former.container, former.path)))


def _field(place: Place) -> str:
    return "path" if not place.former.type else "text"


def _open(objects: Objects, place: Place, stanza: str) -> Info:
    """Return whose stanza it is and what it holds; nothing of one that is not there, as stanza-create makes it."""
    path = path_of(place.former)
    base, name = f"{path}/" if path else "", f"repo{place.former.number}"
    backups = _read(objects, f"{base}backup/{stanza}/backup.info", place, stanza, backup_info.parse)
    archive = _read(objects, f"{base}archive/{stanza}/archive.info", place, stanza, archive_info.parse)
    if backups is None and archive is None:
        return {}
    if backups is None or archive is None:
        lacks = "backup.info" if backups is None else "archive.info"
        raise Failed(f"{name} has no {lacks} of {stanza}, and so no whole stanza.", field=_field(place))
    if (archive.system_id, archive.postgresql, archive.db_id) != (
        backups["system_id"],
        backups["postgresql"],
        backups["db_id"],
    ):
        raise Failed(f"archive.info and backup.info of {stanza} in {name} are of two databases.", field=_field(place))
    return {
        "system_id": backups["system_id"],
        "postgresql": backups["postgresql"].partition(".")[0],
        "backups": len(backups["backups"]) + backups["omitted"],
    }


def _read(objects: Objects, key: str, place: Place, stanza: str, parse: Any) -> Any:
    """Return what one of the lists says, of its copy where it is broken; None where there is none."""
    store, passphrase, broken, closed = place.store.name, place.former.passphrase, "", False
    for name in (key, f"{key}.copy"):
        data = objects.read(name, INFO_AT_MOST + 1).data
        if data is None:
            continue
        try:
            if len(data) > INFO_AT_MOST:
                raise Unreadable(
                    gettext("it is larger than {info_at_most} MB.").format(info_at_most=INFO_AT_MOST // 2**20)
                )
            text = decrypt(data, passphrase)
            if passphrase and text.encode() == data:
                raise Failed(f"{stanza} in {store} is not encrypted: leave the passphrase out.", field="passphrase")
            found = parse(text)
            if isinstance(found, dict) and found["note"]:
                raise Unreadable(found["note"])
        except NotOurs:
            closed = True
            continue
        except Unreadable as error:
            broken = broken or str(error)
            continue
        return found
    if closed and not broken:
        words = "Its passphrase is another one" if passphrase else "It is encrypted, and no passphrase was given"
        raise Failed(f"{stanza} in {store} does not open. {words}.", field="passphrase")
    if broken:
        what = key.rpartition("/")[2]
        raise Failed(f"{what} of {stanza} in {store} cannot be read: {broken}", field=_field(place))
    return None


def _agree(stanza: str, infos: list[Info]) -> None:
    if not infos:
        raise Failed(f"There is no stanza {stanza} there. Look at path and name.", field="stanzas")
    if len({one["system_id"] for one in infos}) > 1:
        raise Failed(f"The repositories hold two databases under the name {stanza}.", field="stanzas")
    if infos[0]["postgresql"] not in Database.VERSIONS:
        words = (
            f"{stanza} is of PostgreSQL {infos[0]['postgresql']}; the console knows {Database.VERSIONS[-1]} and newer."
        )
        raise Failed(words, field="stanzas")


def left_out(found: Former, there: Iterable[Place]) -> Iterator[FormerRepository]:
    """Yield the repositories of the file that are in no store."""
    numbers = {one.former.number for one in there}
    return (one for one in found.repositories if one.number not in numbers)
