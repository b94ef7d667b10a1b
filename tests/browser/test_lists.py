"""Lists for many: filtered, sorted, shown as a table and gone back to, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from console.web.natural import natural_key
from stores.views import PANES
from tests.browser.pages import available, create, delete, fill_dialog, fresh, pane_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def names_of(page):
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)
    return page.locator("#stores-panes .pane h2 a, #stores-panes tbody th a").all_inner_texts()


def test_a_list_is_filtered_sorted_and_gone_back_to(visit, inspector):
    page = visit(bypass_csp=True)
    every = names_of(page)
    assert len(every) > 3
    inspector.check(page, "panes")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("window.stillTheSamePage = true")
    choice = page.locator("#filter-provider option[value=aws]").inner_text()
    page.select_option("#filter-provider", "aws")
    expect(page).to_have_url(re.compile(r"/stores/\?provider=aws$"))
    some = names_of(page)
    assert 0 < len(some) <= len(every)
    number = int(re.search(r"\((\d+)\)$", choice)[1])
    assert len(some) == min(number, PANES)
    assert page.locator(".pane .mark[data-mark=pail]").count() == len(some)
    page.select_option("#sort", "name")
    expect(page).to_have_url(re.compile(r"\?provider=aws&sort=name$"))
    by_name = names_of(page)
    assert by_name == sorted(by_name, key=natural_key)
    assert page.locator(".pane .mark[data-mark=pail]").count() == len(some)
    page.fill("#q", "nothing like it")
    expect(page.get_by_role("heading", name=re.compile("No backup store matches"))).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "q"  # who types is not interrupted
    assert page.evaluate("window.stillTheSamePage")
    inspector.check(page, "nothing found")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Search: “nothing like it”").click()
    expect(page).to_have_url(re.compile(r"\?provider=aws&sort=name$"))
    expect(page.locator("#stores-panes .pane h2 a")).to_have_text(by_name)
    page.go_back()
    expect(page.locator("#q")).to_have_value("nothing like it")
    page.go_back()
    expect(page.locator("#filter-provider")).to_have_value("aws")
    expect(page.locator("#sort")).to_have_value("name")
    expect(page.locator("#stores-panes .pane h2 a")).to_have_text(by_name)


def test_the_table_is_kept_and_its_headings_sort(visit, inspector):
    page = visit("admin", "/stores/?sort=name", bypass_csp=True)
    panes = names_of(page)
    page.get_by_role("button", name="Table").click()
    expect(page.locator("table.listed")).to_be_visible()
    assert names_of(page)[: len(panes)] == panes  # a table has room for more
    try:
        inspector.check(page, "table")
        page.set_viewport_size({"width": 1280, "height": 900})
        heading = page.locator("th", has_text="Name")
        expect(heading).to_have_attribute("aria-sort", "ascending")
        heading.get_by_role("link").click()
        expect(page).to_have_url(re.compile(r"\?sort=-name$"))
        expect(heading).to_have_attribute("aria-sort", "descending")
        assert names_of(page) == sorted(names_of(page), key=natural_key, reverse=True)
        page.goto("/clusters/")
        expect(page.locator("table.listed")).to_be_visible()
        inspector.check(page, "table of clusters")
        page.set_viewport_size({"width": 1280, "height": 900})
    finally:
        page.get_by_role("button", name="Panes").click()
    expect(page.locator(".panes")).to_be_visible()


def test_the_list_works_without_scripts(visit):
    page = visit(java_script_enabled=False)
    page.select_option("#filter-provider", "aws")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#filter-provider")).to_have_value("aws")
    assert names_of(page)
    page.locator(".pane .more > summary").first.click()
    page.locator(".pane").first.get_by_role("link", name="IDs and exact names").click()
    expect(page.locator("h1")).to_contain_text("IDs and exact names of")


def test_the_map_shows_what_the_list_shows(visit):
    page = visit(path="/stores/?provider=aws&q=orders")
    names = names_of(page)
    assert 0 < len(names) < PANES
    page.get_by_role("link", name="Show on a map").click()
    expect(page.locator("#filter-provider")).to_have_value("aws")
    assert sorted(page.locator("table td a").all_inner_texts()) == sorted(names)
    expect(page.locator(".leaflet-marker-icon").first).to_be_visible()
    page.select_option("#filter-provider", "")
    expect(page).to_have_url(re.compile("q=orders"))
    expect(page.locator("#q")).to_have_count(1)
    expect(page.locator(".leaflet-marker-icon").first).to_be_visible()


def test_back_leads_to_the_page_before_whatever_was_changed_in_place(visit):
    page = visit(path="/tasks/")
    page.goto("/stores/")
    page.select_option("#filter-provider", "aws")
    expect(page).to_have_url(re.compile(r"\?provider=aws$"))
    page.get_by_role("button", name="Table").click()
    expect(page.locator("table.listed")).to_be_visible()
    expect(page.get_by_role("button", name="Table")).to_be_focused()
    page.get_by_role("button", name="Panes").click()
    expect(page.locator(".panes")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/stores/$"))
    expect(page.locator("#filter-provider")).to_have_value("")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/tasks/$"))


def test_the_filters_follow_the_tasks_and_leave_alone_what_is_under_the_hands(visit, demo):
    page = visit()
    name = fresh()
    create(page, name)
    page.locator("#q").focus()
    page.evaluate("window.field = document.activeElement")
    creating = page.locator("#filter-state option[value=creating]")
    expect(creating).to_have_count(1)
    available(pane_of(page, name))
    expect(creating).to_have_count(0)
    assert page.evaluate("document.activeElement === window.field")
    delete(page, name)


@pytest.mark.parametrize("path", ["/stores/", "/clusters/", "/tasks/", "/cloud-accounts/", "/overview/databases/"])
def test_filters_fold_on_a_narrow_screen(visit, path):
    page = visit(path=path, viewport={"width": 390, "height": 800})
    fields = page.locator(".filters > .field:not(.filter-search)")
    assert fields.count()
    expect(fields.first).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    expect(fields.last).to_be_visible()
    select = fields.first.locator("select")
    select.select_option(index=1)
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    expect(select).to_be_visible()  # it stays unfolded
    assert page.evaluate("document.documentElement.scrollWidth") == 390


IN_VIEW = """() => {
  const told = document.querySelector("dialog [role=alert]")?.getBoundingClientRect();
  if (!told) return false;
  const dialog = document.querySelector("dialog").getBoundingClientRect();
  return told.top >= dialog.top && told.bottom <= dialog.bottom;
}"""


@pytest.mark.parametrize("height", [600, 900])
def test_what_is_wrong_with_a_form_stays_in_view(visit, height):
    page = visit(path="/cloud-accounts/", viewport={"width": 1280, "height": height})
    for cloud in ("aws", "azure", "google", "s3"):
        page.reload()
        page.get_by_text("Link Cloud Account").click()
        page.click(f"dialog .tile:has([value={cloud}])")
        expect(page.locator("dialog .step-title").first).to_be_visible()
        page.fill("dialog [name=name]", "")
        page.click("dialog button[type=submit]")
        expect(page.locator("dialog [role=alert]")).to_be_visible()
        page.wait_for_function(IN_VIEW)
        assert page.evaluate("document.activeElement.matches('dialog [aria-invalid=true], dialog [role=alert]')")


LABELS = """() => {
  const labels = [...document.querySelectorAll(".map-node:not(.crowded) .name")];
  const found = labels.map((one) => one.getBoundingClientRect());
  const marks = [...document.querySelectorAll(".map-node .diamonds, .map-pin, .map-cluster")];
  const shapes = marks.map((one) => one.getBoundingClientRect());
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const covers = (one, at) => [...found.slice(at + 1), ...shapes].some((other) => overlap(one, other));
  return [found.length, found.filter(covers).length];
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_labels_on_the_map_stand_apart(visit, width):
    page = visit(path="/stores/map/", viewport={"width": width, "height": 900})
    expect(page.locator(".map-node").first).to_be_attached()
    expect(page.locator(".rail [aria-current=page]")).to_contain_text("Backup Stores")
    for _ in range(3):
        page.wait_for_timeout(300)
        shown, overlapping = page.evaluate(LABELS)
        assert shown
        assert not overlapping
        page.get_by_role("button", name="Zoom in").click()


PLACE = """() => {
  const at = (selector) => document.querySelector(selector)?.getBoundingClientRect();
  const [pin, map] = [at("dialog .map-pin[aria-label^='af-south-1']"), at("dialog .map")];
  if (!pin || pin.left < map.left || pin.right > map.right || pin.top < map.top || pin.bottom > map.bottom) return null;
  return [Math.round(pin.left - map.left), Math.round(pin.top - map.top)];
}"""


def test_a_map_shows_what_is_chosen_and_keeps_its_place_when_the_form_is_refused(visit):
    page = visit()
    fill_dialog(page, "orders-ireland", region="eu-north-1")  # a name that is taken
    page.locator("dialog").get_by_text("Show map").click()
    expect(page.locator("dialog .map-pin").first).to_be_visible()
    for _ in range(3):
        page.locator("dialog").get_by_role("button", name="Zoom in").click()
    assert page.evaluate(PLACE) is None
    page.fill("dialog [name=region]", "af-south-1")
    page.keyboard.press("Tab")
    page.wait_for_function(PLACE)
    before = page.evaluate(PLACE)
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog [role=alert]")).to_be_visible()
    expect(page.locator("dialog .map-pin").first).to_be_visible()
    page.wait_for_function(PLACE)
    after = page.evaluate(PLACE)
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) <= 2


def test_the_fleet_map_fits_a_narrow_screen(visit):
    page = visit(path="/overview/map/", viewport={"width": 390, "height": 844})
    expect(page.locator(".map-zoom [title='Zoom in']")).to_be_visible()  # below the map, where it covers nothing
    expect(page.locator(".map .leaflet-control-zoom")).to_have_count(0)
    table = page.get_by_role("region", name="Nodes and stores by place")
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")
    # Marks that lie on each other are counted together.
    counted = [int(one.split()[0]) for one in page.locator(".map .map-node .name").all_inner_texts() if one]
    assert max(counted) > max(
        map(int, page.locator("[data-spot]").evaluate_all("all => all.map((one) => one.dataset.nodes)"))
    )
