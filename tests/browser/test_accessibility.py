"""Each page in each state: axe's rules hold, light and dark, wide and narrow, and nothing scrolls sideways."""

from __future__ import annotations

import inspect
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from tests import walk
from tests.browser.inspection import LOOKS
from tests.browser.pages import available, create, delete, fresh, pane_of

# In a group of its own, with a demo of its own: else the browser's tests would take longer than all others.
pytestmark = [pytest.mark.slow, pytest.mark.browser]


# Every page, found by walking the URL conf and the links; no page is named here.


class Walk:
    """What one person finds: the pages by route, and the dialogs that they open."""

    def __init__(self, visitor):
        self.routes = [one for one in walk.routes() if not _is_django_s(one)]
        self.pages: dict[str, str] = {}  # the first address of each route that answers with a page, by route
        self.looks: dict[str, tuple[object, ...]] = {}  # what tells two people's pages of one route apart
        self.dialogs: dict[str, str] = {}  # of those that open above another page: the address by route
        waiting = [one.path({}) for one in self.routes if not one.arguments]
        seen: dict[str, int] = {}
        while waiting:
            address = waiting.pop(0)
            route = walk.find(address, self.routes)
            if route is None or seen.get(route.pattern, 0) >= (1 if route.is_admin else 2) or address in self.pages:
                continue
            seen[route.pattern] = seen.get(route.pattern, 0) + 1
            answer = visitor.get(address, max_redirects=0)
            if answer.status == 302:
                waiting.append(urljoin(address, answer.headers["location"]))
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            text = answer.text()
            found = walk.Harvest(address, text)
            waiting.extend(sorted(found.links))
            if "<html" in text:
                self.pages.setdefault(route.pattern, address)
                self.looks[route.pattern] = (answer.status, route.pattern if answer.ok else "", 'class="empty"' in text)
            for one in found.dialogs:
                if opened := walk.find(one, self.routes):
                    self.dialogs.setdefault(opened.pattern, one)


def _is_django_s(route):
    """Whether the page is the Django admin's own: its templates are not ours to mend."""
    return route.is_admin and inspect.unwrap(route.view).__module__.startswith("django.")


@pytest.mark.timeout(300)
def test_accessibility_of_every_page(visit, inspector):
    page = visit(bypass_csp=True)
    walked = Walk(page.context.request)
    assert len(walked.pages) > 20
    for pattern, address in walked.pages.items():
        page.goto(address)
        for closed in page.locator("main details:not([open]) > summary").all()[:12]:
            if closed.is_visible():
                closed.click()
        # What is looked at as a dialog, below, has the same words and colours there: here, whether it is a whole page.
        inspector.check(page, pattern, LOOKS[:1] if pattern in walked.dialogs else LOOKS)
    page.goto("/no/such/")
    inspector.check(page, "404")


@pytest.mark.timeout(300)
def test_accessibility_of_every_dialog(visit, inspector):
    page = visit(bypass_csp=True)
    walked = Walk(page.context.request)
    assert len(walked.dialogs) > 8
    for pattern, address in walked.dialogs.items():
        page.goto("/tasks/?q=nothing")
        page.evaluate("address => void htmx.ajax('GET', address, '#dialog')", address)
        page.wait_for_selector("dialog[open] :is(h1, h2)")
        inspector.check(page, f"dialog {pattern}")
        name = page.locator("dialog input[name=name]")
        if name.count():  # an empty one is refused everywhere
            name.fill("")
            page.locator("dialog form").evaluate("form => htmx.trigger(form, 'submit')")
            page.wait_for_selector("dialog .error")
            inspector.check(page, f"dialog {pattern} with errors")


@pytest.mark.timeout(300)
def test_accessibility_for_other_people(visit, inspector):
    """What looks different for them: other titles, refusals, empty lists."""
    seen = set(Walk(visit(bypass_csp=True).context.request).looks.values())
    for role in ("viewer", "developer", "stranger", "support", None):
        page = visit(role, "/login/", bypass_csp=True)
        walked = Walk(page.context.request)
        for pattern, address in walked.pages.items():
            if walked.looks[pattern] not in seen:
                seen.add(walked.looks[pattern])
                page.goto(address)
                inspector.check(page, f"{role}: {pattern}")
        assert walked.pages, role
    assert len(inspector.checked) > 5
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
    bucket = pane.locator("[aria-label='Copy Bucket Name']").get_attribute("data-copy")
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
    bucket = pane.locator("[aria-label='Copy Bucket Name']").get_attribute("data-copy")
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
