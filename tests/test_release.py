"""One version, everywhere the same: in the code, in pyproject.toml, in the changelog, and where people read it."""

from __future__ import annotations

import tomllib
from io import StringIO

import pytest
from django.core.management import call_command

from console.accounts import installation
from console.release import VERSION
from tests import release
from tests.demo_process import ROOT


def test_the_release_is_named_the_same_everywhere():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert release.sections((ROOT / "CHANGELOG.md").read_text())[0][0] in {VERSION, release.NEXT}


def test_version_says_both(db):
    said = StringIO()
    call_command("version", stdout=said)
    assert said.getvalue() == f"Storekeeper {VERSION}\nDatabase: not known\n"
    installation.this()
    call_command("version", stdout=said)
    assert f"Database: migrated by {VERSION}" in said.getvalue()


def test_the_version_stands_on_the_pages_and_in_the_metrics(client, alice, settings):
    client.force_login(alice)
    assert f"Storekeeper {VERSION}" in client.get("/stores/").content.decode()
    alice.is_staff = alice.is_superuser = True
    alice.save()
    assert f"Storekeeper {VERSION}" in client.get("/admin/").content.decode()
    settings.METRICS_TOKEN = "secret"
    figures = client.get("/metrics", headers={"Authorization": "Bearer secret"}).content.decode()
    assert f'storekeeper_build_info{{version="{VERSION}"}} 1.0' in figures


def test_whoever_is_not_signed_in_is_not_told_the_version(client, db):
    assert f"Storekeeper {VERSION}" not in client.get("/login/").content.decode()


LOG = "# Changes\n\nWhat changed.\n\n## 0.2.0, 2026-12-24\n\n- Two.\n  More.\n\n## 0.1.0, 2026-11-29\n\n- One.\n"


def test_notes_are_the_newest_section_of_the_changelog():
    assert release.notes(LOG, "0.2.0") == "- Two.\n  More."
    assert release.notes(LOG, "0.1.0") == "- One."


@pytest.mark.parametrize(
    ("log", "version", "words"),
    [
        (LOG.replace(", 2026-12-24", ", not yet released"), "0.2.0", "give it a date"),
        (LOG, "0.3.0", "has no section 0.3.0"),
        (LOG.replace("- Two.\n  More.\n", ""), "0.2.0", "is empty"),
        (LOG, "0.1.0", ""),
    ],
)
def test_a_release_without_notes_is_refused(log, version, words):
    assert words in release.problem(log, version)
    assert bool(words) is bool(release.problem(log, version))
