"""A plan that a test writes itself, on a real store."""

from __future__ import annotations

import pytest

from console.clouds.steps import Stage
from console.operations import registry
from console.operations.registry import Workflow
from stores.models import State, Store
from tests import factories


@pytest.fixture
def plan(monkeypatch):
    """A list of rounds that "create" means for a store in this test."""
    rounds: list[Stage] = []
    monkeypatch.setitem(
        registry._works,
        ("store", "create"),
        Workflow(
            model=Store, verb="create", title="Create", plan=lambda store: tuple(rounds), spec=lambda store: store.name
        ),
    )
    return rounds


@pytest.fixture
def store(account):
    return factories.store(account, state=State.CREATING)
