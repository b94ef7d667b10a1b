"""The strict emulator of Azure, empty at the start of each test."""

import pytest

from console.clouds.azure import session as azure_session
from tests.worlds.azure import opened


@pytest.fixture(scope="package", params=["identity", "sas"])
def both(request, tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure"), request.param) as world:
        yield world


@pytest.fixture(scope="package")
def one(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure")) as world:
        yield world


@pytest.fixture
def world(one):
    one.clear()
    yield one
    azure_session.forget_clients()


@pytest.fixture
def worlds(both):
    both.clear()
    yield both
    azure_session.forget_clients()
