"""A language made of English with accents: what a page shows without them has escaped translation."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests import accents

# Of an organisation without anything; so all text is the console's.
PAGES = [
    "/", "/stores/", "/stores/create/", "/stores/map/", "/clusters/", "/clusters/create/", "/clusters/retained/",
    "/cloud-accounts/", "/cloud-accounts/link/", "/tasks/", "/alerts/", "/alerts/settings/", "/organisation/",
    "/audit/",
    "/api-tokens/", "/account/language/", "/account/password/change/", "/account/second-factor/", "/account/sessions/",
    "/overview/databases/", "/search/", "/nothing/",
]  # fmt: skip
NAMES = {
    "Storekeeper", "English", "Deutsch", "Acme", "alice", "PostgreSQL", "Amazon", "Azure", "Google", "Cloud", "Storage",
    "Ceph", "SeaweedFS", "MinIO",
}  # fmt: skip
DJANGO_S = re.compile(
    r"vor \d+.Sekunden?|jetzt|Benutzer|Diese Funktionalität erfordert JavaScript\."
)  # which is German, and has its own


@pytest.fixture
def pseudo(monkeypatch, settings):
    """Offer the language as German."""
    accents.speak(monkeypatch, settings)


class Texts(HTMLParser):
    """The texts of a page, and those of attributes that are read; without what is marked as English or is code."""

    def __init__(self):
        super().__init__()
        self.found, self.closed = [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in {"meta", "link", "input", "br", "img", "hr", "col", "use"}:
            outside = tag in {"script", "style", "code", "pre", "datalist"} or (
                given.get("lang") == "en" and tag != "html"
            )
            self.closed.append(outside or (self.closed[-1] if self.closed else False))
        if not (self.closed and self.closed[-1]):
            self.found += [given[name] for name in ("title", "aria-label", "placeholder", "alt") if given.get(name)]

    def handle_endtag(self, tag):
        if self.closed:
            self.closed.pop()

    def handle_data(self, data):
        if not (self.closed and self.closed[-1]):
            self.found.append(data)


def escaped(page):
    """Return each text of a page with two English words in it."""
    reader = Texts()
    reader.feed(page)
    for text in reader.found:
        plain = [one for one in re.findall(r"[A-Za-z][a-z]{2,}", text) if not one.isupper() and one not in NAMES]
        words = [
            one
            for one in plain
            if re.search(r"[aeiouyAEIOUY]", one) and re.search(rf"(?<![\wäëïöüÿÄËÏÖÜ.@/-]){one}(?![\wäëïöüÿ@/-])", text)
        ]
        if words and not DJANGO_S.fullmatch(text.strip()):
            yield " ".join(text.split())


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.xdist_group("pseudo")
def test_no_plain_english_is_left_on_a_page(client, alice, pseudo, path):
    client.force_login(alice)
    answer = client.get(path, headers={"accept-language": "de"})
    page = answer.content.decode()
    assert '<html lang="de"' in page
    assert not [*escaped(page)]


def test_the_sign_in_page_has_no_plain_english(client, db, pseudo):
    page = client.get("/login/", headers={"accept-language": "de"}).content.decode()
    assert not [*escaped(page)]


def test_english_that_escaped_is_found():
    page = '<p title="A title">Thïs ïs <code>code</code> <b lang="en">recorded text</b></p><p>Left here</p>'
    assert [*escaped(page)] == ["A title", "Left here"]
