"""Sorting names as people count: store-2 before store-10, whatever their case. Knows no app."""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.signals import connection_created
from django.db.models import Func, TextField

DIGITS = 20  # to which each number in a name is filled up; of a longer one the last count
_NUMBER = re.compile("[0-9]+")


def natural_key(text: str) -> str:
    """Return what sorts as the text does to people: in small letters, each number filled up with zeros."""
    return _NUMBER.sub(lambda found: found[0][-DIGITS:].rjust(DIGITS, "0"), text.lower())


class Natural(Func):
    """What sorts a column of names so: their natural_key() on SQLite, a collation on PostgreSQL.

    There the same expression would take regular expressions, and 40 times as long (10 s for 100,000 names).
    """

    function = "NATURAL_KEY"
    output_field = TextField()
    postgresql = 'LOWER(%(expressions)s) COLLATE "natural_order"'  # accounts/migrations/0005

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the names in small letters, in the order that the migration has made."""
        return super().as_sql(compiler, connection, template=self.postgresql, **context)


def _of_value(text: str | None) -> str | None:
    return None if text is None else natural_key(text)


def _teach(connection: Any, **_: object) -> None:
    """Give each new connection to SQLite the function: a statement that was compiled on another one calls it, too."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(Natural.function, 1, _of_value, deterministic=True)


connection_created.connect(_teach)
