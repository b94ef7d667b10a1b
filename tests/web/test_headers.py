"""What every answer carries, whatever its status: found by walking the URLs."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from console.web import csp
from tests import factories
from tests.delivery import deliver

ROOT = Path(__file__).parent.parent.parent
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Reporting-Endpoints": 'csp="/csp-reports/"',
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}
UUID = "c0ffee00-0000-4000-8000-000000000000"
VALUES = {"uuid": UUID, "uuidstr": UUID, "int": "1", "str": "x", "slug": "x", "path": "x"}


def _paths(patterns, prefix=""):
    for one in patterns:
        path = prefix + str(one.pattern)
        if isinstance(one, URLPattern):
            path = re.sub(r"<(?:(\w+):)?\w+>", lambda found: VALUES[found[1] or "str"], path)
            yield "/" + re.sub(r"\(\?P<\w+>[^)]*\)|[\^$]|\\Z", "x", path).replace("\\", "")
        else:
            yield from _paths(one.url_patterns, path)


PATHS = sorted(set(_paths(get_resolver().url_patterns)))


@pytest.fixture
def production(settings):
    """Settings that depend on TLS, as they are with it."""
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True


def _check(answer):
    found = {name: answer.get(name) for name in EVERYWHERE}
    assert found == EVERYWHERE, answer.request["PATH_INFO"]
    policy = answer["Content-Security-Policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "report-to csp"):
        assert part in policy
    assert "unsafe" not in policy
    assert "camera=()" in answer["Permissions-Policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])
    assert "no-store" in answer["Cache-Control"], answer.request["PATH_INFO"]


@pytest.mark.slow
def test_every_url_answers_with_the_headers(production, alice, bob, sample):
    """Whoever asks: the owner for each of them, the others for some below each first part of an address."""
    assert len(PATHS) > 50
    seen = set()
    some = sample("headers: URLs of the others", PATHS, by=lambda path: path.split("/")[1], of_each=3)
    for person, paths in ((None, some), (alice, PATHS), (bob, some)):
        client = Client(raise_request_exception=False)
        if person:
            client.force_login(person)
        for path in paths:
            for method in (client.get, client.post):
                answer = method(path, secure=True)
                _check(answer)
                seen.add(answer.status_code)
                if person and path == "/logout/":
                    client.force_login(person)
    assert {200, 302, 403, 404, 405, 422} <= seen
    assert 500 not in seen


def test_an_error_answers_with_the_headers(production, alice, monkeypatch):
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    monkeypatch.setattr("console.operations.views.paginate", None)
    answer = client.get("/tasks/", secure=True)
    assert answer.status_code == 500
    _check(answer)


@pytest.mark.parametrize(("told", "kept"), [
    ("proxy-1234567", True),
    ("short", False),
    ("x" * 65, False),
    ("eight ch", False),
    ('12345678"}', False),
])  # fmt: skip
def test_a_request_id_is_taken_over_if_it_is_well_formed(client, told, kept):
    assert (client.get("/healthz", headers={"X-Request-ID": told})["X-Request-ID"] == told) is kept


def test_a_request_that_is_too_large_is_told_so(client, alice):
    client.force_login(alice)
    answer = client.post("/stores/create/", {"name": "x" * 1024 * 1024})
    assert answer.status_code == 413
    assert b"1024 KiB" in answer.content


def test_a_request_with_too_many_fields_is_refused(client, alice):
    client.force_login(alice)
    assert client.post("/stores/create/", {f"f{at}": "" for at in range(2001)}).status_code == 400


@pytest.mark.parametrize("onwards", ["https://example.com/", "//example.com/", "javascript:alert(1)", "/\\example.com"])
@pytest.mark.parametrize("path", ["/login/", "/confirm/"])
def test_nobody_is_sent_elsewhere(client, alice, path, onwards):
    if path == "/confirm/":
        client.force_login(alice)
    answer = client.post(path, {"username": "alice", "password": "secret", "next": onwards})
    assert answer.status_code == 302
    assert answer["Location"] == "/"


@pytest.fixture
def no_reports_yet():
    csp._taken.clear()
    yield
    csp._taken.clear()


REPORT = {
    "effective-directive": "img-src",
    "blocked-uri": "https://evil.example/?token=1",
    "original-policy": "x" * 9000,
}


@pytest.mark.parametrize(("kind", "body"), [
    ("application/csp-report", {"csp-report": REPORT}),
    ("application/reports+json", [{"type": "csp-violation", "body": {"effectiveDirective": "img-src",
                                                                      "blockedURL": "https://evil.example/?token=1"}}]),
])  # fmt: skip
def test_a_report_of_the_policy_is_logged(client, caplog, no_reports_yet, kind, body):
    with caplog.at_level(logging.WARNING, "storekeeper.csp"):
        answer = client.post("/csp-reports/", json.dumps(body), content_type=kind)
    assert answer.status_code == 204
    assert caplog.records[0].data == {"csp": {"directive": "img-src", "blocked": "https://evil.example/"}}


@pytest.mark.parametrize(("kind", "body", "status"), [
    ("text/plain", "{}", 415),
    ("application/csp-report", "{", 400),
    ("application/csp-report", "[" * 10_000, 400),
    ("application/csp-report", "x" * 20_000, 413),
    ("application/csp-report", "[1, null, {}]", 204),
    ("application/csp-report", "\xff", 400),
])  # fmt: skip
def test_what_is_no_report_is_not_logged(client, caplog, no_reports_yet, kind, body, status):
    assert client.post("/csp-reports/", body.encode("latin-1"), content_type=kind).status_code == status
    assert not [record for record in caplog.records if record.name == "storekeeper.csp"]


@pytest.mark.parametrize("path", ["/csp-reports/", "/login/"])
def test_a_length_that_is_none_is_refused(client, db, path):
    answer = client.post(path, "{}", content_type="application/json", CONTENT_LENGTH="much")
    assert answer.status_code == 400


def test_reports_are_limited(client, no_reports_yet):
    sent = [client.post("/csp-reports/", "{}", content_type="application/csp-report").status_code for _ in range(40)]
    assert sent.count(204) == csp.A_MINUTE
    assert sent[-1] == 429


@pytest.mark.parametrize(("token", "given", "status"), [
    ("", "Bearer ", 404),
    ("secret", "", 401),
    ("secret", "Bearer wrong", 401),
    ("secret", "Bearer secret", 200),
    ("secret", "Bearer sécret", 401),
])  # fmt: skip
def test_metrics_are_for_who_has_the_token(client, db, settings, token, given, status):
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", HTTP_AUTHORIZATION=given).status_code == status


def test_metrics_are_open_in_the_demo(client, db, settings):
    settings.DEMO_FILE = "demo.json"
    assert client.get("/metrics").status_code == 200


def test_metrics_say_what_they_should_and_name_nobody(
    client, alice, account, amazon, settings, django_capture_on_commit_callbacks
):
    from stores import actions

    settings.METRICS_TOKEN = "secret"
    factories.store(account, name="drifted", state="degraded")
    amazon.inject("CreateBucket", code="TooManyBuckets", status=400, times=2)
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    deliver(store.operation.pk)
    actions.create(account, name="waits", region="eu-west-1", by=alice)
    client.get(f"/no-such-page/{'x' * 20}/")
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/login/", {"username": "alice", "password": "wrong"})
    text = client.get("/metrics", headers={"Authorization": "Bearer secret"}).content.decode()
    for line in (
        'storekeeper_requests_total{method="GET",status="404",view="unknown"}',
        'storekeeper_provider_calls_total{code="TooManyBuckets",operation="CreateBucket",service="s3"}',
        'storekeeper_provider_call_seconds_bucket{le="+Inf",operation="CreateBucket",service="s3"}',
        'storekeeper_request_seconds_count{method="GET",view="unknown"}',
        'storekeeper_operations{state="waiting"} 1.0',
        'storekeeper_stores{state="degraded"} 1.0',
        "storekeeper_oldest_waiting_seconds ",
        'storekeeper_audit_events_total{action="Failed to sign in",outcome="refused"} ',
    ):
        assert line in text
    for secret in ("Acme", "orders", "alice", "no-such-page", str(store.pk)):
        assert secret not in text


@pytest.mark.slow
def test_metrics_of_all_processes_are_added_up(tmp_path):
    counting = "from console.web.middleware import REQUESTS; REQUESTS.labels('home', 'GET', 200).inc()"
    asking = (
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess as m; "
        "r = CollectorRegistry(); m.MultiProcessCollector(r); print(generate_latest(r).decode())"
    )
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "console.settings"}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", counting], cwd=ROOT, env=env, check=True)
    told = subprocess.run([sys.executable, "-c", asking], cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    assert 'storekeeper_requests_total{method="GET",status="200",view="home"} 2.0' in told.stdout


@pytest.mark.slow
def test_the_deployment_check_says_in_production_only_what_is_so(tmp_path):
    from cryptography.fernet import Fernet

    environment = {
        "SECRET_KEY": "J3h-_Zt5pQ8w!xR2vK7mN4bC6dF9gH1jL0sA5uY3eW7iO2qT8zX",
        "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DATABASE_URL": f"sqlite:///{tmp_path}/production.sqlite3",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ALLOWED_HOSTS": "storekeeper.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://storekeeper.example.com",
        "STATIC_ROOT": str(tmp_path),
        "METRICS_TOKEN": "b6dF9gH1jL0sA5uY3eW7iO2qT8zXJ3h-_Zt5pQ8w",
        "TRUSTED_PROXY_COUNT": "1",
        "LOG_FORMAT": "json",
    }
    (tmp_path / "staticfiles.json").write_text("{}")
    settings = (ROOT / "console/deploy/settings.md").read_text()
    assert [name for name in environment if f"| `{name}` |" not in settings] == []
    checked = "from django.core.management import execute_from_command_line as run; import sys; "
    cookies = "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME)"
    told = subprocess.run(
        [
            sys.executable,
            "-Werror",
            "-c",
            f"{cookies}; {checked} run(['manage.py', 'check', '--deploy'])",
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "console.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    # What a test without servers lacks: migrations, a broker, PostgreSQL; and what need not be, but is said.
    lacks = {"E021", "E023", "W008", "I002", "I003", "I004", "I005", "I006"}
    assert {*re.findall(r"^\S+: \((?:storekeeper\.)?([\w.]+)\)", told.stderr, re.MULTILINE)} == lacks, told.stderr
