"""Ten minutes of a fleet on two cores: 1,000 stores, 300 clusters, 900 nodes, on PostgreSQL and Valkey.

All that production runs does run, started by console/deploy/run: the web server with two processes, two workers, beat.
Beside them, on the same two cores, are PostgreSQL, Valkey, the emulated Amazon and this program, which asks.

Simulated is this:

- The ten minutes take `FLEET_SECONDS` (120): time goes five times as fast for all that goes on by itself. Each node
  reports every five minutes, so fifteen reports come in a second, and beat sweeps five times as often as it is set to.
  `FLEET_SECONDS=600` compresses nothing.
- What is due once a day or once in six hours is due as often as it is in ten minutes of a day: the checks of
  stores, the looks into repositories. The buckets of those stores are in the emulated Amazon, each call of which takes
  no time but its own; the others are rows.
- People are not compressed: `PAGES` a second are asked for all the while, evenly spread over the kinds of page that
  are in `paths`, by twenty who have signed in. That is eighty people, of whom each opens a page every ten seconds.
  A store is created each simulated minute.
- PostgreSQL does not wait for its disk (tests.postgres).

Reports and pages come on a connection of their own each, as from a proxy that keeps none. Time is from the first byte
sent to the last one received. Memory is the most that all took together in samples of two seconds. All is void on a
machine that others use meanwhile: `fleet_load_average` tells.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from console.demo.processes import Child, answers_http
from console.demo.servers import HOST, free_port
from tests.bench import memory
from tests.bench.installation import Installation, installation
from tests.demo_process import ROOT, Visitor

Figure = tuple[str, float, str]
MINUTES = 10  # simulated
SECONDS = float(os.environ.get("FLEET_SECONDS", "120"))  # that they take
SPEED = MINUTES * 60 / SECONDS
STORES, REAL = 1_000, 20  # of which so many are in the emulated Amazon, too
PAGES = 8.0  # a second
PEOPLE = 20
REPORT_EVERY = 300 / SPEED  # seconds
CHECKS = STORES * MINUTES // (24 * 60) + 1  # of stores, daily
LOOKS = 600 * MINUTES // (6 * 60) + 1  # into the repositories of 300 clusters, every six hours
REGION = "eu-west-1"
SAMPLE = 2.0  # seconds between two looks at the memory
NOT_PAGES = frozenset({"report", "metrics", "create"})
RUN = str(ROOT / "console/deploy/run")


class Fleet(Installation):
    """The console as console/deploy has it on a machine with two cores."""

    def own(self) -> dict[str, Child]:
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "tests.bench.compressed",
            "FLEET_SPEED": str(SPEED),
            "ALLOWED_HOSTS": HOST,
            "METRICS_TOKEN": "bench",
            "WEB_PROCESSES": "2",
            "WORKER_PROCESSES": "2",
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
        }
        (self.folder / "metrics").mkdir(exist_ok=True)
        for name in ("OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"):  # of whoever runs this
            self.environment.pop(name, None)
        workers = {f"worker{at}": Child(f"worker {at}", [RUN, "worker"], "16 threads") for at in (1, 2)}
        return {**workers, "beat": Child("beat", [RUN, "beat"], "")}

    def fill(self) -> None:
        super().fill()
        while not self.children["amazon"].answers():
            time.sleep(0.1)
        prepare = [sys.executable, "-m", "tests.bench.fleet"]
        made = subprocess.run(prepare, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        self.told = json.loads(made.stdout)

    def web(self) -> Child:
        port = free_port()
        self.environment["WEB_PORT"] = str(port)
        url = f"http://{HOST}:{port}/"
        return Child("web", [RUN, "web"], url, lambda: answers_http(f"{url}healthz", status=200))

    def launch(self, name: str) -> None:
        if name.startswith("worker"):
            self.environment["WORKER_NAME"] = name
        super().launch(name)

    def memory(self) -> dict[str, float]:
        """Return the megabytes of each process of the console's, and of all of PostgreSQL's and Valkey's."""
        found: dict[str, float] = {}
        for name, process in self.processes.items():
            if name == "amazon":
                continue
            sizes = sorted(memory.of_tree(process.pid), reverse=True)
            if name == "web":  # the processes that answer are larger than the one that watches over them
                names = [*(f"web{at}" for at in range(1, len(sizes))), "web_parent"]
                found |= dict(zip(names, sizes, strict=True))
            else:
                found[name] = sum(sizes)
        return found | {name: sum(memory.of_tree(pid)) for name, pid in self.servers.items()}


