"""The hand-over of a node whose repositories were brought in: what its new file differs in, and its beginning."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from difflib import unified_diff

from django.db import transaction
from django.utils import timezone

from clusters import actions
from clusters.bring_in.taking import NODE
from clusters.models import Attachment, BackupPolicy, BroughtIn, Cluster, Node
from clusters.node_setup import NodeSetup, node_setups
from clusters.pgbackrest import config_file, own_key
from clusters.pgbackrest.configuration import StanzaConfiguration
from clusters.pgbackrest.grammar import Unfit
from clusters.pgbackrest.restore import Command
from clusters.pgbackrest.schedules import KINDS
from console.accounts import activity
from console.accounts.models import User
from console.clouds.contract import RepositoryOptions
from console.clouds.key_trial import KeyTrial
from console.operations.actions import begin

FORMER = "/etc/pgbackrest.conf"
SCHEDULES = "/etc/crontab /etc/cron.d /etc/cron.*ly /var/spool/cron /etc/systemd/system"


class Refused(Exception):
    """The hand-over cannot begin; the message says why, and what to do."""


def refusal(cluster: Cluster) -> str:
    """Return why no hand-over can begin, in sentences; "" when it can."""
    if not cluster.is_watched_only:
        return "Its hand-over has begun already."
    return cluster.blocked


def difference(node_setup: NodeSetup) -> str:
    """Return what the node's new file differs in from the former one, secrets hidden, as a unified diff; "" without."""
    file = node_setup.cluster.brought_in.file
    folder = node_setup.node.repository_folder
    former = file.get("shown", []) if folder == NODE else file.get("shown_of", {}).get(folder, [])
    ours = node_setup.masked.splitlines()
    return "\n".join(unified_diff(former, ours, FORMER, node_setup.layout.configuration, lineterm="")) if former else ""


def firsts(cluster: Cluster) -> list[NodeSetup]:
    """Return what the first host of each replication is handed: of machines with stanzas of their own, each."""
    return [one for one in node_setups(cluster) if one.hosts[0].pk == one.node.pk]


def before(node_setup: NodeSetup) -> list[Command]:
    """Return what to do on the machine before its set-up script runs, in this order."""
    names = "|".join(one.name for one in node_setup.configuration.stanzas)
    pattern = shlex.quote(f"pgbackrest|stanza.*({names})")
    return [
        Command(
            "Find what makes and expires backups now, and end it: comment out its lines, or disable its timers. Two "
            "schedules would expire by two rules, and one's backup fails while the other's runs. This does not find a "
            "script of your own that calls pgBackRest, nor what another machine runs, such as a repository host",
            f"sudo grep -rnE {pattern} {SCHEDULES}",
        ),
        Command("See that no backup runs: this says nothing then", "pgrep -af 'pgbackrest.* (backup|expire)'"),
    ]


def after(node_setup: NodeSetup) -> list[Command]:
    """Return what is run once the set-up script has run: PostgreSQL archives by the new file, and by that alone."""
    return [*node_setup.commands, *(_see(node_setup, one) for one in node_setup.configuration.stanzas)]


def _see(node_setup: NodeSetup, stanza: StanzaConfiguration) -> Command:
    layout = node_setup.layout
    psql = f"{layout.psql(stanza.postgresql)} -p {stanza.port} -d postgres"
    return Command(
        f"See that {stanza.name} archives by that: another archive_command may stand in a file that is read later",
        layout.as_user(f"{psql} -c 'SHOW archive_command'"),
    )


Own = Mapping[int, Mapping[str, str]]  # keys that a machine has, by number of the repository


def own_keys(cluster: Cluster, text: str) -> dict[int, dict[str, str]]:
    """Return the keys that a file, or lines of one, has for the cluster's repositories; raises Refused."""
    try:
        file = own_key.read(text.replace("\r\n", "\n"))
        return {
            one.repository.number: own_key.of_repository(
                file, one.repository.number, one.repository.brought["stanzas"][0], _reached(cluster, one)
            )
            for one in _brought(cluster)
        }
    except (config_file.Refused, Unfit) as error:
        raise Refused(str(error)) from error


def _brought(cluster: Cluster) -> list[Attachment]:
    return [one for one in cluster.wanted if one.repository.brought is not None]


