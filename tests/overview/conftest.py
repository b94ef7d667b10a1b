"""Stores, and clusters of which something was judged."""

from __future__ import annotations

import pytest

from tests import factories


@pytest.fixture
def dub(account):
    """An available store in Ireland."""
    return factories.store(account, name="archive-dub", region="eu-west-1")


@pytest.fixture
def iad(account):
    """An available store in Virginia."""
    return factories.store(account, name="archive-iad", region="us-east-1")
