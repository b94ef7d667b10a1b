"""The cache, in the database, as JSON: who writes a row of Django's own, which unpickles, runs code here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.db import DatabaseCache
from django.db import connection
from django.utils import timezone

NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class JSONCache(DatabaseCache):
    """Keeps what JSON can say: texts, numbers, truth, and lists and objects of them. SQLite and PostgreSQL only."""

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return what is kept under these keys and has not run out; what is no JSON counts as not kept."""
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        if not names:
            return {}
        places = ", ".join(["%s"] * len(names))
        sql = f"SELECT cache_key, value FROM {self._name} WHERE cache_key IN ({places}) AND expires > %s"  # noqa: S608 - ours
        with connection.cursor() as cursor:
            cursor.execute(sql, [*names, _adapted(timezone.now())])
            rows = cursor.fetchall()
        found = {}
        for key, text in rows:
            try:
                found[names[key]] = json.loads(text)
            except (ValueError, RecursionError):
                continue
        return found

    def _base_set(self, mode: str, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT) -> bool:
        """Write the row in one statement: "set" any, "add" one that is not there or is over, "touch" one that is."""
        until, now = self.get_backend_timeout(timeout), timezone.now()
        expires = _adapted(NEVER if until is None else datetime.fromtimestamp(until, UTC))
        with connection.cursor() as cursor:
            if mode == "touch":
                cursor.execute(f"UPDATE {self._name} SET expires = %s WHERE cache_key = %s", [expires, key])  # noqa: S608
                return bool(cursor.rowcount)
            cursor.execute(f"SELECT COUNT(*) FROM {self._name}")  # noqa: S608
            (number,) = cursor.fetchone()
            if number > self._max_entries:  # type: ignore[attr-defined]
                self._cull(  # type: ignore[attr-defined]
                    connection.alias, cursor, now.replace(microsecond=0), number
                )
            sql = (
                f"INSERT INTO {self._name} (cache_key, value, expires) VALUES (%s, %s, %s) ON CONFLICT (cache_key) "  # noqa: S608
                "DO UPDATE SET value = excluded.value, expires = excluded.expires"
            )
            values = [key, json.dumps(value), expires]
            if mode == "add":
                sql, values = f"{sql} WHERE {self._name}.expires <= %s", [*values, _adapted(now)]
            cursor.execute(sql, values)
            return bool(cursor.rowcount)

    @property
    def _name(self) -> str:
        return str(connection.ops.quote_name(self._table))  # type: ignore[attr-defined]


def _adapted(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment.replace(microsecond=0))
