"""Queries that are asked for at each request: compiled once, because that takes longer than the database does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

Row = TypeVar("Row")
# What stands for the values while a query is compiled. No value is one of these.
TEXT = "\x00the value"
KEY, ANOTHER_KEY = UUID(int=0xA17E_5EED << 96), UUID(int=0xB17E_5EED << 96)


class Prepared(threading.local, Generic[Row]):
    """Rows that some values find. Each thread keeps the SQL of its own connection, and never a row.

    `rows` returns the query for the values, which it compares with columns, unchanged; all else in it is the same each
    time. `marks` are of TEXT, KEY and ANOTHER_KEY: one for each value, of its type. The query prefetches nothing.
    `made_of` returns what else the query is made of, such as a setting: it is compiled again for another.
    """

    def __init__(
        self, rows: Callable[..., QuerySet[Any, Any]], *marks: str | UUID, made_of: Callable[[], Any] = lambda: None
    ) -> None:
        self._rows, self._marks, self._made_of = rows, marks, made_of
        self._made: Any = None
        self._compiler: Any = None

    def first(self, *values: str | UUID) -> Row | None:
        """Return the first row that the values find, in one query; None where there is none."""
        return next(iter(self.all(*values)), None)

    def all(self, *values: str | UUID) -> list[Row]:
        """Return the rows that the values find, in one query."""
        if self._compiler is None or not self._is_current():
            self._compile()
        given = dict(zip(self._told(self._marks), self._told(values), strict=True))
        parameters = tuple(given.get(one, one) if isinstance(one, str | UUID) else one for one in self._parameters)
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
        self._sql, self._parameters = compiler.as_sql()
        self._compiler = compiler
        texts = [one for one in self._parameters if isinstance(one, str | UUID)]
        if not set(self._told(self._marks)) <= set(texts):
            self._compiler = None
            raise ValueError("The query does not compare columns with each of the values, unchanged.")
        # What iterates over rows asks the query for a compiler.
        self._query.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]

    def _told(self, values: tuple[str | UUID, ...]) -> list[str | UUID]:
        """Return the values as this database has them."""
        native = self._compiler.connection.features.has_native_uuid_field
        return [one.hex if isinstance(one, UUID) and not native else one for one in values]
