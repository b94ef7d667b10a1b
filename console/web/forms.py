"""Fields and forms that every app uses; knows no app."""

from __future__ import annotations

import unicodedata
from typing import Any

from django import forms

TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # Unicode's bidirectional controls


class NameField(forms.CharField):
    """A name that people can read: at most 60 characters, none of which changes how others are shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=60, **options)

    def to_python(self, value: Any) -> str:
        """Return the name in Unicode's composed form, so that the same name has the same characters.

        Before it is measured: a few characters become three.
        """
        return unicodedata.normalize("NFC", str(super().to_python(value)))

    def clean(self, value: Any) -> str:
        """Return the name, without line ends, control characters, and those that turn the direction of writing."""
        name = str(super().clean(value))
        if any(
            unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(character) in TURNS
            for character in name
        ):
            raise forms.ValidationError("The name holds control characters. Use letters, digits, spaces and signs.")
        return name


class TypedNameForm(forms.Form):
    """Asks for the name of what is to go, exactly as it is written."""

    name = forms.CharField(required=False, strip=False, max_length=200)

    def __init__(self, data: Any = None, *, expected: str) -> None:
        super().__init__(data)
        self.expected = expected
        self.fields["name"].label = f"If you are sure, type {expected} to confirm."

    def clean_name(self) -> str:
        """Return the name; anything but the exact one is refused."""
        if self.cleaned_data["name"] != self.expected:
            raise forms.ValidationError(f"This is not the name. Type {self.expected} exactly, capitals included.")
        return str(self.cleaned_data["name"])
