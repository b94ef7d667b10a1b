"""The collation of names on a database whose encoding ICU does not know."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper

MIGRATION = import_module("console.accounts.migrations.0005_names_sort_naturally")
NAME = "of_bytes"
pytestmark = pytest.mark.slow  # makes a database of its own, on a server of PostgreSQL


@pytest.fixture
def of_bytes(db):
    """A connection to a database in SQL_ASCII, as initdb makes one where no locale is set."""
    parameters = {**connection.get_connection_params(), "dbname": "postgres", "autocommit": True}
    for ours in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(ours, None)
    with closing(psycopg.connect(**parameters)) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME}")
        server.execute(f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        there = DatabaseWrapper({**connection.settings_dict, "NAME": NAME}, alias=NAME)
        connections[NAME] = there
        try:
            yield there
        finally:
            there.close()
            del connections[NAME]
            server.execute(f"DROP DATABASE {NAME}")


def test_a_database_whose_encoding_icu_does_not_know_sorts_by_bytes(of_bytes, django_db_blocker):
    with django_db_blocker.unblock(), of_bytes.schema_editor() as editor:
        MIGRATION.make(None, editor)
    with django_db_blocker.unblock(), of_bytes.cursor() as cursor:
        cursor.execute("SELECT name FROM (VALUES ('b-10'), ('b-9')) AS t (name) ORDER BY name COLLATE natural_order")
        assert [name for (name,) in cursor.fetchall()] == ["b-10", "b-9"]
