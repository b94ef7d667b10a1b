"""A node of PostgreSQL with pgBackRest for each test, and one console for all of them."""

from __future__ import annotations

import pytest

from tests.demo_process import running_demo
from tests.pgbackrest_node import fresh_node


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Run one demo: a start takes as long as a test, and each test makes stores and clusters with names of its own."""
    with running_demo(tmp_path_factory.mktemp("demo")) as facts:
        yield facts


@pytest.fixture
def node(tmp_path):
    with fresh_node(tmp_path) as one:
        yield one
