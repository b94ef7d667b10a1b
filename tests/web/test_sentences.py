"""The mark of a sentence that is translated: what translators see of it, and what comes of what they write."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Catalog
from django.template import Context, TemplateSyntaxError, engines
from django.utils import translation

from tests.messages import of_template, speak


def template(text):
    return engines["django"].engine.from_string(text)


@pytest.fixture
def german(monkeypatch, settings):
    """Return a function that says how a sentence is in German."""
    catalog = Catalog(locale="de")

    def tell(source, told):
        catalog.add(source, told)
        speak(catalog, monkeypatch, settings)

    return tell


MARKED = {
    "{% t %}Backup stores{% endt %}": "Backup stores",
    "{% t %} Two\n  lines {% endt %}": "Two lines",
    "{% t %}{{ a.name }} of {{ b.name|upper }}, and {{ a.name }}{% endt %}": "{name} of {name_2}, and {name}",
    "{% t %}See <a class='b' href=\"{% url 'home' %}\">the <b>{{ n }}</b></a>.{% endt %}": "See <a>the <b>{n}</b></a>.",
    "{% t %}<b>{{ a }}</b> or <b title='>'>b</b>{% endt %}": "<b>{a}</b> or <b2>b</b2>",
    '{% t %}Since {% include "_time.html" with at=a %}{% endt %}': "Since {time}",
    "{% t %}One{% if a %}, {% t %}or two{% endt %}{% endif %}.{% endt %}": "One{part}.",
    "{% t %}one<br>line{% endt %}": "one{br}line",
    "{% t count=n %}A store{% plural %}{{ n }} stores{% endt %}": ("A store", "{n} stores"),
}


@pytest.mark.parametrize(("text", "message"), MARKED.items(), ids=range(len(MARKED)))
def test_translators_get_the_words(text, message):
    assert [*of_template("a.html", text)][-1][0] == message


@pytest.mark.parametrize("text", MARKED, ids=range(len(MARKED)))
def test_english_is_what_stands_there(text):
    values = {"a": {"name": "<A>"}, "b": {"name": "b"}, "n": 2}
    plain = text.replace("{% t %}", "").replace("{% endt %}", "")
    plain = plain.replace("{% t count=n %}A store{% plural %}", "")
    plain = re.sub(r"\s*\n\s*", " ", plain)  # a sentence is on one line, however long its source's are
    assert template(text).render(Context(values)) == template(plain).render(Context(values))


def test_a_sentence_is_said_in_the_language_of_the_reader(german):
    text = '{% t %}{{ who }} asks <a href="{% url \'home\' %}">the <b>owner</b></a>, <a href="/b">or not</a>.{% endt %}'
    page = template(text)
    german(
        "{who} asks <a>the <b>owner</b></a>, <a2>or not</a2>.",
        "<a2>Oder nicht</a2>: <a>den <b>Inhaber</b></a> fragt {who}.",
    )
    english = '&lt;A&gt; asks <a href="/">the <b>owner</b></a>, <a href="/b">or not</a>.'
    assert page.render(Context({"who": "<A>"})) == english
    with translation.override("de"):
        assert page.render(Context({"who": "<A>"})) == (
            '<a href="/b">Oder nicht</a>: <a href="/">den <b>Inhaber</b></a> fragt &lt;A&gt;.'
        )
    with translation.override("en-gb"):
        assert page.render(Context({"who": "<A>"})) == english


def test_what_is_not_translated_is_in_english(german):
    with translation.override("de"):
        assert template("<p>{% t %}Not <b>yet</b> {{ a }}{% endt %}").render(Context({"a": 1})) == "<p>Not <b>yet</b> 1"


@pytest.mark.parametrize(("number", "told"), [(1, "1 Speicher"), (2, "alle 2"), (0, "alle 0"), (1000, "alle 1000")])
def test_a_number_chooses_the_form(german, number, told):
    german(("{n} store", "all {n} stores"), ("{n} Speicher", "alle {n}"))
    page = template("{% t count=n %}{{ n }} store{% plural %}all {{ n }} stores{% endt %}")
    with translation.override("de"):
        assert page.render(Context({"n": number})) == told
    assert page.render(Context({"n": 1})) == "1 store"
    assert page.render(Context({"n": 2})) == "all 2 stores"


@pytest.mark.parametrize(
    "text",
    [
        "{% t %}{{ a }}{% endt %}",
        "{% t %} · {% endt %}",
        "{% t %}<b>open{% endt %}",
        "{% t %}shut</b>{% endt %}",
        "{% t %}<b>a<i>b</b></i>{% endt %}",
        "{% t name=n %}a{% endt %}",
        "{% t count=n %}a{% endt %}",
        "{% t %}<b title=\"a{% endt %}",
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_sentence_is_refused(text):
    with pytest.raises(TemplateSyntaxError):
        template(text)
