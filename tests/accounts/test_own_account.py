"""The pages of one's own account."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator

from console.accounts.security_views import browser
from tests.accounts.signing_in import code_of, sign_in


@pytest.mark.parametrize(("agent", "name"), [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),  # noqa: E501
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),  # noqa: E501
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),  # noqa: E501
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on macOS"),  # noqa: E501
    ("curl/8.5.0", "curl/8.5.0"),
    ("", ""),
])  # fmt: skip
def test_browser_is_what_people_call_it(agent, name):
    assert browser(agent) == name


def test_the_rules_of_passwords_are_told_before(client, alice):
    sign_in(client)
    page = client.get("/account/password/change/").content.decode()
    assert "At least twelve characters, none that many people use" in page
    assert 'aria-describedby="id_password1_helptext"' in page
    assert 'id="id_password1_helptext"' in page


def test_the_page_of_second_factors_says_what_is_on(client, alice, totp):
    sign_in(client)
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    page = client.get("/account/second-factor/").content.decode()
    assert "Signing in asks for the six digits" in page
    assert "10 of 10 left" in page


def test_passkeys_are_listed_by_their_names(client, alice):
    for name, alone in (("Laptop", True), ("Key in the safe", False)):
        results = {"clientExtensionResults": {"credProps": {"rk": alone}}}
        Authenticator.objects.create(user=alice, type="webauthn", data={"name": name, "credential": results})
    client.force_login(alice)
    page = client.get("/account/second-factor/webauthn/").content.decode()
    for name, alone in (("Laptop", "Yes"), ("Key in the safe", "No")):
        assert re.search(rf"<td>{name}</td>\s*<td>{alone}</td>", page)
    assert "2</span>" in client.get("/account/second-factor/").content.decode()
