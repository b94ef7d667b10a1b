"""Texts that were made in English, in the language of whoever reads them."""

from __future__ import annotations

import pytest
from babel.messages.catalog import Catalog
from django.utils import translation
from django.utils.safestring import SafeString

from console.web.retold import retold, told
from tests.messages import speak

GERMAN = {
    "{node} has been silent since {reported_at}.": "Seit {reported_at} schweigt {node}.",
    "{cluster}: {database} on {node} {ends} in {store}": "{cluster}: {database} auf {node} {ends} in {store}",
    "is at risk": "ist gefährdet",
    "A restore {last}, and should be every {days}.": "Eine Wiederherstellung {last}; alle {days} soll es sein.",
    "was last proved {good_at}": "gelang zuletzt {good_at}",
    "{number} days": "{number} Tage",
    "At {time} on {days}": "Um {time} am {days}",
    "{first} and {last}": "{first} und {last}",
    "{first} through {last}": "{first} bis {last}",
    "PostgreSQL {major}, and the user {user}{made}": "PostgreSQL {major} und der Benutzer {user}{made}",
    "The servers of {one}": "Die Server von {one}",
    "<b>{a}</b> is here": "Hier ist <b>{a}</b>",
    "A node is silent": "Ein Knoten schweigt",
    "The backup of {shown} meets the one of {shown}.": "Das Backup von {shown} trifft auf das von {shown}.",
}
RETOLD = {
    "A node is silent": "Ein Knoten schweigt",
    "n1 has been silent since 30 Dec 15:36 UTC.": "Seit 30 Dez 15:36 UTC schweigt n1.",
    "orders: ledger on n1 is at risk in eu": "orders: ledger auf n1 ist gefährdet in eu",
    "A restore was last proved 01 May 00:00 UTC, and should be every 7 days.": (
        "Eine Wiederherstellung gelang zuletzt 01 Mai 00:00 UTC; alle 7 Tage soll es sein."
    ),
    "At 02:30 and 14:30 on Monday, Wednesday, and Friday": "Um 02:30 und 14:30 am Montag, Mittwoch und Freitag",
    "At 01:00 on Monday through Saturday": "Um 01:00 am Montag bis Samstag",
    "PostgreSQL 17, and the user bob": "PostgreSQL 17 und der Benutzer bob",
    "The servers of a and b": "Die Server von a und b",
    "The servers of <script>": "Die Server von <script>",
    "The backup of 01:00 meets the one of 03:00.": "Das Backup von 01:00 trifft auf das von 03:00.",
}
# What is no sentence of the catalog, or only looks like one.
LEFT = ["n1 has been silent", " has been silent since .", "orders and billing", "<b>x</b> is here", "x" * 5000]


@pytest.fixture
def german(monkeypatch, settings):
    catalog = Catalog(locale="de")
    for source, said in GERMAN.items():
        catalog.add(source, said)
    speak(catalog, monkeypatch, settings)
    with translation.override("de"):
        yield


@pytest.mark.parametrize(("text", "said"), RETOLD.items(), ids=range(len(RETOLD)))
def test_what_was_recorded_is_said_in_the_readers_language(german, text, said):
    assert retold(text) == told(text) == said


@pytest.mark.parametrize("text", LEFT, ids=range(len(LEFT)))
def test_what_no_catalog_has_is_marked_as_english(german, text):
    assert retold(text) == text
    shown = told(text)
    assert isinstance(shown, SafeString)
    assert shown.startswith('<span lang="en">')
    assert "<b>" not in shown


def test_english_stays_as_it_is():
    safe = SafeString("<b>A node is silent</b>")
    for text in (*RETOLD, *LEFT, safe):
        assert retold(text) is text
        assert told(text) is text
