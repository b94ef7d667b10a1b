"""The console as people use it: a real browser, a real worker, a real broker."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.pages import available, bucket_of, create, delete, fill_dialog, fresh, pane_of
from tests.demo_process import transfers

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SLOW = {"code": "SlowDown", "status": 503}


def test_main_job_from_sign_in_to_deletion(visit, demo):
    page = visit(role=None, path="/", permissions=["clipboard-read", "clipboard-write"])
    hint = page.locator("tr", has_text="Owner").locator("code")
    page.fill("[name=username]", hint.nth(0).inner_text())
    page.fill("[name=password]", hint.nth(1).inner_text())
    page.click("button.primary")
    expect(page.locator("h1")).to_contain_text("recoverable")
    page.click(".rail >> text=Backup Stores")
    expect(page.locator("h1")).to_have_text("Backup Stores")
    page.evaluate("window.stillTheSamePage = true")
    name = fresh()
    pane = create(page, name)
    expect(pane.locator("progress")).to_be_visible()
    expect(pane.locator(".steps li")).to_have_count(7)
    available(pane)
    assert page.evaluate("window.stillTheSamePage")
    # Its first check is over as well, and nothing is busy any more: the page falls silent.
    expect(page.locator("#stores-poll")).to_have_count(0, timeout=90_000)
    page.wait_for_timeout(1200)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(3000)
    assert requests == []
    pane.get_by_text("Show more details").click()
    expect(pane.get_by_text("Show less details")).to_be_visible()
    pane.locator("[aria-label='Copy Bucket ARN']").click()
    arn = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"arn:aws:s3:::pgbk-[a-z2-7]{12}-123456789012-eu-central-1-an", arn)
    expect(page.locator("#said")).to_have_text("Copied")
    pane.locator(".menu > summary").click()
    pane.get_by_text("Delete Store").click()
    button = page.locator("dialog button[type=submit]")
    for typed, ready in (("", False), (name.upper(), False), (name + " ", False), (name, True)):
        page.fill("dialog [name=name]", typed)
        assert button.is_enabled() is ready
    button.click()
    expect(pane).to_have_count(0, timeout=15_000)
    names = {bucket["Name"] for bucket in demo.s3().list_buckets()["Buckets"]}
    assert arn.rsplit(":", 1)[1] not in names


def test_poll_leaves_the_reader_s_place_alone(visit, demo):
    """While one store is made: another's details stay unfolded, the focus and the typed text stay."""
    page = visit()
    # One that is still on the first page when another is made.
    other = pane_of(page, page.locator(".pane:has(.badge.available) h2 a").first.inner_text())
    other.get_by_text("Show more details").click()
    demo.fault("PutBucketPolicy", times=12, **SLOW)
    first = create(page, fresh("slow"))
    expect(first.get_by_text("Trying again by itself")).to_be_visible(timeout=10_000)
    page.focus("#q")
    page.evaluate("document.querySelector('#q').value = 'half a wo'")  # typing it would search
    with page.expect_response(lambda answer: "/stores/" in answer.url):
        pass
    page.wait_for_timeout(1500)
    assert page.evaluate("[document.activeElement.id, document.activeElement.value]") == ["q", "half a wo"]
    expect(other.get_by_text("Show less details")).to_be_visible()
    # The same under the hands: an open menu of another pane and its focused entry.
    button = other.locator(".menu > summary")
    button.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    with page.expect_response(lambda answer: "/stores/" in answer.url):
        pass
    page.wait_for_timeout(300)
    expect(other.get_by_text("Delete Store")).to_be_focused()
    demo.clear_faults()
    available(first, 40)


def test_one_poll_serves_three_busy_stores(visit, demo):
    demo.fault("PutBucketPolicy", times=60, **SLOW)
    page = visit()
    panes = [create(page, fresh("busy")) for _ in range(3)]
    for pane in panes:
        expect(pane.get_by_text("Trying again by itself")).to_be_visible(timeout=10_000)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(3500)
    assert 2 <= len([one for one in requests if one.endswith("/stores/")]) <= 4
    assert len(requests) <= 6  # and what the message about the newest asks
    demo.clear_faults()
    for pane in panes:
        available(pane, 40)


