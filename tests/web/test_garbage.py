"""Garbage in each setting of settings.md: one line that names it and says what it wants, never another meaning."""

from __future__ import annotations

import os
import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from console import environment
from console.starting import line
from console.web.checks import keys_are_keys
from tests.demo_process import ROOT
from tests.web import garbage

SETTINGS = ROOT / "console" / "settings.py"
DOCUMENTED = [
    name
    for row in re.findall(r"^\| (`[A-Z].*?) \|", (ROOT / "console/deploy/settings.md").read_text(), re.MULTILINE)
    for name in re.findall(r"`([A-Z_0-9]+)`", row)
]
CODE = compile(SETTINGS.read_text(), str(SETTINGS), "exec")


@pytest.fixture
def bare(monkeypatch):
    """An environment that holds what is needed, and nothing that a test or this machine has set."""
    for name in [one for one in os.environ if one.removesuffix("_FILE") in DOCUMENTED]:
        monkeypatch.delenv(name)
    for name, value in garbage.NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def load(name, value, bare):
    """Read the settings with this one, and have its check look at keys, as each process does before it starts."""
    for other, right in garbage.WITH.get(name, {}).items():
        bare.setenv(other, right)
    bare.setenv(name, value)
    found = {"__name__": "settings", "__file__": str(SETTINGS)}
    exec(CODE, found)
    keys_are_keys(found["FIELD_ENCRYPTION_KEYS"])


def kind(name):
    return environment.READ.get(name) or "pattern"  # what is read only beside others, which garbage.WITH names


def test_each_setting_is_documented_and_read():
    named = {*re.findall(r'\benv(?:_\w+)?\(\s*"(\w+)"', SETTINGS.read_text())}
    assert {*DOCUMENTED} == named, "console/deploy/settings.md has a row for each setting, and for nothing else"
    assert len(DOCUMENTED) == len({*DOCUMENTED})


@pytest.mark.parametrize("name", DOCUMENTED)
def test_garbage_is_refused_in_one_line_that_names_the_setting(bare, name):
    values = [*garbage.KINDS.get(kind(name), []), *garbage.NAMES.get(name, [])]
    assert values, "read it by a reader that knows what is none (env_number …)"
    if kind(name) in {"pattern", "list"}:
        assert name in garbage.NAMES, "what does not fit its pattern stands in tests/web/garbage.py"
    for value in values:
        with pytest.raises(ImproperlyConfigured, match=rf"^{name} ") as raised:
            load(name, value, bare)
        said = line(raised.value)
        assert said.startswith(f"Storekeeper cannot start: {name} ")
        assert "\n" not in said
        assert len(said) < 400
        assert "hidden" not in said
        parts = [repr(part.strip())[1:-1] for part in value.split(",") if part.strip()]
        if parts and len(value) < 80 and not environment.SECRETS.search(name):
            assert any(part in said for part in parts)


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name != "PUBLIC_CA"])
def test_a_line_break_is_in_no_setting(bare, name):
    for value in garbage.UNPRINTED:
        with pytest.raises(ImproperlyConfigured, match=rf"^{name} "):
            load(name, value, bare)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_right_is_taken(bare, name):
    for value in garbage.RIGHT_NAMES.get(name) or garbage.RIGHT.get(kind(name), []):
        load(name, value, bare)


@pytest.mark.parametrize("name", garbage.NEEDED)
def test_what_is_needed_and_missing_is_said(bare, name):
    bare.delenv(name)
    with pytest.raises(ImproperlyConfigured, match=rf"^Set {name} in the environment, or {name}_FILE"):
        exec(CODE, {"__name__": "settings", "__file__": str(SETTINGS)})


MISSPELT = [
    ("TRUSTED_PROXYCOUNT", "TRUSTED_PROXY_COUNT"),
    ("TRUSTED_PROXIES_COUNT", "TRUSTED_PROXY_COUNT"),
    ("Allowed_Hosts", "ALLOWED_HOSTS"),
    ("ALLOWED_HOST", "ALLOWED_HOSTS"),
    ("STOREKEEPER_SECRET_KEY", "SECRET_KEY"),
    ("DJANGO_SECRET_KEY", "SECRET_KEY"),
    ("DATABASE_URI", "DATABASE_URL"),
    ("FIELD_ENCRYPTION_KEY", "FIELD_ENCRYPTION_KEYS"),
    ("EMAIL_USE_TLS", "EMAIL_TLS"),
    ("DEFAULT_FROM_EMAIL", "EMAIL_FROM"),
    ("SECRET_KEYFILE", "SECRET_KEY_FILE"),
    ("SESSION_IDLE_MINUTE", "SESSION_IDLE_MINUTES"),
    ("PUBLICURL", "PUBLIC_URL"),
]
NOT_OURS = [
    *("PATH", "HOME", "HOSTNAME", "LANG", "LOGNAME", "USER", "SHELL", "PWD", "TERM", "INVOCATION_ID", "JOURNAL_STREAM"),
    *("AWS_ACCESS_KEY_ID", "AWS_REGION", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "GOOGLE_APPLICATION_CREDENTIALS"),
    *("KUBERNETES_SERVICE_HOST", "PGPASSWORD", "SSL_CERT_FILE", "PYTHONPATH", "REDIS_PORT", "NOTIFY_SOCKET", "TZ"),
    *(
        "MEMORY_PRESSURE_WATCH",
        "RUNTIME_DIRECTORY",
        "LOGS_DIRECTORY",
        "STATE_DIRECTORY",
        "VIRTUAL_ENV",
        "DEBIAN_FRONTEND",
    ),
    *("PROMETHEUS_MULTIPROC_DIR", "CREDENTIALS_DIRECTORY", "DJANGO_SETTINGS_MODULE", "HTTP_PROXY", "EDITOR", "MAIL"),
]


@pytest.mark.parametrize(("name", "meant"), MISSPELT)
def test_near_misses_names_what_was_meant(name, meant):
    assert environment.near_misses([name]) == [(name, meant)]


def test_near_misses_is_silent_of_what_is_right_and_of_what_is_others():
    assert environment.near_misses([*DOCUMENTED, *NOT_OURS, "SECRET_KEY_FILE"]) == []
