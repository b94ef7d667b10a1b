"""Every page of the console, whatever it is about, has a link to a chapter of the manual that is there."""

from __future__ import annotations

import re

import pytest

from console.help.chapters import by_slug
from console.help.links import help_address
from tests import walk

pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.slow, pytest.mark.timeout(600)]

LINK = re.compile(r'<a class="icon-button" href="([^"]*)" aria-label="Help on this page">')


def shown(answer):
    return answer.content.decode(errors="replace") if answer.status_code == 200 else ""


def test_each_page_leads_to_its_chapter(world):
    seen = set()
    for route in walk.routes():
        if route.is_admin or route.is_api:
            continue
        path = route.path(world.found[route.pattern].own or dict.fromkeys(route.arguments, 1))
        text = world.pages.get(path) or shown(world.ask("owner", "GET", path))
        if '<div class="shell">' not in text:
            continue
        links = LINK.findall(text)
        assert links == [help_address(route.name)], path
        slug, _, anchor = links[0].removeprefix("/help/").partition("#")
        assert anchor in by_slug()[slug.rstrip("/")].anchors | {""}, path
        seen.add(route.name)
    assert len(seen) > 60


def test_each_dialog_leads_to_its_own_chapter(world):
    seen = set()
    for route in walk.routes():
        if route.is_admin or route.is_api:
            continue
        path = route.path(world.found[route.pattern].own or dict.fromkeys(route.arguments, 1))
        if 'class="dialog-body' not in world.pages.get(path, 'class="dialog-body'):
            continue  # what is a dialog is shown as a page, too
        text = shown(world.ask("owner", "GET", path, HTTP_HX_REQUEST="true"))
        if 'class="dialog-body' in text:
            assert f'href="{help_address(route.name)}" target="_blank"' in text, path
            seen.add(route.name)
    assert len(seen) > 25
