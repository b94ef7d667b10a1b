"""The strict emulator of Google Cloud, empty at the start of each test, and a store in it."""

import pytest

from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, make_spec, run
from tests.worlds.google import Google


@pytest.fixture(scope="package")
def shared():
    world = Google()
    yield world
    world.close()


@pytest.fixture
def world(shared, monkeypatch):
    # Whatever the machine knows of Google must not matter.
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    shared.reset()
    return shared


@pytest.fixture
def store(world):
    spec = make_spec(world, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.forget()
    return spec
