"""A console with what the pictures show, and a browser at it; the tests only look, so one is enough for all."""

from __future__ import annotations

import shutil

import pytest

from tests.demo_process import CHROMIUM
from tests.gallery import server
from tests.gallery.camera import Camera


def pytest_collection_modifyitems(items):
    for item in items:
        if "camera" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("gallery"))


@pytest.fixture(scope="session")
def browser_type_launch_args():
    return CHROMIUM


@pytest.fixture(scope="session")
def camera(browser, migrated_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    shutil.copyfile(migrated_file, folder / server.DATABASE)
    with server.serving(folder) as (url, facts):
        yield Camera(browser, url, facts)
