"""A list of many things, pasted as CSV: one form for all pages that take one; knows no app."""

from __future__ import annotations

import csv
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

LINES_AT_MOST = 100
SIZE_AT_MOST = 64 * 1024  # characters of a list


class CSVForm(forms.Form):
    """A list with a head, one thing a line: all of it is right, or none of it is taken."""

    columns: ClassVar[tuple[str, ...]]

    lines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        max_length=SIZE_AT_MOST,
        error_messages={
            "required": gettext_lazy("Paste the list."),
            "max_length": gettext_lazy("The list is too long. Import it in parts."),
        },
    )

    def __init__(self, data: Any = None, files: Any = None, **options: Any) -> None:
        super().__init__(data, files, **options)
        self.problems: list[str] = []

    def clean_lines(self) -> str:
        """Return the list, if each line of it can be taken; raises ValidationError, with all that is wrong listed."""
        text = str(self.cleaned_data["lines"])
        reader = csv.reader(text.splitlines(), strict=True, skipinitialspace=True)
        try:
            rows = [(reader.line_num, [one.strip() for one in row]) for row in reader if any(map(str.strip, row))]
        except csv.Error as error:
            raise forms.ValidationError(
                gettext("Line {line_num} is no CSV: {error}.").format(line_num=reader.line_num, error=error)
            ) from None
        if not rows or tuple(rows[0][1]) != self.columns:
            raise forms.ValidationError(
                gettext("The first line has to be: {columns}").format(columns=",".join(self.columns))
            )
        if not rows[1:]:
            raise forms.ValidationError(gettext("There is no line after the first one."))
        if len(rows) - 1 > LINES_AT_MOST:
            raise forms.ValidationError(
                gettext("There are {rows} lines. Import at most {lines_at_most} at once.").format(
                    rows=f"{len(rows) - 1:,}", lines_at_most=LINES_AT_MOST
                )
            )
        wrong = 0
        for number, row in rows[1:]:
            try:
                if len(row) != len(self.columns):
                    raise forms.ValidationError(
                        gettext("{row} values instead of {columns}.").format(row=len(row), columns=len(self.columns))
                    )
                self.take(number, dict(zip(self.columns, row, strict=True)))
            except ValidationError as error:
                wrong += 1
                self.problems.append(f"Line {number}: {' '.join(error.messages)}")
        if wrong:
            raise forms.ValidationError(
                gettext("Nothing was changed. Correct {wrong} of {rows} lines.").format(wrong=wrong, rows=len(rows) - 1)
            )
        return text

    def take(self, number: int, row: dict[str, str]) -> None:
        """Take the line of that number, with its values by column; raises ValidationError with all that is wrong."""
        raise NotImplementedError
