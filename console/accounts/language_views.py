"""The language that somebody reads the console in."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy, override
from django.views.decorators.http import require_http_methods

from console.accounts.models import User
from console.web import language
from console.web.pages import posted


class LanguageForm(forms.Form):
    """One of the languages of the console, or none: then the browser decides."""

    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field = cast(forms.ChoiceField, self.fields["language"])
        field.choices = [("", gettext("As the browser asks")), *settings.LANGUAGES]


@require_http_methods(["GET", "POST"])
@login_required
def own_language(request: HttpRequest) -> HttpResponse:
    """Choose the language of one's pages and mails."""
    person = cast(User, request.user)
    form = LanguageForm(posted(request), initial={"language": person.language or ""})
    if form.is_bound and form.is_valid():
        person.language = form.cleaned_data["language"] or None
        person.save(update_fields=["language"])
        with override(language.of(request)):
            messages.success(request, gettext("Your pages and mails are in this language now."))
        return redirect("own_language")
    return render(request, "accounts/language.html", {"form": form}, status=422 if form.is_bound else 200)
