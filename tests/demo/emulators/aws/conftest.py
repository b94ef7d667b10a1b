"""The emulated Amazon, empty at the start of each test, and clients of two of its accounts."""

from collections.abc import Iterator
from typing import Any

import pytest

from console.demo.emulators.aws.emulator import Emulator
from tests.demo.emulators.aws.clients import OTHER, client


@pytest.fixture(scope="package")
def running() -> Iterator[Emulator]:
    emulator = Emulator().start()
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    yield running
    running.latency_ms = 0
    running.reset()


@pytest.fixture(scope="package")
def other_key(running: Emulator) -> tuple[str, str]:
    return running.add_account(OTHER)


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    return client("s3", emulator)


@pytest.fixture
def stranger(emulator: Emulator, other_key: tuple[str, str]) -> Any:
    return client("s3", emulator, key=other_key)
