"""Queries that are asked for at each request: compiled once, because that takes longer than the database does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable

Row = TypeVar("Row", bound=Model)
MARK = "\x00the value"  # stands for the value while the query is compiled: no value holds NUL


class Prepared(threading.local, Generic[Row]):
    """Rows that one value finds. Each thread keeps the SQL of its own connection, and never a row.

    `rows` returns the query for a value, which it compares with one text column, unchanged.
    """

    def __init__(self, rows: Callable[[str], QuerySet[Row]]) -> None:
        self._rows = rows
        self._compiler: Any = None

    def first(self, value: str) -> Row | None:
        """Return the first row that the value finds, in one query; None where there is none."""
        if self._compiler is None or self._compiler.connection is not connections[self._compiler.using]:
            self._compile()
        self._compiler.as_sql = lambda *_, **__: (
            self._sql,
            tuple(value if one == MARK else one for one in self._given),
        )
        found: Row | None = next(iter(ModelIterable(self._query)), None)
        return found

    def _compile(self) -> None:
        self._query = self._rows(MARK)
        compiler = self._query.query.get_compiler(using=self._query.db)
        self._sql, self._given = compiler.as_sql()
        if self._given.count(MARK) != 1:
            raise ValueError("The query does not compare one column with the value, unchanged.")
        # What iterates over rows asks the query for a compiler.
        self._query.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
        self._compiler = compiler
