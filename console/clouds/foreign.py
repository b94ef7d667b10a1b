"""Text that somebody else has written, made fit to be kept and shown: cut, and without what breaks a line or turns it.

An error's message, its code and its request ID, the name of a bucket or a folder: whoever runs a linked server chooses
all of them.
"""

from __future__ import annotations

import unicodedata
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
