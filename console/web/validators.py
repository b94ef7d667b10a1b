"""What a name may hold, the same in a form and in a model; knows no app."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext

JOINERS = {"\u200c", "\u200d"}  # without which some languages, and some emoji, cannot be written
BLANK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}  # letters and signs, by their category, that show nothing


def readable(name: str) -> None:
    """Raise ValidationError for a name that looks like another, breaks a line, or changes how others are shown.

    Such are control characters, line ends, those that turn the direction of writing or cannot be seen, and spaces
    other than the plain one (categories of the Unicode standard, chapter 4.5).
    """
    for before, character in zip(" " + name, name, strict=False):
        category = unicodedata.category(character)
        if (
            category in {"Cc", "Co", "Cs", "Zl", "Zp"}
            or character in BLANK
            or (category == "Cf" and (character not in JOINERS or before.isascii()))
            or (category == "Zs" and character != " ")
        ):
            raise ValidationError(
                gettext(
                    "The name holds control characters, or some that cannot be seen. Use letters, digits, "
                    "spaces and signs."
                )
            )


if TYPE_CHECKING:
    Text = models.CharField[str, str]
else:
    Text = models.CharField


class NameField(Text):
    """The column of a readable name; for a migration it is a CharField as any other."""

    default_validators = [readable]

    def deconstruct(self) -> Any:
        """Return the field as a CharField: which names are readable is no matter of the database."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.CharField", arguments, options
