"""`/metrics`, as Prometheus text: requests, calls of clouds, operations, drift, and what can be restored.

Only the last has names, those of clusters, nodes, databases and stores; METRICS_WITHOUT_NAMES leaves them out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from collections.abc import Iterator
from secrets import compare_digest

from django.conf import settings
from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from clusters.metrics import exposition
from console.alerts.conditions import Severity
from console.alerts.models import Alert, Delivery
from console.operations.housekeeping import sizes
from console.operations.models import Heartbeat, Operation
from console.release import VERSION
from console.web import metric_files
from stores.models import State, Store

log = logging.getLogger("storekeeper.metrics")


class FromDatabase(Collector):
    """What holds for all processes together, asked for at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges, a query or two for each."""
        yield _gauge("build_info", "The release that answers.", "version", {VERSION: 1})
        unfinished = Operation.objects.unfinished().order_by()  # few: a partial index has only them
        states = dict(unfinished.values_list("state").annotate(Count("pk")))
        yield _gauge(
            "operations",
            "Unfinished operations by state.",
            "state",
            {s: states.get(s, 0) for s in Operation.UNFINISHED},
        )
        for name, text, rows in (
            (
                "oldest_waiting",
                "Age of the oldest waiting operation.",
                unfinished.filter(state=Operation.State.WAITING),
            ),
            ("oldest_unfinished", "Age of the oldest unfinished operation.", unfinished),
        ):
            at = rows.aggregate(at=Min("created_at"))["at"]
            age = (timezone.now() - at).total_seconds() if at else 0.0
            yield GaugeMetricFamily(f"storekeeper_{name}_seconds", text, value=age)
        stores = dict(Store.objects.order_by().values_list("state").annotate(Count("pk")))
        yield _gauge(
            "stores",
            "Stores by state; degraded ones have drifted.",
            "state",
            {s: stores.get(s, 0) for s in State.values},
        )
        yield from _processes()
        yield from _alerts()
        yield from _tables()


def _processes() -> Iterator[GaugeMetricFamily]:
    """Return who works, and what waits for them: as they said it themselves, by the database's clock."""
    heard = list(Heartbeat.objects.heard())
    labels = ["kind", "host", "pid", "release", "queues"]
    seen = GaugeMetricFamily("storekeeper_heartbeat_age_seconds", "Since a process said that it works.", labels=labels)
    threads = GaugeMetricFamily("storekeeper_worker_threads", "Threads of each worker.", labels=["host", "pid"])
    waiting: dict[str, int] = {}
    for one in heard:
        seen.add_metric([one.kind, one.host, str(one.pid), one.release, one.queues], one.silent_for.total_seconds())
        if one.kind == Heartbeat.Kind.WORKER and not one.is_silent:
            threads.add_metric([one.host, str(one.pid)], one.threads)
        elif not one.is_silent:
            waiting |= one.waiting
    kinds = [one.kind for one in heard if not one.is_silent]
    yield seen
    yield threads
    at_work = {kind: kinds.count(kind) for kind in Heartbeat.Kind.values}
    yield _gauge("processes", "Workers and beats that have said so within half a minute.", "kind", at_work)
    yield _gauge("messages_waiting", "Messages that no worker has taken, as beat has seen them.", "queue", waiting)


def _alerts() -> Iterator[GaugeMetricFamily]:
    """Return how many alerts are open, and how long messages about them have waited to be sent for the first time."""
    opened = dict(Alert.objects.open().order_by().values_list("severity").annotate(Count("pk")))
    yield _gauge("alerts", "Open alerts by severity.", "severity", {s: opened.get(s, 0) for s in Severity.values})
    unsent = Delivery.objects.filter(state=Delivery.State.WAITING, tries=0).aggregate(at=Min("due_at"))["at"]
    age = max(0.0, (timezone.now() - unsent).total_seconds()) if unsent else 0.0
    text = "Age of the oldest message of alerts that nobody has tried to send."
    yield GaugeMetricFamily("storekeeper_alert_messages_oldest_seconds", text, value=age)


def _tables() -> Iterator[GaugeMetricFamily]:
    """Return how large the tables are: rows, of large ones estimated, and bytes where the database tells them."""
    found = sizes()
    yield _gauge("table_rows", "Rows of each table.", "table", {one.table: one.rows for one in found})
    told = {one.table: one.bytes for one in found if one.bytes is not None}
    yield _gauge("table_bytes", "Size of each table with its indexes.", "table", told)


def _gauge(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"storekeeper_{name}", text, labels=[label])
    for value, number in values.items():
        gauge.add_metric([str(value)], number)
    return gauge


def metrics(request: HttpRequest) -> HttpResponse:
    """Return all figures to who has the token; without one in the settings there is no such page, but in the demo."""
    given = request.headers.get("Authorization", "").encode()
    if not settings.METRICS_TOKEN and not settings.DEMO_FILE:
        raise Http404
    if settings.METRICS_TOKEN and not compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
        text = "Send the header Authorization: Bearer, with METRICS_TOKEN.\n"
        return HttpResponse(text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    own = CollectorRegistry()
    own.register(FromDatabase())
    restorable = exposition(with_names=not settings.METRICS_WITHOUT_NAMES).encode()
    return HttpResponse(_counted() + generate_latest(own) + restorable, content_type=CONTENT_TYPE_LATEST)


def _counted() -> bytes:
    """Return what the processes have counted: all on this machine, or else this one."""
    if not (folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR")):  # which the library itself reads
        return generate_latest(REGISTRY)
    counted = CollectorRegistry()
    try:
        metric_files.gather(folder)
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        with metric_files.locked(folder, fcntl.LOCK_SH):
            return generate_latest(counted)
    except (OSError, ValueError, RuntimeError, struct.error):  # no such folder, or a file that nobody could finish
        log.exception("%s cannot be read: this scrape has none of what the processes count.", folder)
        return b""
