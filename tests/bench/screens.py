"""The main screens in a browser with an empty cache: when the largest part is painted, what shifts, what is fetched."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page, sync_playwright

from tests.demo_process import CHROMIUM, transfers
from tests.gallery.facts import WATCH

Figure = tuple[str, float, str]
TOLD = "[window.painted, window.shifted, performance.getEntriesByType('navigation')[0].loadEventEnd, window.shifters]"


def measure(demo: dict) -> Iterator[Figure]:
    """Yield the figures of each screen of a running demo."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        try:
            page = browser.new_page(base_url=demo["url"], viewport={"width": 1280, "height": 900})
            page.add_init_script(WATCH)
            yield from seen(page, "sign-in", "/login/")
            for name, path in _screens(page, demo):
                yield from seen(page, name, path)
        finally:
            browser.close()


def _screens(page: Page, demo: dict) -> list[tuple[str, str]]:
    """Sign in, and return the screens' addresses by their names."""
    page.fill("[name=username]", demo["username"])
    page.fill("[name=password]", demo["password"])
    page.click("button.primary")
    page.wait_for_load_state()

    def first(path: str, link: str) -> str:
        page.goto(path)
        return page.locator(link).first.get_attribute("href") or ""

    store = first("/stores/?q=orders-ireland", ".pane h2 a")
    cluster = first("/clusters/?q=orders", ".pane h2 a")
    return [
        ("overview", "/"),
        ("backup-stores", "/stores/"),
        ("create-store", "/stores/create/?provider=aws"),
        ("store", store),
        ("clusters", "/clusters/"),
        ("cluster", cluster),
        ("update-backup-stores", f"{cluster}stores/"),
        ("node", f"{cluster}nodes/n1/"),
        ("new-cluster", "/clusters/create/"),
        ("cloud-account", first("/cloud-accounts/", "article h2 a")),
        ("audit", "/audit/"),
    ]


def seen(page: Page, name: str, path: str) -> Iterator[Figure]:
    """Open a page with an empty cache and yield its figures."""
    sizes = transfers(page, path)
    page.wait_for_timeout(500)  # what shifts late counts, too
    painted, shifted, loaded, shifters = page.evaluate(TOLD)
    if shifters:
        print(f"# {name} shifts: {sorted(set(shifters))}")
    yield f"screen_{name}_largest_paint", painted, "ms"
    yield f"screen_{name}_loaded", loaded, "ms"
    yield f"screen_{name}_layout_shift", shifted, "score"
    yield f"screen_{name}_requests", len(sizes), "requests"
    yield f"screen_{name}_transfer", sum(sizes) / 1000, "kB"
