"""Queries and updates of each request and task: compiled once, because that takes longer than the database does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import QuerySet, Value
from django.db.models.sql import UpdateQuery

Row = TypeVar("Row")
# What stands for the values while a query is compiled. No value is one of these.
TEXT = "\x00the value"
KEY, ANOTHER_KEY = UUID(int=0xA17E_5EED << 96), UUID(int=0xB17E_5EED << 96)
NUMBER = 0x5EED_5EED
Mark = str | int | UUID


class Prepared(threading.local, Generic[Row]):
    """Rows that some values find. Each thread keeps the SQL of its own connection, and never a row.

    `rows` returns the query for the values, which it compares with columns, unchanged; all else in it is the same each
    time. `marks` are of TEXT, NUMBER, KEY and ANOTHER_KEY: one for each value, of its type. The query prefetches
    nothing. `made_of` returns what else the query is made of, such as a setting: it is compiled again for another.
    """

    def __init__(
        self, rows: Callable[..., QuerySet[Any, Any]], *marks: Mark, made_of: Callable[[], Any] = lambda: None
    ) -> None:
        self._rows, self._marks, self._made_of = rows, marks, made_of
        self._made: Any = None
        self._compiler: Any = None

    def first(self, *values: Mark) -> Row | None:
        """Return the first row that the values find, in one query; None where there is none."""
        return next(iter(self.all(*values)), None)

    def all(self, *values: Mark) -> list[Row]:
        """Return the rows that the values find, in one query."""
        if self._compiler is None or not self._is_current():
            self._compile()
        parameters = _filled(self._parameters, _told(self._compiler.connection, values))
        self._compiler.as_sql = lambda *_, **__: (self._sql, parameters)
        rows: Any = self._query
        return list(rows._iterable_class(rows))

    def _is_current(self) -> bool:
        here = self._compiler.connection is connections[self._compiler.using]
        return here and bool(self._made == self._made_of())

    def _compile(self) -> None:
        self._made = self._made_of()
        self._query = self._rows(*self._marks)
        compiler = self._query.query.get_compiler(using=self._query.db)
        self._sql, parameters = compiler.as_sql()
        self._parameters = _places(parameters, _told(compiler.connection, self._marks))
        self._compiler = compiler
        # What iterates over rows asks the query for a compiler.
        self._query.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]


class PreparedUpdate(threading.local):
    """An update of the rows that some values find, by the same means as Prepared.

    `rows` and `marks` are as there; a mark may be NUMBER, too. `changes` returns the values that are expressions, by
    field; `given` names the fields whose values come with each call. The rows are of one table.
    """

    def __init__(
        self,
        rows: Callable[..., QuerySet[Any, Any]],
        *marks: Mark,
        changes: Callable[[], dict[str, Any]],
        given: tuple[str, ...] = (),
        made_of: Callable[[], Any] = lambda: None,
    ) -> None:
        self._rows, self._marks, self._changes, self._given, self._made_of = rows, marks, changes, given, made_of
        self._made: Any = None
        self._connection: Any = None

    def __call__(self, *values: Mark, **given: Any) -> int:
        """Return how many rows were changed, in one statement; `given` are the values of the fields of that name."""
        if self._connection is None or not self._is_current():
            self._compile()
        new = [field.get_db_prep_save(given[name], self._connection) for name, field in self._fields.items()]
        parameters = _filled(self._parameters, [*new, *_told(self._connection, values)])
        with transaction.mark_for_rollback_on_error(self._connection.alias), self._connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            return int(cursor.rowcount)

    def _is_current(self) -> bool:
        here = self._connection is connections[self._connection.alias]
        return here and bool(self._made == self._made_of())

    def _compile(self) -> None:
        rows = self._rows(*self._marks)
        made, connection = self._made_of(), connections[router.db_for_write(rows.model)]
        query: Any = rows.query.chain(UpdateQuery)
        names = [f"{TEXT} of {name}" for name in self._given]
        query.add_update_values({**self._changes(), **dict(zip(self._given, map(_Told, names), strict=True))})
        self._fields: dict[str, Any] = {name: query.get_meta().get_field(name) for name in self._given}
        self._sql, parameters = query.get_compiler(connection=connection).as_sql()
        self._parameters = _places(parameters, [*names, *_told(connection, self._marks)])
        self._made, self._connection = made, connection


class _Told(Value):
    """Stands for a value while an update is compiled, whatever the type of its field."""

    def _resolve_output_field(self) -> None:
        return None


def _places(parameters: Sequence[Any], marks: list[Mark]) -> list[tuple[int | None, Any]]:
    """Return each parameter with the number of the mark that it is; raises ValueError where a mark is none of them."""
    found = [
        next((at for at, mark in enumerate(marks) if isinstance(one, type(mark)) and one == mark), None)
        for one in parameters
    ]
    if {*found} - {None} != {*range(len(marks))}:
        raise ValueError("The query does not compare columns with each of the values, unchanged.")
    return list(zip(found, parameters, strict=True))


def _filled(places: list[tuple[int | None, Any]], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the parameters, with the values instead of their marks."""
    return tuple(constant if at is None else values[at] for at, constant in places)


def _told(connection: Any, values: Sequence[Mark]) -> list[Any]:
    """Return the values as this database has them."""
    native = connection.features.has_native_uuid_field
    return [one.hex if isinstance(one, UUID) and not native else one for one in values]
