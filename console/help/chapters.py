"""The manual's chapters: Markdown of `docs/` and of `console/deploy/`, in the order in which docs/index.md names them.

Each file is read when its chapter is first asked for in a process, and kept: they change with a release only.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse

from console.help.markdown import Rendered, Section, outline, render

INDEX = "docs/index.md"
STATIC = "static/"
SECTION = re.compile(r"^## (.+)$")
ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#]+\.md)\)")
# Where files stand in the manual: single ones, and all below a folder.
SINGLE = {"console/deploy/README.md": "operating/install", "console/client/README.md": "api/command-line"}
PLACES = (("docs/", ""), ("console/deploy/", "operating/"), ("", "project/"))


@dataclass(frozen=True)
class Chapter:
    """One page of the manual."""

    slug: str  # such as tasks/restore; "" is the index
    title: str  # as the index calls it
    section: str
    path: str  # of its file in the project

    @property
    def source(self) -> str:
        return (Path(settings.BASE_DIR) / self.path).read_text(encoding="utf-8")

    @cached_property
    def rendered(self) -> Rendered:
        """Return its text as HTML."""
        return render(self.source, lambda link: address(self.path, link))

    @cached_property
    def outline(self) -> list[Section]:
        """Return its sections in plain words, for the search."""
        return outline(self.source)

    @property
    def url(self) -> str:
        return reverse("help:chapter", args=[self.slug]) if self.slug else reverse("help:index")

    @property
    def anchors(self) -> set[str]:
        return {one.anchor for one in self.outline}


def slug_of(path: str) -> str:
    """Return the place of a file in the manual: docs/tasks/restore.md is tasks/restore."""
    if path in SINGLE:
        return SINGLE[path]
    prefix, place = next(one for one in PLACES if path.startswith(one[0]))
    return re.sub(r"/?(?:README|index)$", "", place + path.removeprefix(prefix).removesuffix(".md")).lower()


def address(source: str, link: str) -> str | None:
    """Return the address of the chapter or static file that a link in `source` names; None where it is neither."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if path.startswith(STATIC):
        return static(path.removeprefix(STATIC))
    found = by_path().get(path)
    return found.url if found else None


@lru_cache(maxsize=1)
def chapters() -> tuple[Chapter, ...]:
    """Return all chapters in their order; the first one is the index."""
    text = (Path(settings.BASE_DIR) / INDEX).read_text(encoding="utf-8")
    found, section = [Chapter("", "Contents", "", INDEX)], ""
    for line in text.splitlines():
        if heading := SECTION.match(line):
            section = heading[1]
        elif entry := ENTRY.match(line):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(INDEX), entry[2]))
            found.append(Chapter(slug_of(path), entry[1], section, path))
    return tuple(found)


@lru_cache(maxsize=1)
def by_slug() -> dict[str, Chapter]:
    """Return the chapters by their place."""
    return {one.slug: one for one in chapters()}


@lru_cache(maxsize=1)
def by_path() -> dict[str, Chapter]:
    """Return the chapters by their file."""
    return {one.path: one for one in chapters()}


def sections() -> dict[str, list[Chapter]]:
    """Return the chapters of each section of the index, for the navigation."""
    grouped: dict[str, list[Chapter]] = {}
    for one in chapters()[1:]:
        grouped.setdefault(one.section, []).append(one)
    return grouped


def neighbours(chapter: Chapter) -> tuple[Chapter | None, Chapter | None]:
    """Return the chapters before and after one."""
    every = chapters()
    at = every.index(chapter)
    return (every[at - 1] if at else None), (every[at + 1] if at + 1 < len(every) else None)
