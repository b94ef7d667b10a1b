"""The project's own tools: headers, probes, regions, settings, pages of trouble."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from console.clouds.regions import distance_km, find, regions
from tests.demo_process import ROOT


def test_headers_forbid_foreign_and_inline_code(client, db):
    answer = client.get("/login/")
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]


def test_templates_hold_no_inline_code():
    templates = list((ROOT / "templates").rglob("*.html"))
    assert len(templates) > 20
    for template in templates:
        text = template.read_text()
        assert " style=" not in text, template
        assert "<style" not in text, template
        assert " onclick=" not in text, template
        assert "hx-on" not in text, template
        for script in text.split("<script")[1:]:
            is_data = 'type="application/json"' in script.partition(">")[0]
            assert is_data or script.lstrip().startswith("src="), template


def test_healthz_and_readyz(client, db):
    assert client.get("/healthz").content == b"ok\n"
    answer = client.get("/readyz")  # nothing listens at the tests' REDIS_URL
    assert (answer.status_code, answer.json()) == (503, {"database": "ok", "broker": "does not answer"})


def test_unknown_pages_say_so(client, db):
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_regions_have_places_and_coordinates():
    assert len(regions("aws")) == 39
    for region in regions("aws"):
        assert region.place
        assert -90 <= region.lat <= 90
        assert -180 <= region.lon <= 180
        assert region.partition
    assert find("aws", "eu-west-1").place == "Dublin, Ireland"
    assert find("aws", "me-south-1").account_namespace is False
    assert find("aws", "nowhere") is None


def test_distance_km_is_a_great_circle():
    dublin, virginia = find("aws", "eu-west-1"), find("aws", "us-east-1")
    assert distance_km(dublin, dublin) == 0
    assert distance_km(dublin, virginia) == pytest.approx(5460, abs=40)
    assert distance_km(dublin, virginia) == pytest.approx(distance_km(virginia, dublin))


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_settings_say_what_to_set():
    answer = manage("check")
    assert answer.returncode != 0
    assert "Set SECRET_KEY in the environment, or SECRET_KEY_FILE" in answer.stderr


@pytest.mark.slow
def test_settings_pass_the_deployment_check(tmp_path):
    from cryptography.fernet import Fernet

    secret = tmp_path / "secret"
    secret.write_text("".join(chr(33 + n % 90) for n in range(0, 700, 7)))
    (tmp_path / "staticfiles.json").write_text("{}")
    answer = manage(
        "check",
        "--deploy",
        SECRET_KEY_FILE=str(secret),
        FIELD_ENCRYPTION_KEYS=Fernet.generate_key().decode(),
        DATABASE_URL="postgres://nobody@127.0.0.1:1/nothing",
        REDIS_URL="redis://127.0.0.1:1/0",
        ALLOWED_HOSTS="console.example.com",
        STATIC_ROOT=str(tmp_path),
    )
    found = set(re.findall(r"^\S+: \((\S+)\)", answer.stderr.partition("\nINFOS:")[0], re.MULTILINE))
    # The settings alone are asked about: no database and no broker is there.
    assert found == {"storekeeper.E020", "storekeeper.E023"}, answer.stderr


def test_a_comma_can_stand_behind_a_time():
    assert render_to_string("_time.html", {"at": timezone.now()}).endswith("</time>")
