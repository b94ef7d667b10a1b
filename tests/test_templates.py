"""What all templates keep to: short lines, addresses by name, and parts that stand in one place."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.template import Context, Engine, engines
from django.template.loader import get_template
from django.test import RequestFactory
from django.urls import reverse

ROOT = Path(settings.BASE_DIR) / "templates"
TEMPLATES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(ROOT.rglob("*.html"))}
LONGEST = 160  # characters
TAG = re.compile(r"""<[a-z](?:\{%.*?%\}|\{\{.*?\}\}|"(?:\{%.*?%\}|\{\{.*?\}\}|[^"])*"|'[^']*'|[^<>"'])*>""", re.S)
ADDRESS = re.compile(r"""\s(href|action|hx-get|hx-post)="((?:\{%.*?%\}|\{\{.*?\}\}|[^"])*)\"""", re.S)
NAMED = r"\{% (?:url|static) (?:(?!%\}).)*%\}"
VALUE = r"\{\{(?:(?!\}\}).)*\}\}"
# One name or variable, whole; what follows it is a query or a place on the page.
WHOLE = re.compile(rf"(?:{NAMED}|{VALUE})?(?:\{{% if (?:(?!%\}}).)*%\}})?(?:[?#].*)?", re.S)


def tags(name: str) -> list[str]:
    return TAG.findall(re.sub(r"\{% comment %\}.*?\{% endcomment %\}", "", TEMPLATES[name], flags=re.S))


def with_(text: str) -> set[str]:
    """The templates in which a tag has this text."""
    return {name for name in TEMPLATES for tag in tags(name) if text in tag}


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_compiles_and_has_no_long_line(name):
    get_template(name)
    long = [number for number, line in enumerate(TEMPLATES[name].splitlines(), 1) if len(line) > LONGEST]
    assert not long, f"{name} has lines of more than {LONGEST} characters: {long}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_no_tag_over_two_lines(name):
    # Django takes it for text, and shows it.
    for number, line in enumerate(
        re.sub(r"\{% comment %\}.*?\{% endcomment %\}", "", TEMPLATES[name], flags=re.S).splitlines()
    ):
        assert line.count("{%") == line.count("%}"), number
        assert line.count("{{") <= line.count("}}"), number


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_joins_no_address(name):
    if name == "500.html":  # shown when nothing else can be relied on
        return
    for tag in tags(name):
        for attribute, address in ADDRESS.findall(tag):
            assert WHOLE.fullmatch(address), f'{name}: {attribute}="{address}" is joined by hand; use {{% url %}}'


def test_addresses_that_are_joined_are_found():
    for joined in (
        "{{ store.get_absolute_url }}delete/",
        "/stores/",
        "{% url 'stores:list' %}create/",
        "{{ a }}{{ b }}",
    ):
        assert not WHOLE.fullmatch(joined), joined
    for whole in (
        "{% url 'stores:list' %}",
        "{{ url }}",
        "{{ icons }}#copy",
        "{% url 'a' %}{% if q %}?{{ q }}{% endif %}",
    ):
        assert WHOLE.fullmatch(whole), whole


def test_each_part_stands_in_one_template():
    # The second is a page whose form is answered in its place, as a dialog's is.
    assert with_('id="dialog-or-page"') == {"_dialog.html", "stores/existing/detail.html"}
    assert with_("dialog-body") == {"_dialog.html"}
    assert with_('id="dialog-title"') == {"_title.html"}
    assert with_("<dialog") == {"base.html"}
    assert with_('hx-target="#dialog"') == {"_opener.html", "_post_button.html"}
    assert with_("data-copy=") == {"_copy_button.html"}


def test_what_posts_by_htmx_has_its_address_once():
    for name in TEMPLATES:
        for tag in tags(name):
            given = dict(ADDRESS.findall(tag))
            if "hx-post" in given and tag.startswith("<form"):
                # The last has two buttons, and puts a list in its place.
                shared = {"_dialog_form.html", "_post_button.html", "_count.html"}
                assert name in shared, f"{name}: use dialog_form or post_button"
                assert given["action"] == given["hx-post"]


# The tags


