"""The demo's clients of the API: each start makes them anew, for no secret can be read again."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.utils import timezone

from console.accounts.models import Membership
from console.api import tokens
from console.api.models import SCOPES, Token
from console.demo.sample import ACME, OTHER

NAME = "demo"
GOOD_FOR = timedelta(days=90)
PEOPLE = {"owner": ACME, "viewer": ACME, "stranger": OTHER}  # keys in demo.json, with the organisation of the client


def clients(demo: dict[str, Any]) -> dict[str, Any]:
    """Return what demo.json tells of the API; the clients of the last start are gone."""
    made = {role: _client(demo[role]["username"], organisation) for role, organisation in PEOPLE.items()}
    owner = Token.objects.get(key=made["owner"]["client_id"].partition("_")[2])
    return {
        "url": demo["url"],
        **made["owner"],
        "viewer": made["viewer"],
        "stranger": made["stranger"],
        "expired_token": tokens.access_token(owner, time.time() - 60),
    }


def _client(username: str, organisation: str) -> dict[str, str]:
    membership = Membership.objects.select_related("user").get(user__username=username, organisation__name=organisation)
    Token.objects.filter(membership=membership, name=NAME).delete()
    token, secret = tokens.issue(
        membership,
        name=NAME,
        kind=Token.Kind.CLIENT,
        scopes=SCOPES,
        expires_at=timezone.now() + GOOD_FOR,
        by=membership.user,
    )
    return {"client_id": token.client_id, "client_secret": secret}
