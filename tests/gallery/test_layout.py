"""What pictures cannot tell on a machine with other fonts: nothing is cut off, covered, too wide, pale, or moves."""

from __future__ import annotations

import pytest

from tests.gallery.camera import wrong
from tests.gallery.screens import BY_NAME, NARROW, SCREENS, WIDE
from tests.sampling import THOROUGH

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
LOOKS = [(WIDE, "light"), (NARROW, "dark")]  # what is shown depends on the width, its colours on the theme
LOOKS += [(WIDE, "dark"), (NARROW, "light")] if THOROUGH else []
# Of Lighthouse's score, whose "good" ends at 0.1: what is fetched late moves the page's end, and words of time are
# rewritten in the reader's zone.
MOVES = 0.02
IDS = [f"{size[0]}-{scheme}" for size, scheme in LOOKS]


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=IDS)
def test_layout_of_the_screens(camera, size, scheme):
    found = {screen.name: camera.seen(screen, size=size, scheme=scheme).wrong for screen in SCREENS}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize(("size", "scheme"), LOOKS[:2], ids=["1280", "390"])
def test_hardly_anything_moves_while_a_screen_loads(camera, say, size, scheme):
    shifted = {
        screen.name: camera.seen(screen, size=size, scheme=scheme).moved
        for screen in SCREENS
        if not screen.opens  # what somebody opens may move
    }
    say(f"layout shift, {size[0]}: at most {max(share for share, _ in shifted.values()):.4f}")
    assert {name: told for name, told in shifted.items() if told[0] > MOVES} == {}


BROKEN = {
    "scrolls sideways": "main { width: 1600px }",
    "is cut off": "h1 { overflow: hidden; white-space: nowrap; width: 60px }",
    "reaches over its edge": ".button { width: 20px; white-space: nowrap; padding: 0 }",
    "is covered": ".filters { position: relative; top: 60px } .list-head { position: relative; z-index: 3 }",
    "color-contrast": ":root { --ink-2: #c8c8c8 }",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found(camera, what):
    with camera.looking_at(BY_NAME["backup-stores"], style=BROKEN[what]) as page:
        assert any(one.startswith(what) for one in wrong(page, [what]))


def test_a_page_that_moves_is_found(camera):
    with camera.looking_at(BY_NAME["clusters"]) as page:
        page.evaluate("document.querySelector('main').style.marginTop = '90px'")
        page.wait_for_timeout(200)
        assert page.evaluate("window.shifted") > 0