def _reached(cluster: Cluster, one: Attachment) -> RepositoryOptions:
    access = replace(cluster.spec(), kept=one.repository.reached)
    return cluster.cloud.access.repository(one.store.spec(), access)


def try_own(cluster: Cluster, own: Own) -> KeyTrial:
    """Return what became of trying these keys, each in the place of its repository, where the cloud's can be tried."""
    access, found = cluster.cloud.access, []
    for one in _brought(cluster):
        # The repository's place is all that such a key has to open, so it stands for the cluster's own folder.
        place = one.repository.brought["path"]
        spec = replace(cluster.spec(), prefix=place, buckets=(one.store.bucket,), kept={})
        key = {name.removeprefix("s3-"): value for name, value in own[one.repository.number].items()}
        if access.try_key is None or not {"key", "key-secret"} <= {*key}:
            found.append(KeyTrial(untried=f"The console cannot try the key of {one.repository} itself."))
            continue
        parts = {"access_key_id": key["key"], "secret_access_key": key["key-secret"]}
        found.append(access.try_key(spec, parts, [one.store.log_bucket] if one.store.log_bucket else []))
    return KeyTrial(
        refused=tuple(said for one in found for said in one.refused),
        unread=tuple(said for one in found for said in one.unread),
        broad=tuple(said for one in found for said in one.broad),
        untried=" ".join(filter(None, (one.untried for one in found))),
        left=tuple(said for one in found for said in one.left),
    )


def hand_over(cluster: Cluster, *, schedules: Mapping[str, str], own: Own | None = None, by: User | None) -> None:
    """Plan the backups, and have a worker open the repositories to the nodes; raises Refused and NotNow.

    With `own` the nodes go on with the keys that they have, and the cloud makes none for these repositories.
    """
    with transaction.atomic():
        locked = Cluster.objects.select_for_update().get(pk=cluster.pk)
        if why := refusal(locked):
            raise Refused(why)
        brought = BroughtIn.objects.get(cluster=cluster)
        brought.handed_over_at = timezone.now()
        kept = {str(number): dict(options) for number, options in (own or {}).items()}
        brought.file = {**brought.file, "own": kept, "granted": not kept or brought.was_granted}
        brought.save(update_fields=["handed_over_at", "file"])
        if own:
            after = {"repositories": [f"repo{number}" for number in sorted(own)]}
            said = "Kept the key that a node has"
            activity.record(said, cluster, organisation=cluster.organisation, by=by, after=after)
        actions.plan_backups(locked, None, by=by, **schedules)
        begin(Cluster.objects.get(pk=cluster.pk), "update", by=by)


def no_way_back(cluster: Cluster) -> str:
    """Return why its hand-over cannot be taken back, in a sentence; "" when it can."""
    if cluster.is_watched_only:
        return "Nothing was handed over: it is watched only."
    if any(one.repository.brought is None for one in cluster.wanted):
        return (
            "It also writes to a store or a folder that was made here. Detach that first (Update Backup Stores); what "
            "has got another passphrase since cannot go back."
        )
    return cluster.blocked


def take_back(cluster: Cluster, *, by: User | None) -> None:
    """Watch its repositories only, and have a worker take the nodes' access back; raises Refused and NotNow.

    Plans no backups any more and forgets the nodes' own keys and what they reported: their machines have the former
    file again.
    """
    with transaction.atomic():
        locked = Cluster.objects.select_for_update().get(pk=cluster.pk)
        if why := no_way_back(locked):
            raise Refused(why)
        brought = BroughtIn.objects.get(cluster=cluster)
        brought.handed_over_at = None
        brought.file = {name: one for name, one in brought.file.items() if name != "own"}
        brought.save(update_fields=["handed_over_at", "file"])
        none = {f"{kind}_schedule": "" for kind in KINDS}
        actions.plan_backups(locked, None, by=by, **none)
        for one in BackupPolicy.objects.filter(cluster=cluster, node__isnull=False).select_related("node"):
            actions.plan_backups(locked, one.node, by=by, **none)
        Node.objects.filter(cluster=cluster).update(applied_sha256="", known_files={})
        activity.record("Took a hand-over back", cluster, organisation=cluster.organisation, by=by)
        begin(Cluster.objects.get(pk=cluster.pk), "update", by=by)
