"""What beat has done for clusters."""

from __future__ import annotations

from contextlib import suppress

from celery import shared_task
from django.utils import timezone

from clusters import actions, keys
from clusters.drills import receiving
from clusters.health import judging
from clusters.models import Cluster, State
from console.clouds import CLOUDS
from console.operations.actions import NotNow


@shared_task
def renew_keys() -> int:
    """Begin to renew the nodes' keys of each cluster that has some that end soon; return of how many."""
    renewed, asked = 0, {key: one.access.keys_due for key, one in CLOUDS.items() if one.access.keys_due}
    clusters = Cluster.objects.filter(state=State.AVAILABLE, cloud_account__provider_key__in=asked)
    for cluster in clusters.select_related("cloud_account"):
        due = asked[cluster.cloud_account.provider_key](cluster.spec())
        if due and due <= timezone.now():
            with suppress(NotNow):  # somebody was quicker
                actions.repair(cluster, by=None)
                renewed += 1
    return renewed


@shared_task
def end_replaced_keys() -> int:
    """End each former key that no node has any more; return of how many clusters."""
    return keys.end_what_all_have_replaced()


@shared_task
def judge_due() -> int:
    """Judge the databases for which it is time; return of how many clusters."""
    return judging.judge_due()


@shared_task
def settle_drills() -> int:
    """Compare runs whose backup the console has not seen before, and have those lost that are silent."""
    return receiving.settle()
