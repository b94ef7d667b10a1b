"""The hand-over of a node whose repositories were brought in: what its new file differs in, and its beginning."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from difflib import unified_diff

from django.db import transaction
from django.utils import timezone

from clusters import actions
from clusters.handover import steps
from clusters.models import BroughtIn, Cluster
from clusters.node_setup import NodeSetup
from clusters.pgbackrest.configuration import StanzaConfiguration
from clusters.pgbackrest.restore import Command
from console.accounts.models import User
from console.operations.actions import begin

FORMER = "/etc/pgbackrest.conf"
SCHEDULES = "/etc/crontab /etc/cron.d /etc/cron.*ly /var/spool/cron /etc/systemd/system"


class Refused(Exception):
    """The hand-over cannot begin; the message says why, and what to do."""


def refusal(cluster: Cluster) -> str:
    """Return why no hand-over can begin, in sentences; "" when it can."""
    if not cluster.is_watched_only:
        return "Its hand-over has begun already."
    if not cluster.cloud.access.reaches_kept:
        return (
            f"The nodes of a cluster reach only its own place on {cluster.cloud.label}, and this repository is in "
            "another one. It is watched, and can be restored; to archive through the console, make another cluster for "
            "the node."
        )
    return cluster.blocked


def difference(node_setup: NodeSetup) -> str:
    """Return what the node's new file differs in from the former one, secrets hidden, as a unified diff; "" without."""
    former = node_setup.cluster.brought_in.file.get("shown", [])
    ours = node_setup.masked.splitlines()
    return "\n".join(unified_diff(former, ours, FORMER, node_setup.layout.configuration, lineterm="")) if former else ""


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
    configuration = node_setup.configuration
    found = [one for one in steps.commands(configuration) if "Restart it" not in one.title]
    return [*found, *(_see(node_setup, one) for one in configuration.stanzas)]


def _see(node_setup: NodeSetup, stanza: StanzaConfiguration) -> Command:
    layout = node_setup.layout
    psql = f"{layout.psql(stanza.postgresql)} -p {stanza.port} -d postgres"
    return Command(
        f"See that {stanza.name} archives by that: another archive_command may stand in a file that is read later",
        layout.as_user(f"{psql} -c 'SHOW archive_command'"),
    )


def hand_over(cluster: Cluster, *, schedules: Mapping[str, str], by: User | None) -> None:
    """Plan the backups, and have a worker open the repositories to the nodes; raises Refused and NotNow."""
    with transaction.atomic():
        locked = Cluster.objects.select_for_update().get(pk=cluster.pk)
        if why := refusal(locked):
            raise Refused(why)
        BroughtIn.objects.filter(cluster=cluster).update(handed_over_at=timezone.now())
        actions.plan_backups(locked, None, by=by, **schedules)
        begin(Cluster.objects.get(pk=cluster.pk), "update", by=by)
