"""The stores that can be chosen for a cluster, as the Backup Stores field shows them, and what detaching some means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

from django.utils.translation import gettext, ngettext

from clusters.models import Cluster
from clusters.proximity import Site, Verdict, judge, nearest
from clusters.repositories.detaching import costs
from clusters.repositories.retained import left_behind
from console.cloud_accounts.models import CloudAccount
from console.clouds.regions import Region
from console.web.natural import natural_key
from stores.models import State, Store

Nodes = Sequence[tuple[str, Region]]


def planned_nodes(account: CloudAccount, codes: Iterable[str]) -> list[tuple[str, Region]]:
    """Return the node that each of these regions would get, named as it would be; unknown regions get none."""
    found = filter(None, map(account.region, codes))
    return [(f"n{number}", region) for number, region in enumerate(found, 1)]


@dataclass(frozen=True)
class Option:
    """A store as the field offers it."""

    id: str  # its UUID without dashes: a list has a thousand of them
    name: str
    region: Region
    node: str  # the nearest one; "" without nodes
    km: int  # to that node
    state: str
    attached: bool
    chosen: bool

    @property
    def usable(self) -> bool:
        """Return whether it may be chosen: what is attached already may stay, whatever its state."""
        return self.attached or self.state == State.AVAILABLE

    @property
    def words(self) -> str:
        """Return where it is, and how far from the nearest node or why it cannot be chosen."""
        where = self.region.words
        if not self.usable:
            return gettext("{where} · cannot be chosen: {lower}").format(
                where=where, lower=State(self.state).label.lower()
            )
        return (
            gettext("{where} · {km} km from {node}").format(where=where, km=f"{self.km:,}", node=self.node)
            if self.node
            else where
        )

    @property
    def label(self) -> str:
        """Return all that is to be said about it in one line, for a map; static/choice-field.js makes the same."""
        return f"{self.name}, {self.words.replace(' · ', ', ')}"

    @property
    def attributes(self) -> str:
        """Return the attributes of its checkbox that are there or not: a list has a thousand of them."""
        there = {"data-attached": self.attached, "checked": self.chosen, "disabled": not self.usable}
        return "".join(f" {name}" for name, is_so in there.items() if is_so)

    @property
    def site(self) -> Site:
        """Return it as the proximity's functions know it."""
        return Site(self.id, self.name, self.region)


def options(
    account: CloudAccount, nodes: Nodes, *, chosen: Collection[str] = (), attached: Collection[str] = ()
) -> list[Option]:
    """Return the account's stores: those attached first, then those chosen, then the rest; each nearest first."""
    there, picked = set(map(_key, attached)), set(map(_key, chosen))
    rows = Store.objects.filter(cloud_account=account)  # which is one organisation's: whoever has found it may see them
    places: dict[str, tuple[Region, str, int] | None] = {}  # by code: an account has few regions, and many stores
    found = []
    for pk, name, code, state in rows.values_list("id", "name", "region", "state"):
        if code not in places:
            region = account.region(code)
            places[code] = (region, *nearest(region, nodes)) if region else None
        if place := places[code]:
            key = pk.hex
            found.append(Option(key, name, *place, state, key in there, key in picked))
    return sorted(found, key=lambda one: (not one.attached, not one.chosen, one.km, natural_key(one.name)))


def _key(text: str) -> str:
    return text.replace("-", "").lower()


def verdict(nodes: Nodes, found: Iterable[Option]) -> Verdict:
    """Return what is to be said of the stores that are chosen, and which others would be nearer."""
    known = list(found)
    return judge(
        nodes, [one.site for one in known if one.chosen], [one.site for one in known if one.usable and not one.chosen]
    )


def digest(found: Iterable[Option], nodes: Nodes) -> str:
    """Return a short text that changes when the map of these stores and nodes would."""
    pins = sorted((one.id, one.region.code) for one in found)
    return f"{crc32(repr((pins, [(name, region.code) for name, region in nodes])).encode()):08x}"


def consequences(cluster: Cluster, removed: Collection[UUID], left: Collection[Store]) -> list[str]:
    """Return what detaching these stores will mean, most serious first; nothing when nothing is detached."""
    going = [one.store for one in cluster.wanted if one.store_id in removed]
    if not going:
        return []
    said = []
    if not left:
        said.append(
            gettext("No store is left: no node has a place to archive to, and WAL piles up until its disk is full.")
        )
    for name, region in cluster.places:
        lost = [store.name for store in going if store.region == region.code]
        if lost and left and not any(store.region == region.code for store in left):
            said.append(
                gettext("{name} loses {lost}, the only store in its region ({code}).").format(
                    name=name, lost=" and ".join(lost), code=region.code
                )
            )
    numbers = {one.repository.number for one in cluster.wanted if one.store_id in removed}
    lost, all_read = costs(cluster, numbers)
    said.extend(lost)
    if not all_read:
        said.extend(
            (
                gettext(
                    "{store} (repo{number}) may hold the only full backup: the console has not been able to "
                    "look into it. Check with “pgbackrest --repo={number} info” on a node."
                ).format(store=one.store.name, number=one.repository.number)
            )
            for one in cluster.wanted
            if one.store_id in removed
        )
    said.extend(
        gettext(
            "{store_name} (repo{number}) keeps {words}. Nothing in it is deleted, and its passphrase "
            "stays under Retained Repositories; but the nodes can no longer read or expire it."
        ).format(store_name=one.repository.store_name, number=one.repository.number, words=one.words)
        for one in left_behind(cluster, stores=removed)
    )
    if writing := [node.name for node in cluster.nodes.all() if numbers & set(node.applied_targets)]:
        said.append(
            ngettext(
                "{nodes} still has it in the configuration that it reported last. Archiving there stops as soon as "
                "the access goes. Choose other stores for the node first, apply its file, and wait until its page "
                "says applied.",
                "{nodes} still have it in the configuration that they reported last. Archiving there stops as soon as "
                "the access goes. Choose other stores for the node first, apply its file, and wait until its page "
                "says applied.",
                len(writing),
            ).format(nodes=gettext(" and ").join(writing))
        )
    said.append(
        gettext(
            "Take the repository out of every node's pgBackRest configuration first: a node that "
            "still has it can push no WAL at all, not even to the other stores."
        )
    )
    return said


def changed_meanwhile(cluster: Cluster) -> str:
    """Return what to tell the second of two administrators who change the same cluster at once."""
    names = ", ".join(one.store.name for one in cluster.wanted) or "none"
    return gettext(
        "Somebody else has changed the stores of {cluster} since you opened this: it has {names} "
        "now. Nothing of yours was carried out, and your choice still stands below; look at it "
        "again, then update."
    ).format(cluster=cluster.name, names=names)
