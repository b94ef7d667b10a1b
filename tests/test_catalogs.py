"""The catalogs of the languages that people may choose: complete, of the sentences that there are, and safe."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings

from tests import messages

OFFERED = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACE = re.compile(r"\{\w*\}|</?\w+>|%\(\w+\)[sd]|&\w+;")


def wrong(catalog, sentences):
    """Return what is wrong with a catalog: sentences that are missing, left over or unsure, and places that differ."""
    wanted = {one.id for one in sentences if one.id}
    found = {one.id: one for one in catalog if one.id}
    said = [f"is missing: {one}" for one in wanted - {*found}] + [f"is no sentence: {one}" for one in {*found} - wanted]
    for key in wanted & {*found}:
        one = found[key]
        sources = key if isinstance(key, tuple) else (key,)
        strings = one.string if isinstance(one.string, tuple) else (one.string,)
        if one.fuzzy or not all(strings):
            said.append(f"is not translated: {key}")
            continue
        for string in strings:
            # A form for one may say "one" for its number; none has a place or a tag of its own.
            near = min((Counter(PLACE.findall(source)) for source in sources), key=lambda it, s=string: _far(it, s))
            if _far(near, string) and not (len(sources) > 1 and not Counter(PLACE.findall(string)) - near):
                said.append(f"has other places: {string}")
            if re.search(r"[<>\"]", PLACE.sub("", string)) and not re.search(r"[<>\"]", PLACE.sub("", sources[0])):
                said.append(f"has a sign that HTML takes for its own: {string}")
    return said


def _far(places, string):
    there = Counter(PLACE.findall(string))
    return (there - places).total() + (places - there).total()


@pytest.mark.parametrize("language", OFFERED)
def test_a_language_that_is_offered_is_complete(language):
    assert not wrong(messages.catalog(language), messages.extracted())


@pytest.mark.parametrize("language", [path.name for path in sorted(messages.LOCALE.glob("*")) if path.is_dir()])
def test_what_is_compiled_is_what_translators_wrote(language):
    folder = messages.LOCALE / language / "LC_MESSAGES"
    text = (folder / "django.po").read_bytes()
    made = read_po(io.BytesIO(text), locale=language)
    assert (folder / "django.mo").read_bytes() == messages.as_mo(made), "run make messages"


SENTENCES = Catalog()
for each in ("A <a>link</a> of {name}", "Plain", ("{n} day", "{n} days")):
    SENTENCES.add(each)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, ""),
        ({"Plain": None}, "is missing"),
        ({"Plain": ""}, "is not translated"),
        ({"Other": "Anderes"}, "is no sentence"),
        ({"A <a>link</a> of {name}": "Ein <a>Link</a>"}, "has other places"),
        ({"A <a>link</a> of {name}": "Ein Link von {name}"}, "has other places"),
        ({"A <a>link</a> of {name}": "Ein <b><a>Link</a></b> von {name}"}, "has other places"),
        ({"A <a>link</a> of {name}": '<a href="https://example.org">Link</a> von {name}'}, "has other places"),
        ({"Plain": "<script>"}, "has other places"),
        ({"Plain": '" onclick="'}, "has a sign"),
        ({("{n} day", "{n} days"): ("ein Tag", "{n} Tage")}, ""),
        ({("{n} day", "{n} days"): ("{n} Tag", "{m} Tage")}, "has other places"),
        ({("{n} day", "{n} days"): ("{n} Tag", "")}, "is not translated"),
    ],
    ids=range(13),
)
def test_a_catalog_that_is_wrong_is_refused(told, said):
    right = {
        "A <a>link</a> of {name}": "Von {name} ein <a>Link</a>",
        "Plain": "Schlicht",
        ("{n} day", "{n} days"): ("{n} Tag", "{n} Tage"),
    }
    catalog = Catalog(locale="de")
    for key, string in (right | told).items():
        if string is not None:
            catalog.add(key, string)
    found = wrong(catalog, SENTENCES)
    assert bool(found) == bool(said), found
    assert not said or any(one.startswith(said) for one in found), found


def test_a_catalog_keeps_what_is_translated_and_guesses_nothing():
    catalog = Catalog(locale="de")
    catalog.add("Plain", "Schlicht")
    catalog.add("Gone", "Weg")
    made = messages.brought_up_to_date(catalog, SENTENCES)
    assert {one.id: one.string for one in made if one.id} == {
        "A <a>link</a> of {name}": "",
        "Plain": "Schlicht",
        ("{n} day", "{n} days"): ("", ""),
    }
    assert not any(one.fuzzy for one in made if one.id)
    assert messages.as_po(made) == messages.as_po(messages.brought_up_to_date(made, SENTENCES))


def test_the_english_catalog_has_each_sentence_as_it_is():
    made, wanted = messages.catalog(messages.ENGLISH), messages.extracted()
    assert [one.id for one in made if one.id and one.string != one.id] == []
    assert {one.id for one in made} == {one.id for one in wanted}, "run make messages"
