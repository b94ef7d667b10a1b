"""Clusters in a real browser: the field and the map agree, by mouse, by keyboard, and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.pages import available, choose_amazon, create, fresh

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = "`${alert(1)}` <img src=x onerror=alert(2)>"


def new_cluster(page, name, *regions, stores=()):
    page.goto("/clusters/create/")
    page.fill("[name=name]", name)
    choose_amazon(page)
    for region in regions:
        page.check(f"[name=regions][value={region}]")
        expect(page.locator("#choice-regions .chip", has_text=region)).to_be_visible()
        expect(page.locator("#verdict", has_text=f"({region})")).to_be_visible()
    for store in stores:
        page.get_by_role("checkbox", name=re.compile(f"^{re.escape(store)}")).check()
    page.get_by_role("button", name="Create Cluster").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.locator("h1 .badge:not([class*=verdict-])")).to_have_text("Available", timeout=20_000)


def open_stores(page, name="orders"):
    page.locator(".nav-clusters a", has_text=name).first.click()
    page.locator("#cluster-menu > summary").click()
    page.locator("#cluster-menu").get_by_text("Update Backup Stores").click()
    return page.locator("dialog[open]")


def show_map(place):
    place.locator("[data-show-map]").check()
    expect(place.locator(".leaflet-marker-icon").first).to_be_visible()
    expect(place.locator("[data-map-host]")).not_to_have_attribute("aria-busy", "true")


def pin(place, name, role="checkbox"):
    """A store's icon on the map, which has the label of the map's own script; the list's box has none."""
    return place.locator(f".leaflet-marker-icon[role={role}][aria-label^='{name}']")


def test_field_and_map_agree_both_ways_and_the_verdict_follows(visit):
    page = visit(path="/clusters/")
    dialog = open_stores(page)
    show_map(dialog)
    box, icon = dialog.get_by_role("checkbox", name="orders-oregon").first, pin(dialog, "orders-oregon")
    expect(icon).to_have_attribute("aria-checked", "true")
    expect(dialog.locator(".verdict")).to_contain_text("2 of 3 nodes have a store in their region")

    icon.click()
    expect(box).not_to_be_checked()
    expect(icon).to_have_attribute("aria-checked", "false")
    expect(icon).to_have_attribute("aria-label", re.compile("will be taken out"))
    expect(dialog.locator(".chip", has_text="orders-oregon")).to_have_count(0)
    expect(dialog.locator(".verdict")).to_contain_text("1 of 3 nodes has a store in its region")
    expect(dialog.locator(".verdict")).to_contain_text("choosing orders-oregon would make it 0 km")

    box.check()
    expect(icon).to_have_attribute("aria-checked", "true")
    dialog.locator("[data-out]").first.click()
    expect(dialog.locator(".chip")).to_have_count(1)
    dialog.get_by_role("link", name="Reset").click()
    expect(dialog.locator(".chip")).to_have_count(2)
    expect(dialog.locator(".verdict")).to_contain_text("2 of 3 nodes have a store in their region")
    dialog.get_by_role("button", name="Clear all").click()
    expect(dialog.locator(".verdict")).to_contain_text("No backup store is chosen")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_map_is_worked_by_keyboard(visit, key):
    page = visit(path="/clusters/")
    dialog = open_stores(page)
    show_map(dialog)
    icon = pin(dialog, "orders-oregon")
    icon.focus()
    page.keyboard.press(key)
    expect(dialog.get_by_role("checkbox", name="orders-oregon").first).not_to_be_checked()
    expect(icon).to_be_focused()
    page.keyboard.press(key)
    expect(icon).to_have_attribute("aria-checked", "true")


def test_list_is_worked_by_keyboard(visit):
    page = visit(path="/clusters/")
    dialog = open_stores(page)
    search = dialog.locator("[data-search]")
    search.fill("oregon portland")
    expect(dialog.locator("[data-list] > li:visible")).to_have_count(1)
    search.press("Enter")  # takes out what it found, and does not send the form
    expect(dialog.locator(".chip", has_text="orders-oregon")).to_have_count(0)
    expect(search).to_have_value("")  # ready for the next one
    search.fill("oregon portland")
    search.press("ArrowDown")
    page.keyboard.press("Space")
    expect(dialog.locator(".chip", has_text="orders-oregon")).to_have_count(1)
    search.fill("nothing of the kind")
    expect(dialog.locator("[data-found]")).to_have_text("Nothing matches. Try another word.")
    expect(dialog.locator("[data-found]")).not_to_have_class("unseen")


