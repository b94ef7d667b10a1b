"""Deleting a store as people do: what it holds is counted under their hands, and they may think better of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.pages import available, bucket_of, create, delete, fresh, pane_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]

BUSY = {"code": "OperationAborted", "status": 409}


def open_dialog(page, name):
    pane_of(page, name).locator(".menu > summary").click()
    pane_of(page, name).get_by_text("Delete Store").click()
    expect(page.locator("dialog [name=name]")).to_be_focused()


def test_counts_appear_while_the_name_is_typed(visit, demo):
    page = visit()
    name = fresh("counted")
    pane = create(page, name)
    available(pane)
    s3, bucket = demo.s3("eu-central-1"), bucket_of(pane)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"12345")
    demo.fault("ListObjectVersions", when="hang", seconds=3, bucket=bucket)
    open_dialog(page, name)
    page.keyboard.type(name[:4])
    expect(page.locator("#stores-deletion-preview")).to_contain_text("Counting what it holds")
    with page.expect_response(lambda answer: "/dossier/" in answer.url):
        pass
    page.keyboard.type(name[4:6])
    deletion_preview = page.locator("#stores-deletion-preview")
    expect(deletion_preview).to_contain_text("Older versions", timeout=15_000)
    expect(deletion_preview).not_to_contain_text("Counting")
    assert page.input_value("dialog [name=name]") == name[:6]
    expect(page.locator("dialog [name=name]")).to_be_focused()
    rows = dict(
        zip(
            deletion_preview.locator("dt").all_inner_texts(),
            deletion_preview.locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    assert (rows["Objects"], rows["Older versions"], rows["Size"]) == ("2", "1", "15\N{NO-BREAK SPACE}bytes")
    deletion_preview.get_by_text("Commands that empty it").click()
    expect(deletion_preview.locator("pre")).to_contain_text(f"aws s3api list-object-versions --bucket {bucket}")
    # Counted: the dialog falls silent.
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(2500)
    assert requests == []


def test_a_deletion_is_cancelled_by_keyboard_and_the_store_is_as_before(visit, demo):
    page = visit()
    name = fresh("kept")
    pane = create(page, name)
    available(pane)
    s3, bucket, log_bucket = demo.s3("eu-central-1"), bucket_of(pane), bucket_of(pane, "Log Bucket Name")
    demo.fault("DeleteBucket", times=60, bucket=bucket, **BUSY)
    delete(page, name)
    expect(pane.get_by_text("Trying again by itself")).to_be_visible(timeout=15_000)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    viewer = visit("viewer", f"/stores/?q={name}")
    expect(viewer.locator(".badge", has_text="Deleting")).to_be_visible()
    assert viewer.get_by_text("Cancel deletion").count() == 0
    button = pane.get_by_role("button", name="Cancel deletion")
    button.focus()
    with page.expect_response(lambda answer: "/stores/" in answer.url):
        pass
    expect(button).to_be_focused()  # the page has refreshed itself meanwhile
    page.keyboard.press("Enter")
    available(pane, 30)
    expect(pane).to_contain_text("Delete Backup Store was cancelled")
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetBucket"] == log_bucket
    page.goto("/tasks/?state=cancelled")
    expect(page.locator("tbody", has_text=name).locator(".badge")).to_have_text("Cancelled")


def test_kept_logs_are_listed_for_everybody(visit, demo):
    page = visit(viewport={"width": 1280, "height": 500})
    name = fresh("logs")
    pane = create(page, name)
    available(pane)
    log_bucket = bucket_of(pane, "Log Bucket Name")
    open_dialog(page, name)
    page.check("dialog [name=keep_logs]")
    page.fill("dialog [name=name]", name)
    page.click("dialog button[type=submit]")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    row = page.locator("#retained-logs tr", has_text=name)
    expect(row).to_contain_text(log_bucket, timeout=20_000)
    expect(pane.filter(has=page.locator("h2"))).to_have_count(0)
    expect(page.locator("#flash .success", has_text=name)).to_be_in_viewport()  # where the reader is
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#flash")).not_to_have_class("afloat")
    expect(visit("viewer").locator("#retained-logs tr", has_text=name)).to_be_visible()
    assert log_bucket in {bucket["Name"] for bucket in demo.s3().list_buckets()["Buckets"]}


def test_without_scripts_the_counts_are_a_page_away_and_a_deletion_is_cancelled(visit, demo):
    made = visit()
    name = fresh("plain")
    pane = create(made, name)
    available(pane)
    demo.fault("DeleteBucket", times=60, bucket=bucket_of(pane), **BUSY)
    page = visit(path=f"/stores/?q={name}", java_script_enabled=False)
    page.locator(".pane .menu > summary").click()
    page.get_by_text("Delete Store").click()
    expect(page.locator("#stores-deletion-preview")).to_contain_text("Newest backup")
    page.wait_for_timeout(1500)
    page.reload()
    expect(page.locator("#stores-deletion-preview")).to_contain_text("The backup bucket is empty.")
    page.fill("[name=name]", name)
    page.click("button[type=submit]")
    page.goto(f"/stores/?q={name}")
    page.click("text=Cancel deletion")
    page.goto(f"/stores/?q={name}")
    available(pane_of(page, name), 30)
