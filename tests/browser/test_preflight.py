"""What the console may do in an account, seen before it is tried."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress

import boto3
import pytest
from playwright.sync_api import Error, expect

from tests.browser.pages import fill_dialog, fresh

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROLE = {"RoleName": "storekeeper", "PolicyName": "storekeeper"}


@pytest.fixture
def lacking(demo):
    """A context in which the console's role lacks these permissions."""
    aws = demo.facts["aws"]
    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=aws["endpoint"],
        aws_access_key_id=aws["access_key_id"],
        aws_secret_access_key=aws["secret_access_key"],
    )

    @contextmanager
    def lacking(*actions):
        whole = iam.get_role_policy(**ROLE)["PolicyDocument"]
        document = json.loads(json.dumps(whole))
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [one for one in named if one not in actions] or "s3:GetBucketLocation"
        iam.put_role_policy(**ROLE, PolicyDocument=json.dumps(document))
        try:
            yield
        finally:
            iam.put_role_policy(**ROLE, PolicyDocument=json.dumps(whole))

    return lacking


def account(page, name="Acme production"):
    page.goto("/cloud-accounts/")
    page.locator(".pane", has_text=name).locator("h2 a").click()
    return page.locator("#stores-preflight")


def check_again(table, result):
    table.get_by_role("button", name="Check again").click()
    expect(table.locator(".badge")).to_have_text(result, timeout=15_000)


def test_missing_permissions_are_seen_before_they_break_something(visit, lacking):
    page = visit(path="/cloud-accounts/")
    dialog = page.locator("dialog[open]")
    with lacking("s3:PutBucketLogging", "iam:PassRole"):
        table = account(page)
        check_again(table, "2 missing")
        for text in ("s3:PutBucketLogging", "iam:PassRole", "both stop at access logging"):
            expect(table.locator("tbody").first).to_contain_text(text)
        table.get_by_text("What to add").click()
        expect(table.locator("pre", has_text="s3:PutBucketLogging").first).to_be_visible()
        page.goto("/stores/")
        fill_dialog(page, fresh())
        expect(dialog.locator(".notice")).to_contain_text("2 of what the console needs in Acme production are missing")
        expect(dialog.get_by_role("button", name="Create Backup Store")).to_be_enabled()
    table = account(page)
    expect(table.locator(".badge")).to_have_text("2 missing")  # as it was seen
    check_again(table, "All that is needed")


def test_a_chosen_region_is_looked_at(visit):
    page = visit()
    fill_dialog(page, fresh(), region="ap-south-1")
    notice = page.locator("#stores-preflight-notice")
    expect(notice).to_contain_text("All that a store needs is there", timeout=15_000)
    page.fill("dialog [name=region]", "me-south-1")  # where the role's policy allows no names
    expect(notice.locator(".notice")).to_contain_text("s3:CreateBucket", timeout=15_000)
    page.fill("dialog [name=region]", "ap-south-1")
    expect(notice).to_contain_text("All that a store needs is there", timeout=15_000)


def test_a_linked_account_leads_to_what_the_console_may_do_there(visit, demo, inspector):
    page, name = visit(path="/cloud-accounts/", bypass_csp=True), fresh("linked")
    page.click(".heading >> text=Link Cloud Account")
    page.click("dialog .tile:has([value=aws])")
    page.fill("dialog [name=name]", name)
    expect(page.locator("dialog #set-up-cloudformation pre").first).to_be_visible()
    inspector.check(page, "link dialog, with a template")
    page.check("dialog [name=method][value=access_key]")
    page.fill("dialog [name=access_key_id]", "AKIAUNKNOWN000000000")
    page.fill("dialog [name=secret_access_key]", demo.facts["aws"]["secret_access_key"])
    held = []
    page.route("**/*attempt=*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
    page.click("dialog button[type=submit]")
    expect(page.locator("#accounts-attempt")).to_contain_text("Waiting for a worker")
    inspector.check(page, "link dialog, while a worker asks")
    page.unroute("**/*attempt=*")
    page.wait_for_timeout(1100)  # until it asks
    for route in held:
        with suppress(Error):  # which was let go with the route
            route.continue_()
    expect(page.locator("dialog .error")).to_contain_text("AWS does not know this access key ID", timeout=15_000)
    expect(page.locator("dialog [name=access_key_id]")).to_have_value("AKIAUNKNOWN000000000")
    inspector.check(page, "link dialog, with what the cloud refused")
    page.fill("dialog [name=access_key_id]", demo.facts["aws"]["access_key_id"])
    page.fill("dialog [name=secret_access_key]", demo.facts["aws"]["secret_access_key"])
    page.click("dialog button[type=submit]")
    expect(page.locator(".flash")).to_contain_text(f"{name} is linked")
    table = page.locator("#stores-preflight")
    expect(table.locator(".badge")).to_have_text("All that is needed", timeout=15_000)
    table.locator("details.more > summary").click()
    page.locator(".documents summary").first.click()
    inspector.check(page, "preflight, all unfolded")
    page.locator(".pane .menu > summary").first.click()
    page.get_by_text("Unlink Account").click()
    page.fill("dialog [name=name]", name)
    page.click("dialog button[type=submit]")
    expect(page).to_have_url(f"{demo.url.rstrip('/')}/cloud-accounts/")  # its own page is gone
    expect(page.locator(".flash")).to_contain_text(f"{name} is unlinked")


def test_a_viewer_sees_it_and_cannot_ask(visit):
    table = account(visit("viewer"))
    expect(table.locator(".badge")).to_have_text("All that is needed", timeout=15_000)
    expect(table.get_by_role("button", name="Check again")).to_have_count(0)


def test_what_was_wrong_with_a_way_to_sign_in_goes_with_it(visit):
    page = visit(path="/cloud-accounts/link/?provider=aws")
    page.locator(".methods input").first.check()
    page.fill("[name=name]", "left")
    page.click("button.primary")
    expect(page.locator(".notice.bad")).to_be_visible()
    page.locator(".methods input").last.check()
    expect(page.locator(".notice.bad")).to_have_count(0)
    expect(page.locator(".error")).to_have_count(0)
