"""The pictures of README and the manual: drawn by `make pictures`, small, shown somewhere, and not out of date."""

from __future__ import annotations

import os
import re

import pytest

from tests.demo_process import ROOT
from tests.gallery.screens import AT_MOST, BY_NAME, FOLDER, PICTURES, WIDE

SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)]+\.(?:webp|png|jpe?g|gif))\)")
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown():
    """Return each picture that a text shows: the text, the words for it, and its file."""
    for text in TEXTS:
        for words, path in SHOWN.findall(text.read_text()):
            yield text.relative_to(ROOT).as_posix(), words, (text.parent / path).resolve()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_pages_of_the_pictures_are_there(camera):
    """Each page and dialog opens, with the elements that the picture is there to show; with DRAW they are drawn."""
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        drawn = camera.seen(BY_NAME[name]).picture
        assert len(drawn) <= AT_MOST, name
        if os.environ.get("DRAW"):
            (FOLDER / f"{name}.webp").write_bytes(drawn)


def size_of(data):
    """Return the width and height that an extended WebP file begins with (RFC 9649, section 2.7)."""
    assert (data[:4], data[8:16]) == (b"RIFF", b"WEBPVP8X")
    return tuple(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_shown(name):
    data = (FOLDER / f"{name}.webp").read_bytes()
    assert len(data) <= AT_MOST
    assert size_of(data) == WIDE
    assert FOLDER / f"{name}.webp" in {file for _, _, file in shown()}


def test_no_other_picture_is_shown_or_kept():
    known = {FOLDER / f"{name}.webp" for name in PICTURES}
    assert {file for _, _, file in shown()} == known == {*FOLDER.iterdir()}
    assert all(len(words) > 15 for _, words, _ in shown())