@dataclass
class Seen:
    """What those who asked have got."""

    times: dict[str, list[float]] = field(default_factory=dict)  # seconds, by what was asked for
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by the same; 0: no answer

    def add(self, kind: str, seconds: float, status: int) -> None:
        self.times.setdefault(kind, []).append(seconds)
        self.statuses[kind, status] += 1

    def pages(self) -> dict[str, list[float]]:
        """Return the times of what people have asked for."""
        return {kind: times for kind, times in self.times.items() if kind not in NOT_PAGES}

    def share(self, percent: int, *kinds: str) -> float:
        """Return the milliseconds within which so many percent were answered, of these kinds or of all pages."""
        kinds = kinds or tuple(self.pages())
        times = sorted(one for kind in kinds for one in self.times[kind])
        return 1000 * times[min(len(times) - 1, len(times) * percent // 100)]


def measure() -> Iterator[Figure]:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # all that it starts inherits them
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder), 0, Fleet) as console:
        yield from _measure(console)


def _measure(console: Installation) -> Iterator[Figure]:
    assert isinstance(console, Fleet)
    _settle(console)
    samples: list[dict[str, float]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE):
            samples.append(console.memory())

    watching = threading.Thread(target=watch)
    watching.start()
    before, began = {**console.seconds_of_cpu(), **console.seconds_of_servers()}, time.monotonic()
    counted = _counted(console)
    try:
        seen = asyncio.run(_ten_minutes(console, console.told))
    finally:
        over.set()
        watching.join()
    after, took = {**console.seconds_of_cpu(), **console.seconds_of_servers()}, time.monotonic() - began
    written = [now - was for now, was in zip(_counted(console), counted, strict=True)]
    pages = seen.pages()
    yield "fleet_minutes_compressed", SPEED, "x"
    yield "fleet_load_average", os.getloadavg()[0], "processes"
    yield "fleet_pages", sum(map(len, pages.values())), "pages"
    yield "fleet_reports", len(seen.times["report"]), "reports"
    yield "fleet_5xx", sum(n for (_, status), n in seen.statuses.items() if status >= 500 or not status), "answers"
    yield "fleet_4xx", sum(n for (_, status), n in seen.statuses.items() if 400 <= status < 500), "answers"
    for percent in (50, 95, 99):
        yield f"fleet_page_p{percent}", seen.share(percent), "ms"
        yield f"fleet_report_p{percent}", seen.share(percent, "report"), "ms"
    yield "fleet_metrics_p95", seen.share(95, "metrics"), "ms"
    for kind in pages:
        yield f"fleet_page_{kind}_p95", seen.share(95, kind), "ms"
    most = max(samples, key=lambda sizes: sum(sizes.values()))
    for name, size in most.items():
        yield f"fleet_memory_{name}", size, "MB"
    yield "fleet_memory_console", sum(size for name, size in most.items() if name not in console.servers), "MB"
    yield "fleet_memory_all", sum(most.values()), "MB"
    for name in [name for name in after if name != "amazon"]:
        yield f"fleet_cpu_{name}", (after[name] - before[name]) / took, "cores"
    for name, number in zip(("transactions", "rows_written", "wal"), written, strict=True):
        yield f"fleet_{name}", number / took, "kB/s" if name == "wal" else f"{name}/s"
    yield from _done(console)


def _counted(console: Installation) -> tuple[float, float, float]:
    """Return how many transactions and rows PostgreSQL has written so far, and kilobytes of WAL."""
    asked = """
        SELECT xact_commit, tup_inserted + tup_updated + tup_deleted, pg_current_wal_lsn() - '0/0'
        FROM pg_stat_database WHERE datname = current_database()
    """
    with psycopg.connect(console.database) as database:
        transactions, rows, wal = database.execute(asked).fetchone()
    return float(transactions), float(rows), float(wal) / 1000


