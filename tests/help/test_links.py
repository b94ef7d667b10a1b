"""The help link of each page, by the one table."""

from __future__ import annotations

import re

import pytest

from console.help import links
from console.help.chapters import by_slug
from tests import walk

# What is answered with no page of ours, so that nobody could press a link there.
NO_PAGE = re.compile(
    r"\.(?:csv|js|json|sh|conf|txt)$|/(?:applied|report|drill|strength|undelete|navigation|timers|crontab)/?$"
)
OTHERS = {
    "clusters:node_drill": "a machine reports to it",
    "clusters:drill_report": "a machine reports to it",
    "cloud_accounts:link_document": "a file",
    "cloud_accounts:document": "a file",
    "mfa_download_recovery_codes": "a file",
    "mfa_login_webauthn": "answers a script",
    "enrol": "a machine asks it",
    "healthz": "a proxy asks it",
    "readyz": "a proxy asks it",
    "metrics": "Prometheus asks it",
    "csp_reports": "browsers report to it",
}
PAGES = [
    one
    for one in walk.routes()
    if not one.is_admin and not one.is_api and one.name not in OTHERS and not NO_PAGE.search(one.pattern)
]


@pytest.mark.parametrize("route", PAGES, ids=lambda one: one.name)
def test_each_page_has_its_chapter(route):
    assert route.name in links.by_name(), f"say in console/help/links.py which chapter helps on {route.pattern}"


def test_the_table_names_pages_that_are_there_each_once():
    names = [name for places in links.HELP.values() for name in places]
    assert len(names) == len({*names})
    assert {*names} <= {one.name for one in walk.routes()}


@pytest.mark.parametrize("place", links.HELP)
def test_each_place_of_the_table_is_a_heading_of_the_manual(place):
    slug, _, anchor = place.partition("#")
    assert anchor in by_slug()[slug].anchors | {""}


def test_help_address():
    assert links.help_address("stores:delete") == "/help/tasks/delete/#delete-a-store"
    assert links.help_address("search") == links.help_address("none") == "/help/"
