"""What a store's buckets should have, in a real browser: found, said, shown before it is mended, accepted."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def store(demo, visit):
    """The page of a store that was made long ago, and its two buckets."""
    with closing(sqlite3.connect(demo.data / "demo.sqlite3", timeout=20)) as database:
        # Differences within two minutes of a change are not believed yet.
        database.execute(
            "update operations_operation set finished_at = datetime('now', '-1 hour') where state = 'done'"
        )
        database.commit()
        query = "select bucket, log_bucket from stores_store where name = 'orders-frankfurt'"
        buckets = database.execute(query).fetchone()
    page = visit(path="/stores/?q=orders-frankfurt")
    page.get_by_role("link", name="orders-frankfurt", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("orders-frankfurt")
    yield page, *buckets
    demo.clear_faults()


def test_what_differs_is_found_shown_and_mended(demo, store):
    page, bucket, log_bucket = store
    s3 = demo.s3("eu-central-1")
    s3.delete_bucket_policy(Bucket=bucket)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=log_bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    drift_report = page.get_by_role("region", name="Posture", exact=True)
    drift_report.get_by_role("button", name="Verify").click()
    pane = page.locator("#stores-pane")
    expect(pane.get_by_text("2 things differ from what this store should have")).to_be_visible(timeout=15_000)
    expect(pane.locator(".badge.degraded")).to_be_visible()
    drift_report.get_by_role("button", name="Accept Default encryption of the log bucket as it is").click()
    expect(pane.get_by_text("1 thing differs from what this store should have")).to_be_visible()
    expect(drift_report.get_by_text("Accepted", exact=True)).to_be_visible()
    expect(drift_report.get_by_role("button", name="Accept Default encryption")).to_have_count(0)
    expect(drift_report.get_by_role("button", name="Want Default encryption of the log bucket again")).to_be_visible()
    pane.get_by_role("link", name="Repair …").first.click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_text("Refuses plain HTTP and refuses TLS before 1.2", exact=True)).to_be_visible()
    expect(dialog.get_by_text("Default encryption")).to_have_count(0)
    dialog.get_by_role("button", name="Repair").click()
    expect(pane.locator(".badge.available")).to_be_visible(timeout=15_000)
    assert "DenyOldTLS" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    drift_report.get_by_role("button", name="Want Default encryption of the log bucket again").click()
    expect(pane.locator(".badge.degraded")).to_be_visible()
    pane.get_by_role("link", name="Repair …").first.click()
    dialog.get_by_role("button", name="Repair").click()
    expect(pane.locator(".badge.available")).to_be_visible(timeout=15_000)


def test_accessibility_of_drift_report_and_repair(demo, store, visit, inspector):
    watched, bucket, _ = store
    demo.s3("eu-central-1").delete_bucket_policy(Bucket=bucket)
    watched.get_by_role("button", name="Verify").first.click()
    expect(watched.locator("#stores-pane .badge.degraded")).to_be_visible(timeout=15_000)
    page = visit(path=watched.url.removeprefix(demo.url), bypass_csp=True)
    inspector.check(page, "degraded store")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Repair …").first.click()
    expect(page.locator("dialog[open] .changes")).to_be_visible()
    inspector.check(page, "repair dialog")
    page.locator("dialog[open]").get_by_role("button", name="Repair").click()
    expect(page.locator("#stores-pane .badge.available")).to_be_visible(timeout=15_000)


def test_the_calculator_answers_while_days_are_typed(visit):
    page = visit()
    page.get_by_role("link", name="Create Backup Store").first.click()
    dialog = page.locator("dialog[open]")
    dialog.locator(".tile", has_text="AWS").click()
    expect(dialog.get_by_label("Protected store")).to_be_visible()
    expect(dialog.get_by_label(re.compile("Object Lock"))).not_to_be_visible()
    dialog.get_by_label("Protected store").check()
    dialog.get_by_label(re.compile("Object Lock")).fill("30")
    expect(dialog.get_by_text("Each file is locked as long as a backup needs it")).to_be_visible()
    dialog.get_by_label(re.compile("pgBackRest keeps backups")).fill("60")
    expect(dialog.get_by_text("A file is part of a backup for up to 67 days")).to_be_visible()
