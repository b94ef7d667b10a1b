"""The parts that templates are made of."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django import forms
from django.template import Context, Template, engines
from django.urls import NoReverseMatch, clear_script_prefix, set_script_prefix
from django.utils.html import escape

from console.web.addresses import address
from console.web.template_tags import Wrong, wrong_fields


class Sample(forms.Form):
    name = forms.CharField(error_messages={"required": "Give it a name."})
    colour = forms.ChoiceField(
        choices=[("red", "Red")], widget=forms.RadioSelect, error_messages={"required": "Choose one."}
    )
    regions = forms.MultipleChoiceField(error_messages={"required": "Choose a region."})
    hidden = forms.CharField(error_messages={"required": "It is missing."})


def test_wrong_fields_are_told_with_where_they_are_corrected():
    form = Sample({})
    content = '<input id="id_name"><input id="id_colour_0"><p id="choice-regions-error"></p><i data-id="id_hidden"></i>'
    assert wrong_fields(form, content) == [
        Wrong("Give it a name.", "id_name"),
        Wrong("Choose one.", "id_colour_0"),
        Wrong("Choose a region.", "choice-regions-error"),
        Wrong("It is missing.", ""),
    ]


def test_nothing_is_wrong_with_a_form_that_was_not_sent_or_is_right():
    right = {"name": "x", "colour": "red", "regions": [], "hidden": "x"}
    assert wrong_fields(None, "") == wrong_fields(Sample(), "") == []
    assert [one.text for one in wrong_fields(Sample(right), "")] == ["Choose a region."]


def test_a_question_is_no_error():
    form = Sample({})
    template = engines["django"].get_template("_errors.html")
    assert 'role="alert"' in template.render({"form": form, "wrong": []})
    form.question = "Detach it?"
    assert 'role="alert"' not in template.render({"form": form, "wrong": []})


def drawn(text, **values):
    context = {"icons": "/icons.svg", "csrf_token": "t" * 64, **values}
    return Template(text).render(Context(context))


ONE, OTHER = uuid4(), uuid4()


def test_what_is_filled_in_is_each_ones_own_and_escaped():
    text = "{% opener 'stores:delete' pk label=label css='danger' icon='trash' %}{{ name }}{% endopener %}"
    for pk, name in ((ONE, "<b>"), (OTHER, "x & y"), (ONE, "<b>")):
        html = drawn(text, pk=pk, name=name, label=f'Delete "{name}"')
        assert html.count(f"/stores/{pk}/delete/") == 2
        assert html.endswith(f"\n{escape(name)}</a>")
        assert f'aria-label="{escape(f"Delete {chr(34)}{name}{chr(34)}")}"' in html
        assert "/icons.svg#trash" in html
        assert "\x00" not in html


def test_each_way_that_a_part_looks_is_its_own():
    plain = drawn("{% opener 'stores:create' %}New{% endopener %}")
    assert "class=" not in plain
    assert "aria-label" not in plain
    assert 'class="button"' in drawn("{% opener 'stores:create' css='button' %}New{% endopener %}")
    assert "/stores/create/?provider=aws" in drawn("{% opener 'stores:create' provider='aws' %}New{% endopener %}")
    assert "/other.svg#plus" in drawn("{% opener 'stores:create' icon='plus' %}New{% endopener %}", icons="/other.svg")


def test_a_button_posts_the_token_of_whoever_sees_it():
    text = "{% post_button 'stores:retry' pk dom_id=dom_id once=True %}Try again{% endpost_button %}"
    for pk, token in ((ONE, "a" * 64), (OTHER, "b" * 64)):
        html = drawn(text, pk=pk, csrf_token=token, dom_id=f"retry-{pk}")
        assert f'name="csrfmiddlewaretoken" value="{token}"' in html
        assert html.count(f"/stores/{pk}/retry/") == 2
        assert f'id="retry-{pk}"' in html
        assert 'hx-disabled-elt="find button"' in html
    assert "csrfmiddlewaretoken" not in drawn(text, pk=ONE, csrf_token="", dom_id="")
    hidden = drawn("{% post_button 'stores:retry' pk name=given %}Try{% endpost_button %}", pk=ONE, given="<x>")
    assert 'name="name" value="&lt;x&gt;"' in hidden


class Named:
    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


def test_an_address_is_that_of_its_arguments_as_they_are_written():
    assert drawn("{% url 'stores:detail' pk %}", pk=ONE) == f"/stores/{ONE}/" == address("stores:detail", ONE)
    assert (
        drawn("{% url 'stores:detail' pk %}", pk=OTHER) == f"/stores/{OTHER}/" == address("stores:detail", str(OTHER))
    )
    assert [address("help:chapter", Named(name)) for name in ("a", "b")] == ["/help/a/", "/help/b/"]
    assert drawn("{% url 'stores:detail' pk as found %}[{{ found }}]", pk=ONE) == f"[/stores/{ONE}/]"
    with pytest.raises(NoReverseMatch):
        drawn("{% url 'stores:detail' %}")
    set_script_prefix("/below/")
    try:
        assert address("stores:detail", ONE) == f"/below/stores/{ONE}/"
    finally:
        clear_script_prefix()
