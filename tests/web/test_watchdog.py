"""What a process tells systemd, and when a worker counts as stuck."""

from __future__ import annotations

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
from celery import signals

from console.celery import app
from console.web import watchdog
from tests import loops


@pytest.fixture
def listener(tmp_path, monkeypatch):
    """Where systemd listens, and wants to hear every four seconds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "4000000")
        yield listener


def test_tell_reaches_systemd(listener):
    watchdog.tell("READY=1")
    assert listener.recv(64) == b"READY=1"
    assert watchdog.seconds() == 1


def test_tell_reaches_a_socket_without_a_file(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0storekeeper-test-watchdog")
        monkeypatch.setenv("NOTIFY_SOCKET", "@storekeeper-test-watchdog")
        watchdog.tell("WATCHDOG=1")
        assert listener.recv(64) == b"WATCHDOG=1"


@pytest.mark.parametrize("path", ["/nonexistent/socket", "@nobody-listens-here", "x" * 300])
def test_tell_bears_with_a_listener_that_is_gone(monkeypatch, path):
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    watchdog.tell("READY=1")


def test_tell_waits_for_nobody_who_does_not_listen(listener):
    for _ in range(1000):  # more than a socket keeps
        watchdog.tell("WATCHDOG=1")


def test_tell_touches_a_containers_file(monkeypatch, tmp_path):
    monkeypatch.setenv("ALIVE_FILE", str(tmp_path / "alive"))
    assert watchdog.seconds() == 15
    watchdog.tell("WATCHDOG=1")
    assert (tmp_path / "alive").exists()


def test_tell_on_ends_where_nobody_listens():
    loops.run(asyncio.wait_for(watchdog.tell_on(), 5))


def test_tell_on_goes_on_as_long_as_the_loop_turns(listener):
    async def for_a_moment():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watchdog.tell_on(), 0.05)

    loops.run(for_a_moment())
    assert [listener.recv(64), listener.recv(64)] == [b"READY=1", b"WATCHDOG=1"]


def test_a_worker_is_stuck_when_its_loop_turns_no_more(monkeypatch):
    repeated = []
    consumer = SimpleNamespace(
        timer=SimpleNamespace(call_repeatedly=lambda every, turn: repeated.append((every, turn)))
    )
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    loop = watchdog.Loop(None)
    assert not watchdog.Loop.is_stuck(1)  # it looks for its broker
    loop.start(consumer)
    try:
        assert repeated == [(1, loop.turn)]
        assert not watchdog.Loop.is_stuck(1)
        monkeypatch.setattr(watchdog.Loop, "turned", time.monotonic() - 4)
        assert watchdog.Loop.is_stuck(1)
        loop.turn()
        assert not watchdog.Loop.is_stuck(1)
        monkeypatch.setattr(watchdog.Loop, "turned", time.monotonic() - 4)
    finally:
        loop.stop(consumer)
    assert not watchdog.Loop.is_stuck(1)


def test_workers_of_the_console_are_watched(listener, monkeypatch):
    """From before they have a broker on, in a thread of its own."""
    begun = []

    def start(thread):
        begun.append(thread)

    monkeypatch.setattr(watchdog.Thread, "start", start)
    assert watchdog.Loop in app.steps["consumer"]
    signals.worker_init.send(sender=None)
    assert listener.recv(64) == b"READY=1"
    assert [(thread.name, thread.daemon, thread._args) for thread in begun] == [("watchdog", True, (1.0,))]


def test_each_turn_of_beat_is_told(listener):
    scheduler = SimpleNamespace(tick=lambda: 3.0)
    watchdog._beat_begins(SimpleNamespace(scheduler=scheduler))
    assert scheduler.tick() == 3.0
    assert [listener.recv(64), listener.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
