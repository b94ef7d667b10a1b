"""Signing in with a passkey, in a real browser with a virtual authenticator; and how one's own account looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WATCH, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_a_passkey_is_added_signs_in_and_is_removed(browser, demo):
    # A passkey belongs to a name, never to an address.
    context = browser.new_context(base_url=demo.url.replace("127.0.0.1", "localhost"))
    seen = []
    context.expose_binding("reportViolation", lambda source, text: seen.append(text))
    context.add_init_script(WATCH)
    page = context.new_page()
    page.on("pageerror", lambda error: seen.append(str(error)))
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**key, "isUserVerified": True, "automaticPresenceSimulation": True}},
    )
    sign_in(page, demo.person("developer"))
    page.goto("/account/second-factor/webauthn/add/")
    page.fill("[name=name]", "Laptop")
    page.check("[name=passwordless]")
    page.click("#mfa_webauthn_add")
    page.wait_for_url("**/recovery-codes/**")
    page.goto("/account/second-factor/webauthn/")
    expect(page.get_by_role("cell", name="Laptop", exact=True)).to_be_visible()

    context.clear_cookies()
    page.goto("/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_label("Your account: Dora Dean")).to_be_visible()

    page.goto("/account/second-factor/webauthn/")
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("cell", name="Laptop", exact=True)).to_have_count(0)
    assert not seen
    context.close()


def test_the_strength_of_a_password_shows_while_it_is_typed(visit):
    page = visit("developer", "/account/password/change/")
    meter = page.get_by_label("Strength of the password")
    expect(meter).to_have_count(0)
    page.get_by_label("New password", exact=True).press_sequentially("hunter2hunter2")
    expect(page.get_by_text("Weak", exact=True)).to_be_visible()
    expect(meter).to_have_attribute("value", "1")
    page.get_by_label("New password", exact=True).fill("purple-lantern-42")
    expect(page.get_by_text("Very strong", exact=True)).to_be_visible()
