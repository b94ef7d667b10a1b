"""Lists of repositories in a real browser: looked at, added, handed over, watched again, and forgotten."""

from __future__ import annotations

import re

import boto3
import pytest
from playwright.sync_api import expect

from tests.browser.pages import available, bucket_of, fresh, pane_of
from tests.clusters.bring_in.conftest import PASSPHRASE, stanza

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CONFIG = """[global]
repo1-type=s3
repo1-path=/backups/prod
repo1-s3-bucket={bucket}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=3
[{stanza}]
pg1-path=/srv/data
"""


@pytest.fixture
def listed(visit, demo, tmp_path):
    """A list of two machines with a stanza each that is open in a page: the page, and the name of its cluster."""
    page = visit(path="/stores/")
    store, name = fresh("list"), fresh("shared")
    page.click(".heading >> text=Create Backup Store")
    page.click("dialog .tile:has([value=s3])")
    page.fill("dialog [name=name]", store)
    accounts = page.locator("dialog [name=cloud_account]")
    accounts.select_option(accounts.locator("option", has_text="Acme datacentre").get_attribute("value"))
    page.click("dialog button[type=submit]")
    available(pane_of(page, store))
    bucket = bucket_of(pane_of(page, store))
    server = demo.facts["s3"]
    s3 = boto3.client(
        "s3",
        endpoint_url=server["endpoint"],
        verify=server["ca_certificate"],
        region_name=server["region"],
        aws_access_key_id=server["access_key_id"],
        aws_secret_access_key=server["secret_access_key"],
    )
    for number, one in enumerate(("main", "ledger"), 1):
        for key, data in stanza("backups/prod", one, system_id=7_000_000 + number).items():
            s3.put_object(Bucket=bucket, Key=key, Body=data)
        (tmp_path / f"{one}.conf").write_text(CONFIG.format(bucket=bucket, passphrase=PASSPHRASE, stanza=one))
    page.goto("/clusters/")
    page.get_by_text("Bring in a Repository").first.click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("link", name="bring in a list").click()
    dialog.locator("[name=files_given]").set_input_files([tmp_path / "main.conf", tmp_path / "ledger.conf"])
    lines = "".join(f"{name},{store},,,,{one}.conf,\n" for one in ("main", "ledger"))
    dialog.locator("[name=lines]").fill(f"name,store,path,stanzas,passphrase,file,region\n{lines}")
    dialog.get_by_role("button", name="Look at all").click()
    page.wait_for_url(re.compile("/clusters/bring-in/lists/[0-9a-f-]{36}/$"))
    expect(page.get_by_text("Can be added")).to_be_visible(timeout=30_000)
    return page, name


def test_a_list_is_added_handed_over_watched_again_and_forgotten(listed):
    page, name = listed
    address = page.url
    expect(page.get_by_text("main (PostgreSQL 15, 1 backup), ledger (PostgreSQL 15, 1 backup)")).to_be_visible()
    page.get_by_role("button", name="Add 1 cluster").click()
    expect(page.get_by_text("being added")).to_be_visible()
    page.get_by_role("link", name=name).first.click()
    expect(page.locator("#cluster-watched-only")).to_be_visible(timeout=30_000)

    page.get_by_role("link", name="Hand over").first.click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_text("n1 has main, n2 has ledger")).to_be_visible()
    dialog.get_by_role("button", name="Begin the Hand-over").click()
    expect(page.locator("#cluster-watched-only")).not_to_be_visible(timeout=30_000)
    expect(page.locator(".heading .badge:not([class*=verdict-])").first).to_have_text("Available", timeout=30_000)

    page.locator(".heading .menu > summary").first.click()
    page.get_by_text("Watch Only Again").click()
    expect(dialog.get_by_text("On each of its machines first")).to_be_visible()
    dialog.get_by_role("button", name="Watch Only").click()
    expect(dialog.get_by_text("Do that first").last).to_be_visible()
    dialog.locator("[name=done]").check()
    dialog.get_by_role("button", name="Watch Only").click()
    expect(page.locator("#cluster-watched-only")).to_be_visible(timeout=30_000)

    page.goto(address)
    expect(page.get_by_role("cell", name="Watched")).to_be_visible()
    page.get_by_role("button", name="Forget the list").click()
    page.wait_for_url(re.compile("/clusters/$"))
    expect(page.get_by_text("The list is forgotten")).to_be_visible()
    expect(page.get_by_role("link", name=name).first).to_be_visible()  # what came of it stays
    assert page.request.get(address).status == 404


def test_a_list_is_forgotten_before_anything_was_added(listed):
    page, name = listed
    page.get_by_role("button", name="Forget the list").click()
    page.wait_for_url(re.compile("/clusters/$"))
    expect(page.get_by_text("Nothing was changed in any store")).to_be_visible()
    expect(page.get_by_role("link", name=name)).to_have_count(0)
