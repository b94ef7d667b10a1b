"""What the models take of the texts that end in a node's files: what a form refuses, the admin refuses too."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from clusters.pgbackrest import drill, grammar, schedules


def _taken(text: str, by: Callable[[str], object]) -> None:
    try:
        by(text)
    except grammar.Unfit as error:
        raise ValidationError(str(error)) from error


def validate_stanza(text: str) -> None:
    """Raise ValidationError for what can be no stanza's name."""
    _taken(text, grammar.stanza)


def validate_schedule(text: str) -> None:
    """Raise ValidationError for what cron would not run."""
    _taken(text, schedules.parse)


def validate_os_user(text: str) -> None:
    """Raise ValidationError for what can be no user of the operating system."""
    _taken(text, grammar.os_user)


def validate_host(text: str) -> None:
    """Raise ValidationError for what is no host's name or address."""
    _taken(text, grammar.host)


def validate_unit(text: str) -> None:
    """Raise ValidationError for what is no unit of systemd's."""
    _taken(text, grammar.unit)


def validate_data_directory(text: str) -> None:
    """Raise ValidationError for what can be no data directory, and for a slash at its end."""
    try:
        kept = grammar.data_directory(text)
    except grammar.Unfit as error:
        raise ValidationError(str(error)) from error
    if kept != text:
        raise ValidationError(gettext("Give the path without a slash at its end: {kept}.").format(kept=kept))


def validate_checks(text: str) -> None:
    """Raise ValidationError for what are no checks of a restored copy, one on each line."""
    _taken(text, drill.checks)


def validate_check_database(text: str) -> None:
    """Raise ValidationError for what can be no name of a database to connect to."""
    _taken(text, drill.database_name)


def validate_drill_folder(text: str) -> None:
    """Raise ValidationError for what can be no folder of copies."""
    _taken(text, drill.place)


def validate_drill_machine(text: str) -> None:
    """Raise ValidationError for what is no name of a machine."""
    _taken(text, drill.machine_name)
