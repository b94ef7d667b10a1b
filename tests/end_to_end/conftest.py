"""A node of PostgreSQL with pgBackRest for each test, and one console for all of them."""

from __future__ import annotations

import pytest

from tests.pgbackrest_node import fresh_node


@pytest.fixture(scope="session")
def demo(plain_demo):
    """One demo for all: each test makes stores and clusters with names of its own."""
    return plain_demo


@pytest.fixture
def node(tmp_path):
    with fresh_node(tmp_path) as one:
        yield one
