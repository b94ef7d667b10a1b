"""A form that is refused says above its fields what is wrong, and each line leads to where that is corrected."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests import walk
from tests.fuzz.world import undone

SENT = [one for one in walk.routes() if not one.is_admin and not one.is_api and hasattr(one.view, "permission")]
HTML = {"HTTP_HX_REQUEST": "true"}


class Refusal(HTMLParser):
    """The IDs of a page, what its summary of errors links to, and how many fields are marked."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.alerts = 0
        self._within = 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        if self._within:
            self._within += tag == "div"
            if tag == "a":
                self.links.append(given["href"])
        elif given.get("role") == "alert":
            self._within, self.alerts = 1, self.alerts + 1

    def handle_endtag(self, tag):
        if self._within and tag == "div":
            self._within -= 1


@pytest.mark.parametrize("kind", ["page", "dialog"])
@pytest.mark.parametrize("route", [pytest.param(one, id=one.pattern) for one in SENT])
def test_each_error_of_a_summary_leads_to_its_field(world, route, kind, say):
    path = route.path(world.found[route.pattern].own)
    with undone():
        answer = world.ask("owner", "POST", path, b"", **(HTML if kind == "dialog" else {}))
    if answer.status_code != 422 or not answer.get("Content-Type", "").startswith("text/html"):
        return
    html = answer.content.decode()
    found = Refusal(html)
    assert {link.removeprefix("#") for link in found.links if link.startswith("#")} <= {*found.ids}
    beside = re.findall(r'<p class="error"', html)
    assert found.alerts or not beside  # what is wrong with a field is said above, too
    say(**{"links of summaries of errors": len(found.links)})
