"""The parts that templates are made of."""

from __future__ import annotations

from django import forms
from django.template import engines

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
