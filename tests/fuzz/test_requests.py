"""Whatever is sent to whatever address: no error of the console's own, and a refusal has changed nothing.

FUZZ_EXAMPLES=2000 sends so many strange requests to each address, others each time; without it they are few, and
always the same.
"""

from __future__ import annotations

import gzip
import inspect
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import walk
from tests.fuzz.strategies import MARK, requests
from tests.fuzz.world import RECORDS, undone, writes
from tests.sampling import THOROUGH, spread

# They share a world, which the first one makes.
pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
EVERY = walk.routes()
ROUTES = [pytest.param(one, id=one.pattern or "home") for one in EVERY]


def fuzzed(route):
    is_public = not hasattr(route.view, "permission")
    few = 1 if route.is_admin else 10 if THOROUGH else 3 if is_public else 2
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a request can be read as it is
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def kind(route):
    """Return what answers alike: Django's own view of one of the admin's models, or the frame of the API's calls.

    Into the API's calls go what its OpenAPI file allows and does not (tests/api/test_fuzz.py).
    """
    if route.is_api or route.is_admin:
        return route.is_api, inspect.unwrap(route.view).__name__, len(route.arguments)
    return route.pattern


CHOSEN = spread(EVERY, by=kind, of_each=3)


@pytest.mark.parametrize(
    "route",
    [
        case if one in CHOSEN else pytest.param(one, id=case.id, marks=pytest.mark.thorough)
        for one, case in zip(EVERY, ROUTES, strict=True)
    ],
)
def test_requests_never_fail_and_refusals_change_nothing(world, route):
    @fuzzed(route)
    @given(st.data())
    def ask(data):
        asked = data.draw(requests(world, route))
        with undone():
            with writes() as tables:
                answer = asked.send(world)
            assert answer.status_code < 500 or asked.path == "/readyz", answer.status_code
            # Whoever writes nothing but what a refusal may change is not compared, which takes longer than a page.
            if 400 <= answer.status_code < 500 and not all(RECORDS.search(one) for one in tables):
                assert not world.changes(), (answer.status_code, tables)
            if answer.get("Content-Type", "").startswith("text/html"):
                content = gzip.decompress(answer.content) if answer.get("Content-Encoding") else answer.content
                assert MARK not in content.decode(), "what was sent came back as markup"

    ask()


TOKENLESS = {
    "clusters/<uuid:pk>/nodes/<slug:name>/applied/",  # a node's report, which carries the node's own token
    "clusters/<uuid:pk>/nodes/<slug:name>/drill/",  # what it says of a drill, the same
    "clusters/<uuid:pk>/drills/<int:drill>/report/",  # what a drill machine says, with its plan's token
    "csp-reports/",  # which browsers send by themselves
}


@pytest.mark.parametrize("route", ROUTES)
def test_every_unsafe_request_wants_a_token(world, route):
    values = world.found[route.pattern].own or dict.fromkeys(route.arguments, "1")
    with undone():
        answer = world.ask("nobody", "POST", route.path(values), HTTP_X_CSRFTOKEN="")
    assert (answer.status_code == 403) == (route.pattern not in TOKENLESS and not route.is_api)
    assert not route.is_api or answer.status_code in {400, 401, 404, 405}
