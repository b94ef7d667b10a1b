"""The manual's text: every link leads somewhere, and what it quotes of the console is there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.urls import Resolver404, resolve

from console.help.chapters import PLACES, address, by_path, by_slug, chapters, neighbours, sections, slug_of
from console.help.markdown import outline, render
from tests.demo_process import ROOT
from tests.help.reading import is_said

EVERY = [pytest.param(one, id=one.slug or "index") for one in chapters()]
OURS = [one for one in EVERY if one.values[0].path.startswith("docs/")]
BOLD = re.compile(r"\*\*([^*]+)\*\*")
QUOTED = re.compile(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`")


class Elements(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def ids(chapter):
    return {attrs["id"] for _, attrs in Elements(chapter.rendered.html).found if "id" in attrs} | {""}


def test_each_file_of_the_manual_is_in_its_index():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert files <= {one.path for one in chapters()}
    operators = {path.relative_to(ROOT).as_posix() for path in (ROOT / "console/deploy").rglob("*.md")}
    assert operators <= {one.path for one in chapters()}


def test_each_chapter_has_a_place_and_a_section_of_its_own():
    assert len(by_slug()) == len(by_path()) == len(chapters()) > 35
    assert sum(map(len, sections().values())) == len(chapters()) - 1
    assert all(re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)*", one.slug) for one in chapters()[1:])


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("docs/index.md", ""),
        ("docs/tasks/restore.md", "tasks/restore"),
        ("console/deploy/README.md", "operating/install"),
        ("console/deploy/monitoring/README.md", "operating/monitoring"),
        ("SECURITY.md", "project/security"),
    ],
)
def test_slug_of(path, slug):
    assert slug_of(path) == slug
    assert PLACES[-1][0] == ""


def test_neighbours_follow_the_index():
    every = chapters()
    assert neighbours(every[0]) == (None, every[1])
    assert neighbours(every[5]) == (every[4], every[6])
    assert neighbours(every[-1]) == (every[-2], None)


@pytest.mark.parametrize("chapter", EVERY)
def test_links_lead_to_a_heading_that_is_there(chapter):
    links = [attrs["href"] for tag, attrs in Elements(chapter.rendered.html).found if tag == "a" and "href" in attrs]
    for link in links:
        path, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        if path.startswith("/help/"):
            assert anchor in ids(by_slug()[path.removeprefix("/help/").rstrip("/")]), link
        elif path:
            try:
                resolve(path)
            except Resolver404:
                pytest.fail(f"{link} is no address of the console")
        else:
            assert anchor in ids(chapter), link


@pytest.mark.parametrize("chapter", EVERY)
def test_what_is_linked_and_not_shown_is_a_file_of_the_project(chapter):
    for link in chapter.rendered.unknown:
        assert ((ROOT / chapter.path).parent / link.partition("#")[0]).exists(), link
    if chapter.path.startswith("docs/"):
        assert chapter.rendered.unknown == []


@pytest.mark.parametrize("chapter", EVERY)
def test_the_outline_has_the_headings_of_the_page(chapter):
    assert [(one.title, one.anchor, one.level) for one in chapter.outline] == chapter.rendered.anchors
    assert chapter.rendered.title == chapter.outline[0].title
    assert all(one.text.strip() for one in chapter.outline if one.level > 2)


@pytest.mark.parametrize("chapter", OURS)
def test_the_pages_buttons_and_fields_that_are_named_are_there(chapter):
    named = BOLD.findall(re.sub(r"```.*?```", "", chapter.source, flags=re.S))
    missing = [one for one in named if not is_said(" ".join(one.split()))]
    assert not missing, f"{chapter.path} names what the console does not: {missing}"


@pytest.mark.parametrize("chapter", OURS)
def test_the_settings_that_are_named_are_there(chapter):
    known = (ROOT / "console/deploy/settings.md").read_text()
    assert [one for one in QUOTED.findall(chapter.source) if f"`{one}`" not in known] == []


def test_the_errors_that_are_explained_are_those_that_are_said():
    errors = [one.title for one in by_slug()["troubleshooting"].outline if one.level == 3]
    assert len(errors) > 30
    missing = [one for one in errors if not is_said(one)]
    assert not missing, f"the console says these no more: {missing}"


def test_what_is_not_there_is_found():
    assert is_said("Link Cloud Account")
    assert is_said("AWS does not let the console assume …")
    assert not is_said("Link Clown Account")
    assert not is_said("Link Cloud Accoun")


def test_markdown_is_made_html_without_anything_raw():
    text = "# T\n\n<script>x</script> [a](javascript:x) **b** [c](other.md#d) [e](none.md)\n\n"
    text += "| h | |\n|---|---|\n| 1 | 2 |\n\n" * 2
    found = render(text, {"other.md": "/help/other/"}.get)
    assert found.title == "T"
    assert found.unknown == ["none.md"]
    assert "<script" not in found.html
    assert 'href="javascript' not in found.html
    assert '<a href="/help/other/#d">c</a>' in found.html
    assert '<a title="A file of the source: none.md">e</a>' in found.html
    assert '<th scope="col">h</th>' in found.html
    assert found.html.count("<th") - found.html.count("<thead") == 2  # an empty head heads nothing
    assert re.findall(r'role="region" aria-label="(.*?)"', found.html) == ["Table 1", "Table 2"]


def test_headings_of_one_name_have_anchors_of_their_own():
    text = "# A\n\n## `B` *c*\n\nOne [link](x.md).\n\n```\n# no heading\n```\n\n<!-- not run -->\n## B c\n"
    assert [(one.title, one.anchor) for one in outline(text)] == [("A", ""), ("B c", "b-c"), ("B c", "b-c-1")]
    assert outline(text)[1].text.split() == ["One", "link.", "#", "no", "heading"]
    assert [one[1] for one in render(text, lambda path: None).anchors] == ["", "b-c", "b-c-1"]
    assert "not run" not in render(text, lambda path: None).html


def test_address_of_a_link_goes_by_the_file_that_it_stands_in():
    assert address("docs/tasks/restore.md", "../concepts.md") == "/help/concepts/"
    assert address("console/deploy/README.md", "keys.md") == "/help/operating/keys/"
    assert address("console/deploy/README.md", "run") is None
