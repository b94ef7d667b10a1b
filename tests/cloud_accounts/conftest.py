"""Who the console is to Amazon."""

from __future__ import annotations

import pytest


@pytest.fixture
def own_identity(amazon, monkeypatch):
    """The console's own keys, with which it assumes roles."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_access_key)
