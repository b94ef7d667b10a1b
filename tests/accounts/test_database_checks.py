"""What `check --deploy` says after asking the database and the broker."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from console.accounts import database_checks, installation
from console.accounts.models import Installation
from console.release import VERSION, ordered

pytestmark = pytest.mark.django_db


def said():
    found = run_checks(tags=[database_checks.ASKS], include_deployment_checks=True)
    return {one.id.removeprefix("storekeeper."): one for one in found}


@pytest.fixture
def running(broker, settings):
    settings.REDIS_URL = broker.url
    return installation.this()


def test_nothing_is_said_of_what_answers_and_is_right(running):
    assert said() == {}


def test_nothing_is_written_by_a_check(broker, settings):
    settings.REDIS_URL = broker.url
    assert said() == {}
    assert not Installation.objects.exists()


def test_a_broker_that_is_away_is_said(settings):
    assert said().keys() == {"E023"}


def test_a_database_that_is_away_is_said(running, monkeypatch):
    monkeypatch.setattr(database_checks, "_migrations", lambda: (_ for _ in ()).throw(OperationalError("gone")))
    assert said().keys() == {"E020"}


def test_a_database_that_is_older_is_said_with_its_first_migration(running):
    recorder = MigrationRecorder(connection)
    for app, name in recorder.applied_migrations():
        if app == "accounts" and name > "0002":
            recorder.record_unapplied(app, name)
    assert "accounts.0002_installation_and_operators" in said()["E021"].msg


@pytest.mark.parametrize("how", ["a migration", "a release"])
def test_a_database_that_is_newer_is_said(running, how):
    if how == "a migration":
        MigrationRecorder(connection).record_applied("stores", "9999_of_a_later_release")
    else:
        Installation.objects.update(version="99.0.0")
    [found] = said().values()
    assert found.id == "storekeeper.E022"
    assert re.search("99.0.0" if how == "a release" else "stores.9999_of_a_later_release", found.msg)
    assert "upgrading.md" in found.hint


@pytest.mark.parametrize(("seconds", "words"), [(60, "60 seconds ahead of"), (-60, "60 seconds behind"), (1, "")])
def test_clocks_that_differ_are_said(seconds, words):
    there = datetime.now(UTC) + timedelta(seconds=seconds)
    found = [*database_checks._skew("broker", there, "W022")]
    assert len(found) == bool(words)
    assert all(words in one.msg for one in found)


def test_another_console_s_database_is_said(running, settings):
    settings.SECRET_KEY = "another"
    assert "whose SECRET_KEY is another one" in said()["E024"].msg


def test_another_address_is_said(running, settings):
    settings.PUBLIC_URL = "https://staging.example.org"
    assert said().keys() == {"W024"}


def test_note_release_only_ever_names_a_newer_one(running):
    from django.apps import apps

    from console.accounts.apps import note_release

    for known, then in (("0.0.9", VERSION), ("", VERSION), ("99.0.0", "99.0.0")):
        Installation.objects.update(version=known)
        note_release(using="default", apps=apps)
        assert Installation.objects.get().version == then


def test_ordered_compares_versions_by_their_numbers():
    assert ordered("") < ordered("0.1.0") < ordered("0.2.0") < ordered("0.10.0") < ordered("1.0")
