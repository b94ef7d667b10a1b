"""One world for all the tests that walk the URL conf."""

from __future__ import annotations

import logging

import pytest
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings

from tests.fuzz.world import World, undone


@pytest.fixture(scope="package")
def made(django_db_setup, django_db_blocker, _emulator):
    """The world, made once for all these tests; nothing of it remains in the database."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    as_in_tests = {
        "STORAGES": {**django_settings.STORAGES, "staticfiles": plain},
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "DEBUG_PROPAGATE_EXCEPTIONS": True,
    }
    logging.disable(logging.CRITICAL)  # of thousands of refusals
    with (
        django_db_blocker.unblock(),
        override_settings(**as_in_tests),
        pytest.MonkeyPatch.context() as patch,
        undone(),
    ):
        for signal in (request_started, request_finished):  # the connection holds what is undone at the end
            signal.disconnect(close_old_connections)
        patch.setenv("AWS_ENDPOINT_URL", _emulator.url)
        yield World()
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
    logging.disable(logging.NOTSET)


@pytest.fixture
def world(made, db, amazon, request):
    """The world; for the addresses of a console that was restored from a copy, as it is then."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if not getattr(params.get("route"), "pattern", "").startswith("restoration/"):
        yield made
        return
    with made.restored():
        yield made
