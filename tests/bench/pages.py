"""The stores page with 10, 1,000 and 100,000 stores, against a bare view and the admin's list of the same rows."""

from __future__ import annotations

import gzip
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from tests.bench import api, drift, overview, worldmap

Figure = tuple[str, float, str]
REPEATS = 40
SIZES = (10, 1_000, 100_000)
FILTERED = "/stores/?state=available&q=store-1&sort=name"


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/bench.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
        os.environ["LOG_LEVEL"] = "ERROR"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        yield from _measure(Path(folder))


def _measure(folder: Path) -> Iterator[Figure]:
    from django.contrib import admin
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from stores.models import Store
    from stores.views import PANES
    from tests import factories

    admin.site._registry[Store].list_per_page = PANES  # the same rows; it would show 100
    organisation = factories.organisation()
    account = factories.account(organisation)
    owner = factories.user("owner", organisation, is_staff=True, is_superuser=True)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(owner)
    times: dict[tuple[str, int], float] = {}
    made = 0
    for size in SIZES:
        _add_stores(account, made, size)
        made = size
        for name, path in (
            ("bare", "/healthz"),
            ("page", "/stores/"),
            ("admin", "/admin/stores/store/"),
            ("filtered", FILTERED),
        ):
            times[name, size] = _median(browser, path)
        with CaptureQueriesContext(connection) as queries:
            content = browser.get("/stores/").content
        yield f"page_{size}_time", times["page", size], "ms"
        yield f"page_{size}_bare_view", times["bare", size], "ms"
        yield f"page_{size}_admin_list", times["admin", size], "ms"
        yield f"page_{size}_filtered_to_admin_ratio", times["filtered", size] / times["admin", size], "x"
        yield f"page_{size}_queries", len(queries), "queries"
        yield f"page_{size}_bytes", len(content), "bytes"
        yield f"page_{size}_gzip", len(gzip.compress(content, 6)), "bytes"
        yield f"page_{size}_to_bare_ratio", times["page", size] / times["bare", size], "x"
        yield f"page_{size}_to_admin_ratio", times["page", size] / times["admin", size], "x"
    yield "page_100000_to_10_ratio", times["page", 100_000] / times["page", 10], "x"
    yield "page_100000_far_page_time", _median(browser, f"/stores/?page={SIZES[-1] // PANES - 2}"), "ms"
    yield from api.measure(organisation, owner)
    yield from worldmap.measure(browser, organisation)
    yield from drift.measure(organisation)
    yield from overview.measure()


def _median(browser, path: str) -> float:
    def once() -> float:
        started = time.perf_counter()
        answer = browser.get(path)
        taken = time.perf_counter() - started
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
        return taken * 1000

    for _ in range(5):
        once()
    return statistics.median(once() for _ in range(REPEATS))


def _add_stores(account, start: int, stop: int) -> None:
    from django.utils import timezone

    from console.operations.models import Operation
    from stores.models import State, Store

    now = timezone.now()
    for first in range(start, stop, 5_000):
        numbers = range(first, min(stop, first + 5_000))
        operations, stores = [], []
        for number in numbers:
            pk = uuid4()
            bucket, log_bucket = account.cloud.storage.names(pk, "eu-west-1", account.number)
            created = now - timedelta(seconds=number)
            shared = {"organisation": account.organisation, "created_at": created}
            operation = Operation(
                subject_kind="store",
                subject_id=pk,
                subject_name=f"store-{number}",
                verb="create",
                title="Create Backup Store",
                state="done",
                finished_at=created,
                **shared,
            )
            operations.append(operation)
            stores.append(
                Store(
                    id=pk,
                    name=f"store-{number}",
                    cloud_account=account,
                    region="eu-west-1",
                    bucket=bucket,
                    log_bucket=log_bucket,
                    state=State.AVAILABLE,
                    operation=operation,
                    **shared,
                )
            )
        Operation.objects.bulk_create(operations)
        Store.objects.bulk_create(stores)
