"""What `check --deploy` says of settings that leave a door open."""

from __future__ import annotations

import re

import pytest
from django.core.checks import Tags, run_checks

from console.settings import AWS_PRINCIPAL_UNSET
from console.web.checks import CHECKS
from tests.demo_process import ROOT

STRONG = "J3h-_Zt5pQ8w!xR2vK7mN4bC6dF9gH1jL0sA5uY3eW7iO2qT8zX"
TWO_KEYS = ("9jEtFzJsF8mTz0JZ1Y9Cz6f5bXr1u2Gq0xQ3m3l8Zqk=", "vault:v1:abc=")
SAFE = {
    "DEMO_FILE": "",
    "ALLOWED_HOSTS": ["backups.example.org"],
    "INSECURE_HTTP": False,
    "CSRF_TRUSTED_ORIGINS": ["https://backups.example.org"],
    "OIDC_ISSUER": "https://id.example.org",
    "DEBUG": False,
    "SUPPORT_SECOND_FACTOR": True,
    "TRUSTED_PROXY_COUNT": 1,
    "SESSION_IDLE_SECONDS": 1800,
    "EMAIL_HOST": "mail.example.org",
    "EMAIL_USE_TLS": True,
    "S3_ENDPOINTS_ALLOWED": ["10.0.0.0/8", "minio.internal"],
    "ALERT_ENDPOINTS_ALLOWED": ["hooks.internal"],
    "DEADMAN_URL": "https://hc-ping.example.org/1b2c",
    "MAP_TILES_URL": "https://tiles.example.org/{z}/{x}/{y}.png",
    "DEPLOYMENT_SETTINGS": {"azure": {"endpoint_url": ""}, "s3": {}, "aws": {"principal": "arn"}},
    "PUBLIC_URL": "https://backups.example.org",
    "FIELD_ENCRYPTION_KEYS": [*TWO_KEYS],
    "SECRET_KEY": STRONG,
    "METRICS_TOKEN": STRONG,
    "PROMETHEUS_MULTIPROC_DIR": "/run/storekeeper/metrics",
    "STATIC_ROOT": "",  # set below
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "PASSWORD": "p"}},
    "DEFAULT_FROM_EMAIL": "Storekeeper <storekeeper@example.org>",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
}
OPEN = [
    ("E001", "DEMO_FILE", "/data/demo.json"),
    ("E002", "ALLOWED_HOSTS", ["*"]),
    ("E002", "ALLOWED_HOSTS", ["backups.example.org", "*"]),
    ("E003", "INSECURE_HTTP", True),
    ("E004", "CSRF_TRUSTED_ORIGINS", ["https://a.example.org", "http://b.example.org"]),
    ("E005", "OIDC_ISSUER", "http://id.example.org"),
    ("E006", "DEBUG", True),
    ("W001", "SUPPORT_SECOND_FACTOR", False),
    ("I001", "TRUSTED_PROXY_COUNT", 0),
    ("W002", "SESSION_IDLE_SECONDS", 0),
    ("W002", "SESSION_IDLE_SECONDS", 24 * 3600),
    ("W003", "EMAIL_USE_TLS", False),
    ("W004", "S3_ENDPOINTS_ALLOWED", ["minio.internal", "0.0.0.0/0"]),
    ("W004", "S3_ENDPOINTS_ALLOWED", ["::/0"]),
    ("W004", "ALERT_ENDPOINTS_ALLOWED", ["10.0.0.0/7"]),
    ("W013", "DEADMAN_URL", "http://hc-ping.example.org/1b2c"),
    ("I006", "DEADMAN_URL", ""),
    ("W005", "MAP_TILES_URL", "http://tiles.example.org/{z}/{x}/{y}.png"),
    ("W006", "DEPLOYMENT_SETTINGS", {"azure": {"endpoint_url": "https://localhost:1"}}),
    ("W007", "PUBLIC_URL", "http://backups.example.org"),
    ("E007", "FIELD_ENCRYPTION_KEYS", [TWO_KEYS[0], f" {TWO_KEYS[0]}"]),
    ("E008", "PUBLIC_URL", "https://console.example.org"),
    ("E008", "ALLOWED_HOSTS", ["console.example.org"]),
    ("E008", "DATABASES", {"default": {"ENGINE": "django.db.backends.postgresql", "PASSWORD": "CHANGE-ME"}}),
    ("E009", "SECRET_KEY", "abcdefghijkl"),
    ("E009", "SECRET_KEY", "ab" * 30),
    ("E010", "FIELD_ENCRYPTION_KEYS", ["none"]),
    ("E011", "STATIC_ROOT", "/nonexistent/of/none"),
    ("W008", "DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}),
    ("I002", "EMAIL_HOST", ""),
    ("W009", "DEFAULT_FROM_EMAIL", "storekeeper@localhost"),
    ("I003", "DEPLOYMENT_SETTINGS", {"aws": {"principal": AWS_PRINCIPAL_UNSET}}),
    ("I004", "PUBLIC_URL", ""),
    ("W011", "METRICS_TOKEN", "secret"),
    ("I005", "PROMETHEUS_MULTIPROC_DIR", ""),
    ("W012", "DEPLOYMENT_SETTINGS", {"azure": {"token_file": "/nonexistent/of/none"}}),
    ("E025", "OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
]
# What settings.py reads of the environment and no check of ours is about, and why.
NOT_CHECKED = {
    **dict.fromkeys(["REDIS_URL"], "checks of its own: connections, console.accounts.database_checks"),
    **dict.fromkeys(["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME"], "the provider's"),
    **dict.fromkeys(["EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"], "the mail server's"),
    **dict.fromkeys(["AZURE_ENDPOINT_URL", "GOOGLE_ENDPOINT_URL"], "W006, which names no cloud"),
    **dict.fromkeys(["AZURE_ENDPOINT_CA", "GOOGLE_ENDPOINT_CA"], "used with the endpoint's address only"),
    **dict.fromkeys(["MAP_TILES_ATTRIBUTION"], "shown"),
    **dict.fromkeys(["LOG_LEVEL", "LOG_FORMAT", "OPERATIONS_KEPT_DAYS", "WEB_THREADS"], "opens nothing"),
    **dict.fromkeys(["WEB_PROCESSES", "WORKER_PROCESSES", "DATABASE_POOL"], "console.web.database, which adds them up"),
    "METRICS_WITHOUT_NAMES": "takes names away from who has METRICS_TOKEN",
    **dict.fromkeys(["WEB_QUEUE", "WORKER_THREADS"], "a number, and takes no connection"),
    **dict.fromkeys(["PUBLIC_CA"], "the nodes believe it beside TLS's own checks, and nothing else"),
    **dict.fromkeys(["VAULT_ADDR", "VAULT_CACERT"], "without TLS the vault is not asked"),
    **dict.fromkeys(["VAULT_TOKEN", "VAULT_KEY", "VAULT_MOUNT", "VAULT_NAMESPACE"], "the vault's"),
}


def said():
    ours = run_checks(tags=[Tags.security], include_deployment_checks=True)
    return {one.id.removeprefix("storekeeper."): one for one in ours if one.id.startswith("storekeeper.")}


def put(name, value, settings, monkeypatch):
    if name == "DATABASES":  # which Django warns of, as a whole
        monkeypatch.setitem(settings.DATABASES, "default", value["default"])
    else:
        setattr(settings, name, value)


@pytest.fixture
def safe(settings, tmp_path, monkeypatch):
    for name, value in SAFE.items():
        put(name, value, settings, monkeypatch)
    settings.STATIC_ROOT = str(tmp_path)
    (tmp_path / "staticfiles.json").touch()
    return settings


def test_nothing_is_said_of_what_is_closed(safe):
    assert said() == {}


@pytest.mark.parametrize(("number", "name", "value"), OPEN)
def test_what_is_open_is_said_with_what_to_do(safe, monkeypatch, number, name, value):
    put(name, value, safe, monkeypatch)
    (found,) = said().values()
    assert found.id == f"storekeeper.{number}"
    assert re.search(r"[A-Z_]*[A-Z][A-Z_0-9]+[A-Z]", found.hint)
    assert found.level == {"I": 20, "W": 30, "E": 40}[number[0]]


def test_every_check_is_tried():
    assert {number for _, number, *_ in CHECKS} | {"E010"} == {number for number, _, _ in OPEN}


def test_a_name_that_nobody_reads_is_named_by_every_check(safe, monkeypatch):
    monkeypatch.setenv("TRUSTED_PROXYCOUNT", "1")
    [one] = [one for one in run_checks(tags=[Tags.security]) if one.id == "storekeeper.W010"]
    assert one.msg.startswith("TRUSTED_PROXYCOUNT is in the environment")
    assert "TRUSTED_PROXY_COUNT" in one.hint


def test_checks_have_numbers_of_their_own():
    numbers = [number for _, number, *_ in CHECKS]
    assert len(numbers) == len({*numbers})


def test_every_setting_is_checked_or_says_why_not():
    read = {*re.findall(r'\benv(?:_\w+)?\(\s*"(\w+)"', (ROOT / "console" / "settings.py").read_text())}
    told = {name for *_, hint in CHECKS for name in re.findall(r"[A-Z][A-Z_0-9]{3,}", hint)}
    assert read - told == {*NOT_CHECKED}