def test_keyboard_alone_does_it(visit):
    page = visit(path="/stores/?q=orders")
    reachable = "a[href], button, summary, input:not([type=hidden]), select"
    visible = "checkVisibility({contentVisibilityAuto: true})"
    wanted = page.evaluate(f"[...document.querySelectorAll('{reachable}')].filter(e => e.{visible}).length")
    met = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        met.add(page.evaluate(f"[...document.querySelectorAll('{reachable}')].indexOf(document.activeElement)"))
    assert len(met - {-1}) == wanted

    opener = page.locator(".heading >> text=Create Backup Store")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    for _ in range(12):  # round and round, never out of the dialog (the browser's own bar counts as body)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).not_to_be_visible()
    expect(opener).to_be_focused()

    menu = pane_of(page, "orders-frankfurt").locator(".menu")
    button = menu.locator("summary")
    button.focus()
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_text("Open")).to_be_focused()
    page.keyboard.press("End")
    expect(menu.get_by_text("Delete Store")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_text("Open")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(menu.locator(".menu-panel")).not_to_be_visible()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("dialog [name=name]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_bad_input_is_said_beside_the_field(visit):
    page = visit()
    page.click(".heading >> text=Create Backup Store")
    page.click("dialog .tile:has([value=aws])")
    page.fill("dialog [name=region]", "nowhere-1")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog [name=name]")).to_be_focused()  # the first that is wrong
    links = page.locator("dialog .notice.bad a")
    expect(links).to_have_count(2)  # the only account is chosen already
    links.nth(1).click()
    expect(page.locator("dialog [name=region]")).to_be_focused()
    for field in ("name", "region"):
        control = page.locator(f"dialog [name={field}]")
        expect(control).to_have_attribute("aria-invalid", "true")
        described = control.get_attribute("aria-describedby")
        text = " ".join(page.locator(f"[id='{one}']").inner_text() for one in described.split())
        assert page.locator(f"#id_{field}_error").inner_text() in text
    assert page.input_value("dialog [name=region]") == "nowhere-1"


def test_a_typed_name_survives_the_choice_of_a_provider(visit):
    page = visit(path="/stores/create/?provider=aws")
    page.fill("[name=name]", "typed before")
    page.locator(".tile:has([value=aws]) input").dispatch_event("change")
    page.wait_for_timeout(500)
    assert page.input_value("[name=name]") == "typed before"


def test_double_click_makes_one_store(visit):
    page = visit()
    name = fresh("twice")
    fill_dialog(page, name)
    page.dblclick("dialog button[type=submit]")
    available(pane_of(page, name))
    page.goto(f"/stores/?q={name}")
    expect(page.locator(".pane")).to_have_count(1)


def test_a_denied_action_is_explained_and_tried_again(visit, demo):
    page = visit()
    demo.fault("PutBucketPolicy", code="AccessDenied", status=403, message="no", times=4)
    pane = create(page, fresh("denied"))
    expect(pane.locator(".badge")).to_have_text("Failed", timeout=15_000)
    demo.clear_faults()
    viewer = visit("viewer")
    expect(pane_of(viewer, "denied").locator(".notice").first).to_contain_text("s3:PutBucketPolicy")
    assert viewer.get_by_role("button", name="Try again").count() == 0
    expect(pane.locator(".notice")).to_contain_text("s3:PutBucketPolicy")
    pane.get_by_text("What to add to the console's permissions").click()
    expect(pane.locator(".notice pre")).to_contain_text('"Effect": "Allow"')
    expect(pane.get_by_text("Request ID")).to_be_visible()
    pane.locator(".pane-action button").click()
    available(pane)


def test_a_store_with_data_is_not_deleted(visit, demo):
    page = visit()
    name = fresh("full")
    pane = create(page, name)
    available(pane)
    bucket = bucket_of(pane)
    demo.s3("eu-central-1").put_object(Bucket=bucket, Key="backup/info", Body=b"x")
    delete(page, name)
    expect(pane.locator(".notice.warn")).to_contain_text("1 object", timeout=15_000)
    expect(pane.locator(".badge")).to_have_text("Available")
    pane.get_by_text("Commands that empty it").click()
    expect(pane.locator(".notice pre")).to_contain_text(f"aws s3 rm s3://{bucket} --recursive")
    demo.s3("eu-central-1").delete_object(Bucket=bucket, Key="backup/info")
    delete(page, name)
    expect(pane).to_have_count(0, timeout=15_000)


def test_without_scripts_everything_is_a_page(visit, demo):
    page = visit(role=None, path="/stores/", java_script_enabled=False)
    expect(page).to_have_url(re.compile("/login/"))
    page.fill("[name=username]", demo.facts["username"])
    page.fill("[name=password]", "wrong")
    page.click("button.primary")
    expect(page.locator(".notice.bad")).to_be_visible()
    page.fill("[name=username]", demo.facts["username"])
    page.fill("[name=password]", demo.facts["password"])
    page.click("button.primary")
    name = fresh("plain")
    page.click(".heading >> text=Create Backup Store")
    page.check("[name=provider][value=aws]", force=True)
    page.click("button:has-text('Continue')")
    page.click("button[type=submit]")
    expect(page.locator("#id_name_error")).to_have_text("Give the store a name.")
    expect(page.locator(".notice.bad")).to_contain_text("Give the store a name.")
    page.fill("[name=name]", name)
    page.select_option("[name=cloud_account]", index=1)
    page.fill("[name=region]", "eu-west-3")
    page.click("button[type=submit]")
    expect(page).to_have_url(re.compile("/stores/$"))
    available(pane_of(page, name))  # the page refreshes itself while something is busy
    pane_of(page, name).get_by_text("Show more details").click()
    pane_of(page, name).get_by_role("link", name="IDs and exact names").click()
    expect(page.get_by_text("Log Bucket ARN")).to_be_visible()
    page.go_back()
    pane_of(page, name).locator(".menu > summary").click()
    pane_of(page, name).get_by_text("Delete Store").click()
    page.fill("[name=name]", "wrong")
    page.click("button[type=submit]")
    expect(page.locator("#id_name_error")).to_contain_text("This is not the name")
    page.fill("[name=name]", name)
    page.click("button[type=submit]")
    expect(pane_of(page, name)).to_have_count(0, timeout=20_000)
    page.click("header .top-end .menu > summary")
    page.click("text=Sign out")
    expect(page).to_have_url(re.compile("/login/"))


def test_first_load_is_light(visit):
    page = visit(role="owner", path="/tasks/")
    cold = visit(role=None, path="/login/")
    cold.wait_for_load_state("networkidle")  # its own icon may still be under way
    cold.context.add_cookies(page.context.cookies())
    sizes = transfers(cold, "/stores/")
    assert cold.locator("h1").inner_text() == "Backup Stores"
    assert 4 <= len(sizes) <= 8
    assert sum(sizes) <= 100_000


def test_viewer_stranger_and_developer_see_what_is_theirs(visit, demo):
    owner = visit(path="/stores/?q=orders")
    link = pane_of(owner, "orders-oregon").locator("h2 a").get_attribute("href")
    viewer = visit("viewer", link)
    expect(viewer.locator("h1")).to_have_text("orders-oregon")
    viewer.locator(".pane .menu > summary").click()
    assert viewer.locator(".danger").count() == 0
    viewer.goto("/stores/")
    assert viewer.get_by_role("link", name="Create Backup Store").count() == 0
    token = viewer.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value")
    for path in ("/stores/create/", f"{link}delete/", f"{link}retry/"):
        answer = viewer.request.post(path, headers={"X-CSRFToken": token, "Referer": demo.url})
        assert answer.status == 403, path
    stranger = visit("stranger", link)
    expect(stranger.locator("h1")).to_have_text("There is nothing here")
    developer = visit("developer", "/stores/")
    expect(developer.locator("h1")).to_contain_text("Enterprise edition")


def test_theme_is_kept_and_times_are_the_reader_s(visit):
    page = visit(timezone_id="Asia/Tokyo", color_scheme="light")
    page.click("[data-theme-toggle]")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto("/tasks/")
    shown = page.locator("td time[data-time=exact]").first
    expected = page.evaluate(
        "t => new Date(t).toLocaleString('sv-SE', {dateStyle: 'short', timeStyle: 'medium', timeZone: 'Asia/Tokyo'})",
        shown.get_attribute("datetime"),
    )
    assert shown.inner_text() == f"{expected} GMT+9"


@pytest.mark.thorough  # tests/operations/test_worker.py kills one; what a page shows of what goes on is the same
def test_a_killed_worker_loses_nothing(visit, demo):
    page = visit()
    demo.fault("PutBucketLifecycleConfiguration", when="hang", seconds=4, times=2)
    pane = create(page, fresh("killed"))
    expect(pane.locator(".steps li.running").first).to_contain_text("Setting", timeout=10_000)
    os.kill(demo.pid("worker"), signal.SIGKILL)
    available(pane, 60)  # the lease of the dead worker runs out, the sweep finds the operation
    page.locator("h2 a", has_text="killed").first.click()
    name = page.locator("[aria-label='Copy Bucket Name']").get_attribute("data-copy")
    names = [bucket["Name"] for bucket in demo.s3().list_buckets()["Buckets"] if name[:17] in bucket["Name"]]
    assert len(names) == 2


@pytest.mark.thorough  # tests/operations/test_worker.py creates without a broker
def test_a_broker_that_is_down_only_delays(visit, demo):
    page = visit()
    name = fresh("waits")
    fill_dialog(page, name)
    os.kill(demo.pid("broker"), signal.SIGKILL)
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog")).not_to_be_visible(timeout=10_000)
    expect(pane_of(page, name).locator(".badge")).to_have_text("Creating")
    available(pane_of(page, name), 60)  # the supervisor starts the broker again, the sweep sends the operation again


def test_an_ended_session_leads_to_the_sign_in_page(visit):
    page = visit()
    page.context.clear_cookies()
    page.click(".heading >> text=Create Backup Store")
    expect(page).to_have_url(re.compile(r"/login/\?next=/stores/"))
    assert page.locator("#content").count() == 1


def test_a_drag_out_of_the_dialog_keeps_what_was_typed(visit):
    page = visit()
    page.click(".heading >> text=Create Backup Store")
    page.click("dialog .tile:has([value=aws])")
    page.fill("dialog [name=name]", "half typed")
    field = page.locator("dialog [name=name]").bounding_box()
    page.mouse.move(field["x"] + 20, field["y"] + 10)
    page.mouse.down()
    page.mouse.move(5, 5)
    page.mouse.up()
    assert page.input_value("dialog [name=name]") == "half typed"
    page.mouse.click(5, 5)
    expect(page.locator("dialog")).not_to_be_visible()


def test_the_search_is_had_by_its_key_and_used_without_a_mouse(visit):
    page = visit(path="/tasks/")
    page.keyboard.press("/")
    field = page.locator("dialog #finder-q")
    expect(field).to_be_focused()
    page.keyboard.type("orders-or")
    hit = page.locator("dialog #found a", has_text="orders-oregon").first
    expect(hit).to_be_visible()
    expect(page.locator("dialog #found")).not_to_contain_text("Cloud Accounts")
    page.keyboard.press("ArrowDown")
    expect(page.locator("dialog #found a").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("orders-oregon")
    # Whoever types somewhere else types a slash.
    page.goto("/stores/")
    page.focus("#q")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_have_value("/")
    expect(page.locator("dialog")).not_to_be_visible()
