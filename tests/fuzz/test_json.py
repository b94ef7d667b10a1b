"""Every address that may parse JSON, with JSON that a parser fails at: no error of the console's own."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from urllib.parse import quote_plus, urlencode

import pytest

from tests import walk
from tests.fuzz.world import undone
from tests.sampling import THOROUGH, thorough_but, turned

# They share a world, which the first one makes.
pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.slow, pytest.mark.timeout(600)]

DEEP = 20_000  # far beyond Python's limit of calls
# What a passkey's browser sends, each part of which is somebody else's binary format.
CREDENTIAL = {"id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": {}}
LOGIN = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": "MQ"}
NEW = {"clientDataJSON": "e30", "attestationObject": "oA"}
CBOR = "gYGBgYGB" * 4000  # lists in lists
HOSTILE = {
    "deep list": "[" * DEEP + "]" * DEEP,
    "deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep and open": "[" * DEEP,
    "deep and short": "[" * 1500 + "]" * 1500,  # fits where a length is looked at first
    "deep inside": json.dumps(CREDENTIAL)[:-1] + ', "response": ' + "[" * DEEP + "]" * DEEP + "}",
    "huge number": "9" * 10_000,
    "huge exponent": "1e999999",
    "NaN": "NaN",
    "NaN inside": '{"id": NaN, "rawId": Infinity, "response": NaN}',
    "null": "null",
    "number": "0",
    "text": '"x"',
    "list": "[]",
    "empty object": "{}",
    "surrogate": '{"id": "\\ud800", "rawId": "\\ud800", "response": {"userHandle": "\\ud800"}}',
    "key twice": '{"id": 1, "id": [], "response": {}, "response": 1}',
    "wrong types": json.dumps({name: [1] for name in ("id", "rawId", "type", "response")}),
    "no handle": json.dumps({**CREDENTIAL, "response": {**LOGIN, "userHandle": None}}),
    "huge handle": json.dumps({**CREDENTIAL, "response": {**LOGIN, "userHandle": "OTk5" * 20}}),
    "short data": json.dumps({**CREDENTIAL, "response": LOGIN}),
    "long data": json.dumps({**CREDENTIAL, "response": {**LOGIN, "authenticatorData": "A" * 4000}}),
    "odd data": json.dumps({**CREDENTIAL, "response": {**LOGIN, "clientDataJSON": "gICA", "signature": "!"}}),
    "new": json.dumps({**CREDENTIAL, "response": NEW}),
    "new and deep": json.dumps({**CREDENTIAL, "response": {**NEW, "attestationObject": CBOR}}),
    "new and odd": json.dumps({**CREDENTIAL, "response": {**NEW, "attestationObject": "o2NmbXRkbm9uZQ"}}),
    "new, client's deep": json.dumps({**CREDENTIAL, "response": {**NEW, "clientDataJSON": "W1tb" * 9000}}),
}
BYTES = {
    **{name: text.encode() for name, text in HOSTILE.items()},
    "no UTF-8": b'{"a": "\xff\xfe\x80"}',
    "NUL": b'{"\0": 1}',
}
KINDS = ("application/json", "application/csp-report", "application/reports+json")
READS = re.compile("webauthn|authenticate|report|applied")  # addresses that parse JSON today get more of it
BY_KIND = re.compile("report|applied")  # of these, those whose body is JSON; of the others, a field of their form
FEW = ("deep and short", "deep list", "NaN inside", "surrogate")
ROUTES = [pytest.param(one, id=one.pattern or "home") for one in walk.routes() if not one.is_admin]


def kind(cell):
    """Return what `make test` asks once: what parses JSON today, or what anybody may send something to.

    Of the others it asks one of each module of views that is about a row, and one that is not: their forms read a
    field as the text that it is, and lead away who is not signed in before they read anything.
    """
    who, route = cell
    view = inspect.unwrap(route.view)
    if READS.search(route.pattern) or not (route.is_api or hasattr(route.view, "permission")):
        return who, route.pattern
    return who, view.__module__, view.__name__ if route.is_api else "", bool(route.arguments)


# An API's call takes no cookie, so for it everybody is nobody; with a token, tests/api/test_fuzz.py asks.
CELLS = [
    (who, one.values[0]) for who in ("nobody", "owner") for one in ROUTES if who == "nobody" or not one.values[0].is_api
]
ASKED = [
    pytest.param(*cell.values, id=f"{cell.values[0]}-{cell.values[1].pattern or 'home'}", marks=cell.marks)
    for cell in thorough_but(CELLS, by=kind)
]


@pytest.mark.parametrize(("who", "route"), ASKED)
def test_no_json_is_too_much(world, route, who, say, sample):
    found = world.found[route.pattern]
    path = route.path(found.own or dict.fromkeys(route.arguments, "1"))
    usual = {name: max(values, default="") for name, values in found.fields.items()}
    sent, names = 0, _few(route)
    if READS.search(route.pattern):  # each of them another part of it
        first = [one.values[0].pattern for one in ROUTES if READS.search(one.values[0].pattern)].index(route.pattern)
        every = turned(BYTES, first)
        names = sample("JSON that a parser fails at", every, by=lambda name: every.index(name) // 6)
    for body, kind in _bodies(route.pattern, usual, names):
        sent += 1
        with undone():
            answer = world.ask(who, "POST", path, body, kind=kind)
        assert answer.status_code < 500 or route.pattern == "readyz", body[:200]
        if answer.status_code == 405 or answer.get("Location", "").startswith("/login/"):
            return  # nobody reads any of it
    say(**{"requests with JSON": sent})


def _few(route):
    """What an address gets that reads no JSON today: what goes into each field alone, and one of the others in turn."""
    if THOROUGH:
        return FEW
    alone, *others = FEW
    return alone, others[[one.values[0].pattern for one in ROUTES].index(route.pattern) % len(others)]


def _bodies(pattern, usual, names):
    """Give what is sent to an address, and as what kind: made one by one, as most addresses read none of it."""
    yield from ((text, "") for name in names if name in HOSTILE for text in _forms(pattern, usual, HOSTILE[name]))
    if READS.search(pattern):
        yield from ((b"credential=" + _quoted(BYTES[name]).encode(), "") for name in names)
        yield from ((BYTES[name], kind) for name in (names if BY_KIND.search(pattern) else FEW) for kind in KINDS)


@cache
def _quoted(text):
    return quote_plus(text)


def _forms(pattern, usual, text):
    """The form with this in every field; and with the deepest in each of them alone, as others may refuse it first.

    Where no JSON is read today, `make test` does the latter for every third field.
    """
    yield "&".join(
        f"{quote_plus(name)}={_quoted(text)}" for name in dict.fromkeys([*usual, "credential", "key"])
    ).encode()
    if text == HOSTILE["deep and short"]:
        for name in [*usual] if THOROUGH or READS.search(pattern) else [*usual][::3]:
            yield urlencode({**usual, name: text}).encode()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_key_file_is_too_much(world, text):
    fields = {"provider": "google", "method": "key", "name": "g", "project_id": "project-1", "key": text}
    with undone():
        answer = world.ask("owner", "POST", "/cloud-accounts/link/", urlencode(fields).encode())
    assert answer.status_code == 422
