"""The manual's search: sections in which all words stand, those with them in a title first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from console.help.chapters import Chapter, chapters
from console.help.markdown import Section

MOST = 30  # sections that are shown
AROUND = 80  # characters of an excerpt before the first word that was found, and twice as many after it
WORDS = 10  # of the question that count


@dataclass(frozen=True)
class Found:
    """One section that was found, with a part of its text."""

    title: str
    chapter: str
    url: str
    excerpt: list[tuple[str, bool]]  # pieces of text, and whether each is one of the words


BEGUN = r"(?<![^\W_])"  # where no letter or digit is before


def search(query: str, *, most: int = MOST) -> list[Found]:
    """Return the sections in which a word begins with each word of the query: the chapter's title or the section."""
    words = query.lower().split()[:WORDS]
    if not words:
        return []
    every = [(chapter, section) for chapter in chapters()[1:] for section in chapter.outline]
    ranked = [(rank, *one) for one in every if (rank := _rank(words, *one))]
    ranked.sort(key=lambda one: -one[0])  # of one rank, in the order of the manual
    return [_found(words, chapter, section) for _, chapter, section in ranked[:most]]


def _rank(words: list[str], chapter: Chapter, section: Section) -> int:
    """Return how well a section answers; 0 where a word is missing."""
    title, of, text = section.title.lower(), chapter.title.lower(), section.text.lower()
    rank = 0
    for word in words:
        begun = re.compile(BEGUN + re.escape(word))  # of a word: nobody who looks for Paris wants a comparison
        found = 8 * bool(begun.search(title)) + 3 * bool(begun.search(of) and section.level == 1)
        found += min(len(begun.findall(text)), 3)
        if not found:
            return 0
        rank += found
    return rank + 2 * (section.level == 1)


def _found(words: list[str], chapter: Chapter, section: Section) -> Found:
    url = f"{chapter.url}#{section.anchor}" if section.anchor else chapter.url
    return Found(section.title, chapter.title, url, excerpt(section.text, words))


def excerpt(text: str, words: list[str]) -> list[tuple[str, bool]]:
    """Return the part of a text around the first of the words, in pieces."""
    text = " ".join(text.split())
    every = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    pattern = re.compile(f"{BEGUN}(?:{every})", re.IGNORECASE)
    first = pattern.search(text)
    at = first.start() if first else 0
    start = text.rfind(" ", 0, max(at - AROUND, 0)) + 1 if at > AROUND else 0
    cut = text[start : at + 2 * AROUND]
    if at + 2 * AROUND < len(text):
        cut = cut.rpartition(" ")[0] + " …"
    pieces, end = ([("… ", False)] if start else []), 0
    for one in pattern.finditer(cut):
        pieces += [(cut[end : one.start()], False), (one[0], True)]
        end = one.end()
    return [piece for piece in [*pieces, (cut[end:], False)] if piece[0]]
