"""Every sentence of every template is marked for translation; each kind of exception has its reason here."""

from __future__ import annotations

import re

import pytest

from console.web.script_words import SENTENCES
from tests.messages import ROOT, of_template
from tests.sentences import sentences_of_template, without_sentences

TEMPLATES = {path.relative_to(ROOT / "templates").as_posix(): path for path in sorted(ROOT.glob("templates/**/*.html"))}
# What is the same in each language: names, and the signs of units.
NAMES = re.compile(r"\b(?:Storekeeper|PostgreSQL|UTC|ID|s|h|marked)\b|&[a-z#0-9]+;")
NOUN = re.compile(r'data-choice data-noun="(\w+)"')
LEFT = re.compile(r"""["'`][A-Z][a-z]+ [a-z${][^"'`]*|"aria-label", [`"](?!\$)[^`"]*[a-z]{3}[^`"]*""")
UNMARKED = {
    "500.html": "is shown when nothing else can be relied on, and so is the language",
}
NO_SENTENCE = {
    '{"ids": {"authenticate": "mfa_webauthn_authenticate", "credential": "…", "data": "js_data"}}',  # a script's
    '{"ids": {"add": "mfa_webauthn_add", "passwordless": "…", "credential": "…", "data": "js_data"}}',
    "search",  # the name of an address
}


def unmarked(text):
    """Return what people read in a template and no mark encloses."""
    left = (" ".join(one.split()) for one in sentences_of_template(without_sentences(text)))
    return [
        one
        for one in left
        if re.search(r"[^\W\d_]", NAMES.sub("", one))
        and not re.fullmatch(r"[\w/#]+\.html(#\w+)?", one)
        and one not in NO_SENTENCE
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_sentence_is_marked(name):
    found = unmarked(TEMPLATES[name].read_text())
    assert bool(found) == (name in UNMARKED), f'mark these by {{% t %}}…{{% endt %}}, or _("…") in a tag: {found}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<p>Not yet</p>", ["Not yet"]),
        ("<p>{% t %}Marked{% endt %} and not</p>", ["and not"]),
        ("{% t %}a {% if b %}{% t %}c{% endt %}{% endif %} d{% endt %}", []),
        ('<a title="Not yet">{% t %}b{% endt %}</a>', ["Not yet"]),
        ('<a title="{% t %}b{% endt %}">{{ a }}</a>', []),
        ('{% include "_copy.html" with label="The name" %}', ["_copy.html", "The name"]),
        ('{% include "_copy.html" with label=_("The name") %}', []),
        ("{% dialog \"Delete\" %}{% enddialog %}", ["Delete"]),
        ("<b>{{ a }} UTC</b> {# no #}{% comment %}No.{% endcomment %}", []),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_not_marked_is_found(text, found):
    assert unmarked(text) == [one for one in found if ".html" not in one]


def test_sentences_are_no_fragments_of_tags():
    """What translators get has words, whole elements, and no template's tag in it."""
    for name, path in TEMPLATES.items():
        for message, _ in of_template(name, path.read_text()):
            for one in message if isinstance(message, tuple) else (message,):
                assert not re.search(r"{%|%}|{{|}}|=\"", one), f"{name}: {one}"


def test_scripts_say_what_is_translated_for_them():
    texts = [path.read_text() for path in sorted((ROOT / "static").glob("*.js"))]
    said = {one for text in texts for one in re.findall(r'inWords\("([^"]*)"', text)}
    nouns = {f"{one}s" for path in (ROOT / "templates").rglob("*.html") for one in NOUN.findall(path.read_text())}
    assert said | nouns == {*SENTENCES}
    # What somebody adds without it: two words in a row that begin like a sentence, or a text for who cannot see.
    left = [one for text in texts for one in LEFT.findall(re.sub(r"inWords\(.*?\)|//.*|console\.warn.*", "", text))]
    assert not left
