"""Two installations on one database, or on one broker: found by whoever comes second, and by whoever lacks a key."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, transaction

from console import wsgi
from console.accounts import installation
from console.accounts.models import Installation
from console.audit.models import AuditEvent
from tests.demo_process import ROOT
from tests.nursery import nursery
from tests.web.garbage import NEEDED
from tests.worker_process import database_url

OTHER = Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def _asked_again(monkeypatch):
    monkeypatch.setattr(installation, "AGAIN", 0.0)


@pytest.fixture
def mine(db):
    return installation.this()


def command(*args):
    said = StringIO()
    call_command("installation", *args, stdout=said)
    return said.getvalue()


def test_an_installation_is_made_once(mine):
    assert installation.this() == mine
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.create(proof={})
    with pytest.raises(IntegrityError), transaction.atomic():
        Installation.objects.create(proof={}, only=False)
    assert installation.look().problems == []


def test_a_database_of_other_keys_is_refused_with_what_to_do(mine, settings):
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    with pytest.raises(ImproperlyConfigured, match=rf"No key of .* opens .*{mine.pk}.*DATABASE_URL.*put it back"):
        installation.Gate().require()


def test_a_database_of_another_secret_key_is_refused_until_it_is_accepted(mine, settings):
    settings.SECRET_KEY = "another"
    with pytest.raises(ImproperlyConfigured, match=r"whose SECRET_KEY is another one.*installation --accept"):
        installation.Gate().require()
    assert "SECRET_KEY is this installation's from now on" in command("--accept")
    installation.Gate().require()
    assert AuditEvent.objects.filter(action="Accepted settings", subject="SECRET_KEY", actor=None).count() == 1


def test_another_address_is_odd_and_no_more(mine, settings):
    settings.PUBLIC_URL = "https://staging.example.org"
    found = installation.look()
    assert found.problems == []
    assert "was at none: DATABASE_URL may name another console's" in found.warnings[0]
    assert "PUBLIC_URL is this installation's" in command("--accept")
    assert installation.look().warnings == []


def test_keys_are_rotated_without_a_process_that_is_refused(mine, settings):
    """The steps of console/deploy/keys.md; who lacks the old key too early, or the new one, is refused."""
    old = settings.FIELD_ENCRYPTION_KEYS[0]
    for keys in ([old, OTHER], [OTHER, old]):
        settings.FIELD_ENCRYPTION_KEYS = keys
        installation.Gate().require()
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    with pytest.raises(ImproperlyConfigured, match="a key is missing"):
        installation.Gate().require()
    settings.FIELD_ENCRYPTION_KEYS = [OTHER, old]
    call_command("rotate_keys", stdout=StringIO())
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    installation.Gate().require()
    settings.FIELD_ENCRYPTION_KEYS = [old]
    with pytest.raises(ImproperlyConfigured, match="a key is missing"):
        installation.Gate().require()


def test_lost_keys_are_given_up_only_when_that_is_said(mine, settings):
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    with pytest.raises(CommandError, match=r"Nothing was changed.*--keys-are-lost"):
        command("--accept")
    assert "FIELD_ENCRYPTION_KEYS is this installation's" in command("--accept", "--keys-are-lost")
    assert installation.look().problems == []


def test_a_process_whose_database_is_away_looks_again_later(mine, settings, monkeypatch):
    settings.SECRET_KEY = "another"
    gate = installation.Gate()
    with monkeypatch.context() as patch:
        patch.setattr(installation, "this", lambda: (_ for _ in ()).throw(OperationalError("gone")))
        gate.require()
        assert gate.refusal() == ""
    assert "whose SECRET_KEY is another one" in gate.refusal()
    assert not gate.open


def answer(path):
    started = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "CONTENT_TYPE": ""}
    body = wsgi.application(environ, lambda status, headers: started.append(status))
    return started[0], b"".join(body)


def test_the_web_server_answers_only_its_probes_from_a_database_of_other_keys(mine, settings, monkeypatch):
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    monkeypatch.setattr(wsgi, "gate", installation.Gate())
    monkeypatch.setattr(wsgi, "_django", lambda environ, start: [start("200 OK", []) or b"a page"])
    assert answer("/login/") == ("503 Service Unavailable", wsgi.CLOSED.encode())
    assert answer("/healthz") == ("200 OK", b"a page")
    settings.FIELD_ENCRYPTION_KEYS = [NEEDED["FIELD_ENCRYPTION_KEYS"]]
    assert answer("/login/") == ("200 OK", b"a page")


def test_a_task_of_another_console_is_left_alone(mine, settings, monkeypatch):
    from celery.exceptions import Ignore

    from console.operations.tasks import resume_stalled

    monkeypatch.setattr(installation, "gate", installation.Gate())
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    resume_stalled.push_request(called_directly=False)
    try:
        with pytest.raises(Ignore):
            resume_stalled()
        settings.FIELD_ENCRYPTION_KEYS = [NEEDED["FIELD_ENCRYPTION_KEYS"]]
        assert resume_stalled() == 0
    finally:
        resume_stalled.pop_request()


def test_a_broker_of_another_installation_is_refused_until_it_is_taken_over(mine, broker, settings):
    settings.REDIS_URL = broker.url
    assert "and so does the broker" in command()
    pk = mine.pk
    Installation.objects.all().delete()
    other = installation.this()
    with pytest.raises(ImproperlyConfigured, match=rf"messages of installation {pk}.*redis://…/1.*--take-broker"):
        installation.Gate().require()
    with pytest.raises(CommandError, match="take each other's work"):
        command()
    assert str(other.pk) in command("--take-broker")
    gate = installation.Gate()
    gate.require()
    assert gate.open


STARTS = [
    ["-A", "console", "worker", "--pool", "threads"],
    ["-A", "console", "beat"],
]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_web_workers_and_beat_do_not_start_on_another_console_s_database(tmp_path):
    mine = installation.this()
    known = {**os.environ, "DATABASE_URL": database_url(), "FIELD_ENCRYPTION_KEYS": OTHER}
    known["DJANGO_SETTINGS_MODULE"] = "console.settings"
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    started = [nursery().start(command, known, log) for command, log in zip(STARTS, logs, strict=False)]
    with logs[2].open("w") as log:
        web = [sys.executable, "-c", "import console.wsgi"]
        started.append(subprocess.Popen(web, cwd=ROOT, env=known, stdout=log, stderr=log))
    for process, log in zip(started, logs, strict=True):
        assert process.wait(100) == 2
        said = log.read_text()
        assert f"opens what is in this database (installation {mine.pk})" in said
        assert "Traceback" not in said
