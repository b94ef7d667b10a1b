"""`make env`: a file that systemd, docker and a shell read alike, and that a console starts with."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from tests.demo_process import ROOT
from tests.web.garbage import NEEDED

GIVEN = {"host": "console.example.org", "database_url": "postgres://u:p%40@db/n?sslmode=verify-full"}


def write(path, **options):
    said = StringIO()
    call_command("write_environment", str(path), **options, stdout=said)
    return said.getvalue()


def by_systemd(text):
    """Read it as systemd.exec(5), "EnvironmentFile=", has it: quotes and backslashes would be taken away."""
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "#;"]
    return {line.partition("=")[0]: shlex.split(line.partition("=")[2])[0] for line in lines}


def by_docker(text):
    """Read it as `docker run --env-file` has it: each value to the end of its line, as it stands."""
    return dict(line.split("=", 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def by_shell(path):
    command = ["sh", "-euc", 'set -a; . "$1"; env -0', "sh", str(path)]
    said = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    return {
        k: v for k, v in (one.split("=", 1) for one in said.stdout.split("\0") if one) if k not in {"PWD", "_", "SHLVL"}
    }


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "storekeeper.env"
    return path, write(path, **GIVEN)


def test_the_file_is_read_alike_by_systemd_docker_and_a_shell(written):
    path, _ = written
    found = by_systemd(path.read_text())
    assert found == by_docker(path.read_text()) == by_shell(path)
    assert found["DATABASE_URL"] == GIVEN["database_url"]
    assert Fernet(found["FIELD_ENCRYPTION_KEYS"])
    assert min(len(found[name]) for name in ("SECRET_KEY", "METRICS_TOKEN")) >= 32


def test_the_file_names_every_setting_but_those_of_the_demo(written):
    documented = (ROOT / "console/deploy/settings.md").read_text().partition("## For the demo")[0]
    names = re.findall(r"^\| `([A-Z_0-9]+)` \|", documented, re.MULTILINE)
    assert len(names) > 35
    assert re.findall(r"^#?([A-Z_0-9]+)=", written[0].read_text(), re.MULTILINE) == names
    assert max(map(len, written[0].read_text().splitlines())) <= 120


def test_a_console_starts_with_the_file(written, monkeypatch):
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    for name, value in by_docker(written[0].read_text()).items():
        monkeypatch.setenv(name, value)
    settings = ROOT / "console" / "settings.py"
    found = {"__name__": "settings", "__file__": str(settings)}
    exec(compile(settings.read_text(), str(settings), "exec"), found)
    assert found["ALLOWED_HOSTS"] == ["console.example.org"]
    assert found["TRUSTED_PROXY_COUNT"] == 1


def test_the_file_is_its_owner_s_and_each_has_other_keys(written, tmp_path):
    path, said = written
    assert path.stat().st_mode & 0o777 == 0o600
    write(tmp_path / "other.env")
    ours, others = (by_docker(one.read_text()) for one in (path, tmp_path / "other.env"))
    assert not {ours[name] for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "METRICS_TOKEN")} & {*others.values()}
    for part in ("Keep, apart from the dumps of the database", "FIELD_ENCRYPTION_KEYS", "Now: run manage.py check"):
        assert part in said
    assert not any(ours[name] in said for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "METRICS_TOKEN"))


def test_what_is_still_to_be_set_is_said(tmp_path):
    assert "set ALLOWED_HOSTS and PUBLIC_URL, DATABASE_URL there" in write(tmp_path / "e")


@pytest.mark.parametrize("there", ["file", "link"])
def test_a_file_that_is_there_is_never_written_over(tmp_path, there):
    path = tmp_path / "storekeeper.env"
    if there == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("mine")
    with pytest.raises(CommandError, match="is there already, and was left as it is"):
        write(path)
    assert not (tmp_path / "elsewhere").exists()
    assert there == "link" or path.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "https://console.example.org"}, "--host is 'https"),
        ({"host": "a b"}, "it wants a host name"),
        ({"database_url": "postgres://u@h/n?a=1&b=2"}, "DATABASE_URL_FILE"),
        ({"redis_url": "redis://h/0 "}, "REDIS_URL_FILE"),
    ],
)
def test_what_a_shell_would_read_otherwise_is_refused(tmp_path, options, words):
    with pytest.raises(CommandError, match=words) as raised:
        write(tmp_path / "e", **options)
    assert raised.value.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "e")


@pytest.mark.slow
def test_make_env_needs_no_setting(tmp_path):
    path = tmp_path / "storekeeper.env"
    command = ["make", "--no-print-directory", "env", f"FILE={path}", "ARGS=--host a.example"]
    said = subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert "with new keys" in said.stdout
    assert by_docker(path.read_text())["PUBLIC_URL"] == "https://a.example"
