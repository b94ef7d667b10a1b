"""What stays in the stores when a cluster, a node, a database or an attachment goes, as far as it was seen."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext

from clusters.models import Cluster, Repository
from clusters.pgbackrest.repository import StanzaState
from clusters.repositories.backups import states

NODE_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # stands in commands; the console's own are n1, n2 …


@dataclass(frozen=True)
class Holding:
    """A repository, with what was last seen of those of its stanzas that are asked about."""

    repository: Repository
    stanza_states: Sequence[StanzaState]

    @property
    def read_at(self) -> datetime | None:
        """Return when it was last looked into."""
        inventory = getattr(self.repository, "inventory", None)
        return inventory.read_at if inventory else None

    @property
    def is_empty(self) -> bool:
        """Return whether it was looked into and held nothing of these stanzas."""
        return self.read_at is not None and not self.stanza_states

    @property
    def names(self) -> str:
        """Return the stanzas, such as "main on n1 and n2"."""
        nodes: dict[str, list[str]] = {}
        for one in self.stanza_states:
            nodes.setdefault(one.stanza, []).append(one.node)
        return "; ".join(f"{stanza} on {' and '.join(where)}" for stanza, where in nodes.items())

    @property
    def backups(self) -> int:
        """Return how many backups there are."""
        return sum(len(one.backups) + one.omitted for one in self.stanza_states)

    @property
    def size(self) -> int:
        """Return the bytes of backups and WAL; of what cannot be read, those that were counted."""
        return sum(_size(one) for one in self.stanza_states)

    @property
    def newest_at(self) -> datetime | None:
        """Return when the newest backup was complete."""
        stopped = [backup.stopped for one in self.stanza_states for backup in one.backups]
        return datetime.fromtimestamp(max(stopped), UTC) if stopped else None

    @property
    def words(self) -> str:
        """Return what it holds, such as "3 backups, 22.1 MB: main on n1"."""
        if self.read_at is None:
            return "what the console has not looked into yet"
        if not self.stanza_states:
            return "nothing"
        count = f"{self.backups:,} backup{'' if self.backups == 1 else 's'}"
        return f"{count}, {filesizeformat(self.size)}: {self.names}"


def _size(state: StanzaState) -> int:
    backups = state.backup_bytes or sum(backup.stored for backup in state.backups)
    return state.bytes or backups + state.wal_bytes


def holding(repository: Repository, *, nodes: Collection[str] | None = None, stanza: str = "") -> Holding:
    """Return what the repository holds, of all its stanzas, or of those of these nodes or of this name."""
    found = [
        one
        for one in states(repository)
        if (nodes is None or one.node in nodes) and (not stanza or one.stanza == stanza)
    ]
    return Holding(repository, found)


def left_behind(
    cluster: Cluster,
    *,
    nodes: Collection[str] | None = None,
    stanza: str = "",
    stores: Collection[object] | None = None,
) -> list[Holding]:
    """Return what stays when the cluster goes, or these nodes, this database, or its attachments to these stores.

    What nobody has looked into yet counts as something.
    """
    found: Iterable[Repository] = Repository.objects.filter(cluster=cluster).exclude(store=None).with_inventory()
    if stores is not None:
        found = [one for one in found if one.store_id in stores]
    holdings = [holding(one, nodes=nodes, stanza=stanza) for one in found]
    return [one for one in holdings if not one.is_empty]


def folders_of(repository: Repository) -> list[str]:
    """Return the folders that hold the repository and nothing else, without the slashes around them."""
    if repository.brought is not None:
        # What another cluster goes on with is not this one's to empty.
        return [] if repository.brought_again else [one.rstrip("/") for one in repository.folders]
    if not repository.replacements.exists():
        return [repository.prefix]
    nodes = {one.node for one in holding(repository).stanza_states} | {
        one.node for one in repository.known_stanzas.all()
    }
    return [f"{repository.prefix}/{node}" for node in sorted(nodes) if NODE_FOLDER.fullmatch(node)]


def kept_by(repository: Repository) -> str:
    """Return what keeps a repository from being let go, and what to do; "" when nothing does."""
    if hasattr(repository, "attachment"):
        return gettext("{cluster_name} uses it. Detach {store_name} there first.").format(
            cluster_name=repository.cluster_name, store_name=repository.store_name
        )
    if repository.store is None:
        return ""
    if other := repository.brought_again:
        return gettext(
            "{cluster_name} has brought the same repository in again and goes on with it. Empty nothing there."
        ).format(cluster_name=other.cluster_name)
    found = holding(repository)
    if found.stanza_states:
        return gettext(
            "{store_name} holds {plain}. Empty its folder first; a worker looks again every 10 minutes."
        ).format(store_name=repository.store_name, plain=_plain(found.words))
    since, empty = repository.detached_at, repository.empty_at
    if empty is None or since is None or empty < since:
        return gettext(
            "No worker has seen the folder {folder} empty since it was detached: older versions and "
            "what can be undeleted count, because the passphrase opens them too. Empty it first; a "
            "worker looks again every 10 minutes."
        ).format(folder=repository.folder)
    return ""


def _plain(text: str) -> str:
    return text.replace("\xa0", " ")
