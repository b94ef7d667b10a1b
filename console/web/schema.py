"""What migrations use beside Django's own operations, so that the code of the release before goes on working."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations.operations import AddIndex, RunPython


class AddIndexOnline(AddIndexConcurrently):
    """An index that is made while others write to the table: by CREATE INDEX CONCURRENTLY, and on SQLite as usual.

    Its migration has `atomic = False`, and holds nothing else. One that was interrupted leaves an invalid index behind
    ("CREATE INDEX", PostgreSQL documentation): it is thrown away first.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make it."""
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        name = schema_editor.quote_name(self.index.name)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Take it away."""
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


def without_triggers(table: str) -> tuple[RunPython, RunPython]:
    """Return the operations that begin and end a migration which has SQLite make the table anew.

    It cannot while a trigger speaks of the table ("ALTER TABLE", SQLite documentation): they are taken off, and put
    back as they were, forwards and backwards. PostgreSQL changes tables as they are, and has nothing done.
    """
    name, marks = f"triggers_of_{table}", f"%{table}%"

    def take_off(apps: Any, editor: Any) -> None:
        if editor.connection.vendor != "sqlite":
            return
        kept = editor.quote_name(name)
        with editor.connection.cursor() as cursor:
            of_table = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE %s"
            cursor.execute(f"CREATE TEMP TABLE {kept} AS {of_table}", [marks])
            cursor.execute(f"SELECT name FROM {kept}")  # noqa: S608 - no input
            for (trigger,) in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER {editor.quote_name(trigger)}")

    def put_back(apps: Any, editor: Any) -> None:
        if editor.connection.vendor != "sqlite":
            return
        kept = editor.quote_name(name)
        with editor.connection.cursor() as cursor:
            cursor.execute(f"SELECT sql FROM {kept}")  # noqa: S608 - no input
            for (sql,) in cursor.fetchall():
                cursor.execute(sql)
            cursor.execute(f"DROP TABLE {kept}")

    return RunPython(take_off, put_back), RunPython(put_back, take_off)
