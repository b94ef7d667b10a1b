"""What people do on the pages, for the tests that need it done."""

from __future__ import annotations

from uuid import uuid4

from playwright.sync_api import expect


def fresh(prefix="store"):
    return f"{prefix}-{uuid4().hex[:8]}"


def pane_of(page, name):
    return page.locator(".pane", has_text=name)


def choose_amazon(page):
    """Choose the account of the emulated Amazon where accounts of all clouds are offered."""
    page.select_option("[name=cloud_account]", label="Acme production (123456789012)")


def fill_dialog(page, name, region="eu-central-1"):
    page.click(".heading >> text=Create Backup Store")
    page.click("dialog .tile:has([value=aws])")
    page.fill("dialog [name=name]", name)
    page.select_option("dialog [name=cloud_account]", index=1)
    page.fill("dialog [name=region]", region)


def create(page, name, **where):
    fill_dialog(page, name, **where)
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog")).not_to_be_visible()
    return pane_of(page, name)


def available(pane, seconds=20):
    expect(pane.locator(".badge:not([class*=verdict-])")).to_have_text("Available", timeout=seconds * 1000)


def bucket_of(pane, which="Bucket Name"):
    """The exact name of its bucket, which is fetched when the pane is unfolded."""
    more = pane.get_by_text("Show more details")
    if more.is_visible():
        more.click()
    return pane.locator(f"[aria-label='Copy {which}']").get_attribute("data-copy")


def delete(page, name):
    pane_of(page, name).locator(".menu > summary").click()
    pane_of(page, name).get_by_text("Delete Store").click()
    page.fill("dialog [name=name]", name)
    page.click("dialog button[type=submit]")
