"""Markdown as HTML: CommonMark and tables, nothing raw, each heading with an anchor as GitHub names it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

FENCE = re.compile(r"\s*(?:```|~~~)")
HEADING = re.compile(r"(#{1,6}) +(.+?)(?: +#+)?\s*$")
LISTED = re.compile(r"^\s*(?:[-*>]|\d+\.)\s+|\|")  # what a list or a table puts before words
RULE = re.compile(r"[\s|:-]+$")  # below the head of a table
LINKED = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
EMPHASIS = re.compile(r"(\*\*|\*|`)(?=\S)(.+?)(?<=\S)\1")
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE)  # notes for tests, which are for no reader
PICTURE = (1280, 900)  # pixels: what `make pictures` draws
ELSEWHERE = re.compile(r"(?:https?:|mailto:|#|/)")  # links that are not to a file of the project


@dataclass
class Section:
    """What stands below one heading, up to the next: its anchor ("" before the first) and its plain text."""

    title: str
    anchor: str
    level: int  # 1 to 6; 1 for the chapter itself
    text: str = ""


@dataclass
class Rendered:
    """One Markdown text as HTML, without its first heading, which is the title."""

    title: str = ""
    html: str = ""
    anchors: list[tuple[str, str, int]] = field(default_factory=list)  # title, anchor and level of each heading
    links: list[str] = field(default_factory=list)  # as written
    unknown: list[str] = field(default_factory=list)  # links to files that are no chapters


def slug(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def outline(text: str) -> list[Section]:
    """Return the sections of a text with their words, without marks: at a thousandth of what rendering it takes."""
    found: list[Section] = []
    taken: dict[str, int] = {}
    fenced = False
    for line in COMMENT.sub("", text).splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and (heading := HEADING.match(line)):
            title, level = unmarked(heading[2]), len(heading[1])
            anchor = _anchor(title, taken)
            found.append(Section(title, anchor if found else "", level))
        elif found and not RULE.match(line):
            found[-1].text += f" {line if fenced else unmarked(LISTED.sub(' ', line))}"
    return found


def unmarked(line: str) -> str:
    """Return the words of a line of Markdown."""
    return EMPHASIS.sub(r"\2", EMPHASIS.sub(r"\2", LINKED.sub(r"\1", line))).strip()


def _anchor(title: str, taken: dict[str, int]) -> str:
    name = slug(title)
    taken[name] = taken.get(name, -1) + 1
    return f"{name}-{taken[name]}" if taken[name] else name


def render(text: str, resolve: Callable[[str], str | None]) -> Rendered:
    """Return the text as HTML; `resolve` gives the address for a link to a file, None where that is not shown here."""
    parser = _parser()
    tokens = parser.parse(COMMENT.sub("", text))
    found = Rendered()
    shown = _headed(tokens, found)
    for token in shown:
        for child in token.children or ():
            if child.type == "link_open":
                _link(child, resolve, found)
            elif child.type == "image":
                _image(child, resolve, found)
    _table_heads(shown)
    found.html = str(parser.renderer.render(shown, parser.options, {}))
    return found


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules: dict[str, Any] = parser.renderer.rules  # type: ignore[attr-defined]
    rules["table_open"] = _table_opened
    rules["table_close"] = lambda *_: "</table></div>\n"
    return parser


def _table_opened(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """Return the beginning of a table: a wide one scrolls by itself, by keyboard too, so it is a region with a name."""
    number = int(tokens[index].meta["number"])
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table {number}"><table>\n'


def _headed(tokens: Sequence[Token], found: Rendered) -> list[Token]:
    """Give each heading its anchor, and return the tokens without the first one, which the page shows as its own."""
    taken: dict[str, int] = {}
    first = next((at for at, one in enumerate(tokens) if one.type == "heading_open" and one.tag == "h1"), None)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            title = plain(tokens[at + 1])
            anchor = _anchor(title, taken)
            if at == first:
                found.title = title
            else:
                token.attrSet("id", anchor)
            found.anchors.append((title, "" if at == first else anchor, int(token.tag[1:])))
    return [one for at, one in enumerate(tokens) if first is None or not first <= at <= first + 2]


def plain(token: Token) -> str:
    """Return a token's words, without marks."""
    if token.children is None:
        return token.content
    breaks = {"softbreak": " ", "hardbreak": " "}
    return "".join(breaks.get(child.type, child.content) for child in token.children)


def _link(token: Token, resolve: Callable[[str], str | None], found: Rendered) -> None:
    href = str(token.attrGet("href") or "")
    found.links.append(href)
    if href.startswith(("http:", "https:")):
        token.attrSet("rel", "noopener noreferrer")
    elif not ELSEWHERE.match(href):
        path, _, anchor = href.partition("#")
        address = resolve(path)
        if address is None:  # a file of the project that is no chapter: it is named, and found in the source
            found.unknown.append(href)
            del token.attrs["href"]
            token.attrSet("title", f"A file of the source: {path}")
        else:
            token.attrSet("href", f"{address}#{anchor}" if anchor else address)


def _image(token: Token, resolve: Callable[[str], str | None], found: Rendered) -> None:
    """Show a picture of the project from where the console serves it, in a frame that is there before it has come."""
    source = str(token.attrGet("src") or "")
    address = resolve(source)
    if address is None:
        found.unknown.append(source)
    else:
        token.attrs |= {"src": address, "width": PICTURE[0], "height": PICTURE[1], "loading": "lazy"}


def _table_heads(tokens: Sequence[Token]) -> None:
    """Say which way each head of a table goes, an empty one heads nothing; and number the tables."""
    tables = 0
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            tables += 1
            token.meta["number"] = tables
        elif token.type == "th_open":
            if tokens[index + 1].content.strip():
                token.attrSet("scope", "col")
            else:
                token.tag = tokens[index + 2].tag = "td"
