"""What a process has loaded before it has done anything: a start costs a second of a core, and memory to the end."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest
from django.core.management import get_commands, load_command_class

from console import starting
from tests.demo_process import ROOT

# The same in one process, one after the other: each has what the one before it has.
SCRIPT = """
import gc, json, os, sys
def told(stage):
    print(json.dumps([stage, sorted(sys.modules), gc.get_threshold()[0]]))
import console.demo.emulators
told("emulated cloud")
import django
django.setup()
told("command")
import console.operations.beat
told("beat")
from console.celery import app
app.loader.import_default_modules()
told("worker")
from django.urls import get_resolver
get_resolver().url_patterns
told("web")
"""
# With what they come; what a process that needs none of it has no business with.
CLOUDS = {
    "boto3": "the first client of S3",
    "botocore.client": "the first client of S3",
    "botocore.parsers": "the first client of S3",
    "azure": "the first client of Azure",
    "google.auth": "the first session of Google",
    "cryptography.x509": "the form for a server with a certificate of its own",
    "moto": "the demo alone",
}
PAGES = {
    "folium": "the map",
    "numpy": "the map",
    "qrcode": "a recovery kit's page",
    "PIL": "a recovery kit's page",
}
WEB = {
    "ninja": "the API",
    "pydantic": "the API",
    "jinja2": "django-ninja, which loads Django's test client",
    "unittest": "django-ninja, which loads Django's test client",
    "markdown_it": "the manual",
    "fido2": "passkeys",
    "clusters.views": "pages",
    "stores.views": "pages",
    "console.urls": "pages",
}
LEFT_TO = {
    "emulated cloud": {**CLOUDS, **PAGES, **WEB, "celery": "tasks", "redis": "tasks", "django.db": "the database"},
    "command": {**CLOUDS, **PAGES, **WEB},  # such as migrate
    "beat": {**CLOUDS, **PAGES, **WEB},
    "worker": {**CLOUDS, **PAGES, **WEB},
    "web": {**CLOUDS, **PAGES},  # console.rsgi adds the map
}


@pytest.fixture(scope="module")
def stages():
    """What each kind of process has loaded, and its threshold of garbage collection, by name."""
    said = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    told = (json.loads(line) for line in said.stdout.splitlines())
    return {stage: (set(modules), threshold) for stage, modules, threshold in told}


@pytest.mark.slow
@pytest.mark.parametrize("stage", LEFT_TO)
def test_a_process_loads_only_what_it_uses(stages, stage):
    too_early = {f"{name}, which is for {why}" for name, why in LEFT_TO[stage].items() if name in stages[stage][0]}
    assert not too_early


NEEDS_ALL = {"write_openapi": "writes of the pages that it loads"}


def test_no_command_of_ours_loads_every_page_to_look_for_mistakes():
    """Django makes all checks before a command that does not say which."""
    ours = {name: app for name, app in get_commands().items() if isinstance(app, str) and app.startswith("console.")}
    loading = {name for name, app in ours.items() if load_command_class(app, name).requires_system_checks == "__all__"}
    assert {"migrate", "bootstrap", "rotate_keys"} <= {*ours}
    assert loading == {*NEEDS_ALL}


@pytest.mark.slow
def test_garbage_is_looked_for_rarely_while_modules_are_loaded(stages):
    assert {threshold for _modules, threshold in stages.values()} == {starting.LOADING}


def test_a_process_that_serves_looks_for_garbage_as_usual(monkeypatch):
    before, done = gc.get_threshold(), []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("frozen"))
    try:
        starting.load()
        assert gc.get_threshold()[0] == starting.LOADING
        starting.settle()
        assert gc.get_threshold()[0] < starting.LOADING
        assert done == ["frozen"]
    finally:
        gc.set_threshold(*before)
