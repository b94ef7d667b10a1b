"""What the tests of signing in share: a second factor, and a clock that stands."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from allauth.core.internal import ratelimit

from tests.accounts.signing_in import code_of, sign_in


@pytest.fixture
def totp(client, alice, django_capture_on_commit_callbacks):
    """Alice with an authenticator app; its secret. She is signed out again."""
    sign_in(client)
    page = client.get("/account/second-factor/totp/activate/")
    secret = page.context["form"].secret
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/account/second-factor/totp/activate/", {"code": code_of(secret)})
    assert answer.status_code == 302
    client.logout()
    return secret


@pytest.fixture
def clock(monkeypatch):
    """The clock of the limits, which can be moved on."""

    class Clock:
        now, monotonic, sleep = time.time(), time.monotonic, time.sleep

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(ratelimit, "time", clock)
    # What is remembered expires by it, too: else a slow machine forgets guesses that were made just now.
    monkeypatch.setattr("django.core.cache.backends.base.time", clock)
    monkeypatch.setattr("django.core.cache.backends.db.tz_now", lambda: datetime.fromtimestamp(clock.now, UTC))
    return clock
