"""What the tests of Amazon share."""

from __future__ import annotations

import os

import pytest

from console.clouds.s3api import clients
from console.demo.emulators.aws.emulator import Emulator
from tests.clouds.aws_accounts import make_boundary


@pytest.fixture(scope="module")
def server():
    """The strict emulator of Amazon, one for each file of tests."""
    emulator = Emulator().start()
    make_boundary()
    yield emulator
    emulator.stop()
    clients.session.cache_clear()


@pytest.fixture
def emulator(server, monkeypatch):
    """The emulator, empty, as all that the console sees of Amazon."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.reset()
    yield server
    clients.forget_clients()
    server.reset()
