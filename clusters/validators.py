"""What the models take of the texts that end in a node's files: what a form refuses, the admin refuses too."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from clusters.pgbackrest import grammar, schedules


def validate_stanza(text: str) -> None:
    """Raise ValidationError for what can be no stanza's name."""
    try:
        grammar.stanza(text)
    except grammar.Unfit as error:
        raise ValidationError(str(error)) from error


def validate_data_directory(text: str) -> None:
    """Raise ValidationError for what can be no data directory, and for a slash at its end."""
    try:
        kept = grammar.data_directory(text)
    except grammar.Unfit as error:
        raise ValidationError(str(error)) from error
    if kept != text:
        raise ValidationError(f"Give the path without a slash at its end: {kept}.")


def validate_schedule(text: str) -> None:
    """Raise ValidationError for what cron would not run."""
    try:
        schedules.parse(text)
    except grammar.Unfit as error:
        raise ValidationError(str(error)) from error
