"""What `check --deploy` says of settings that leave a door open."""

from __future__ import annotations

import re

import pytest
from django.core.checks import Tags, run_checks

from console.web.checks import CHECKS
from tests.demo_process import ROOT

SAFE = {
    "DEMO_FILE": "",
    "ALLOWED_HOSTS": ["console.example.org"],
    "INSECURE_HTTP": False,
    "CSRF_TRUSTED_ORIGINS": ["https://console.example.org"],
    "OIDC_ISSUER": "https://id.example.org",
    "DEBUG": False,
    "SUPPORT_SECOND_FACTOR": True,
    "TRUSTED_PROXY_COUNT": 1,
    "SESSION_IDLE_SECONDS": 1800,
    "EMAIL_HOST": "mail.example.org",
    "EMAIL_USE_TLS": True,
    "S3_ENDPOINTS_ALLOWED": ["10.0.0.0/8", "minio.internal"],
    "MAP_TILES_URL": "https://tiles.example.org/{z}/{x}/{y}.png",
    "DEPLOYMENT_SETTINGS": {"azure": {"endpoint_url": ""}, "s3": {}},
    "PUBLIC_URL": "https://console.example.org",
}
OPEN = [
    ("E001", "DEMO_FILE", "/data/demo.json"),
    ("E002", "ALLOWED_HOSTS", ["*"]),
    ("E002", "ALLOWED_HOSTS", ["console.example.org", "*"]),
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
    ("W005", "MAP_TILES_URL", "http://tiles.example.org/{z}/{x}/{y}.png"),
    ("W006", "DEPLOYMENT_SETTINGS", {"azure": {"endpoint_url": "https://localhost:1"}}),
    ("W007", "PUBLIC_URL", "http://console.example.org"),
]
# What settings.py reads of the environment and no check of ours is about, and why.
NOT_CHECKED = {
    **dict.fromkeys(["SECRET_KEY"], "Django's own check"),
    **dict.fromkeys(["FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL"], "checks of their own"),
    **dict.fromkeys(["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME"], "the provider's"),
    **dict.fromkeys(
        ["EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_FROM"], "the mail server's"
    ),
    **dict.fromkeys(["AZURE_ENDPOINT_URL", "GOOGLE_ENDPOINT_URL"], "W006, which names no cloud"),
    **dict.fromkeys(["AZURE_ENDPOINT_CA", "GOOGLE_ENDPOINT_CA"], "used with the endpoint's address only"),
    **dict.fromkeys(["AWS_PRINCIPAL", "MAP_TILES_ATTRIBUTION"], "shown"),
    **dict.fromkeys(["AZURE_FEDERATED_TOKEN_FILE", "GOOGLE_SUBJECT_TOKEN_FILE"], "a file that only the console reads"),
    **dict.fromkeys(["LOG_LEVEL", "LOG_FORMAT", "STATIC_ROOT", "WEB_THREADS"], "opens nothing"),
    **dict.fromkeys(["WEB_PROCESSES", "WORKER_PROCESSES", "DATABASE_POOL"], "console.web.database, which adds them up"),
    **dict.fromkeys(["WEB_QUEUE", "WORKER_THREADS"], "a number, and takes no connection"),
    **dict.fromkeys(["PUBLIC_CA"], "the nodes believe it beside TLS's own checks, and nothing else"),
    **dict.fromkeys(["VAULT_ADDR", "VAULT_CACERT"], "without TLS the vault is not asked"),
    **dict.fromkeys(["VAULT_TOKEN", "VAULT_KEY", "VAULT_MOUNT", "VAULT_NAMESPACE"], "the vault's"),
    "METRICS_TOKEN": "figures that name nobody",
    "PROMETHEUS_MULTIPROC_DIR": "a folder that is none, or that nobody may write to, keeps each process from starting",
}


def said():
    ours = run_checks(tags=[Tags.security], include_deployment_checks=True)
    return {one.id.removeprefix("storekeeper."): one for one in ours if one.id.startswith("storekeeper.")}


@pytest.fixture
def safe(settings):
    for name, value in SAFE.items():
        setattr(settings, name, value)
    return settings


def test_nothing_is_said_of_what_is_closed(safe):
    assert said() == {}


@pytest.mark.parametrize(("number", "name", "value"), OPEN)
def test_what_is_open_is_said_with_what_to_do(safe, number, name, value):
    setattr(safe, name, value)
    (found,) = said().values()
    assert found.id == f"storekeeper.{number}"
    assert re.search(r"[A-Z_]*[A-Z][A-Z_0-9]+[A-Z]", found.hint)
    assert found.level == {"I": 20, "W": 30, "E": 40}[number[0]]


def test_every_check_is_tried():
    assert {number for _, number, *_ in CHECKS} == {number for number, _, _ in OPEN}


def test_every_setting_is_checked_or_says_why_not():
    read = {*re.findall(r'\benv(?:_\w+)?\(\s*"(\w+)"', (ROOT / "console" / "settings.py").read_text())}
    told = {name for *_, hint in CHECKS for name in re.findall(r"[A-Z][A-Z_0-9]{3,}", hint)}
    assert read - told == {*NOT_CHECKED}
