"""Every URL, every role, every method, as the one table says; and nothing of one tenant's for another.

The addresses, their arguments and the fields of their forms are found by walking, so a new view is covered, or fails
for want of a permission.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from console.accounts.permissions import ASKS_AGAIN, ENTERPRISE, HOUR, MINUTES, ROLES
from tests import walk
from tests.fuzz.world import RECORDS, undone, writes
from tests.sampling import THOROUGH, turned

# They share a world, which the first one makes.
pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.slow, pytest.mark.timeout(600)]

# What asks for no role, and why.
PUBLIC = {
    "": "leads each visitor to the first page of their own",
    "login/": "asks who one is",
    "logout/": "ends one's own session",
    "confirm/": "asks for one's own password",
    "stop-seeing/": "ends one's own look as support",
    "invitations/<str:token>/": "the link is the key",
    "invitations/<str:token>/strength/": "the link is the key",
    "alerts/confirm/<str:token>/": "the link is the key",
    "clusters/<uuid:pk>/nodes/<slug:name>/applied/": "the node's token is the key",
    "clusters/<uuid:pk>/nodes/<slug:name>/drill/": "the node's token is the key",
    "clusters/<uuid:pk>/drills/<int:drill>/report/": "the plan's token is the key",
    "enrol/": "the enrolment's token is the key",
    "enrol/enrol.sh": "holds no secret",
    "help/": "the manual, which holds nothing of anybody's",
    "help/<path:chapter>/": "the manual, which holds nothing of anybody's",
    "healthz": "says that the process lives, and nothing else",
    "readyz": "says that database and broker answer, and nothing else",
    "metrics": "its token is the key",
    "csp-reports/": "browsers send them by themselves",
    "account/inactive/": "says that one may not sign in any more",
    "account/second-factor/authenticate/": "the second step of signing in",
    "account/second-factor/webauthn/login/": "signs in by a passkey",
    "account/<provider_id>/login/": "signs in at the company's provider",
    "account/<provider_id>/login/callback/": "comes back from there",
    "account/connections/login/cancelled/": "says that somebody did not sign in there",
    "account/connections/login/error/": "says that something went wrong there",
}
OWN = "account/"  # one's own sign-in, whatever the role
# The admin asks Django's own permissions, the API takes no cookie (tests/api).
ROUTES = [one for one in walk.routes() if not one.is_admin and not one.is_api]
ASKED = [pytest.param(one, id=one.pattern) for one in ROUTES if one.pattern not in PUBLIC]
GUARDED = [one for one in ASKED if not one.id.startswith(OWN)]
PROOFS = ("/confirm/", "/account/reauthenticate/")
# What asks elsewhere than in this world, where nobody has a second factor, or has connected anything.
ELSEWHERE = {
    "account_reauthenticate": "asks for the password",
    "mfa_reauthenticate": "asks for the second factor",
    "mfa_reauthenticate_webauthn": "asks for the second factor",
    "mfa_deactivate_totp": "test_second_factors_want_a_proof",
    "mfa_download_recovery_codes": "test_second_factors_want_a_proof",
    "socialaccount_connections": "test_disconnecting_it_wants_a_proof_of_who_is_at_the_keyboard",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PEOPLE = {  # the role in the open organisation, by who asks
    "owner": "owner", "admin": "admin", "auditor": "auditor", "viewer": "viewer", "stranger": "admin",
    "starter": "owner", "newcomer": None, "nobody": None,
}  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_every_view_has_a_permission_or_a_reason():
    without = {one.pattern for one in ROUTES if not hasattr(one.view, "permission")}
    assert {one for one in without if one in PUBLIC or not one.startswith(OWN)} == {*PUBLIC}


@pytest.mark.parametrize("route", [one for one in ASKED if one.id.startswith(OWN)])
def test_ones_own_account_wants_a_sign_in(world, route):
    path = route.path(world.found[route.pattern].own or dict.fromkeys(route.arguments, 1))
    for method in ("GET", "POST"):
        with undone():
            answer = world.ask("nobody", method, path)
        assert answer.status_code == 405 or answer["Location"].startswith("/login/"), method


def permissions(view):
    """Return all that the view asks for: evidence needs two."""
    inner = getattr(view, "__wrapped__", None)
    return ({view.permission} if hasattr(view, "permission") else set()) | (permissions(inner) if inner else set())


def expected(route, who, methods, method):
    """What the table wants to be answered: a status, or what is true of it."""
    if method not in methods:
        return {405}
    if who == "nobody":
        return {302}
    wanted, role = permissions(route.view), PEOPLE[who]
    if role is None or wanted - ROLES[role] or (who == "starter" and wanted & ENTERPRISE):
        return {403}
    if who in {"stranger", "starter"} and any(one in {"uuid", "int"} for one in route.arguments.values()):
        return {404}
    return {200, 204, 302, 404, 422}


def role_and_method(cell):
    """Return what of a route `make test` asks for once.

    What a method is answered does not depend on who asks, but for GET and POST: of the others, each is asked by
    nobody, which draws no page, and one by one more person. One wrapper of the view looks at the role, whichever of GET
    and POST it is: the owner and a viewer ask with both, everybody else with one of them, of the next address with the
    other.
    """
    who, method = cell
    if method not in {"GET", "POST"}:
        return cell if who == "nobody" else "others"
    return cell if who in {"owner", "viewer"} else who


def in_turn(route):
    """Return the methods, for each address beginning with another one."""
    first = [one.pattern for one in ROUTES].index(route.pattern) % len(METHODS)
    return METHODS[first:] + METHODS[:first]


@pytest.mark.parametrize("route", GUARDED)
def test_permissions(world, route, say, sample):
    known = world.found[route.pattern]
    fields, queries = (
        {name: max(values) for name, values in given.items() if any(values)} for given in (known.fields, known.queries)
    )
    path, body = route.path(known.own), b""
    if not route.arguments:  # what it is about may be in these
        path, body = f"{path}?{urlencode(queries)}", urlencode(fields).encode()
    answers = {}
    every = [(who, method) for who in PEOPLE for method in in_turn(route)]
    for who, method in sample("URL, role, method", every, by=role_and_method):
        with undone():
            answers[who, method] = world.ask(who, method, path, body if method == "POST" else b"")
    sent = {method: answer for (who, method), answer in answers.items() if who in {"nobody", "owner"}}
    methods = {method for method, answer in sent.items() if answer.status_code != 405}
    assert {*sent} == {*METHODS}
    assert methods
    asks = route.name in ELSEWHERE
    wrong = {
        cell: answer.status_code
        for cell, answer in answers.items()
        if answer.status_code not in expected(route, cell[0], methods, cell[1])
        or (cell[0] == "nobody" and answer.status_code == 302 and not answer["Location"].startswith("/login/"))
        # Whoever has just signed in is not asked again.
        or (cell[0] == "owner" and answer.get("Location", "").startswith(PROOFS) and not asks)
    }
    assert not wrong
    # An address that is never found would show nothing of its permission.
    assert {answers[cell].status_code for cell in answers if cell[0] in {"owner", "admin"} and cell[1] in methods} != {
        404
    }
    say(**{"URL, role, method, as the one table says": len(answers)})


@pytest.mark.parametrize("route", [pytest.param(one, id=one.name or "home") for one in ROUTES])
def test_the_table_says_which_actions_ask_again(world, route):
    """Every address that takes POST is in it, or public; and asks as it says, whoever wrote the view."""
    found = world.found[route.pattern]
    path = route.path(found.own or dict.fromkeys(route.arguments, 1))
    fields = {name: max(values) for name, values in found.fields.items() if any(values)}
    asked = {}
    # The owner who has just signed in sends the same in the test above, but for what is one's own.
    fresh = ("owner",) if THOROUGH or route.pattern.startswith(OWN) else ()
    for method, body in (("GET", b""), ("POST", urlencode(fields).encode())):
        for who in ("a day", "ten minutes", *fresh):
            # What asks for nothing after a day asks for nothing after ten minutes: one comparison decides both.
            if who == "ten minutes" and not asked[method, "a day"] and not THOROUGH:
                asked[method, who] = False
                continue
            with undone():
                answer = world.ask(who, method, path, body)
            asked[method, who] = answer.get("Location", "").startswith(PROOFS) and answer.status_code == 302
        if answer.status_code == 405:
            del asked[method, "a day"]
    within = ASKS_AGAIN.get(route.name, "")
    if ("POST", "a day") in asked:
        assert route.name in ASKS_AGAIN or route.pattern in PUBLIC, "say whether it asks for the password again"
    if route.pattern in PUBLIC or route.name in ELSEWHERE:
        return
    assert not any(there for (_, who), there in asked.items() if who == "owner")
    for method in ("GET", "POST"):
        if (method, "a day") in asked:
            assert asked[method, "a day"] == isinstance(within, int), method
            assert asked[method, "ten minutes"] == (within == MINUTES), method


def test_the_table_names_addresses_that_are_there():
    assert {*ASKS_AGAIN} <= {one.name for one in ROUTES}
    assert all(within in {MINUTES, HOUR} or within for within in ASKS_AGAIN.values())


WITH_IDS = [one for one in GUARDED if any(kind in {"uuid", "int"} for kind in one.values[0].arguments.values())]


@pytest.mark.parametrize("route", WITH_IDS)
def test_the_ids_of_another_tenant_lead_nowhere(world, route, sample):
    found = world.found[route.pattern]
    assert found.own, "nothing was found that this address could be asked with"
    changed = [name for name in found.own if str(found.own[name]) != str(found.foreign[name])]
    assert changed, "no row of the neighbour's is like this one"
    body = urlencode({name: sorted(values)[0] for name, values in found.fields.items() if values}).encode()
    # One of the two with htmx, of the next address the other: how a 404 is put is decided after the row is not found.
    both = turned(("", "true"), [one.values[0] for one in WITH_IDS].index(route))
    ways = [(method, htmx) for method in ("GET", "POST") for htmx in both]
    for method, htmx in sample("URL of another tenant, method, htmx", ways, by=lambda way: way[0]):
        headers = {"HTTP_HX_REQUEST": htmx} if htmx else {}
        with undone(), writes() as tables:
            url = route.path(found.foreign)
            answer = world.ask("owner", method, url, body if method == "POST" else b"", **headers)
        assert answer.status_code in {404, 405} or is_way_back(answer, url), (method, headers)
        assert not {table for table in tables if not RECORDS.search(table)}


def is_way_back(answer, url):
    """Whether it is the answer to a fragment of something that is gone: the way back to its list.

    Or of a file, which htmx is told to have the browser ask for, whoever asks: that request is refused.
    """
    onwards = answer.get("HX-Redirect", "/")
    return answer.status_code == 200 and not answer.content and (UUID.search(onwards) is None or onwards == url)


def test_fields_with_ids_of_another_tenant_change_nothing_and_show_nothing(world):
    """Each form field, and each query string, that has ever carried one of our IDs carries the neighbour's instead."""
    theirs, tried = {str(one) for one in world.twins.values()}, 0
    for route in ROUTES:
        found = world.found[route.pattern]
        for method, fields in (("POST", found.fields), ("GET", found.queries)):
            carriers = {
                name: world.twins[value]
                for name in fields
                for value in fields[name]
                if value in world.twins and UUID.fullmatch(value)
            }
            for name, foreign in carriers.items():
                asked = {one: sorted(values)[0] for one, values in fields.items() if values} | {name: foreign}
                path, text = route.path(found.own), urlencode(asked)
                with undone():
                    answer = (
                        world.ask("owner", "POST", path, text.encode())
                        if method == "POST"
                        else world.ask("owner", "GET", f"{path}?{text}")
                    )
                    after = world.rows_naming(foreign)
                if answer.status_code == 405:
                    continue
                tried += 1
                assert answer.status_code in {200, 302, 404, 422}, (path, name)
                shown = {*UUID.findall(answer.content.decode(errors="replace"))} & theirs
                assert shown <= {str(foreign)}, (path, name)
                assert after == world.rows_naming(foreign), (path, name)
    assert tried > 5
