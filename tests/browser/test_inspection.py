"""The inspector itself: what is wrong on a page is found, whatever it has seen before."""

from __future__ import annotations

import pytest

from tests.browser.inspection import Inspector

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PAGE = """<!doctype html><html lang="en"><title>A page</title>
<style>body {{ background: #fff; color: #000 }} .pale {{ color: #ccc }} .wide {{ width: 2000px }}
@media (prefers-color-scheme: dark) {{ body {{ background: #000; color: #fff }} .dim {{ color: #333 }} }}</style>
<main><h1>A page</h1>{}</main>"""


@pytest.fixture
def page_with(browser):
    """A function that opens a page with this in it."""
    context = browser.new_context()
    page = context.new_page()

    def page_with(content):
        page.set_content(PAGE.format(content))
        return page

    yield page_with
    context.close()


@pytest.fixture
def inspector(monkeypatch):
    """One that has seen nothing: what others saw is theirs."""
    monkeypatch.setattr(Inspector, "KNOWN", type(Inspector.KNOWN)(set))
    return Inspector(whole=False)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("<p class=pale>words</p>", "color-contrast"),
        ("<input aria-label=Name class=pale value=words>", "color-contrast"),
        ("<p class=wide>words</p>", "scrolls sideways"),
        ("<button></button>", "button-name"),
        ("<img src='data:,'>", "image-alt"),
    ],
)
def test_what_is_wrong_is_found(page_with, inspector, content, rule):
    inspector.check(page_with("<p>words</p>"), "first")  # light
    inspector.check(page_with("<p>words</p>"), "second")  # dark
    assert inspector.found == []
    inspector.check(page_with(f"<p>words</p>{content}"), "third")  # light again
    assert any(rule in one for one in inspector.found)


def test_contrast_is_asked_for_once_in_each_theme_and_place(page_with, inspector):
    bad = "<p class=dim>words</p>"  # in the dark theme alone
    inspector.check(page_with(bad), "light")
    assert inspector.found == []
    inspector.check(page_with(bad), "dark")
    assert [one.split()[1:4] for one in inspector.found] == [["dark,", "390:", "color-contrast"]]
    inspector.check(page_with(bad), "light again")
    inspector.check(page_with(bad), "dark again")
    assert len(inspector.found) == 1
    inspector.check(page_with(bad), "light once more")
    inspector.check(page_with(f"<div>{bad}</div>"), "dark elsewhere")
    assert len(inspector.found) == 2


def test_all_is_asked_for_each_time_before_a_release(page_with, inspector):
    thorough = Inspector(whole=True)
    for time in (1, 2):
        thorough.check(page_with("<p class=pale>words</p>"), f"time {time}")
    assert [one.split()[2] for one in thorough.found if "light" in one and "color-contrast" in one] == [
        "light,",
        "light,",
    ]
