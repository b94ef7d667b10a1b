"""Which connections of the pool are asked whether they live, before they are lent again."""

from __future__ import annotations

import socket
import time

import pytest

from console.web.postgresql import base


class Idle:
    """A connection as the check sees it, and the server at its other end."""

    def __init__(self):
        self.socket, self.server = socket.socketpair()
        self.answered_at = time.monotonic()

    def fileno(self):
        return self.socket.fileno()


@pytest.fixture
def idle():
    one = Idle()
    yield one
    one.socket.close()
    one.server.close()


@pytest.fixture
def asked(monkeypatch):
    """The connections that were asked."""
    found = []
    monkeypatch.setattr(base.Pool, "check_connection", found.append)
    return found


def test_one_that_has_answered_just_now_is_asked_nothing(idle, asked):
    base._check(idle)
    assert asked == []


def test_one_that_was_idle_is_asked(idle, asked):
    idle.answered_at -= base.FRESH_SECONDS + 1
    base._check(idle)
    assert asked == [idle]


def test_one_whose_server_has_ended_is_asked_however_fresh(idle, asked):
    idle.server.close()
    base._check(idle)
    assert asked == [idle]


def test_one_whose_server_says_something_is_asked(idle, asked):
    idle.server.send(b"N")  # such as that it is about to end
    base._check(idle)
    assert asked == [idle]
