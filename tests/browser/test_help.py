"""The manual in a real browser: from a page to its chapter, by keyboard, and at each width."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(300)]

PLACES = (
    "",
    "getting-started/",
    "concepts/",
    "tasks/create-store/",
    "operating/settings/",
    "?q=recovery+kit",
    "?q=xyzzy",
)


@pytest.mark.parametrize("place", PLACES)
def test_accessibility_of_the_manual(visit, inspector, place):
    page = visit(path=f"/help/{place}", bypass_csp=True)
    inspector.check(page, f"help {place}")


def test_from_a_page_to_its_chapter_and_on(visit):
    page = visit(path="/clusters/retained/")
    page.get_by_role("link", name="Help on this page").click()
    expect(page).to_have_url(re.compile(r"/help/tasks/retained/$"))
    expect(page.get_by_role("heading", name="Retained repositories", level=1)).to_be_visible()
    page.get_by_role("link", name="Delete safely").first.click()
    expect(page).to_have_url(re.compile(r"/help/tasks/delete/$"))


def test_a_dialog_opens_its_chapter_in_another_tab(visit):
    page = visit(path="/stores/")
    page.click(".heading >> text=Create Backup Store")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Help, in another tab").click()
    expect(opened.value).to_have_url(re.compile(r"/help/tasks/create-store/$"))
    expect(page.locator("dialog")).to_be_visible()


def test_the_search_by_keyboard(visit):
    page = visit(path="/help/")
    page.get_by_label("Search the help").fill("stanza-create")
    page.keyboard.press("Enter")
    expect(page.locator("mark").first).to_have_text(re.compile("stanza-create", re.IGNORECASE))
    page.locator(".help-found a").first.click()
    expect(page.locator(".chapter h1")).to_be_visible()


def test_the_manual_is_read_before_signing_in(visit):
    page = visit(None, "/help/tasks/restore/")
    expect(page.get_by_role("heading", name="Restore a database", level=1)).to_be_visible()
