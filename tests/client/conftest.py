"""A scripted server, and the command line as somebody types it."""

from __future__ import annotations

import os

import pytest
from storekeeper import Client, command

from tests.client.scripted import scripted


@pytest.fixture(scope="module")
def _served():
    with scripted() as script:
        yield script


@pytest.fixture
def script(_served):
    """What the server says, anew for each test."""
    _served.say((200, {}))
    return _served


@pytest.fixture
def client(script):
    """A client of the scripted server, which sleeps no time but keeps how long it would."""
    made = Client(script.url, "sk_test", deadline=5)
    made.slept = []
    made.transport.sleep = made.slept.append
    return made


@pytest.fixture
def sk(script, tmp_path, monkeypatch, capsys):
    """A function that runs `storekeeper …` against the scripted server; returns code, output and errors."""
    for name in [one for one in os.environ if one.startswith("STOREKEEPER_") or one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STOREKEEPER_LOGIN_FILE", str(tmp_path / "kept" / "login.json"))
    monkeypatch.setenv("STOREKEEPER_URL", script.url)
    monkeypatch.setenv("STOREKEEPER_TOKEN", "sk_test")

    def sk(*words, stdin=""):
        import io

        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = command.main(words)
        told = capsys.readouterr()
        return code, told.out, told.err

    return sk


@pytest.fixture(scope="session")
def demo(plain_demo):
    """The running demo: contents of demo.json."""
    return plain_demo
