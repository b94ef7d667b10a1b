"""A store that may be deleted."""

from __future__ import annotations

import pytest

from stores import actions
from tests.stores.deletion.dialogs import work


@pytest.fixture
def store(account, alice, amazon):
    """A store whose buckets are there."""
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    return work(store)
