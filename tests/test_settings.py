"""Where settings come from: the environment, a file, or a credential of systemd's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from console.settings import env
from tests.demo_process import ROOT
from tests.web.garbage import NEEDED


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    """The folder in which systemd puts a service's credentials."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.delenv("SOME_SECRET", raising=False)
    monkeypatch.delenv("SOME_SECRET_FILE", raising=False)
    return folder


def test_env_reads_a_credential_of_systemd(credentials):
    (credentials / "SOME_SECRET").write_text("of systemd\n")
    assert env("SOME_SECRET") == env("SOME_SECRET", "a default") == "of systemd"


def test_env_prefers_what_is_named_more_plainly(credentials, monkeypatch, tmp_path):
    (credentials / "SOME_SECRET").write_text("of systemd")
    monkeypatch.setenv("SOME_SECRET", "of the environment")
    assert env("SOME_SECRET") == "of the environment"
    (tmp_path / "file").write_text("of a file\n")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "file"))
    assert env("SOME_SECRET") == "of a file"


def test_env_takes_an_empty_setting_for_one(credentials, monkeypatch):
    (credentials / "SOME_SECRET").write_text("of systemd")
    monkeypatch.setenv("SOME_SECRET", "")
    assert env("SOME_SECRET", "a default") == ""


def test_env_says_where_it_looked(credentials, monkeypatch):
    assert env("SOME_SECRET", "a default") == "a default"
    with pytest.raises(
        ImproperlyConfigured, match=r"Set SOME_SECRET in the environment, or SOME_SECRET_FILE .*systemd"
    ):
        env("SOME_SECRET")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ImproperlyConfigured, match="Set SOME_SECRET"):
        env("SOME_SECRET")


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file or directory"), (b"\xff\xfehidden", "it is not text in UTF-8")]
)
def test_env_says_why_a_file_cannot_be_read(credentials, monkeypatch, tmp_path, content, words):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "file"))
    with pytest.raises(ImproperlyConfigured, match=f"SOME_SECRET cannot be read from .*: {words}") as raised:
        env("SOME_SECRET", "a default")
    assert "hidden" not in str(raised.value)


STARTS = {
    "a command": ["manage.py", "migrate", "--plan"],
    "a worker": ["-m", "celery", "-A", "console", "worker", "--pool", "threads"],
    "beat": ["-m", "celery", "-A", "console", "beat"],
    "the web server": ["-c", "import console.wsgi"],  # what each process of the web server loads
}


@pytest.mark.slow
def test_each_process_says_in_one_line_why_it_cannot_start():
    known = {"PATH": os.environ["PATH"], **NEEDED, "TRUSTED_PROXY_COUNT": "one"}
    processes = {
        name: subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**known, "DJANGO_SETTINGS_MODULE": "console.settings"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, command in STARTS.items()
    }
    said = {name: process.communicate(timeout=60)[0] for name, process in processes.items()}
    line = "Storekeeper cannot start: TRUSTED_PROXY_COUNT is 'one': it wants a whole number from 0 to 20, such as 0.\n"
    assert said == dict.fromkeys(STARTS, line)
    assert all(process.returncode for process in processes.values())
