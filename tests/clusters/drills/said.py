"""What machines say of drills, and a cluster that has something to say it of."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from clusters.drills import checking
from clusters.models import Cluster, Drill, KnownStanza, Node
from clusters.pgbackrest.repository import Backup
from tests.clusters.nodes import SYSTEM_ID, seen, stanza_state

LABEL = "20261122-140000F"
FIRST, LAST = "000000010000000000000002", "000000010000000000000003"


def backup(now=None):
    """A backup that was complete two hours ago."""
    now = int(now or time.time())
    return Backup(LABEL, "full", now - 7300, now - 7200, 2_000_000, 300_000, FIRST, LAST, SYSTEM_ID, False, 1, 1)


def known(cluster, *, number=1, node="n1", database="orders", now=None):
    """Have the console know of the backup, and have looked right now."""
    one = backup(now)
    repository = cluster.repositories.get(number=number)
    KnownStanza.objects.update_or_create(
        repository=repository,
        node=node,
        name=database,
        defaults={"backups": {one.label: asdict(one)}, "postgresql": "15", "seen_at": timezone.now()},
    )
    seen(cluster, stanza_state(backups=[one]), number=number)
    return repository


def drill(cluster, **values):
    made = Drill(cluster=cluster, schedule="0 3 * * 0", **values)
    made.full_clean()
    made.save()
    return made


def digest(plan):
    """What tells the plan that n1, or its drill machine, would be handed now."""
    return checking.current_digest(plan, Node.objects.filter(cluster=plan.cluster_id, name="n1").first())


def begun(plan, run=None, **values):
    now = int(time.time())
    return {
        "version": 1,
        "event": "begin",
        "run": run or uuid4().hex,
        "plan": plan.pk,
        "what": plan.what,
        "node": "n1",
        "stanza": "orders",
        "repository": 1,
        "digest": digest(plan),
        "machine": "a" * 64,
        "begun": now - 100,
        "sent": now,
        **values,
    }


def ended(plan, run=None, **values):
    """The end of a restore that did all it was to do."""
    now = int(time.time())
    return begun(plan, run) | {
        "event": "end",
        "ended": now - 10,
        "ok": True,
        "words": "",
        "label": LABEL,
        "first_wal": FIRST,
        "target": "",
        "system_id": SYSTEM_ID,
        "timeline": 1,
        "lsn": "0/4000000",
        "restored_to": now - 3600,
        "postgresql": 150018,
        "size": 2_000_000,
        "restore_seconds": 40,
        "recovery_seconds": 20,
        "check_seconds": 30,
        "amcheck": "passed",
        "checks": [],
        **values,
    }


def say(cluster, content, *, name="n1", token=None, plan=None):
    """Send it as a node does, or as the drill machine of a plan."""
    if plan:
        path, known_token = f"/clusters/{cluster.pk}/drills/{plan.pk}/report/", plan.secrets["report_token"]
    else:
        path = f"/clusters/{cluster.pk}/nodes/{name}/drill/"
        known_token = Node.objects.get(cluster=cluster, name=name).secrets["report_token"]
    body = content if isinstance(content, (bytes, str)) else json.dumps(content)
    return Client().post(
        path, body, content_type="application/json", headers={"Authorization": f"Bearer {token or known_token}"}
    )


def fresh(cluster):
    return Cluster.objects.with_node_setup().get(pk=cluster.pk)
