"""Signing in as people do: by password, and by the code of a second factor."""

from __future__ import annotations

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

from console.audit.models import AuditEvent


def code_of(secret, steps=0):
    counter = next(iter(yield_hotp_counters_from_time())) + steps
    return format_hotp_value(hotp_value(secret, counter))


def sign_in(client, username="alice", password="secret", **headers):
    return client.post("/login/", {"username": username, "password": password}, **headers)


def is_in(client):
    return client.get("/stores/").status_code == 200


def noted(action):
    return AuditEvent.objects.filter(action=action)
