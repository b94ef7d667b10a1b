"""A node of PostgreSQL with pgBackRest, for each test."""

from __future__ import annotations

import pytest

from tests.pgbackrest_node import fresh_node


@pytest.fixture
def node(tmp_path):
    with fresh_node(tmp_path) as one:
        yield one
