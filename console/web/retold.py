"""Texts that were made in English, in the language of whoever reads them. Knows no app.

Workers record what they found, and what the clouds are called is said by modules that know no language. The sentences
of those are in the catalogs like all others (tests.messages.RETOLD names the modules): a text is compared with them,
and what stands in the places of one goes to the places of its translation. What is no sentence of a catalog is shown as
it was recorded, marked as English.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.conf import settings
from django.utils.dates import MONTHS_3, WEEKDAYS
from django.utils.html import format_html
from django.utils.translation import get_language, gettext, gettext_noop, trans_real
from django.utils.translation.trans_real import DjangoTranslation

PLACE = re.compile(r"\{(\w+)\}")
WORD = re.compile(r"[^\W\d_]{2,}")
TIME = re.compile(r"(\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d\d:\d\d UTC)")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SEVERAL = re.compile(r"([^ ,]+(?:, [^ ,]+)*),? and ([^ ,]+)")
LONGEST = 4000  # characters that are compared: what is longer is an answer of somebody else
NESTED = 3  # a sentence in a place of another one, and so on

# What stands in the places of sentences, and what cron's schedules are called.
PHRASES = (
    *(gettext_noop("1 day"), gettext_noop("{number} days"), gettext_noop("1 hour"), gettext_noop("{number} hours")),
    *(gettext_noop("1 minute"), gettext_noop("{number} minutes"), gettext_noop("1 backup")),
    *(gettext_noop("{number} backups"), gettext_noop("1 WAL segment"), gettext_noop("{number} WAL segments")),
    *(gettext_noop("{first} and {last}"), gettext_noop("{first} through {last}")),
    *(gettext_noop("At {time} every day"), gettext_noop("At {time} on {days}")),
    *(gettext_noop("At {time} on the first day of every month"), gettext_noop("At the start of every hour")),
    *(gettext_noop("backup bucket"), gettext_noop("log bucket")),
    *(gettext_noop("backup storage account"), gettext_noop("log storage account")),
    *(gettext_noop("waiting"), gettext_noop("running"), gettext_noop("done"), gettext_noop("failed")),
    *(gettext_noop("All clusters"), gettext_noop("All stores")),
    *(gettext_noop("At minute {minute} of every hour"), gettext_noop("Every {number} minute of every hour")),
)
NOT_ALONE = {"{first} and {last}", "{first} through {last}"}  # which most sentences would be


def retold(text: object) -> str:
    """Return an English text of ours in the active language; as it is where the catalog has no such sentence."""
    language = get_language()
    if language is None or language == settings.LANGUAGE_CODE:
        return text if isinstance(text, str) else str(text)
    found = _translated(str(text), trans_real.translation(language), 0)
    return str(text) if found is None else found


def told(text: object) -> str:
    """Return an English text of ours for a page: in the active language, or marked as English."""
    language = get_language()
    if language is None or language == settings.LANGUAGE_CODE:
        return text if isinstance(text, str) else str(text)
    found = _translated(str(text), trans_real.translation(language), 0)
    return format_html('<span lang="en">{}</span>', text) if found is None else found


@lru_cache(maxsize=8192)
def _translated(text: str, catalog: DjangoTranslation, depth: int) -> str | None:
    """Return an English text in a language that is active; None where its catalog has no such sentence."""
    if not text or len(text) > LONGEST or not WORD.search(text):
        return text if len(text) <= LONGEST else None
    found = gettext(text)
    if found != text:
        return found
    for pieces, source in _patterns(catalog):
        values = _values(text, pieces)
        if values is not None:
            kept: dict[str, list[str]] = {}
            for name, value in zip(PLACE.findall(source), values, strict=True):
                kept.setdefault(name, []).append(_in_place(value, catalog, depth))
            return _filled(gettext(source), kept)
    return None


def _filled(sentence: str, values: dict[str, list[str]]) -> str:
    """Return a sentence with its values; of a name that stands there several times, each value in its turn."""

    def next_value(place: re.Match[str]) -> str:
        left = values.get(place[1])
        if not left:
            return place[0]
        return left.pop(0) if len(left) > 1 else left[0]

    return PLACE.sub(next_value, sentence)


@lru_cache(maxsize=64)
def _patterns(catalog: DjangoTranslation) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return the sentences of a catalog that have places, cut at these; those that say most come first."""
    sentences = vars(catalog)["_catalog"]  # which names them nowhere else
    found = [one for one, _ in sentences.items() if isinstance(one, str) and PLACE.search(one) and "<" not in one]
    cut = [(tuple(re.split(r"\{\w+\}", one)), one) for one in found]
    spoken = [
        (pieces, one)
        for pieces, one in cut
        if one not in NOT_ALONE and (one in PHRASES or len(WORD.findall(" ".join(pieces))) > 1)
    ]
    return tuple(sorted(spoken, key=lambda one: -sum(map(len, one[0]))))


def _values(text: str, pieces: tuple[str, ...]) -> list[str] | None:
    """Return what stands between the pieces of a sentence; None where the text is another one. Takes no second look."""
    first, last = pieces[0], pieces[-1]
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return None
    at, end, values = len(first), len(text) - len(last), []
    for piece in pieces[1:-1]:
        found = text.find(piece, at + 1, end) if piece else at
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(piece)
    values.append(text[at:end])
    return values


def _in_place(value: str, catalog: DjangoTranslation, depth: int) -> str:
    """Return what stands in a place: the name of something as it is, a time or a sentence in the language."""
    if time := TIME.fullmatch(value):
        return f"{time[1]} {MONTHS_3[MONTHS.index(time[2]) + 1]} {time[3]}"
    if value in DAYS:
        return str(WEEKDAYS[DAYS.index(value)])
    words = value.strip()
    if " " not in words or depth >= NESTED:
        return value
    if several := SEVERAL.fullmatch(words):
        first = ", ".join(_in_place(one, catalog, depth) for one in several[1].split(", "))
        found: str | None = gettext("{first} and {last}").format(
            first=first, last=_in_place(several[2], catalog, depth)
        )
    elif len(ends := words.split(" through ")) == 2 and {*ends} <= {*DAYS}:
        first, last = (_in_place(one, catalog, depth) for one in ends)
        found = gettext("{first} through {last}").format(first=first, last=last)
    else:
        found = _translated(words, catalog, depth + 1)
    return value if found is None else value.replace(words, found)
