"""Plain English: the turns that docs/style.md refuses stand in no text that people read."""

from __future__ import annotations

import re

import pytest

from tests.demo_process import ROOT
from tests.sentences import sentences_of_python, sentences_of_template

GUIDE = (ROOT / "docs/style.md").read_text()
TABLE = GUIDE.partition("## Turns that the test refuses")[2]
TURNS = [
    row.strip("| ").split(" | ")[0]
    for row in TABLE.splitlines()
    if row.startswith("| ") and not row.startswith(("| Turn ", "|--"))
]
REFUSED = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, TURNS))})(?![\w-])", re.IGNORECASE)
PAGES = [path for path in ROOT.glob("templates/**/*") if path.suffix in {".html", ".txt"}]
CODE = [
    path
    for top in ("console", "stores", "clusters")
    for path in (ROOT / top).rglob("*.py")
    if not {"migrations", "demo"} & {*path.parts}
]
TEXTS = [
    *ROOT.glob("*.md"),
    *(path for path in ROOT.glob("docs/**/*.md") if path.name != "style.md"),
    *ROOT.glob("console/**/*.md"),
]


def found_in(path):
    """Return each refused turn of a file, with its surroundings."""
    text = path.read_text()
    if path.suffix == ".py":
        texts = [one for one in sentences_of_python(text) if one.strip().count(" ") > 1]
    elif path.suffix == ".html":
        texts = [*sentences_of_template(text)]
    else:
        texts = [text]
    return [
        " ".join(one[max(0, hit.start() - 40) : hit.end() + 40].split())
        for one in texts
        for hit in REFUSED.finditer(one)
    ]


@pytest.mark.parametrize(
    ("kind", "paths"), [("pages", PAGES), ("code", CODE), ("texts", TEXTS)], ids=["pages", "code", "texts"]
)
def test_no_refused_turn_is_read_by_people(kind, paths):
    wrong = {path.relative_to(ROOT).as_posix(): hits for path in paths if (hits := found_in(path))}
    assert not wrong, f"docs/style.md has what to write instead: {wrong}"
    assert len(paths) > 10


def test_the_guide_lists_turns_and_what_to_write_instead():
    assert len(TURNS) > 10
    rows = [row for row in TABLE.splitlines() if row.startswith("| ") and not row.startswith("| Turn ")]
    assert all(len(row.strip("| ").split(" | ")) == 2 for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "hits"),
    [
        ("a.html", "<p>It shall be made.</p>", 1),
        ("a.html", "{# mend it #}<p>amend</p>", 0),
        ("a.py", '"""Mend it."""\nx = "We mend it."', 1),
        ("a.md", "Nobody can mend\nthis in vain.", 2),
    ],
)
def test_turns_are_found_where_people_read_them(tmp_path, name, text, hits):
    (tmp_path / name).write_text(text)
    assert len(found_in(tmp_path / name)) == hits
