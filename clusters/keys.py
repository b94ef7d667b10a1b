"""The nodes' keys and report tokens are replaced: a second one is handed out, and the first ends when all have that.

What a node has, it says itself: the digest of its file, and the console knows which key is in a file that it handed
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from clusters.models import Cluster, Node, RemovedNode, new_token
from clusters.node_setup import NodeSetup, node_setups
from console.accounts import activity
from console.accounts.models import User
from console.clouds.key_trial import KeyTrial
from console.operations.actions import NotNow, begin


@dataclass(frozen=True)
class Replacement:
    """How far the replacement of a cluster's key is."""

    since: datetime
    key_id: str
    former_key_id: str  # "" after a replacement at once: it is ended
    waiting: list[Node]  # those that have not reported a file with the new key
    removed: list[RemovedNode]  # whose files may still be out: they are not waited for
    by_hand: bool  # the console cannot end the former one

    @property
    def at_once(self) -> bool:
        """Return whether the former key is ended already, so that those who wait have no access."""
        return not self.former_key_id


def replacement(cluster: Cluster) -> Replacement | None:
    """Return how far the replacement of a cluster (with_node_setup()) is, None when there is none.

    A node that never reported and cannot have been handed a file, for want of a database or a store, is not waited for.
    """
    if cluster.key_replaced_at is None:
        return None
    handed_out = bool(cluster.databases.all()) and bool(cluster.attachments.all())
    return Replacement(
        cluster.key_replaced_at,
        cluster.key_id,
        cluster.former_key_id,
        [
            one.node
            for one in node_setups(cluster)
            if (one.node.reported_at or handed_out) and cluster.key_id not in {one.node.applied_key, _now_applied(one)}
        ],
        list(cluster.removed_nodes.all()),
        cluster.takes_key,
    )


def _now_applied(node_setup: NodeSetup) -> str:
    """Return the ID of the key in the file that the node has, where that is the one that it should have now."""
    return node_setup.cluster.key_id if node_setup.state == "applied" else ""


def note_file(node_setup: NodeSetup) -> None:
    """Note which key is in the file that the node is handed now: it may report it when another is due already."""
    node_setup.node.remember_file(node_setup.sha256, node_setup.cluster.key_id)
    node_setup.node.save(update_fields=["known_files"])


# What steps gave to be kept


def keep(cluster: Cluster, made: Mapping[str, str]) -> None:
    """Keep the key that the nodes sign in with, and the one that it replaces; its server shows it only once."""
    before = Cluster.objects.get(pk=cluster.pk)
    changes: dict[str, Any] = {"keys": made}
    if not cluster.cloud.access.key_id(made):  # they sign in as their machines from now on
        changes |= {"former_keys": {}, "key_made_at": None, "key_replaced_at": None}
    elif not before.key_id:
        changes |= {"key_made_at": timezone.now()}
    elif any(made.get(part, value) != value for part, value in before.keys.items()):  # not one that only came along
        changes |= {"former_keys": before.keys, "key_made_at": timezone.now(), "key_replaced_at": timezone.now()}
    Cluster.objects.filter(pk=cluster.pk).update(**changes)


def keep_alone(cluster: Cluster, made: Mapping[str, str]) -> None:
    """Keep the key that was made when all others had ended."""
    keep(cluster, made)
    Cluster.objects.filter(pk=cluster.pk).update(former_keys={})


def forget_former(cluster: Cluster) -> None:
    """Keep no key but the present one; unless that was replaced meanwhile, nobody waits for nodes any more."""
    rows = Cluster.objects.filter(pk=cluster.pk)
    rows.update(former_keys={})
    rows.filter(key_replaced_at=cluster.key_replaced_at).update(key_replaced_at=None)


# What people ask for


def replace_key(cluster: Cluster, *, at_once: bool, by: User | None) -> None:
    """Begin to replace the nodes' key; at once, the present one ends before there is another. Raises NotNow."""
    if not cluster.key_id or cluster.takes_key:
        raise NotNow(
            gettext("The console keeps no key of {cluster}'s nodes that it could replace.").format(cluster=cluster.name)
        )
    if not cluster.attachments.exists():
        raise NotNow(
            gettext("No store is attached to {cluster}, so its nodes' key opens nothing. Attach one first.").format(
                cluster=cluster.name
            )
        )
    if cluster.former_keys and not at_once:
        raise NotNow(
            gettext(
                "A replacement is not at its end: the former key still opens the stores. End it first, "
                "or go back to it."
            )
        )
    begin(cluster, "replace_key_at_once" if at_once else "replace_key", by=by)


