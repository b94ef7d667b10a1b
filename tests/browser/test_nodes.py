"""A node in a real browser: what it is handed, where it writes, when it backs up."""

from __future__ import annotations

import hashlib
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def open_node(page, cluster="orders", node="n1"):
    page.set_viewport_size({"width": 1280, "height": 900})  # on a narrow one, clusters are not in the navigation
    page.locator(".nav-clusters a", has_text=cluster).first.click()
    page.locator(".matrix").get_by_role("link", name=node, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{node} of {cluster}")


def test_files_with_secrets_are_shown_in_a_dialog_and_downloaded_as_they_are(visit):
    page = visit(path="/clusters/")
    open_node(page)
    hidden = page.get_by_label("pgbackrest.conf, secrets hidden").inner_text()
    assert "repo1-cipher-pass=••••••••" in hidden
    page.get_by_role("link", name="Show with secrets").click()
    dialog = page.locator("dialog[open]")
    shown = dialog.get_by_label(re.compile(r"^/etc/pgbackrest/orders-\w{4}/pgbackrest\.conf$"))
    expect(shown).to_contain_text("repo1-cipher-pass=")
    expect(shown).not_to_contain_text("••••")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    content = download.value.path().read_bytes()
    assert content.decode().strip() == shown.inner_text().strip()
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text(hashlib.sha256(content).hexdigest())).to_be_visible()


def test_the_password_is_asked_for_in_the_dialog_and_then_goes_on(visit, demo):
    page = visit(path="/clusters/")
    open_node(page)
    url = page.url.removeprefix(demo.url)
    page.evaluate(f"htmx.ajax('GET', '/confirm/?next={url}files/', '#dialog')")
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_label("Password")).to_be_visible()
    expect(page.locator(".htmx-added")).to_have_count(0)  # until then its form would be sent as a page's
    dialog.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.locator("#id_password_error")).to_have_text("This is not your password.")
    expect(page.locator(".htmx-added")).to_have_count(0)
    dialog.get_by_label("Password").fill(demo.person("owner")["password"])
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("repo1-cipher-pass=")).to_be_visible(timeout=15_000)
    assert page.url.removeprefix(demo.url) == url


@pytest.mark.parametrize("scripts", [True, False])
def test_the_set_up_script_arrives_as_a_file_after_the_password(visit, demo, scripts):
    page = visit(None, "/login/", java_script_enabled=scripts)
    sign_in(page, demo.person("owner"))  # a session of its own: in another's, no test would expect to be asked
    page.goto("/clusters/")
    open_node(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the set-up script").click()
    expected = download.value.path().read_bytes()
    assert b"repo1-cipher-pass=" in expected

    demo.forget_password(page.context.storage_state())
    page.get_by_role("link", name="Download the set-up script").click()
    page.get_by_label("Password").fill(demo.person("owner")["password"])
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert re.fullmatch(r"orders-\w{4}-n1-setup\.sh", download.value.suggested_filename)
    assert download.value.path().read_bytes() == expected
    expect(page.get_by_text("Your file is being downloaded.")).to_be_visible()
    assert "cipher-pass" not in page.content()
    with page.expect_download() as download:
        page.get_by_role("link", name="download it here").click()
    assert download.value.path().read_bytes() == expected


def test_a_node_is_given_a_second_store_and_follows_the_nearest_again(visit):
    page = visit(path="/clusters/")
    open_node(page, node="n3")
    page.get_by_role("link", name="Change", exact=True).first.click()
    dialog = page.locator("dialog[open]")
    boxes = dialog.get_by_role("checkbox")
    expect(boxes.first).not_to_be_visible()  # the nearest store is chosen by itself
    dialog.get_by_label("Chosen stores").check()
    boxes.nth(0).uncheck()
    boxes.nth(1).uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator("p.error", has_text="Choose at least one store")).to_be_visible()
    boxes.nth(0).check()
    boxes.nth(1).check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).not_to_be_visible()
    configuration = page.get_by_label("pgbackrest.conf, secrets hidden")
    expect(configuration).to_contain_text("repo2-path=")
    page.get_by_role("link", name="Change", exact=True).first.click()
    dialog.get_by_label("The nearest store").check()
    dialog.get_by_role("button", name="Save").click()
    expect(configuration).not_to_contain_text("repo2-path=")


def test_a_schedule_is_refused_beside_its_field_and_saved_when_it_is_mended(visit):
    page = visit(path="/clusters/")
    open_node(page, node="n2")
    page.get_by_role("link", name="Change", exact=True).nth(1).click()
    dialog = page.locator("dialog[open]")
    field = dialog.get_by_label("Incremental")
    field.fill("0 5/2 * * *")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator("#id_incr_schedule_error")).to_contain_text("A step follows * or a range")
    field.fill("0 */6 * * 1-6")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text("every sixth hour")).to_be_visible()
    page.get_by_role("link", name="Change", exact=True).nth(1).click()
    dialog.get_by_role("button", name="Follow orders").click()
    expect(page.get_by_text("every sixth hour")).to_have_count(0)


def test_a_look_into_the_repositories_ends_by_itself(visit):
    page = visit(path="/clusters/")
    page.locator(".nav-clusters a", has_text="ledger").first.click()
    page.get_by_role("button", name="Look now").click()
    expect(page.locator("#clusters-poll")).to_have_count(0, timeout=15_000)
    expect(page.get_by_text("Nothing has been written yet")).to_be_visible()


def test_without_scripts_a_node_is_configured_all_the_same(visit):
    page = visit(path="/clusters/", java_script_enabled=False)
    open_node(page)
    page.get_by_role("link", name="Change", exact=True).first.click()
    page.get_by_label("All stores of the cluster").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("repo2-path=")).to_be_visible()
    page.get_by_role("link", name="Change", exact=True).first.click()
    page.get_by_label("The nearest store").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("repo2-path=")).to_have_count(0)


def test_a_viewer_sees_the_file_and_no_secret(visit):
    page = visit("viewer", "/clusters/")
    open_node(page)
    expect(page.get_by_text("an owner or admin can download it")).to_be_visible()
    expect(page.get_by_role("link", name="Show with secrets")).to_have_count(0)
    assert page.goto(f"{page.url}pgbackrest.conf").status == 403


def test_accessibility_of_an_s3_compatible_server(visit, inspector):
    page = visit(path="/cloud-accounts/link/?provider=s3", bypass_csp=True)
    page.get_by_role("button", name="Link Cloud Account").click()
    expect(page.locator(".error").first).to_be_visible()
    inspector.check(page, "link a server, with errors")
    page.goto("/cloud-accounts/")
    page.locator(".pane", has_text="Acme datacentre").locator("h2 a").click()
    inspector.check(page, "a server")
    page.goto("/stores/create/?provider=s3")
    page.select_option("[name=cloud_account]", index=1)
    expect(page.get_by_role("table", name="What this server can do")).to_be_visible()
    inspector.check(page, "create a store on a server")
