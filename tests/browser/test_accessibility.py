"""Each page in each state: axe's rules hold, light and dark, wide and narrow, and nothing scrolls sideways."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.pages import available, create, delete, fresh, pane_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]

COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}  # all that a theme can change


class Inspector:
    """Looks at a page in both themes and at both widths, and keeps what it finds."""

    def __init__(self):
        self.found = []

    def check(self, page, what):
        for width, scheme, rules in (
            (1280, "light", None),
            (1280, "dark", COLOURS),
            (390, "dark", None),
        ):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.found.extend(
                f"{what}, {scheme}, {width}: {violation['id']} {[node['target'] for node in violation['nodes']]}"
                for violation in Axe().run(page, options=rules).response["violations"]
            )
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                self.found.append(f"{what}, {width}: scrolls sideways")


@pytest.fixture
def inspector():
    inspector = Inspector()
    yield inspector
    assert not inspector.found


def test_accessibility_of_the_pages(visit, inspector):
    page = visit(bypass_csp=True)
    for path in (
        "/stores/?q=nothing",
        "/stores/orphans/",
        "/stores/create/",
        "/cloud-accounts/link/",
        "/tasks/?q=nothing",
        "/no/such/",
    ):
        page.goto(path)
        inspector.check(page, path)
    page.goto("/stores/?q=orders")
    page.locator("details.more > summary").first.click()
    page.locator(".pane .menu > summary").first.click()
    inspector.check(page, "stores, unfolded, menu open")
    page.click(".pane h2 a")
    inspector.check(page, "store")
    page.goto("/cloud-accounts/")
    page.locator("details.more > summary").first.click()
    page.locator(".pane .menu > summary").first.click()
    inspector.check(page, "accounts, unfolded, menu open")
    page.click(".pane h2 a")
    page.locator("header .menu > summary").first.click()
    inspector.check(page, "account, own menu open")
    page.goto("/tasks/")
    page.locator("details.more > summary").first.click()
    inspector.check(page, "tasks, unfolded")
    page.click(".tasks tbody a")
    inspector.check(page, "task")


def test_accessibility_of_the_dialogs(visit, inspector):
    page = visit(bypass_csp=True, path="/stores/?q=orders")
    page.locator(".pane .menu > summary").first.click()
    page.locator(".pane .menu >> text=Delete Store").first.click()
    page.fill("dialog [name=name]", "wrong")
    inspector.check(page, "delete dialog")
    page.press("dialog [name=name]", "Escape")
    page.click(".heading >> text=Create Backup Store")
    page.wait_for_selector("dialog .tile")
    inspector.check(page, "create dialog")
    page.click("dialog .tile:has([value=aws])")
    page.fill("dialog [name=region]", "eu-west-1")
    inspector.check(page, "create dialog, expanded")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog .error")
    inspector.check(page, "create dialog with errors")
    page.goto("/cloud-accounts/")
    page.click(".heading >> text=Link Cloud Account")
    page.click("dialog .tile:has([value=aws])")
    page.wait_for_selector("dialog [name=role_arn]")
    inspector.check(page, "link dialog")
    page.check("dialog [name=method][value=access_key]")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog .error")
    inspector.check(page, "link dialog with errors, by key")
    page.goto("/cloud-accounts/")
    page.locator(".pane .menu > summary").first.click()
    page.click("text=Unlink Account")
    expect(page.locator("dialog .notice.warn")).to_be_visible()
    inspector.check(page, "unlink refused")


def test_accessibility_of_stores_at_work_failed_and_refused(visit, inspector, demo):
    page = visit(bypass_csp=True)
    demo.fault("PutBucketPolicy", code="SlowDown", status=503, times=20)
    name = fresh("axe")
    pane = create(page, name)
    expect(pane.get_by_text("Trying again by itself")).to_be_visible(timeout=10_000)
    inspector.check(page, "store at work")
    demo.mend()
    demo.fault("PutBucketPolicy", code="AccessDenied", status=403, message="no", times=4)
    expect(pane.locator(".badge")).to_have_text("Failed", timeout=30_000)
    demo.mend()
    pane.get_by_text("Add this statement to the policy of the console's role or user").click()
    inspector.check(page, "store that failed")
    pane.locator(".pane-action button").click()
    available(pane)
    bucket = pane.locator("[aria-label='Copy Bucket Name']").get_attribute("data-copy")
    demo.s3("eu-central-1").put_object(Bucket=bucket, Key="backup/info", Body=b"x")
    delete(page, name)
    expect(pane.locator(".notice.warn")).to_be_visible(timeout=15_000)
    pane.get_by_text("Commands that empty the bucket").click()
    inspector.check(page, "store whose deletion was refused")
    demo.s3("eu-central-1").delete_object(Bucket=bucket, Key="backup/info")
    delete(page, name)
    expect(pane).to_have_count(0, timeout=15_000)


def test_accessibility_for_other_people(visit, inspector):
    inspector.check(visit("viewer", "/stores/create/", bypass_csp=True), "403")
    inspector.check(visit("developer", "/stores/", bypass_csp=True), "edition")
    stranger = visit("stranger", "/stores/", bypass_csp=True)
    inspector.check(stranger, "stores, empty")
    stranger.goto("/cloud-accounts/")
    inspector.check(stranger, "accounts, empty")
    nobody = visit(None, "/login/", bypass_csp=True)
    inspector.check(nobody, "login")
    nobody.fill("[name=username]", "nobody")
    nobody.fill("[name=password]", "nothing")
    nobody.click("button.primary")
    inspector.check(nobody, "login refused")


def test_accessibility_of_a_deletion(visit, inspector, demo):
    page = visit(bypass_csp=True)
    name = fresh("leaving")
    pane = create(page, name)
    available(pane)
    bucket = pane.locator("[aria-label='Copy Bucket Name']").get_attribute("data-copy")
    demo.s3("eu-central-1").put_object(Bucket=bucket, Key="backup", Body=b"x")
    pane.locator(".menu > summary").click()
    pane.get_by_text("Delete Store").click()
    page.locator("#dossier-commands summary").click(timeout=15_000)
    inspector.check(page, "delete dialog with counts")
    page.keyboard.press("Escape")
    demo.s3("eu-central-1").delete_object(Bucket=bucket, Key="backup")
    page.goto(f"{page.locator('h2 a', has_text=name).get_attribute('href')}dossier/")
    inspector.check(page, "dossier")
    demo.fault("DeleteBucket", code="OperationAborted", status=409, times=60, bucket=bucket)
    page.goto(f"/stores/?q={name}")
    delete(page, name)
    expect(page.get_by_text("Cancel deletion")).to_be_visible()
    inspector.check(page, "deleting")
    page.click("text=Cancel deletion")
    available(pane_of(page, name), 30)
    demo.mend()
    pane_of(page, name).locator(".menu > summary").click()
    pane_of(page, name).get_by_text("Delete Store").click()
    page.check("dialog [name=keep_logs]")
    page.fill("dialog [name=name]", name)
    page.click("dialog button[type=submit]")
    page.goto("/stores/")
    expect(page.locator("#retained-logs tr", has_text=name)).to_be_visible(timeout=20_000)
    inspector.check(page, "retained logs")
