"""Each page in each state: axe's rules hold, light and dark, wide and narrow, and nothing scrolls sideways."""

from __future__ import annotations

import inspect
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from tests import walk
from tests.browser.inspection import unfold
from tests.browser.pages import available, bucket_of, create, delete, fresh, pane_of
from tests.sampling import THOROUGH, spread

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(600)]  # the first one starts the demo
PARTS = 6 if THOROUGH else 2  # a test for each, so that none takes minutes


# Every page, found by walking the URL conf and the links; no page is named here. Pages of one module of views are made
# of the same parts, so `make test` looks at one of each module that is a row's, and at one that is not.
KNOWN = {one.pattern: one for one in walk.routes()}


def kind(pattern):
    """Return what pages have in common that are alike: their module of views, and whether they are a row's."""
    route = KNOWN.get(pattern)
    return (inspect.unwrap(route.view).__module__, bool(route.arguments)) if route else (pattern, False)


def part_of(patterns, part):
    """Return one of PARTS parts; what is alike is in the same one, or in the next."""
    there = sorted(patterns, key=lambda pattern: (kind(pattern), pattern))
    return there[len(there) * part // PARTS : len(there) * (part + 1) // PARTS]


class Walk:
    """What one person finds: the pages by route, and the dialogs that they open."""

    def __init__(self, visitor, is_whole):
        ours = [one for one in KNOWN.values() if not _is_django_s(one)]
        # Lists are empty for some people, each in its own words; rows' pages are refused alike in all of a module.
        self.routes = spread(ours, lambda one: kind(one.pattern) if one.arguments else one.pattern, whole=is_whole)
        visits = 2 if THOROUGH else 1
        self.pages: dict[str, str] = {}  # the first address of each route that answers with a page, by route
        self.looks: dict[str, tuple[object, ...]] = {}  # what tells two people's pages of one route apart
        self.dialogs: dict[str, str] = {}  # of those that open above another page: the address by route
        waiting = [one.path({}) for one in self.routes if not one.arguments]
        seen: dict[str, int] = {}
        while waiting:
            address = waiting.pop(0)
            route = walk.find(address, self.routes)
            if route is None or address in self.pages:
                continue
            seen[route.pattern] = seen.get(route.pattern, 0) + 1
            if seen[route.pattern] > (1 if route.is_admin else visits):
                continue
            answer = visitor.get(address, max_redirects=0)
            if answer.status == 302:
                waiting.append(urljoin(address, answer.headers["location"]))
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            text = answer.text()
            found = walk.Harvest(address, text)
            waiting.extend(sorted(found.links))
            if "<html" in text and route.pattern not in self.pages:
                self.pages[route.pattern] = address
                self.looks[route.pattern] = (answer.status, route.pattern if answer.ok else "", 'class="empty"' in text)
            for one in found.dialogs:
                if opened := walk.find(one, self.routes):
                    self.dialogs.setdefault(opened.pattern, one)


def _is_django_s(route):
    """Whether the page is the Django admin's own: its templates are not ours to mend."""
    return route.is_admin and inspect.unwrap(route.view).__module__.startswith("django.")


@pytest.fixture(scope="module")
def walked(browser, demo, signed_in):
    """A function that gives what somebody finds; each walks once."""
    walks = {}

    def walked(role):
        if role not in walks:
            context = browser.new_context(base_url=demo.url, storage_state=signed_in(role) if role else None)
            walks[role] = Walk(context.request, is_whole=THOROUGH or role == "owner")
            context.close()
        return walks[role]

    return walked


def test_the_walk_finds_the_pages_and_the_dialogs(walked):
    assert len(walked("owner").pages) > 50
    assert len(walked("owner").dialogs) > 20


@pytest.mark.parametrize("part", range(PARTS))
def test_accessibility_of_every_page(visit, inspector, walked, part, sample):
    page, mine = visit(bypass_csp=True), {**walked("owner").pages, "404": "/no/such/"}
    for pattern in sample("pages that axe looks at", part_of(mine, part), by=kind):
        page.goto(mine[pattern])
        unfold(page)
        inspector.check(page, pattern)


def test_the_page_of_each_cloud_s_account(visit, inspector):
    """What differs between clouds: the facts, the documents, and what is checked."""
    page = visit(path="/cloud-accounts/", bypass_csp=True)
    accounts = [one.get_attribute("href") for one in page.locator("article h2 a").all()]
    assert len(accounts) >= 4
    for address in accounts:
        page.goto(address)
        unfold(page)
        inspector.check(page, f"{address} {page.locator('.mark').first.get_attribute('data-mark')}")


@pytest.mark.parametrize("part", range(PARTS))
def test_accessibility_of_every_dialog(visit, inspector, walked, part, sample):
    page, dialogs = visit(path="/tasks/?q=nothing", bypass_csp=True), walked("owner").dialogs
    for pattern in sample("dialogs that axe looks at", part_of(dialogs, part), by=kind):
        page.evaluate("address => void htmx.ajax('GET', address, '#dialog')", dialogs[pattern])
        page.wait_for_selector("dialog[open] :is(h1, h2)")
        inspector.check(page, f"dialog {pattern}", within="dialog")
        name = page.locator("dialog input[name=name]")
        if name.count():  # an empty one is refused everywhere
            name.fill("")
            page.locator("dialog form").evaluate("form => htmx.trigger(form, 'submit')")
            page.wait_for_selector("dialog .error")
            inspector.check(page, f"dialog {pattern} with errors", within="dialog")
        page.evaluate("document.querySelector('dialog').close()")
        page.wait_for_selector("dialog :is(h1, h2)", state="detached")  # it is emptied when it closes


# Whomever a page refuses is shown the same: what a viewer and a developer see, the owner sees or the stranger does.
@pytest.mark.parametrize(
    "role",
    [*(pytest.param(one, marks=pytest.mark.thorough) for one in ("viewer", "developer")), "stranger", "support", None],
)
def test_accessibility_for_other_people(visit, inspector, walked, role):
    """What looks different for them: other titles, refusals, empty lists."""
    page = visit(role, "/login/", bypass_csp=True)
    inspector.check(page, f"{role}: the first page")
    seen = {*walked("owner").looks.values()}
    for pattern, look in walked(role).looks.items():
        if look not in seen:
            seen.add(look)
            page.goto(walked(role).pages[pattern])
            inspector.check(page, f"{role}: {pattern}")
    assert walked(role).pages


def test_accessibility_of_a_refused_sign_in(visit, inspector):
    nobody = visit(None, "/login/", bypass_csp=True)
    nobody.fill("[name=username]", "nobody")
    nobody.fill("[name=password]", "nothing")
    nobody.click("button.primary")
    inspector.check(nobody, "login refused")


# States that a page is in for a while only.


def test_accessibility_of_stores_at_work_failed_and_refused(visit, inspector, demo):
    page = visit(bypass_csp=True)
    demo.fault("PutBucketPolicy", code="SlowDown", status=503, times=20)
    name = fresh("axe")
    pane = create(page, name)
    expect(pane.get_by_text("Trying again by itself")).to_be_visible(timeout=10_000)
    inspector.check(page, "store at work")
    demo.clear_faults()
    demo.fault("PutBucketPolicy", code="AccessDenied", status=403, message="no", times=4)
    expect(pane.locator(".badge")).to_have_text("Failed", timeout=30_000)
    demo.clear_faults()
    pane.get_by_text("What to add to the console's permissions").click()
    inspector.check(page, "store that failed")
    pane.locator(".pane-action button").click()
    available(pane)
    bucket = bucket_of(pane)
    demo.s3("eu-central-1").put_object(Bucket=bucket, Key="backup/info", Body=b"x")
    delete(page, name)
    expect(pane.locator(".notice.warn")).to_be_visible(timeout=15_000)
    pane.get_by_text("Commands that empty it").click()
    inspector.check(page, "store whose deletion was refused")
    demo.s3("eu-central-1").delete_object(Bucket=bucket, Key="backup/info")
    delete(page, name)
    expect(pane).to_have_count(0, timeout=15_000)


def test_accessibility_of_a_deletion(visit, inspector, demo):
    page = visit(bypass_csp=True)
    name = fresh("leaving")
    pane = create(page, name)
    available(pane)
    bucket = bucket_of(pane)
    demo.s3("eu-central-1").put_object(Bucket=bucket, Key="backup", Body=b"x")
    pane.locator(".menu > summary").click()
    pane.get_by_text("Delete Store").click()
    page.locator("#deletion-preview-commands summary").click(timeout=15_000)
    inspector.check(page, "delete dialog with counts")
    page.keyboard.press("Escape")
    demo.s3("eu-central-1").delete_object(Bucket=bucket, Key="backup")
    page.goto(f"{page.locator('h2 a', has_text=name).get_attribute('href')}deletion_preview/")
    inspector.check(page, "deletion_preview")
    demo.fault("DeleteBucket", code="OperationAborted", status=409, times=60, bucket=bucket)
    page.goto(f"/stores/?q={name}")
    delete(page, name)
    expect(page.get_by_text("Cancel deletion")).to_be_visible()
    inspector.check(page, "deleting")
    page.click("text=Cancel deletion")
    available(pane_of(page, name), 30)
    demo.clear_faults()
    pane_of(page, name).locator(".menu > summary").click()
    pane_of(page, name).get_by_text("Delete Store").click()
    page.check("dialog [name=keep_logs]")
    page.fill("dialog [name=name]", name)
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog[open]")).to_have_count(0, timeout=20_000)  # else going away would end the request
    page.goto("/stores/")
    expect(page.locator("#retained-logs tr", has_text=name)).to_be_visible(timeout=20_000)
    inspector.check(page, "retained logs")
