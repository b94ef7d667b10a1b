"""A data folder of another release is refused before anything is started."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from console.demo.release import unknown_migrations
from tests.demo_process import ROOT


def database(folder, *rows):
    """Make a demo's database that has had these migrations, and return its file."""
    file = folder / "demo.sqlite3"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE django_migrations (id integer PRIMARY KEY, app text, name text)")
        connection.executemany("INSERT INTO django_migrations (app, name) VALUES (?, ?)", rows)
    return file


def test_unknown_migrations_names_those_of_our_apps_that_are_no_more(tmp_path):
    rows = [("stores", "0001_initial"), ("stores", "0002_gone"), ("auth", "0099_of_others"), ("gone", "0001_initial")]
    assert unknown_migrations(database(tmp_path, *rows)) == ["stores 0002_gone"]


def test_unknown_migrations_finds_none_in_what_this_release_made(tmp_path, db):
    from django.db.migrations.recorder import MigrationRecorder

    rows = MigrationRecorder.Migration.objects.values_list("app", "name")
    assert unknown_migrations(database(tmp_path, *rows)) == []


def test_unknown_migrations_finds_none_before_the_first_start_made_any(tmp_path):
    assert unknown_migrations(tmp_path / "demo.sqlite3") == []
    (tmp_path / "demo.sqlite3").touch()
    assert unknown_migrations(tmp_path / "demo.sqlite3") == []


@pytest.mark.slow
def test_demo_says_that_the_folder_of_another_release_must_go(tmp_path):
    database(tmp_path, ("stores", "0001_initial"), ("stores", "0002_gone"))
    command = [sys.executable, "manage.py", "demo", "--port", "0", "--data", str(tmp_path)]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"{tmp_path} is of another release, which had the migration stores 0002_gone: delete that folder, and start "
        "again.\n"
    )
    assert not (tmp_path / "pids.json").exists()  # nothing was started
