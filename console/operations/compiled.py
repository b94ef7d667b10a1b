"""Queries that are always the same, put together once: for a small one Django takes longer than the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet


class Compiled:
    """A query whose parameters never change, but for the length of a lease; of `values_list`, with nothing deferred."""

    def __init__(self, build: Callable[[], QuerySet[Any, tuple[Any, ...]]]) -> None:
        """Take what builds the query, which is called when it is needed: models are loaded by then."""
        self._build = build
        self._known: dict[tuple[str, float], tuple[str, tuple[Any, ...], list[tuple[int, list[Any], Any]]]] = {}

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what the database has now, as the query itself would."""
        connection = connections[DEFAULT_DB_ALIAS]
        sql, parameters, converters = self._compiled(connection)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows = [list(row) for row in cursor.fetchall()]
        for row in rows:
            for position, each, expression in converters:
                for convert in each:
                    row[position] = convert(row[position], expression, connection)
        return [tuple(row) for row in rows]

    def _compiled(self, connection: Any) -> tuple[str, tuple[Any, ...], list[tuple[int, list[Any], Any]]]:
        key = connection.vendor, settings.LEASE_SECONDS
        if key not in self._known:
            compiler = self._build().query.get_compiler(connection=connection)
            sql, parameters = compiler.as_sql()
            converters = compiler.get_converters([one[0] for one in compiler.select])
            # Each thread has a connection of its own: what was compiled is used with all of them.
            self._known[key] = sql, tuple(parameters), [(at, *one) for at, one in converters.items()]
        return self._known[key]
