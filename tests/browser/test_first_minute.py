"""A new person gets from the sign-in to a downloaded set-up script by what the pages say, in 14 clicks at most."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AT_MOST = 14


class Hand:
    """Clicks, and sends forms by the keyboard, which counts as a click."""

    def __init__(self, page):
        self.page, self.clicks = page, []

    def click(self, target, what):
        expect(target).to_be_visible(timeout=20_000)
        target.click()
        self.clicks.append(what)


def test_the_first_minute_takes_fourteen_clicks(visit, demo, say):
    page = visit(None, "/login/")
    hand, person = Hand(page), demo.person("stranger")  # of an organisation that has nothing yet
    page.get_by_label("Username").fill(person["username"])
    page.get_by_label("Password").fill(person["password"])
    hand.click(page.get_by_role("button", name="Sign in", exact=True), "Sign in")

    main, dialog = page.locator("main"), page.locator("dialog[open]")
    expect(page.get_by_role("heading", name="From here to a first backup")).to_be_visible()
    hand.click(main.get_by_role("link", name="Link Cloud Account"), "Link Cloud Account")
    hand.click(dialog.locator(".tile", has_text="Amazon S3"), "the cloud")
    expect(dialog.get_by_label("Name")).not_to_have_value("")  # one is suggested
    hand.click(dialog.get_by_label("Access key", exact=True), "by access key")
    dialog.get_by_label("Access Key ID").fill(demo.facts["aws"]["access_key_id"])
    dialog.get_by_label("Secret Access Key").fill(demo.facts["aws"]["secret_access_key"])
    hand.click(dialog.get_by_role("button", name="Link Cloud Account"), "link it")

    hand.click(main.get_by_role("link", name="Create Backup Store"), "Create Backup Store")
    dialog.get_by_label("Name").fill("first-store")  # cloud and account are chosen: there is only one
    dialog.get_by_label("Region").fill("Ireland")
    hand.click(dialog.get_by_role("button", name="Create Backup Store"), "create it")
    expect(page.locator("#flash")).to_contain_text(re.compile("first-store is (being )?created."))
    expect(page.locator(".flash.success", has_text="being created")).to_have_count(0)
    expect(page.locator(".flash.success")).to_contain_text("first-store is created.", timeout=40_000)
    hand.click(page.get_by_role("link", name="New Cluster with it"), "New Cluster with it")

    expect(main).to_contain_text("It creates no machine and no database")
    page.get_by_label("Cluster Name").fill("first-cluster")
    regions = page.locator("#choice-regions")
    regions.get_by_role("searchbox").fill("Ireland")
    hand.click(regions.get_by_role("checkbox", name="eu-west-1"), "the region")
    expect(page.locator("#choice-stores").get_by_role("checkbox", name="first-store")).to_be_checked()
    expect(page.locator("#verdict")).to_contain_text("has a store in its region")
    hand.click(page.get_by_role("button", name="Create Cluster"), "create it")
    expect(page.locator(".flash.success")).to_contain_text("first-cluster is created.", timeout=40_000)

    hand.click(main.get_by_role("link", name="Add Database"), "Add Database")
    dialog.get_by_label("Name").fill("shop")
    dialog.get_by_label("PostgreSQL version").select_option("17")
    dialog.get_by_label("Data directory").fill("/var/lib/postgresql/17/main")
    hand.click(dialog.get_by_role("button", name="Add Database"), "add it")
    expect(dialog).not_to_be_visible()
    hand.click(main.get_by_role("link", name="n1", exact=True).first, "the node")
    with page.expect_download() as download:
        hand.click(main.get_by_role("link", name="Download the set-up script"), "Download the set-up script")
    assert re.fullmatch(r"first-cluster-\w{4}-n1-setup\.sh", download.value.suggested_filename)
    assert b"repo1-cipher-pass=" in download.value.path().read_bytes()
    say(f"first minute: {len(hand.clicks)} clicks: {', '.join(hand.clicks)}")
    assert len(hand.clicks) <= AT_MOST
