"""Reports as nodes send them."""

from __future__ import annotations

import json
import time

from django.test import Client

from clusters.models import Node

SYSTEM_ID = "7711134786693777346"


def stanza(name="orders", **values):
    """What a primary in order says of itself."""
    return {
        "name": name,
        "server": "up",
        "role": "primary",
        "postgresql": 150008,
        "system_id": SYSTEM_ID,
        "timeline": 1,
        "archive_mode": "on",
        "is_archived_here": True,
        "segment": 16 * 1024**2,
        "waiting": 0,
        "spooled": 0,
        "spool_errors": 0,
        "error": "",
        "free": 50 * 1024**3,
        "archiver": {"archived": 1200, "last_wal": "0000000100000000000004B0", "last_at": 1795358980, "failed": 0},
        **values,
    }


def content(**values):
    """A report of such a node, as it comes out of its script."""
    return {
        "version": 2,
        "sent": int(time.time()),
        "by_hand": False,
        "sha256": "0" * 64,
        "repositories": [1],
        "pgbackrest": "2.45",
        "machine": "a" * 64,
        "hostname": "db1",
        "timezone": "Europe/Berlin",
        "utc_offset": "+0100",
        "spool_free": 50 * 1024**3,
        "stanzas": [stanza()],
        "runs": [],
        "others": [],
        **values,
    }


def send(cluster, body=None, name="n1", token=None, kind="application/json", **values):
    """Send a report, or a body that may be none, as the node does."""
    token = token or Node.objects.get(cluster=cluster, name=name).secrets["report_token"]
    body = json.dumps(content(**values)) if body is None else body
    address = f"/clusters/{cluster.pk}/nodes/{name}/applied/"
    return Client().post(address, body, content_type=kind, headers={"Authorization": f"Bearer {token}"})
