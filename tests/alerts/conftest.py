from __future__ import annotations

import pytest
from django.utils import timezone

from console.alerts.models import Channel, new_secret
from tests.alerts.receiver import Holding, MailServer, Receiver


@pytest.fixture
def holding(monkeypatch):
    """What holds, beside which no rule finds anything."""
    return Holding(monkeypatch)


@pytest.fixture
def receiver(settings):
    """A web server that may be sent to."""
    settings.ALERT_ENDPOINTS_ALLOWED = ["127.0.0.1"]
    settings.PUBLIC_URL = "https://console.example.org"
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def mail_server(settings):
    """A real mail server that the console sends by."""
    server = MailServer(refuses=["nobody@"])
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
    settings.DEFAULT_FROM_EMAIL = "Storekeeper <storekeeper@example.org>"
    yield server
    server.stop()


@pytest.fixture
def channel(acme, receiver):
    """A function that makes a channel of Acme's."""

    def make(kind="webhook", organisation=None, **values):
        secrets = {"url": f"{receiver.url}/hook", "secret": new_secret(), "key": "k" * 32, "region": "us"}
        if kind == "email":
            secrets = {"address": "ops@example.org"}
        return Channel.objects.create(
            **{
                "organisation": organisation or acme,
                "kind": kind,
                "name": kind,
                "shown": "127.0.0.1",
                "secrets": secrets,
                "confirmed_at": timezone.now(),
                **values,
            }
        )

    return make
