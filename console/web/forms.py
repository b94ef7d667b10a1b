"""Fields and forms that every app uses; knows no app."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext

from console.web.validators import readable


class NameField(forms.CharField):
    """A name that people can read: at most 60 characters, none of which changes how others are shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=60, **options)

    def to_python(self, value: Any) -> str:
        """Return the name in Unicode's composed form, so that the same name has the same characters; spaces are plain.

        Before it is measured: a few characters become three. A no-break space is what people paste without seeing it.
        """
        name = unicodedata.normalize("NFC", str(super().to_python(value)))
        return "".join(" " if unicodedata.category(one) == "Zs" else one for one in name)

    def clean(self, value: Any) -> str:
        """Return the name; raises ValidationError for one that cannot be read."""
        name = str(super().clean(value))
        readable(name)
        return name


def suggested(base: str, is_taken: Callable[[str], bool], before_number: str = " ") -> str:
    """Return a name to begin with that is free: the base, or the base with a number."""
    names = (base, *(f"{base}{before_number}{number}" for number in range(2, 100)))
    return next((name for name in names if not is_taken(name)), "")


class JSONObjectField(forms.JSONField):
    """An object that a script sends as JSON."""

    def to_python(self, value: Any) -> Any:
        """Return the object; raises ValidationError for what is none, or too deep for Python's reader."""
        try:
            found = super().to_python(value)
        except (ValueError, RecursionError):  # no JSON: a number of more than 4300 digits, a nesting of thousands
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from None
        if found is not None and not isinstance(found, dict):
            raise forms.ValidationError(self.error_messages["invalid"], "invalid")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return that nothing is given back to a page: its script writes the field anew."""
        return InvalidJSONInput("")


class TypedNameForm(forms.Form):
    """Asks for the name of what is to go, exactly as it is written."""

    name = forms.CharField(required=False, strip=False, max_length=200)

    def __init__(self, data: Any = None, *, expected: str) -> None:
        super().__init__(data)
        self.expected = expected
        self.fields["name"].label = gettext("If you are sure, type {expected} to confirm.").format(expected=expected)

    def clean_name(self) -> str:
        """Return the name; anything but the exact one is refused."""
        if self.cleaned_data["name"] != self.expected:
            raise forms.ValidationError(
                gettext("This is not the name. Type {expected} exactly, capitals included.").format(
                    expected=self.expected
                )
            )
        return str(self.cleaned_data["name"])
