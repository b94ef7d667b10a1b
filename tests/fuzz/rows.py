"""Parts of the organisation in which every page has something to show: what tests/fuzz/world.py makes for both."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.utils import timezone

from clusters import actions as clusters
from clusters.models import (
    Attachment,
    Bringing,
    BroughtIn,
    Cluster,
    Database,
    Node,
    Repository,
)
from console.alerts.models import (
    Alert,
    AlertEvent,
    AlertSettings,
    Channel,
    Delivery,
    MaintenanceWindow,
    new_secret,
)
from console.clouds.contents import Contents
from console.operations.models import Operation
from stores.control_status import ControlStatus


def alerts(organisation: Any, cluster: Any) -> None:
    """An alert that is open, one that is closed, a channel of each sort, a message, a window."""
    now = timezone.now()
    common = {"organisation": organisation, "group": "g", "rule": "silent", "severity": "warning", "weight": 10}
    opened = Alert.objects.create(
        key="open", title="n1 is silent", cluster=cluster.pk, cluster_name="cluster", **common
    )
    AlertEvent.objects.create(alert=opened, kind="opened")
    Alert.objects.create(key="closed", title="n2 was silent", closed_at=now, **common)
    hook = {"url": "https://hooks.example.org/x", "secret": new_secret()}
    for kind, held, confirmed in (("webhook", hook, now), ("email", {"address": "ops@example.org"}, None)):
        channel = Channel.objects.create(
            organisation=organisation, kind=kind, name=kind, shown="x", secrets=held, confirmed_at=confirmed,
            token_sha256=sha256(b"link").hexdigest(), events=["tasks"] if kind == "webhook" else None,
        )  # fmt: skip
        Delivery.objects.create(organisation=organisation, channel=channel, kind="alerts", subject="n1 is silent")
    MaintenanceWindow.objects.create(
        organisation=organisation, starts_at=now, ends_at=now + timedelta(days=1), why="move", by_name="alice"
    )
    AlertSettings.objects.create(organisation=organisation)


def seen(bucket: str) -> dict[str, Any]:
    """What was found of a bucket that somebody may add."""
    line = ControlStatus(
        "policy", "Policy", bucket, False, "off", "ours", "another", {}, {"a": 1}, False, "", timezone.now().isoformat()
    )
    return {
        "found": {
            "region": "eu-west-1", "created": "", "versions_days": 0, "lock_days": 0, "warnings": ["It is public."],
        },
        "owner": "", "tag": "", "store_id": str(uuid4()), "lines": [line.kept()], "is_whole": True,
        "contents": asdict(Contents(objects=3, size=9)),
        "repositories": [{"path": "/pg", "stanzas": ["main"], "halves": ["archive", "backup"]}],
    }  # fmt: skip


def brought_in(account: Any, store: Any) -> None:
    """A cluster whose repository was there before it, and is watched only."""
    cluster = clusters.create(account, name="watched", regions=["us-east-1"], stores=[store], by=None)
    done(cluster)
    # Lists have it last: addresses are taken from the first page that has them, and it has fewer.
    Cluster.objects.filter(pk=cluster.pk).update(created_at=timezone.now() - timedelta(days=9))
    Database.objects.create(cluster=cluster, name="main", version="15", data_directory="/var/lib/postgresql/15/main")
    own = {"path": "backups", "node": "n1", "stanzas": ["main"], "kept": [["bundle", "y"]], "retention": {"full": "2"}}
    Repository.objects.filter(cluster=cluster).update(brought=own)
    remarks = [["repo2", "It is in no store of this account."]]
    file = {"shown": ["[global]", "repo1-path=/backups"], "lines": [], "remarks": remarks, "left": ["repo2"]}
    BroughtIn.objects.create(cluster=cluster, file=file)
    opened = {"1": {"main": {"system_id": "7", "postgresql": "17", "backups": 3}}}
    Bringing.objects.create(
        organisation=account.organisation, cloud_account=account, batch=uuid4(), tried_at=timezone.now(),
        entered={"name": "of a list", "store": str(store.pk), "text": "", "path": "a", "stanzas": ["main"]},
        content={"opened": opened, "stores": {"1": str(store.pk)}}, wanted_at=None,
    )  # fmt: skip


def done(cluster: Any) -> None:
    Operation.objects.filter(pk=cluster.operation_id).update(state="done", finished_at=timezone.now())
    Attachment.objects.filter(cluster=cluster).update(state=Attachment.State.ATTACHED)
    Cluster.objects.filter(pk=cluster.pk).update(state="available")
    Node.objects.filter(cluster=cluster).update(reported_at=timezone.now())