def test_cluster_is_made_changed_and_deleted(visit):
    page = visit(path="/stores/")
    store, name = fresh("archive"), fresh("cluster")
    available(create(page, store, region="ap-northeast-1"))
    new_cluster(page, name, "ap-northeast-1", stores=[store])
    expect(page.locator(".verdict")).to_contain_text("The node has a store in its region")
    expect(page.locator(".chips")).to_contain_text("repo1")
    expect(page.locator(".nav-clusters [aria-current]")).to_contain_text(name)

    dialog = open_stores(page, name)
    dialog.get_by_role("button", name=f"Take out {store}").click()
    dialog.get_by_role("button", name="Update Backup Stores").click()
    expect(dialog.locator("#detaching")).to_contain_text("No store is left")
    dialog.get_by_role("checkbox", name=re.compile("Yes, detach")).check()
    dialog.get_by_role("button", name="Update Backup Stores").click()
    expect(page.locator("dialog")).not_to_be_visible()
    expect(page.locator("main .verdict")).to_contain_text("No backup store is chosen", timeout=20_000)
    expect(page.locator("h1 .badge:not([class*=verdict-])")).to_have_text("Available", timeout=20_000)

    page.locator("#cluster-menu > summary").click()
    page.get_by_text("Delete Cluster").click()
    page.fill("dialog [name=name]", name)
    kit = page.get_by_role("checkbox", name=re.compile("I have the recovery kit"))
    if kit.count():  # no worker has seen yet that the repository is empty
        kit.check()
    page.click("dialog button[type=submit]")
    expect(page).to_have_url(re.compile("/clusters/$"), timeout=20_000)
    expect(page.locator("#clusters-panes")).not_to_contain_text(name)


def test_nodes_and_databases_are_added_and_removed(visit):
    page = visit(path="/clusters/")
    name = fresh("cluster")
    new_cluster(page, name, "eu-west-1")
    page.click("main a.button:has-text('Add Nodes')")
    dialog = page.locator("dialog[open]")
    dialog.locator("[data-search]").fill("osaka")
    dialog.get_by_role("checkbox", name="ap-northeast-3").check()
    dialog.get_by_role("button", name="Add Nodes").click()
    expect(page.get_by_role("rowheader", name="n2")).to_contain_text("Osaka, Japan")
    page.locator("#cluster-menu > summary").click()
    page.get_by_text("Remove Nodes").click()
    page.get_by_role("checkbox", name="n1").check()
    dialog.get_by_role("button", name="Remove Nodes").click()
    expect(page.locator("#cluster-nodes-title")).to_have_text("1 Node")
    page.click("main a.button:has-text('Add Database')")
    dialog.locator("[name=name]").fill("main")
    dialog.locator("[name=version]").select_option("17")
    dialog.locator("[name=data_directory]").fill("data")
    dialog.get_by_role("button", name="Add Database").click()
    expect(dialog.locator(".error")).to_contain_text("Give the whole path")
    dialog.locator("[name=data_directory]").fill("/var/lib/postgresql/17/main")
    dialog.get_by_role("button", name="Add Database").click()
    expect(page.locator("#cluster-databases-title")).to_have_text("1 Database")


def test_new_cluster_keeps_the_choice_while_regions_change(visit):
    page = visit(path="/clusters/create/")
    page.fill("[name=name]", "kept")
    choose_amazon(page)
    show_map(page.locator("#choice-stores"))
    page.get_by_role("checkbox", name="orders-oregon").first.check()
    page.check("[name=regions][value=eu-west-1]")
    expect(page.locator(".verdict")).to_contain_text("n1 archives over 7,481 km to us-west-2")
    page.check("[name=regions][value=ap-northeast-1]")
    expect(page.locator(".reaches li")).to_have_count(2)
    expect(page.locator("#choice-stores .map .map-node")).to_have_count(2)
    expect(page.get_by_role("checkbox", name="orders-oregon").first).to_be_checked()
    expect(page.locator("[name=name]")).to_have_value("kept")
    expect(page.locator("#choice-regions .chip")).to_have_count(2)


