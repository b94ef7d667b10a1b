"""The map and the Backup Stores field with 10 and 1,000 stores, on the server and in a real browser."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.request import urlopen

from tests.demo_process import CHROMIUM, ROOT

Figure = tuple[str, float, str]
SIZES = (10, 1_000)
NODES = ("eu-west-1", "us-east-1", "eu-central-1", "ap-northeast-1", "sa-east-1")
REPEATS = 20
VISITS = 5
GZIP = {"Accept-Encoding": "gzip"}  # so that times and sizes are those of what is sent
HTMX = {"HX-Request": "true", **GZIP}


def measure(browser, organisation) -> Iterator[Figure]:
    """Yield the figures; `browser` is Django's test client, signed in as a manager of the organisation."""
    from clusters.models import Cluster, Node
    from tests import factories

    account = factories.account(organisation, name="map")
    cluster = Cluster.objects.create(organisation=organisation, cloud_account=account, name="map", state="available")
    Node.objects.bulk_create(Node(cluster=cluster, name=f"n{at}", region=region) for at, region in enumerate(NODES, 1))
    address, verdict = f"/clusters/{cluster.pk}/backup-stores/", f"/clusters/proximity/?cluster={cluster.pk}"
    times = {}
    made = []
    for size in SIZES:
        made = [*made, *_add_stores(account, len(made), size)]
        bare, _ = _median(lambda: browser.get("/healthz"))
        for name, ask in (
            ("map", lambda: browser.get(f"/clusters/stores.js?cluster={cluster.pk}&offer=1", headers=GZIP)),
            ("field", lambda: browser.get(address, headers=HTMX)),
            (
                "verdict",
                lambda: browser.post(verdict, {"backup_stores": made[:20]}, headers=HTMX),  # noqa: B023 - called at once
            ),
        ):
            times[name, size], content = _median(ask)
            yield f"{name}_{size}_time", times[name, size], "ms"
            yield f"{name}_{size}_gzip", len(content), "bytes"
            yield f"{name}_{size}_to_bare_ratio", times[name, size] / bare, "x"
    yield "map_1000_to_10_ratio", times["map", 1_000] / times["map", 10], "x"
    yield from _in_browser(browser.cookies["sessionid"].value, address)


def _median(ask) -> tuple[float, bytes]:
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer = ask()
        taken.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"answered {answer.status_code}")
    return statistics.median(taken), answer.content


def _add_stores(account, start: int, stop: int) -> list[str]:
    from uuid import uuid4

    from console.clouds.regions import regions
    from stores.models import State, Store

    codes = [region.code for region in regions("aws") if region.partition == "aws"]
    stores = []
    for number in range(start, stop):
        pk, region = uuid4(), codes[number % len(codes)]
        bucket, log_bucket = account.cloud.storage.names(pk, region, account.number)
        shared = {"organisation": account.organisation, "cloud_account": account, "state": State.AVAILABLE}
        stores.append(Store(id=pk, name=f"map-{number}", region=region, bucket=bucket, log_bucket=log_bucket, **shared))
    Store.objects.bulk_create(stores)
    return [str(store.pk) for store in stores]


def _in_browser(session: str, address: str) -> Iterator[Figure]:
    """Measure from the click on Show map to icons that can be clicked, with nothing in the browser's cache."""
    from playwright.sync_api import sync_playwright

    shown, painted, judged = [], [], []
    with _server() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        for _ in range(VISITS):
            context = chromium.new_context(base_url=url)
            context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
            page = context.new_page()
            page.goto(address)
            shown.append(page.evaluate(SHOW))
            for times, taken in zip((painted, judged), page.evaluate(TOGGLE), strict=True):
                times.append(taken)
            context.close()
        chromium.close()
    yield "map_1000_usable", statistics.median(shown), "ms"
    yield "map_1000_usable_worst", max(shown), "ms"
    yield "map_1000_toggle_to_pin", statistics.median(painted), "ms"
    yield "map_1000_toggle_to_verdict", statistics.median(judged), "ms"


SHOW = """async () => {
  const started = performance.now(), host = document.querySelector("[data-map-host]");
  document.querySelector("[data-show-map]").click();
  while (host.hasAttribute("aria-busy") || !host.querySelector(".leaflet-marker-icon[tabindex]"))
    await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""
TOGGLE = """async () => {
  const said = () => document.querySelector("#verdict .verdict").textContent, before = said();
  const chosen = ".map-cluster:not([data-fill=none]), .map-pin[data-state=chosen]";
  const painted = () => document.querySelector(`.leaflet-marker-pane :is(${chosen})`);
  const until = async (done) => {
    while (!done()) await new Promise(requestAnimationFrame);
    return performance.now() - started;
  };
  const started = performance.now();
  document.querySelector("[data-option]").click();
  return Promise.all([until(painted), until(() => said() !== before)]);
}"""


@contextmanager
def _server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--interface", "rsgi", "--http", "1", "--no-ws", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "granian", *options, "console.rsgi:application"]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with suppress(OSError), urlopen(f"{url}/healthz"):
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)
