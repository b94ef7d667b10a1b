"""`manage.py verify_dump`, with a real PostgreSQL: a dump is restored beside the live database, looked at, dropped."""

from __future__ import annotations

import re
import subprocess
from io import StringIO

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connections

from console.audit.migrations import _triggers
from console.restoration import dumps
from tests.demo_process import ROOT
from tests.restoration.copies import LIVE, made_dump, url_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker):
    """The database of all other tests is not asked for; that of the proof has to be reached."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def change(live):
    """A function that changes the live database until the end of the test, statement by statement."""
    with connections[LIVE].cursor() as cursor:
        undo = []

        def change(do, back):
            undo.append(back)
            cursor.execute(do)

        yield change
        for back in reversed(undo):
            cursor.execute(back)


def verify(dump, live, **options):
    """Return what the command printed; it must leave no database behind, and the live one as it was."""
    before = rows(live)
    said = StringIO()
    try:
        call_command("verify_dump", str(dump), server=options.get("server", url_of(live)), stdout=said)
    finally:
        with psycopg.connect(url_of(live)) as connection:
            names = [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]
        assert not [name for name in names if name.startswith("storekeeper_proof")]
        assert rows(live) == before
        assert "proof" not in connections.databases
    return said.getvalue()


def rows(live):
    with psycopg.connect(url_of(live)) as connection:
        return connection.execute("SELECT count(*), max(xmin::text) FROM audit_auditevent").fetchall()


def test_a_good_dump_is_reported(live, dump):
    said = verify(dump, live)
    assert "This dump can be restored." in said
    assert ", 0 of this version still to be run" in said
    assert "Secrets: 1 open with the keys at hand\n" in said
    assert "cloud_accounts.CloudAccount: 1" in said
    assert "its last audit event" in said


def test_secrets_under_an_older_key_are_counted(live, dump, settings):
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    assert "1 of them with older ones: keep those, too" in verify(dump, live)


def test_secrets_that_no_key_opens_are_named(live, dump, settings):
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match=r"opens these secrets: 1 of cloud_accounts.CloudAccount.secrets"):
        verify(dump, live)


def test_a_missing_audit_trigger_is_said(live, dumped, change):
    change(_triggers.POSTGRESQL_BACK[0], _triggers.POSTGRESQL[1])
    with pytest.raises(CommandError, match="Its audit log can be changed"):
        verify(dumped(), live)


def test_missing_tables_and_columns_are_named(live, dumped, change):
    change(
        "ALTER TABLE stores_ignoredbucket RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO stores_ignoredbucket"
    )
    change(
        "ALTER TABLE stores_store RENAME COLUMN keep_logs TO was_kept",
        "ALTER TABLE stores_store RENAME COLUMN was_kept TO keep_logs",
    )
    with pytest.raises(CommandError) as refused:
        verify(dumped(), live)
    assert "Tables are missing: stores_ignoredbucket." in str(refused.value)
    assert "stores_store lacks columns: keep_logs." in str(refused.value)


def test_a_dump_of_a_newer_version_is_refused(live, dumped, change):
    change(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('stores', '0999_later', now())",
        "DELETE FROM django_migrations WHERE name = '0999_later'",
    )
    with pytest.raises(CommandError, match=r"newer version of the console.*stores\.0999_later"):
        verify(dumped(), live)


def test_an_older_dump_is_measured_by_what_it_was(live, dumped, change):
    """As if 0013_keys_are_replaced of clusters, and whatever follows it, had not been run there yet."""
    change(
        "UPDATE django_migrations SET app = 'later' WHERE app = 'clusters' AND name >= '0013'",
        "UPDATE django_migrations SET app = 'clusters' WHERE app = 'later'",
    )
    change(
        "ALTER TABLE clusters_cluster RENAME COLUMN former_keys TO later",
        "ALTER TABLE clusters_cluster RENAME COLUMN later TO former_keys",
    )
    said = verify(dumped(), live)
    assert "This dump can be restored." in said
    assert re.search(r", [1-9]\d* of this version still to be run", said)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "pg_restore does not restore it"), (b"-- a plain dump\nSELECT 1;\n", "--format=custom")],
)
def test_what_is_no_dump_is_refused(live, tmp_path, content, says):
    file = tmp_path / "no.dump"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=says):
        verify(file, live)


def test_a_dump_that_is_cut_off_is_refused(live, dump, tmp_path):
    file = tmp_path / "cut.dump"
    file.write_bytes(dump.read_bytes()[:-2000])
    with pytest.raises(CommandError, match="pg_restore does not restore it"):
        verify(file, live)


def test_a_database_of_something_else_is_refused(live, tmp_path):
    with psycopg.connect(url_of(live), autocommit=True) as connection:
        connection.execute("CREATE DATABASE other")
    try:
        file = made_dump({**live, "NAME": "other"}, tmp_path / "other.dump")
        with pytest.raises(CommandError, match="no dump of this console"):
            verify(file, live)
    finally:
        with psycopg.connect(url_of(live), autocommit=True) as connection:
            connection.execute("DROP DATABASE other")


def test_a_role_that_may_not_make_databases_is_told_what_to_do(live, dump):
    with psycopg.connect(url_of(live), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN")
    try:
        with pytest.raises(CommandError, match=r"plain may not make the scratch database.*CREATEDB"):
            verify(dump, live, server=url_of(live, "plain"))
    finally:
        with psycopg.connect(url_of(live), autocommit=True) as connection:
            connection.execute("DROP ROLE plain")


def test_a_file_that_is_not_there_is_said(live, tmp_path):
    with pytest.raises(CommandError, match=r"There is no .*missing\.dump"):
        verify(tmp_path / "missing.dump", live)


def test_without_postgresql_another_server_is_asked_for(live, dump):
    with pytest.raises(CommandError, match="--server postgres://"):
        verify(dump, live, server="sqlite://:memory:")
    with pytest.raises(CommandError, match="--server is no address"):
        verify(dump, live, server="nonsense")


def test_the_scratch_database_goes_when_looking_fails(live, dump, monkeypatch):
    def fail(proof):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(dumps, "_look", fail)
    with pytest.raises(RuntimeError):
        verify(dump, live)


@pytest.fixture
def dump_of_a_reader(live, change, dumped):
    """A dump in which roles may read that the server does not have any more."""
    with psycopg.connect(url_of(live), autocommit=True) as connection:
        for role in ("grafana", '"a ""reader"""'):
            connection.execute(f"CREATE ROLE {role}")
            connection.execute(f"GRANT SELECT ON stores_store TO {role}")
            connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}")
        made = dumped()
        for role in ("grafana", '"a ""reader"""'):
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    return made


def test_roles_that_the_server_does_not_have_are_named(live, dump, dump_of_a_reader):
    said = verify(dump_of_a_reader, live)
    assert 'Roles that this server does not have: a "reader", grafana. ' in said
    assert "Roles that" not in verify(dump, live)


def test_the_command_of_the_page_restores_such_a_dump(live, dump_of_a_reader):
    (line,) = re.findall(r"^ +(pg_restore .*)$", (ROOT / "console/deploy/own-backup.md").read_text(), re.MULTILINE)
    command = line.replace("--dbname=storekeeper", f"--dbname={url_of(live, name='storekeeper')}").split()
    with psycopg.connect(url_of(live), autocommit=True) as connection:
        connection.execute("CREATE ROLE storekeeper")
        connection.execute("CREATE DATABASE storekeeper OWNER storekeeper")
        try:
            subprocess.run([*command[:-1], str(dump_of_a_reader)], check=True)
            with psycopg.connect(url_of(live, name="storekeeper")) as copy:
                assert copy.execute("SELECT count(*) FROM audit_auditevent").fetchone() == (1,)
        finally:
            connection.execute("DROP DATABASE storekeeper WITH (FORCE)")
            connection.execute("DROP ROLE storekeeper")
