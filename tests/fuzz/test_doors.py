"""No page of a viewer leads to what a viewer may not do: a door that is shut is not drawn."""

from __future__ import annotations

import pytest

from console.accounts.permissions import ROLES
from tests import walk
from tests.fuzz.world import undone
from tests.walk import Harvest

SHOWN = [one for one in walk.routes() if not one.is_admin and not one.is_api]


def wants(view):
    """Return all that the view asks for, of its decorators too."""
    inner = getattr(view, "__wrapped__", None)
    return ({view.permission} if hasattr(view, "permission") else set()) | (wants(inner) if inner else set())


@pytest.mark.parametrize(
    "route", [pytest.param(one, id=one.pattern) for one in SHOWN if hasattr(one.view, "permission")]
)
def test_a_viewer_sees_no_door_that_is_shut(world, route, say):
    with undone():
        answer = world.ask("viewer", "GET", route.path(world.found[route.pattern].own))
    if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
        return
    harvest = Harvest(route.path(world.found[route.pattern].own), answer.content.decode())
    shut = set()
    for address in {*harvest.links, *(action for _, action, _ in harvest.forms)}:
        leads = walk.find(address, world.routes)
        if leads and wants(leads.view) - ROLES["viewer"]:
            shut.add(address)
    say(**{"links and forms of a viewer's pages": len(harvest.links) + len(harvest.forms)})
    assert not shut
