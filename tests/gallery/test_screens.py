"""The twelve main screens look as they did: wide and narrow, light and dark (the tolerance is camera.TOLERANCE).

`make pictures` draws them anew, after a change that is meant; look at its difference before you commit it.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.demo_process import ROOT
from tests.gallery.camera import TOLERANCE, difference
from tests.gallery.screens import BY_NAME, NARROW, SCREENS, WIDE
from tests.sampling import thorough_but

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
KEPT = ROOT / "tests" / "gallery" / "light.json"
LOOKS = [(size, scheme) for size in (WIDE, NARROW) for scheme in ("light", "dark")]
# As in test_layout: what is shown depends on the width, its colours on the theme. All are drawn.
TRIED = LOOKS if os.environ.get("DRAW") else thorough_but(LOOKS, by=lambda look: look[0])


def kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def keep(taken):
    lines = (f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted({**kept(), **taken}.items()))
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def named(screen, size, scheme):
    return f"{screen.name}, {size[0]}, {scheme}"


@pytest.mark.parametrize(("size", "scheme"), TRIED, ids=[f"{size[0]}-{scheme}" for size, scheme in LOOKS])
def test_screens_look_as_they_did(camera, say, size, scheme):
    taken = {named(one, size, scheme): camera.light(one, size=size, scheme=scheme) for one in SCREENS}
    if os.environ.get("DRAW"):
        keep(taken)
    far = {name: difference(rows, kept().get(name, [])) for name, rows in taken.items()}
    say(f"screens, {size[0]}, {scheme}: at most {max(far.values()):.1%} of the parts are off")
    assert {name: f"{share:.1%}" for name, share in far.items() if share > TOLERANCE} == {}


BROKEN = {
    "the columns are gone": ".shell { display: block !important }",
    "panes are not side by side": ".panes { grid-template-columns: 1fr !important }",
    "the style sheet's parts are gone": ".pane, .filters, .facts, .badge { all: revert !important }",
    "twice the space": ".shell > main { padding: 80px !important }",
    "the other theme": ":root { color-scheme: dark !important }",
    "letters of twice the size": "body { font-size: 22px !important }",
}


@pytest.mark.parametrize("style", BROKEN.values(), ids=BROKEN)
def test_a_broken_layout_is_seen(camera, style):
    screen = BY_NAME["backup-stores"]
    taken = camera.light(screen, size=WIDE, scheme="light", style=style)
    assert difference(taken, kept()[named(screen, WIDE, "light")]) > TOLERANCE


@pytest.mark.parametrize("font", ["serif", "monospace"])
def test_the_fonts_of_another_machine_are_not(camera, font):
    screen = BY_NAME["backup-stores"]
    taken = camera.light(screen, size=WIDE, scheme="light", style=f"body, code, input {{ font-family: {font} }}")
    assert difference(taken, kept()[named(screen, WIDE, "light")]) <= TOLERANCE


def test_light_is_kept_of_each_screen_and_of_nothing_else():
    assert {*kept()} == {named(one, *look) for one in SCREENS for look in LOOKS}
    assert len(SCREENS) == 12
    assert KEPT.stat().st_size < 80_000
