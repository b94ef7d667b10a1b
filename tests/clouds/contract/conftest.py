"""Each cloud's World, empty at the start of each test."""

from __future__ import annotations

from importlib import import_module

import pytest

from console.clouds import CLOUDS
from tests.worlds import live


@pytest.fixture(scope="package", params=["live"] if live.TESTED else CLOUDS)
def opened(request, tmp_path_factory):
    module = import_module(f"tests.worlds.{request.param}")
    with module.opened(tmp_path_factory.mktemp(request.param)) as world:
        yield world


@pytest.fixture
def world(opened):
    opened.clear()
    opened.clear_faults()
    opened.forget()
    return opened