def test_region_of_a_store_is_picked_on_the_map(visit):
    page = visit(path="/stores/")
    page.click(".heading >> text=Create Backup Store")
    page.click("dialog .tile:has([value=aws])")
    place = page.locator("dialog #choice-region")
    show_map(place)
    icon = pin(place, "sa-east-1", role="radio")
    icon.click()  # the very first one, on a map that the dialog shows only half of
    expect(page.locator("dialog [name=region]")).to_have_value("sa-east-1")
    expect(page.locator("#id_region_place")).to_have_text("São Paulo, Brazil")
    expect(icon).to_have_attribute("aria-checked", "true")
    page.fill("dialog [name=region]", "af-south-1")
    page.locator("dialog [name=region]").blur()
    expect(icon).to_have_attribute("aria-checked", "false")
    expect(pin(place, "af-south-1", role="radio")).to_have_attribute("aria-checked", "true")


def test_names_cannot_break_out_of_the_map(visit):
    page = visit(path="/stores/")
    name = f"{EVIL} {fresh('x')[-4:]}"
    available(create(page, name, region="ap-southeast-2"))
    dialogs = []
    page.on("dialog", lambda opened: (dialogs.append(opened.message), opened.dismiss()))
    dialog = open_stores(page)
    show_map(dialog)
    icon = dialog.locator(".leaflet-marker-icon[aria-label*='alert(1)']").first
    icon.hover()
    expect(dialog.locator(".map-tip")).to_contain_text(EVIL)
    icon.click()
    expect(dialog.locator(".chip", has_text=EVIL)).to_be_visible()
    expect(dialog.locator(".verdict")).to_be_visible()
    assert dialogs == []
    assert dialog.locator("img").count() == 0


def test_many_stores_in_one_place_say_how_many_are_chosen(visit):
    page = visit(path="/stores/")
    names = [fresh("many") for _ in range(3)]
    for name in names:
        available(create(page, name, region="ca-central-1"))
    dialog = open_stores(page)
    show_map(dialog)
    dialog.get_by_role("checkbox", name=names[0]).check()
    heap = dialog.locator(".map-cluster[aria-label*='1 of 3 stores chosen here']")
    expect(heap).to_have_text("1/3")
    heap.focus()
    page.keyboard.press("Enter")  # one place: they fan out, and the first has the focus
    spread = pin(dialog, "many-")
    expect(spread).to_have_count(3)
    expect(spread.and_(page.locator(":focus"))).to_have_count(1)
    page.keyboard.press("Escape")
    expect(spread).to_have_count(0)
    expect(dialog).to_be_visible()  # the fan is folded, the dialog stays


def test_everything_works_without_scripts(visit):
    page = visit(path="/clusters/create/", java_script_enabled=False)
    name = fresh("plain")
    page.fill("[name=name]", name)
    choose_amazon(page)
    page.click("[name=continue]")
    page.check("[name=regions][value=eu-west-1]")
    page.check("[name=regions][value=eu-south-1]")
    page.click("[name=continue]")
    expect(page.locator(".reaches li")).to_have_count(2)
    page.get_by_role("checkbox", name="orders-ireland").check()
    page.get_by_role("button", name="Show the distances").click()
    expect(page.locator(".verdict")).to_contain_text("archives over 1,4")
    page.get_by_role("button", name="Create Cluster").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.locator("[data-show-map]")).not_to_be_visible()
    page.wait_for_timeout(3500)  # the page renews itself every 3 s
    expect(page.locator("h1 .badge:not([class*=verdict-])")).to_have_text("Available")
    page.locator("main").get_by_role("link", name="Update Backup Stores").last.click()
    page.get_by_role("checkbox", name="orders-ireland").uncheck()
    page.get_by_role("button", name="Update Backup Stores").click()
    expect(page.locator("#detaching")).to_contain_text("No store is left")
    page.get_by_role("checkbox", name=re.compile("Yes, detach")).check()
    page.get_by_role("button", name="Update Backup Stores").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def test_accessibility_of_choosing_stores_and_regions(visit, inspector):
    page = visit(path="/clusters/", bypass_csp=True)
    page.locator(".pane h2 a", has_text="orders").first.click()
    show_map(page.locator("#choice-attached"))
    inspector.check(page, "cluster, with its map")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("main").get_by_text("Update Backup Stores").last.click()
    dialog = page.locator("dialog[open]")
    show_map(dialog)
    inspector.check(page, "dialog, with its map")
    page.set_viewport_size({"width": 1280, "height": 900})
    dialog.get_by_role("checkbox", name="orders-oregon").first.uncheck()
    dialog.get_by_role("button", name="Update Backup Stores").click()
    expect(dialog.locator("#detaching")).to_be_visible()
    inspector.check(page, "detaching")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/clusters/create/")
    choose_amazon(page)
    expect(page.locator("#choice-regions")).to_be_visible()
    inspector.check(page, "new cluster")
