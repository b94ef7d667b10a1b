"""Members with tokens, whose calls each test counts anew."""

from __future__ import annotations

import pytest

from console.api import limits
from tests.api.callers import Caller, give


@pytest.fixture(autouse=True)
def _counted_anew(monkeypatch):
    """Count each test's calls by themselves, in this process: no test has a broker unless it asks for one."""
    monkeypatch.setattr(limits, "_shared", lambda name: 0)
    limits._own.clear()


@pytest.fixture
def caller():
    """A function that gives a person a token with these scopes, or all, and returns who calls with it."""

    def caller(person, *scopes):
        return Caller(give(person, *scopes)[1])

    return caller


@pytest.fixture
def as_owner(caller, alice):
    return caller(alice)


@pytest.fixture
def as_viewer(caller, bob):
    return caller(bob)


@pytest.fixture
def as_stranger(caller, charlie):
    return caller(charlie)
