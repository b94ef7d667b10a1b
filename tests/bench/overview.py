"""The overview of 300 clusters with 3 nodes and 2 stores each, a twentieth of which has trouble."""

from __future__ import annotations

import gzip
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

Figure = tuple[str, float, str]
CLUSTERS, NODES, STORES = 300, 3, 6
REPEATS = 20


def measure() -> Iterator[Figure]:
    """Yield the figures; the database is there, with all migrations."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from tests import factories

    organisation = factories.organisation("Fleet")
    browser = Client(headers={"host": "localhost"})
    browser.force_login(factories.user("fleet", organisation))
    fill(factories.account(organisation, name="fleet"))
    for name, path in (("overview", "/"), ("overview_all", "/?show=all"), ("overview_map", "/overview/map/")):
        times = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            answer = browser.get(path)
            times.append((time.perf_counter() - started) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(f"{path} answered {answer.status_code}")
        with CaptureQueriesContext(connection) as queries:
            browser.get(path)
        yield f"{name}_{CLUSTERS}_time", statistics.median(times), "ms"
        yield f"{name}_{CLUSTERS}_queries", len(queries), "queries"
        yield f"{name}_{CLUSTERS}_gzip", len(gzip.compress(answer.content, 6)), "bytes"


def fill(account) -> None:
    """Make the clusters, and what was judged of them."""
    from django.db import transaction
    from django.utils import timezone

    from clusters.health.verdicts import Verdict
    from clusters.models import Health
    from tests import factories
    from tests.clusters import judged

    now, names = timezone.now(), [f"n{number}" for number in range(1, NODES + 1)]
    with transaction.atomic():
        stores = [factories.store(account, name=f"fleet-{number}") for number in range(STORES)]
        for number in range(CLUSTERS):
            mine = [stores[number % STORES], stores[(number + 1) % STORES]]
            cluster = judged.cluster(account, f"fleet-{number:03}", stores=mine, nodes=names)
            rows = []
            for at, repository in enumerate(cluster.repositories.order_by("number")):
                for place, node in enumerate(names):
                    is_well = (number * NODES + place + at) % 20
                    verdict = Verdict.RECOVERABLE if is_well else list(Verdict)[number % 5]
                    said = {
                        "code": "made_up",
                        "words": "Its archiver fails since this morning.",
                        "advice": "Look at it.",
                    }
                    rows.append(
                        Health(
                            organisation=cluster.organisation, cluster=cluster, repository=repository, node=node,
                            database="main", verdict=verdict, rank=verdict.rank, problems=[] if is_well else [said],
                            newest=now - timedelta(seconds=60 * place), bytes=10**9, bytes_before=9 * 10**8,
                        )
                    )  # fmt: skip
            Health.objects.bulk_create(rows)