def end_former(cluster: Cluster, *, by: User | None) -> None:
    """Begin to end the former key; forget it where it was made by hand, and is deleted so. Raises NotNow."""
    if not cluster.former_keys:
        raise NotNow(gettext("{cluster} has no former key any more.").format(cluster=cluster.name))
    if not cluster.takes_key:
        begin(cluster, "end_key", by=by)
        return
    with transaction.atomic():
        forget_former(cluster)
        before = {"access_key_id": cluster.former_key_id}
        _note("Said that the nodes' former key is deleted", cluster, by, before=before)


def go_back(cluster: Cluster, *, by: User | None) -> None:
    """Hand out the former key again; the one that was to replace it becomes the former one. Raises NotNow."""
    if not cluster.former_keys:
        raise NotNow(gettext("{cluster} has no former key any more.").format(cluster=cluster.name))
    with transaction.atomic():
        now = timezone.now()
        held = Cluster.objects.filter(pk=cluster.pk, key_replaced_at=cluster.key_replaced_at)
        if not held.update(keys=cluster.former_keys, former_keys=cluster.keys, key_replaced_at=now, key_made_at=now):
            raise NotNow(gettext("Somebody else has changed the nodes' key meanwhile. Reload the page."))
        _note("Went back to the nodes' former key", cluster, by, after={"key": cluster.former_key_id})
        if not cluster.takes_key:  # a store that was attached meanwhile may need a signature of its own
            begin(cluster, "update", by=by)


def end_what_all_have_replaced() -> int:
    """End each former key whose successor every node has reported; return of how many clusters."""
    ended = 0
    for cluster in Cluster.objects.with_node_setup().exclude(key_replaced_at=None):
        found = replacement(cluster)
        if found is None or found.waiting or (found.by_hand and not found.at_once):
            continue
        if found.at_once:
            forget_former(cluster)
        else:
            try:
                end_former(cluster, by=None)
            except NotNow:  # at work, or its account has not proved itself: the next time
                continue
        ended += 1
    return ended


def try_key(cluster: Cluster, key: Mapping[str, str]) -> KeyTrial:
    """Return what became of trying a key that was made by hand, in each attached store; without one, nothing was."""
    spec = cluster.spec()
    if cluster.cloud.access.try_key is None or not spec.buckets:
        return KeyTrial()
    logs = [one.store.log_bucket for one in cluster.wanted if one.store]
    return cluster.cloud.access.try_key(spec, key, logs)


def give_key(
    cluster: Cluster, *, access_key_id: str, secret_access_key: str, by: User | None, trial: KeyTrial | None = None
) -> None:
    """Keep the key that was made by hand for the nodes; it is in their files from now on, and the former is remembered.

    The same ID again corrects the secret; another one, while a replacement is on, takes the place of the new one.
    """
    before = {"access_key_id": cluster.key_id}
    changes: dict[str, Any] = {"keys": {"access_key_id": access_key_id, "secret_access_key": secret_access_key}}
    if access_key_id != cluster.key_id:
        changes |= {"key_made_at": timezone.now()}
        if cluster.key_id:
            changes |= {"key_replaced_at": timezone.now(), "former_keys": cluster.former_keys or cluster.keys}
    if access_key_id == cluster.former_key_id:  # back to the first one
        changes |= {"former_keys": cluster.keys}
    with transaction.atomic():
        Cluster.objects.filter(pk=cluster.pk).update(**changes)
        told = {"access_key_id": access_key_id}
        if trial and (said := " ".join(filter(None, [trial.untried, *trial.unread, *trial.broad]))):
            told["trial"] = said
        _note("Entered the nodes' key", cluster, by, before=before, after=told)


def replace_token(node: Node, *, at_once: bool, by: User | None) -> None:
    """Give the node another token for its reports; unless at once, the old one is taken until the new one comes."""
    with transaction.atomic():
        node = Node.objects.select_for_update().get(pk=node.pk)
        # While one replaces another, that one is the one that the node has.
        former = node.secrets.get("former_token") or node.secrets.get("report_token", "")
        node.secrets = {**new_token(), **({} if at_once else {"former_token": former})}
        node.save(update_fields=["secrets"])
        _note("Replaced a report token at once" if at_once else "Replaced a report token", node, by)


def end_former_token(node: Node) -> None:
    """Take no other token than the present one, which the node has just reported with."""
    with transaction.atomic():
        node = Node.objects.select_for_update().get(pk=node.pk)
        node.secrets = {name: one for name, one in node.secrets.items() if name != "former_token"}
        node.save(update_fields=["secrets"])
        _note("Ended a former report token", node, None)


def _note(action: str, subject: Cluster | Node, by: User | None, **changes: Any) -> None:
    cluster = subject if isinstance(subject, Cluster) else subject.cluster
    if subject is not cluster:  # a node's name alone says little
        changes["after"] = {"cluster": cluster.name, **(changes.get("after") or {})}
    activity.record(action, subject, organisation=cluster.organisation, by=by, **changes)
