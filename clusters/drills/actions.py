"""What people do with plans of drills."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from clusters.models import DRILLS_AT_MOST, Cluster, Drill
from console.accounts import activity
from console.accounts.models import User

TOLD = ("what", "database", "node", "machine", "schedule", "backup", "folder", "checks", "check_database")


class TooMany(Exception):
    """The cluster has as many plans as it may."""


def save(drill: Drill, *, by: User | None) -> Drill:
    """Keep a plan, new or changed, and write down what it says."""
    before = _facts(Drill.objects.get(pk=drill.pk)) if drill.pk else {}
    with transaction.atomic():
        if (
            not drill.pk
            and Cluster.objects.select_for_update().get(pk=drill.cluster_id).drills.count() >= DRILLS_AT_MOST
        ):
            raise TooMany(
                gettext("A cluster has at most {drills_at_most} plans. Remove one first.").format(
                    drills_at_most=DRILLS_AT_MOST
                )
            )
        drill.save()
        Cluster.objects.filter(pk=drill.cluster_id).judge_now()
        _note("Changed a restore drill" if before else "Planned a restore drill", drill, by, before, _facts(drill))
    return drill


def remove(drill: Drill, *, by: User | None) -> None:
    """Forget a plan; what its runs have proved stays."""
    with transaction.atomic():
        before = _facts(drill)
        drill.delete()
        Cluster.objects.filter(pk=drill.cluster_id).judge_now()
        _note("Removed a restore drill", drill.cluster, by, before, {})


def hand_out(drill: Drill, *, by: User | None) -> None:
    """Have it written down that somebody is shown the set-up script of a plan's drill machine, with its secrets."""
    after = {"machine": drill.machine}
    _note("Was shown a drill machine's set-up script with its secrets", drill, by, {}, after)


def _facts(drill: Drill) -> dict[str, Any]:
    return {name: str(getattr(drill, name) or "") for name in TOLD}


def _note(action: str, subject: Any, by: User | None, before: dict[str, Any], after: dict[str, Any]) -> None:
    cluster = subject if isinstance(subject, Cluster) else subject.cluster
    named = {"cluster": cluster.name}
    activity.record(action, subject, organisation=cluster.organisation, by=by, before=before, after=named | after)
