"""1,800 databases in stores, judged by one worker on PostgreSQL: anew, for what a report changes, and for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from tests.demo_process import ROOT
from tests.postgres import cluster as postgresql

Figure = tuple[str, float, str]
CLUSTERS, NODES, STORES = 300, 3, 2
DAYS = 28  # a backup each day, a full one each week
FOLDERS = 20  # of WAL: 80 GB of each
SYSTEM_ID = "7711134786693777346"


def measure() -> Iterator[Figure]:
    """Yield the figures; the database is the bench's own."""
    with postgresql() as database:
        environment = {"DATABASE_URL": database.url, "REDIS_URL": "redis://127.0.0.1:1/0", "LOG_LEVEL": "ERROR"}
        measured = subprocess.run(
            [sys.executable, "-m", "tests.bench.verdicts"],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (value, unit) in json.loads(measured.stdout).items():
            yield name, value, unit


def run() -> None:
    """Fill the database, judge all, and print the figures."""
    from tests import environment  # noqa: F401 - before Django's settings are read

    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from clusters.health import judging
    from clusters.models import Cluster, Health, Node
    from tests import factories

    call_command("migrate", verbosity=0)
    account = factories.account(factories.organisation())
    fill(account, [factories.store(account, name=f"store-{number}") for number in range(STORES)])
    pairs = CLUSTERS * NODES * STORES

    def timed(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    first = timed(judging.judge_due)
    assert Health.objects.count() == pairs
    Cluster.objects.judge_now()
    with CaptureQueriesContext(connection) as queries:
        judging.judge_due(judging.BATCH)
    judging.judge_due()
    Cluster.objects.judge_now()
    same = timed(judging.judge_due)
    for node in Node.objects.all():  # of each a report came, in which its archiver has gone on
        said = node.status["stanzas"][0]["archiver"]
        said["last_at"] += 300
        Node.objects.filter(pk=node.pk).update(status=node.status, reported_at=node.reported_at + timedelta(seconds=1))
    Cluster.objects.judge_now()
    moved = timed(judging.judge_due)
    nothing = timed(judging.judge_due)
    print(
        json.dumps(
            {
                f"verdicts_{pairs}_pairs_first": (first, "s"),
                f"verdicts_{pairs}_pairs": (moved, "s"),
                f"verdicts_{pairs}_pairs_unchanged": (same, "s"),
                "verdicts_none_due": (1000 * nothing, "ms"),
                f"verdicts_queries_of_{judging.BATCH}_clusters": (len(queries), "queries"),
            }
        )
    )


def fill(account, stores: list) -> None:
    """Make the clusters of an account, each on the next two of its stores, with what was seen and reported of them."""
    from django.utils import timezone

    from clusters.models import Attachment, Cluster, Database, Inventory, KnownStanza, Node, Repository
    from clusters.pgbackrest.repository import Backup, StanzaState, as_json
    from clusters.pgbackrest.timelines import Timeline
    from tests.bench.reports import content

    now, organisation = timezone.now(), account.organisation

    def segment(number: int) -> str:
        return f"{1:08X}{number // 256:08X}{number % 256:08X}"

    def backup(day: int) -> Backup:
        stopped = int((now - timedelta(days=day, hours=1)).timestamp())
        kind, at = ("incr", "diff", "full")[(day % 7 == 0) * 2], (DAYS - day) * FOLDERS * 256 // DAYS
        label = f"2026{day:04}-010000F" if kind == "full" else f"20260001-010000F_2026{day:04}-010000I"
        sizes = (2_000_000_000, 300_000_000)
        return Backup(label, kind, stopped - 600, stopped, *sizes, segment(at), segment(at + 1), SYSTEM_ID, False, 1, 1)

    last, arrived = segment(FOLDERS * 256 - 20), (now - timedelta(minutes=2)).isoformat()
    line = Timeline("15-1", 1, segment(0), last, arrived, 5000, 10**10, last, segment(0), arrived)
    backups = [backup(day) for day in range(DAYS, -1, -1)]
    folders = [[f"15-1/{segment(256 * number)[:16]}", 256, 10**9] for number in range(FOLDERS)]
    sizes = [[str((now - timedelta(days=day)).date()), 10**9, 10**10] for day in range(90, -1, -1)]

    def state(node: str) -> StanzaState:
        return StanzaState(
            *(node, "orders", "read"),
            system_id=SYSTEM_ID,
            postgresql="15",
            backups=backups,
            last_wal=last,
            last_wal_at=arrived,
            db_id=1,
            timelines=[line],
            wal_folders=folders,
            wal_per_folder=256,
        )

    report = {**content(), "timezone": "UTC", "repositories": list(range(1, STORES + 1))}
    report["stanzas"] = report["stanzas"][:1]
    report["stanzas"][0]["archiver"] |= {"last_wal": last, "last_at": int(now.timestamp()) - 120}
    for number in range(CLUSTERS):
        cluster = Cluster.objects.create(
            organisation=organisation, cloud_account=account, name=f"cluster-{number}", state="available"
        )
        Database.objects.create(cluster=cluster, name="orders", version="15", data_directory="/var/lib/orders")
        names = [f"n{at}" for at in range(1, NODES + 1)]
        said = {"status": report, "reported_at": now, "sent_at": now, "applied_targets": [1, 2], "writes_to": "all"}
        Node.objects.bulk_create(Node(cluster=cluster, name=name, region="eu-west-1", **said) for name in names)
        for at in range(1, STORES + 1):
            store = stores[(STORES * number + at - 1) % len(stores)]
            repository = Repository.objects.create(cluster=cluster, store=store, number=at)
            Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
            states = as_json([state(name) for name in names])
            due_at = now + timedelta(hours=6)
            Inventory.objects.create(repository=repository, content=states, read_at=now, tried_at=now, due_at=due_at)
            remembered = {one.label: vars(one) for one in backups}
            values = {"postgresql": "15", "backups": remembered, "sizes": sizes, "backup_at": now, "seen_at": now}
            KnownStanza.objects.bulk_create(
                KnownStanza(repository=repository, node=name, name="orders", **values) for name in names
            )


if __name__ == "__main__":
    run()
