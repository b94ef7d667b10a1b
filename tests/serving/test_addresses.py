"""Who the client is, and by which way it came: told by the proxy alone, however a client spells a header's name."""

from __future__ import annotations

import itertools
import socket

import pytest

from console.demo.servers import HOST
from tests.serving.processes import exchange, request

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving")]

FORGED = "203.0.113.7"


def spellings(name: str) -> list[str]:
    """Every name that WSGI gives the same key, in small letters and as it is; the name itself comes first."""
    parts = name.split("-")
    joints = itertools.product("-_", repeat=len(parts) - 1)
    names = ["".join(map("".join, itertools.zip_longest(parts, joint, fillvalue=""))) for joint in joints]
    return [*names, *map(str.lower, names), *map(str.upper, names)]


def connect(console) -> socket.socket:
    return socket.create_connection((HOST, console.port), timeout=30)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "X-Client-IP", "Forwarded"])
def test_nobody_chooses_their_own_address_behind_a_proxy(proxy, name, sample):
    given = f"for={FORGED}" if name == "Forwarded" else FORGED
    every = itertools.product(spellings(name), (1, 3))
    for spelling, times in sample("forged headers", every, by=lambda cell: cell[0].lower()):
        status, headers, _ = exchange(proxy.connect(), request("GET", "/login/", *[f"{spelling}: {given}"] * times))
        assert status == 200
        assert proxy.console.requests()[headers["x-request-id"]]["address"] == HOST, spelling


def test_the_console_takes_no_name_with_an_underscore(served):
    """Also where a proxy passes them on: its own header stands."""
    for name in spellings("X-Forwarded-For"):
        if "_" not in name:
            continue
        for order in ((0, 1), (1, 0)):
            lines = [("X-Forwarded-For: 198.51.100.1", f"{name}: {FORGED}")[at] for at in order]
            sent = request("GET", "/login/", "X-Forwarded-Proto: https", *lines)
            _, headers, _ = exchange(connect(served), sent)
            assert served.requests()[headers["x-request-id"]]["address"] == "198.51.100.1", name


@pytest.mark.parametrize("name", spellings("X-Forwarded-Proto")[1:4])
def test_no_other_spelling_makes_plain_http_https(served, name):
    status, headers, _ = exchange(connect(served), request("GET", "/login/", f"{name}: https"))
    assert (status, headers["location"]) == (301, "https://console.example.org/login/")


def test_a_proxy_takes_out_every_spelling_by_itself(alone):
    """Also where another server than the console's would believe it."""
    told = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID", "X-Real-IP", "HX-Request", "Authorization")
    forged = [f"{spelling}: {FORGED}" for name in told for spelling in spellings(name) if "_" in spelling]
    forged += [f"{name}: {FORGED}" for name in told[:3]] * 2
    assert exchange(alone.connect(), request("GET", "/login/", *forged))[0] == 200
    headers = alone.console.headers()
    assert [name for name, _ in headers if "_" in name] == []
    assert [value for name, value in headers if name == "x-forwarded-for"] == [HOST]
    assert [value for name, value in headers if name == "x-forwarded-proto"] == ["https"]
    (identifier,) = [value for name, value in headers if name == "x-request-id"]
    assert identifier != FORGED


def test_nobody_chooses_the_id_of_their_request_behind_a_proxy(proxy):
    for name in spellings("X-Request-ID"):
        _, headers, _ = exchange(proxy.connect(), request("GET", "/login/", f"{name}: chosen-by-a-client"))
        assert headers["x-request-id"] != "chosen-by-a-client", name


def test_plain_http_leads_to_https(proxy):
    sent = request("GET", "/login/?next=/stores/")
    status, headers, _ = exchange(socket.create_connection((HOST, proxy.plain_port), 30), sent)
    assert status in {301, 308}
    assert headers["location"].startswith("https://console.example.org")
    assert headers["location"].endswith("/login/?next=/stores/")


def test_people_sign_in_behind_a_proxy(proxy):
    """The form's token, its origin and the cookie's prefix all hold with TLS in front."""
    _, headers, page = exchange(proxy.connect(), request("GET", "/login/"))
    cookie = headers["set-cookie"].split(";")[0]
    assert cookie.startswith("__Host-csrftoken=")
    token = page.decode().split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    body = f"username=nobody&password=wrong&csrfmiddlewaretoken={token}".encode()
    lines = (
        f"Cookie: {cookie}",
        "Origin: https://console.example.org",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    )
    assert exchange(proxy.connect(), request("POST", "/login/", *lines, body=body))[0] in {200, 422, 429}  # not 403
