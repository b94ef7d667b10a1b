"""Connections to the database and the broker: what `check --deploy` says of them, and that TLS verifies."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading

import dj_database_url
import pytest

from console.demo.certificates import certify
from console.web.connections import broker_is_verified, database_is_verified
from tests.demo_process import ROOT

DATABASES = [
    ("postgres://u@db.example.org/n", "may be without TLS (sslmode=prefer)"),
    ("postgres://u@10.1.2.3/n?sslmode=prefer", "may be without TLS (sslmode=prefer)"),
    ("postgres://u@db.example.org/n?sslmode=disable", "may be without TLS (sslmode=disable)"),
    ("postgres://u@db.example.org/n?sslmode=require", "is not verified (sslmode=require)"),
    ("postgres://u@db.example.org/n?sslmode=verify-ca", ""),
    ("postgres://u@db.example.org/n?sslmode=verify-full&sslrootcert=/etc/ca.pem", ""),
    ("postgres://u@127.0.0.1/n", ""),
    ("postgres://u@[::1]/n", ""),
    ("postgres://u@localhost/n", ""),
    ("postgres://u@%2Fvar%2Frun%2Fpostgresql/n", ""),
    ("postgres:///n", ""),
    ("sqlite:////tmp/n", ""),
]
BROKERS = [
    ("redis://broker.example.org:6379/0", "without TLS"),
    ("redis://:secret@10.1.2.3/0", "without TLS"),
    ("rediss://broker.example.org/0?ssl_cert_reqs=none", "not verified (ssl_cert_reqs=none)"),
    ("rediss://broker.example.org/0?ssl_cert_reqs=CERT_OPTIONAL", "not verified (ssl_cert_reqs=CERT_OPTIONAL)"),
    ("rediss://broker.example.org/0?ssl_cert_reqs=CERT_REQUIRED", ""),
    ("rediss://broker.example.org/0", ""),
    ("redis://127.0.0.1:6379/0", ""),
    ("redis://localhost", ""),
    ("unix:///run/valkey.sock", ""),
]


@pytest.mark.parametrize(("url", "said"), DATABASES)
def test_the_database_is_spoken_to_over_tls(settings, monkeypatch, url, said):
    monkeypatch.setitem(settings.DATABASES, "default", dj_database_url.parse(url))
    found = [one.msg for one in database_is_verified(None)]
    assert bool(found) is bool(said)
    assert all(one.endswith(f"{said}.") for one in found)


@pytest.mark.parametrize(("url", "said"), BROKERS)
def test_the_broker_is_spoken_to_over_tls(settings, url, said):
    settings.REDIS_URL = url
    found = [one.msg for one in broker_is_verified(None)]
    assert bool(found) is bool(said)
    assert all(said in one and "secret" not in one for one in found)


def started(code, **environment):
    """Run code with the settings of a deployment of these."""
    known = {"SECRET_KEY": "x" * 60, "FIELD_ENCRYPTION_KEYS": "unused", "DATABASE_URL": "sqlite://:memory:"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "console.settings", **known, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_check_deploy_names_both():
    answer = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "SECRET_KEY": "x" * 60,
            "FIELD_ENCRYPTION_KEYS": "unused",
            "DATABASE_URL": "postgres://u:hidden@db.example.org/n",
            "REDIS_URL": "redis://:hidden@broker.example.org/0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "connections.W001" in answer.stderr
    assert "connections.W002" in answer.stderr
    assert "hidden" not in answer.stderr


@pytest.fixture
def strange_broker(tmp_path):
    """Somebody who answers in the broker's place over TLS, with a certificate that nobody has signed for them."""
    ca, certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    told, listener = [], socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as stream:
                    while said := stream.recv(1000):
                        told.append(said)
                        stream.sendall(b"+OK\r\n")
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], told, ca
    listener.close()


SEND = (
    "import django; django.setup(); from console.celery import app\n"
    "with app.connection() as c: c.default_channel.client.ping()"
)


@pytest.mark.slow
def test_a_broker_of_another_certificate_is_told_nothing(strange_broker):
    port, told, _ = strange_broker
    answer = started(SEND, REDIS_URL=f"rediss://:secret@localhost:{port}/0")
    assert answer.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in answer.stderr
    assert told == []


@pytest.mark.slow
def test_a_broker_of_the_authority_that_is_named_is_spoken_to(strange_broker):
    port, told, ca = strange_broker
    started(SEND, REDIS_URL=f"rediss://:secret@localhost:{port}/0?ssl_ca_certs={ca}")
    assert b"secret" in told[0]


@pytest.mark.slow
def test_a_broker_of_which_nothing_is_to_be_verified_is_named_by_the_check_alone(strange_broker):
    port, told, _ = strange_broker
    started(SEND, REDIS_URL=f"rediss://:secret@localhost:{port}/0?ssl_cert_reqs=none")
    assert told
