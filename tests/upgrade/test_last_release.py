"""The database of the last release, and its inserts, on what the present code makes of the schema."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import psycopg
import pytest

from console.accounts.management.commands.migrate import ONE_AT_A_TIME
from tests import postgres
from tests.demo_process import ROOT
from tests.upgrade.dump import FILE, STORE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    with postgres.cluster() as server:
        yield server


def database(server, name, *, sql=""):
    """Return the address of a new database, after the SQL."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = server.url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(url) as connection:
        connection.execute(sql)
    return url


def run(url, *command):
    environment = {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_last_release_s_database_is_migrated_and_its_half_made_store_finished(server, amazon):
    url = database(server, "last", sql=FILE.read_text())
    said = run(url, "-m", "tests.upgrade.finish", amazon.url)
    assert f"{STORE}: creating, then available; 0 secrets that no key opens" in said


@pytest.fixture(scope="module")
def present(server, migrations):
    """A new database of the present code."""
    url = database(server, "present")
    migrations.migrate(url)
    return url


def test_what_the_last_release_writes_is_taken_by_the_present_schema(present):
    """Its inserts name the columns that it knew: a new one without a default, or a new rule, would refuse them."""
    inserts = re.findall(r"^INSERT INTO \w+ .*?;$", FILE.read_text(), re.MULTILINE | re.DOTALL)
    ours = [
        one
        for one in inserts
        if re.match(r"INSERT INTO (accounts|audit|cloud_accounts|clusters|operations|stores)_", one)
    ]
    assert len({one.split()[2] for one in ours}) >= 25  # tables
    with psycopg.connect(present) as connection:
        connection.execute("SET session_replication_role = replica")  # in any order: no foreign key is looked at
        for one in ours:
            connection.execute(one)
        connection.rollback()


def test_migrate_waits_for_another_one_and_gives_up_a_lock_that_it_does_not_get(server):
    """Whoever reads a table for long holds up a migration, and that nobody else for longer than its lock_timeout."""
    url = database(server, "locked", sql=FILE.read_text())
    command = ["manage.py", "migrate", "--verbosity", "0", "--lock-timeout", "1", "accounts", "0001"]
    with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True) as other:
        reader.execute("SELECT count(*) FROM accounts_invitation")
        other.execute("SELECT pg_advisory_lock(%s)", [ONE_AT_A_TIME])
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "ERROR"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "Somebody else migrates this database" in process.stderr.readline()
        other.execute("SELECT pg_advisory_unlock(%s)", [ONE_AT_A_TIME])
        assert "A table is in use; 19 more tries" in process.stderr.readline()
        other.execute("SELECT count(*) FROM accounts_invitation")  # nobody waits behind it any more
        reader.rollback()
        assert process.wait(100) == 0
        process.stderr.close()
