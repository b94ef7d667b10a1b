"""Text that somebody else has written, made fit to be kept and shown: cut, and without what breaks a line or turns it.

An error's message, its code and its request ID, the name of a bucket or a folder: whoever runs a linked server chooses
all of them.
"""

from __future__ import annotations

import re
import unicodedata
from http import HTTPStatus
from typing import Any

MESSAGE = 1000  # characters of what a server says; those of Amazon, Azure and Google have a few hundred
WORD = 128  # of a code, a request ID, a name
LINES = 4000  # of a text of ours that holds foreign parts, such as a statement for a policy
PARTS = 100  # members of an object, at each of its levels
LEVELS = 8  # of objects in objects
# Control and format characters (bidi among them), halves of a pair, private and unassigned ones, ends of lines.
CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def text(value: object, at_most: int = MESSAGE, *, lines: bool = False) -> str:
    """Return the value as text of one line, of so many characters at most; with `lines` it keeps its line ends.

    Each run of characters that are not to be shown is a space. What is cut off is an ellipsis.
    """
    said = str(value)
    if len(said) <= at_most and said.isascii() and said.isprintable():  # as most are
        return said.strip()
    known = said[: 2 * at_most]  # of what follows nothing can be left but space
    shown = "".join(
        one if one == " " or (lines and one == "\n") or unicodedata.category(one) not in CATEGORIES else "\x00"
        for one in known
    )
    while "\x00\x00" in shown:
        shown = shown.replace("\x00\x00", "\x00")
    shown = shown.replace("\x00", " ").strip()
    return shown if len(shown) <= at_most and len(said) <= 2 * at_most else f"{shown[: at_most - 1]}…"


def word(value: object) -> str:
    """Return a code, an ID or a name as text of one line."""
    return text(value, WORD)


def tidy(value: Any, levels: int = LEVELS) -> Any:
    """Return what was read of JSON, with each text in it cut and cleaned, and no more than so many parts and levels."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {word(key): tidy(one, levels - 1) for key, one in list(value.items())[:PARTS]} if levels else {}
    if isinstance(value, (list, tuple)):
        return [tidy(one, levels - 1) for one in value[:PARTS]] if levels else []
    return value


# What says nothing, however it is put, and the phrase of a status, which a client adds where there was no answer.
NOTHING = frozenset({"", "none", "null", "nil", "undefined", "unknown", "no reason given", "n/a"})
PHRASES = frozenset(one.phrase.casefold() for one in HTTPStatus) | {"request entity too large"}
HTML = re.compile(r"<\s*(?:!doctype|html|head|body|h\d|title|center)\b", re.IGNORECASE)
TITLE = re.compile(r"<\s*(title|h1)\b[^>]*>([^<]*)<", re.IGNORECASE)
# How a sentence of ours quotes: "It says: …", ": …" at its end, or "(…)".
QUOTING = re.compile(r"(?: (?:\{who\}|\w+) says)?: \{reason\}| \(\{reason\}\)")


def said(message: object, code: str = "") -> str:
    """Return what the other side said about its error, in its own words; "" when it has none.

    Of a page that is meant for browsers it is the title. A code or a status that is said again is no reason.
    """
    if not isinstance(message, str):
        return ""
    found = message[: 20 * MESSAGE]
    if HTML.search(found):
        title = TITLE.search(found)
        found = title[2] if title else ""
    found = text(found)
    plain = re.sub(r"^\d{3}\b", "", found).strip(" .:;!-\"'").casefold()
    return "" if plain in NOTHING | PHRASES | {code.casefold()} else found


def told(template: str, reason: str, *, code: str, **words: str) -> str:
    """Return our sentence with the other side's words in it: {reason}; without the quote when it said nothing."""
    if not reason:
        template = QUOTING.sub("", template)
    sentence = template.format(reason=reason, code=code or "an error without a code", **words)
    return sentence if reason or sentence[-1:] in {".", "!", "?", "…"} else f"{sentence}."
