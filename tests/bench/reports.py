"""3,000 nodes that report: to the real web server, on PostgreSQL, spread over five minutes, and in a burst.

Beside them stands what reports were before: the form of the earlier script, for which the whole configuration is made.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console.demo.servers import HOST, free_port, start_server, stop_server, takes_connections
from tests.bench.installation import seconds_of_tree
from tests.demo_process import ROOT
from tests.postgres import cluster as postgresql

Figure = tuple[str, float, str]
CLUSTERS, NODES = 300, 10
RATE = CLUSTERS * NODES / 300  # a second: each node once in five minutes
SECONDS = 60  # of those five minutes that are measured
BURST = 300
WARM = 20
FORM_SECONDS = 20
SYSTEM_ID = "7711134786693777346"


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, postgresql() as database:
        port = free_port()
        environment = {
            "DATABASE_URL": database.url,
            "ALLOWED_HOSTS": HOST,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "LOG_LEVEL": "ERROR",
            "STATIC_ROOT": f"{folder}/static",
        }
        prepared = subprocess.run(
            [sys.executable, "-m", "tests.bench.reports"],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        nodes = json.loads(prepared.stdout)
        with _server(Path(folder), environment, port) as web:
            before = [seconds_of_tree(pid) for pid in (web, database.pid)]
            yield from asyncio.run(_measure(port, nodes["nodes"]))
            after = [seconds_of_tree(pid) for pid in (web, database.pid)]
        sent = WARM + RATE * SECONDS + BURST + RATE * FORM_SECONDS
        for name, was, now in zip(("web", "postgresql"), before, after, strict=True):
            yield f"report_cpu_{name}", (now - was) * 1000 / sent, "ms"
        yield "report_queries", nodes["queries"], "queries"
        yield "report_form_queries", nodes["form_queries"], "queries"


@contextmanager
def _server(folder: Path, environment: dict[str, str], port: int) -> Iterator[int]:
    """Run the console as production does, with a process for each of two cores; gives the ID of the first."""
    told = "granian --interface rsgi --http 1 --host 127.0.0.1 --workers 2 --no-ws --backlog 1024"
    command = [
        sys.executable,
        "-m",
        *shlex.split(told),
        "--working-dir",
        str(ROOT),
        "--port",
        str(port),
        "console.rsgi:application",
    ]
    settings = {**environment, "INSECURE_HTTP": "1"}
    process = start_server(
        "granian", command, folder=folder, environment=settings, answers=lambda: takes_connections(port)
    )
    try:
        yield process.pid
    finally:
        stop_server(process)


async def _measure(port: int, nodes: list[list[str]]) -> list[Figure]:
    figures: list[Figure] = []

    def told(name: str, times: list[float]) -> None:
        times.sort()
        last = len(times) - 1
        figures.extend(
            (f"{name}_p{share}", times[min(last, len(times) * share // 100)] * 1000, "ms") for share in (50, 95, 99)
        )

    for node in [nodes.pop() for _ in range(WARM)]:  # connections open, code compiled
        await _report(port, node)
    some = random.Random(7)
    some.shuffle(nodes)
    told("report", await _arriving(port, nodes[: int(RATE * SECONDS)], RATE, some))
    told("report_burst", list(await asyncio.gather(*(_report(port, node) for node in nodes[-BURST:]))))
    forms = nodes[int(RATE * SECONDS) :][: int(RATE * FORM_SECONDS)]
    told("report_form", await _arriving(port, forms, RATE, some, form=True))
    return figures


async def _arriving(port: int, nodes: list[list[str]], rate: float, some: random.Random, form: bool = False):
    """Have each node report at a second of its own, as the hashes of their addresses spread them; return the times."""
    span = len(nodes) / rate

    async def one(node: list[str]) -> float:
        await asyncio.sleep(some.uniform(0, span))
        return await _report(port, node, form)

    return list(await asyncio.gather(*(one(node) for node in nodes)))


async def _report(port: int, node: list[str], form: bool = False) -> float:
    """Send a report as curl does, on a connection of its own; return its seconds from the first byte to the last."""
    path, token = node
    body = f"sha256={'0' * 64}&version=2.45&system_id.orders={SYSTEM_ID}" if form else json.dumps(content())
    kind = "x-www-form-urlencoded" if form else "json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        f"Content-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write((head + body).encode())
    answer = await reader.read()
    writer.close()
    if b" 200 " not in answer[:20]:
        raise RuntimeError(answer[:300].decode(errors="replace"))
    return time.perf_counter() - began


def content() -> dict:
    """What a node's script sends: two databases, their schedules, and nothing wrong."""
    stanzas = [
        {
            "name": name, "server": "up", "role": "primary", "postgresql": 150008, "system_id": SYSTEM_ID,
            "timeline": 1, "archive_mode": "on", "is_archived_here": True, "segment": 16777216, "waiting": 0,
            "spooled": 0, "spool_errors": 0, "error": "", "free": 53687091200,
            "archiver": {"archived": 1200, "last_wal": "0000000100000000000004B0", "last_at": 1795358980, "failed": 0,
                         "since": 1790000000},
        }
        for name in ("orders", "ledger")
    ]  # fmt: skip
    runs = [
        {"stanza": name, "kind": kind, "repository": 1, "begun": 1795358980, "ended": 1795359980, "code": 0, "line": ""}
        for name in ("orders", "ledger")
        for kind in ("full", "incr")
    ]
    return {
        "version": 2, "sent": int(time.time()), "by_hand": False, "sha256": "0" * 64, "repositories": [1],
        "pgbackrest": "2.45", "machine": "a" * 64, "hostname": "db1", "timezone": "Europe/Berlin",
        "utc_offset": "+0100", "spool_free": 53687091200, "stanzas": stanzas, "runs": runs, "others": [],
    }  # fmt: skip


def prepare() -> None:
    """Fill the database, and print the nodes' addresses and tokens, and what one report of each kind asks it."""
    from tests import environment  # noqa: F401 - before Django's settings are read

    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from clusters.models import Attachment, BackupPolicy, Cluster, Database, Node, Repository
    from tests import factories

    call_command("migrate", verbosity=0)
    organisation = factories.organisation()
    account = factories.account(organisation)
    store = factories.store(account)
    nodes = []
    for number in range(CLUSTERS):
        cluster = Cluster.objects.create(
            organisation=organisation, cloud_account=account, name=f"cluster-{number}", state="available"
        )
        repository = Repository.objects.create(cluster=cluster, store=store, number=1)
        Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
        BackupPolicy.objects.create(cluster=cluster)
        for at, name in enumerate(("orders", "ledger")):
            Database.objects.create(
                cluster=cluster, name=name, version="15", data_directory=f"/var/lib/{name}", port=5432 + at
            )
        made = [Node(cluster=cluster, name=f"n{at}", region="eu-west-1") for at in range(1, NODES + 1)]
        nodes += Node.objects.bulk_create(made)
    told = {"nodes": [[f"{one.get_absolute_url()}applied/", one.secrets["report_token"]] for one in nodes]}
    for name, sent in (
        ("queries", {"data": json.dumps(content()), "content_type": "application/json"}),
        ("form_queries", {"data": {"sha256": "0" * 64, "version": "2.45"}}),
    ):
        path, token = told["nodes"][-1 if name == "queries" else -2]
        with CaptureQueriesContext(connection) as queries:
            answer = Client(headers={"host": HOST}).post(path, headers={"Authorization": f"Bearer {token}"}, **sent)
        if answer.status_code != 200:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.content!r}")
        told[name] = len(queries)
    print(json.dumps(told))


if __name__ == "__main__":
    prepare()
