"""A language made of English with accents: what comes out without them was not translated, and with them it was."""

from __future__ import annotations

import re
from functools import cache

from babel.messages.catalog import Catalog

from tests import messages

ACCENTS = str.maketrans("aeiouyAEIOUY", "äëïöüÿÄËÏÖÜŸ")
PLACE = re.compile(r"(\{\w*\}|</?\w+>|%\(\w+\)[sd]|&\w+;)")


def accented(text):
    """Return a text with accents on its vowels, and its places as they are."""
    return "".join(part if at % 2 else part.translate(ACCENTS) for at, part in enumerate(PLACE.split(text)))


@cache
def catalog():
    """Return all sentences with accents; finding them takes seconds."""
    made = Catalog(locale="de")
    for one in messages.extracted():
        if one.id:
            made.add(one.id, tuple(map(accented, one.id)) if isinstance(one.id, tuple) else accented(one.id))
    return made


def speak(monkeypatch, settings):
    """Offer the language as German."""
    messages.speak(catalog(), monkeypatch, settings)


def has_accents(value):
    """Return whether somewhere in what a row holds stands a translation."""
    if isinstance(value, dict):
        return any(map(has_accents, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_accents, value))
    return bool(re.search("[äëïöüÿÄËÏÖÜŸ]", str(value)))