def rendered(text: str, **context) -> str:
    request = RequestFactory().get("/stores/create/")
    request.htmx = context.pop("htmx", False)
    engine: Engine = engines["django"].engine
    return engine.from_string(text).render(Context({"request": request, "csrf_token": "token", **context}))


def test_post_button_posts_what_else_it_is_given():
    opened = "{% post_button 'stores:accept' pk control=name css='button quiet' once=True %}"
    text = opened + " Accept <b>it</b> {% endpost_button %}"
    pk = "0b6f3a52-2f5c-4d5b-8f0c-3d1d6a2f7d10"
    html = rendered(text, pk=pk, name='"><script>')
    url = reverse("stores:accept", args=[pk])
    assert f'action="{url}" hx-post="{url}"' in html
    assert '<input type="hidden" name="control" value="&quot;&gt;&lt;script&gt;">' in html
    assert '<input type="hidden" name="csrfmiddlewaretoken" value="token">' in html
    assert 'hx-disabled-elt="find button"' in html
    assert re.search(r'<button class="button quiet"\s*>Accept <b>it</b></button>', html)


def test_opener_is_a_link_without_scripts():
    html = rendered(
        "a {% opener 'stores:create' icon='plus' label=label %}\n {{ label }}\n{% endopener %}, b", label="<i>"
    )
    address = 'href="/stores/create/" hx-get="/stores/create/" hx-target="#dialog"'
    expected = rf'a <a {address}\s+aria-label="&lt;i&gt;"><svg.*</svg>\s*&lt;i&gt;</a>, b'
    assert re.fullmatch(expected, html, re.S), html


def test_dialog_is_a_page_with_a_panel_and_a_fragment_without():
    text = "{% dialog 'Update {} now' of=name back='/stores/' wide=True %}<p>{{ name }}</p>{% enddialog %}"
    page = rendered(text, name="<b>")
    assert page.startswith('<div class="panel wide">\n<div id="dialog-or-page" class="dialog-body wide">')
    assert '<h1 id="dialog-title">Update <strong>&lt;b&gt;</strong> now</h1>' in page
    assert '<a class="icon-button" href="/stores/" data-close' in page
    assert "<p>&lt;b&gt;</p>" in page
    fragment = rendered(text, name="{}", htmx=SimpleNamespace(current_url_abs_path="/stores/"))
    assert fragment.startswith('<div id="dialog-or-page"')
    assert '<h2 id="dialog-title">Update <strong>{}</strong> now</h2>' in fragment
    assert "data-close" not in rendered("{% dialog '<i>' %}{% enddialog %}")
    assert "&lt;i&gt;</h1>" in rendered("{% dialog title %}{% enddialog %}", title="<i>")


def test_dialog_form_posts_to_the_dialog_and_confirms_what_was_typed():
    html = rendered(
        "{% dialog_form submit='Delete' css='danger' back='/' typed=name morph=True %}x{% enddialog_form %}", name='"b"'
    )
    assert 'action="/stores/create/" hx-post="/stores/create/"' in html
    assert 'hx-swap="morph:outerHTML"' in html
    assert 'data-confirm="&quot;b&quot;"' in html
    assert 'type <strong class="exact">&quot;b&quot;</strong>' in html
    assert '<button type="submit" class="button danger">Delete</button>' in html
    plain = rendered("{% dialog_form %}x{% enddialog_form %}")
    assert 'hx-swap="outerHTML"' in plain
    assert not re.search("data-confirm|<footer|id_name", plain)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_verdict_has_the_colour_of_verdicts(name):
    """A badge without "verdict-" is a task's, or says how something stands in its cloud."""
    assert not re.search(r'class="badge [^"]*(?<!verdict-)\{\{ [a-z_.]*(?:word|verdict)\.css', TEMPLATES[name])


def test_a_number_in_a_drawing_has_a_point_in_every_language():
    numbers = re.compile(r' (?:x|x1|x2|y1|y2|cx|cy|r|width|height)="{{ ([^}]*) }}%?"')
    found = [one for text in TEMPLATES.values() for one in numbers.findall(text)]
    assert len(found) > 8
    assert not [one for one in found if "unlocalize" not in one and "stringformat" not in one]