def _settle(console: Installation) -> None:
    """Wait until all clusters are judged, as in a fleet that has been there for long; then spread what is due."""
    until = time.monotonic() + 240
    with psycopg.connect(console.database, autocommit=True) as database:
        database.execute("ANALYZE")
        while database.execute("SELECT count(*) FROM clusters_health").fetchone()[0] < 900 * 2:
            if time.monotonic() > until:
                raise RuntimeError("the clusters were not judged within four minutes")
            time.sleep(0.5)
        for table, number in (("stores_driftreport", CHECKS), ("clusters_inventory", LOOKS)):
            first = f"(SELECT id, row_number() OVER (ORDER BY id) AS at FROM {table} ORDER BY id LIMIT {number})"
            due = f"now() + interval '1 second' * first.at * {SECONDS / number}"
            database.execute(f"UPDATE {table} SET due_at = {due} FROM {first} AS first WHERE first.id = {table}.id")


def _done(console: Installation) -> Iterator[Figure]:
    """Yield what the workers have done meanwhile; raises RuntimeError when that is not what was due."""
    asked = {
        "stores": "SELECT count(*) FROM stores_store WHERE state = 'available' AND name LIKE 'made-%'",
        "checks": "SELECT count(*) FROM stores_driftreport WHERE tried_at > now() - interval '1 second' * %s",
        "looks": "SELECT count(*) FROM clusters_inventory WHERE tried_at > now() - interval '1 second' * %s",
    }
    with psycopg.connect(console.database) as database:
        for name, query in asked.items():
            values = [SECONDS + 30] if "%s" in query else None
            yield f"fleet_{name}_done", database.execute(query, values).fetchone()[0], name


async def _ten_minutes(console: Installation, told: dict) -> Seen:
    seen, some = Seen(), random.Random(7)
    loop = asyncio.get_running_loop()
    people, paths = cycle(told["people"]), cycle(told["paths"])
    began = loop.time()
    asks = [_ask(console, seen, "metrics", "/metrics", {"Authorization": "Bearer bench"}) for _ in range(3)]
    await asyncio.gather(*asks)  # connections open, code compiled
    for kind, path in told["paths"]:
        await _ask(console, seen, kind, path, {"Cookie": f"sessionid={next(people)}"})
    seen, began = Seen(), loop.time()
    running = [
        asyncio.create_task(_reports(console, seen, node, some.uniform(0, REPORT_EVERY))) for node in told["nodes"]
    ]
    running.append(asyncio.create_task(_scrapes(console, seen)))
    running.append(asyncio.create_task(asyncio.to_thread(_create, console, seen, told["account"])))
    at = 0
    while at / PAGES < SECONDS:
        await asyncio.sleep(max(0.0, began + at / PAGES - loop.time()))
        kind, path = next(paths)
        running.append(asyncio.create_task(_ask(console, seen, kind, path, {"Cookie": f"sessionid={next(people)}"})))
        at += 1
    await asyncio.gather(*running)
    return seen


async def _reports(console: Installation, seen: Seen, node: list[str], begins: float) -> None:
    """Report as a node does, as long as it lasts; its archiver goes on."""
    path, token = node
    for turn in range(int(SECONDS / REPORT_EVERY)):
        await asyncio.sleep(begins if not turn else REPORT_EVERY)
        body = json.dumps(report())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        await _ask(console, seen, "report", path, headers, body)


async def _scrapes(console: Installation, seen: Seen) -> None:
    """Ask for the figures four times a simulated minute, as long as it lasts; what takes longer leaves some out."""
    until = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(15 / SPEED)
        await _ask(console, seen, "metrics", "/metrics", {"Authorization": "Bearer bench"})


def _create(console: Installation, seen: Seen, account: str) -> None:
    """Create a store each simulated minute, as a browser does: the form, then what is sent of it."""
    visitor: Visitor | None = None
    for _ in range(MINUTES):
        data = {"provider": "aws", "name": f"made-{uuid4().hex[:12]}", "cloud_account": account, "region": REGION}
        began, status = time.perf_counter(), 0
        try:
            visitor = visitor or Visitor(console.url, "bench", "secret")
            visitor.get("/stores/create/?provider=aws")
            status, _ = visitor.post("/stores/create/", data)
        except (RuntimeError, OSError):  # no answer, or none that lets it go on
            status = 0
        seen.add("create", time.perf_counter() - began, status)
        time.sleep(max(0.0, 60 / SPEED - (time.perf_counter() - began)))


async def _ask(
    console: Installation, seen: Seen, kind: str, path: str, headers: dict[str, str], body: str = ""
) -> None:
    where = urlsplit(console.url)
    told = {"Host": where.netloc, "Connection": "close", **headers}
    if body:
        told["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    began, status = time.perf_counter(), 0
    try:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\n{lines}\r\n{body}".encode())
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        status = int(answer.split(maxsplit=2)[1])
    except (OSError, ValueError, IndexError, TimeoutError):
        status = 0
    seen.add(kind, time.perf_counter() - began, status)


def report() -> dict:
    """What a node's script sends: one database, whose archiver has just archived something."""
    from tests.bench.reports import content

    said = content()
    said["stanzas"], said["repositories"], said["timezone"] = said["stanzas"][:1], [1, 2], "UTC"
    said["stanzas"][0]["archiver"]["last_at"] = said["sent"] - 5
    return said


def prepare() -> None:
    """Fill the database and the emulated Amazon, and print who asks for what."""
    import django

    django.setup()
    from django.db import transaction
    from django.utils import timezone

    from clusters.models import Node
    from console.accounts.models import Organisation
    from console.cloud_accounts.models import CloudAccount
    from tests.bench.verdicts import fill

    account = CloudAccount.objects.get()
    stores = _stores(account)
    with transaction.atomic():
        fill(account, stores)
        _spread(stores, timezone.now())
    nodes = Node.objects.select_related("cluster").order_by("pk")
    told = {
        "account": str(account.pk),
        "nodes": [[f"{one.get_absolute_url()}applied/", one.secrets["report_token"]] for one in nodes],
        "people": _people(Organisation.objects.get()),
        "paths": paths(account, stores),
    }
    print(json.dumps(told))


def _stores(account) -> list:
    """Make the stores' rows, and the buckets of those that are looked at."""
    from tests import factories
    from tests.clouds import plans

    stores = [factories.store(account, name=f"store-{number}", region=REGION) for number in range(STORES)]
    for store in stores[:REAL]:
        for stage in plans.creation(store.cloud):
            for step in stage:
                step.run(store.spec())
    return stores


def _spread(stores: list, now) -> None:
    """Have nothing due by itself before `_settle` says what is."""
    from datetime import timedelta

    from clusters.models import Inventory
    from stores.models import DriftReport

    known = {"read_at": now, "tried_at": now - timedelta(hours=12), "due_at": now + timedelta(days=1)}
    DriftReport.objects.bulk_create(DriftReport(store=store, **known) for store in stores)
    Inventory.objects.update(tried_at=now - timedelta(hours=6), due_at=now + timedelta(days=1))


def _people(organisation) -> list[str]:
    """Return the sessions of people who have signed in: owners, admins and viewers."""
    from django.test import Client

    from tests import factories

    sessions = []
    for number in range(PEOPLE):
        browser = Client(headers={"host": HOST})
        role = ("owner", "admin", "viewer")[number % 3]
        browser.force_login(factories.user(f"person-{number}", organisation, role=role))
        sessions.append(browser.cookies["sessionid"].value)
    return sessions


def paths(account, stores: list) -> list[tuple[str, str]]:
    """Return the pages that are asked for, one after the other, each with its name."""
    from clusters.models import Cluster

    clusters = list(Cluster.objects.order_by("name")[:25])
    found = []
    for at, cluster in enumerate(clusters):
        found += [
            ("overview", "/"),
            ("stores", f"/stores/?page={at + 1}"),
            ("store", f"/stores/{stores[at].pk}/"),
            ("stores_found", f"/stores/?state=available&q=store-{at}&sort=name"),
            ("clusters", "/clusters/"),
            ("cluster", f"/clusters/{cluster.pk}/"),
            ("node", f"/clusters/{cluster.pk}/nodes/n1/"),
            ("tasks", "/tasks/"),
            ("alerts", "/alerts/"),
            ("accounts", "/cloud-accounts/"),
        ]
    return found


if __name__ == "__main__":
    prepare()
