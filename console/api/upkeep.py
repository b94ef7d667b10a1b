"""What this app tells the others: how long its rows stay, and which of them name people."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from console.accounts.personal_data import KEPT, Kept
from console.api.models import KeptAnswer, Token
from console.operations import housekeeping
from console.operations.housekeeping import Rule
from console.restoration.actions import ended_with_sessions

ENDED_FOR = timedelta(days=90)

KEPT.append(
    Kept(
        "API tokens",
        "api.Token",
        "membership__user",
        ("created_at", "organisation__name", "kind", "name", "scopes", "expires_at", "last_used_at", "revoked_at"),
    )
)
KEPT.append(
    Kept("service accounts made", "api.ServiceAccount", "by", ("created_at", "organisation__name", "name", "role"))
)
# One that was revoked since the copy would be good again.
ended_with_sessions.append(lambda: Token.objects.good().update(revoked_at=Now()))
housekeeping.register(
    Rule(
        Token._meta.db_table,
        "90 days after they ended or were revoked",
        lambda: Token.objects.filter(Q(expires_at__lt=Now() - ENDED_FOR) | Q(revoked_at__lt=Now() - ENDED_FOR)),
        "created_at",
    ),
    Rule(
        KeptAnswer._meta.db_table,
        "24 hours",
        lambda: KeptAnswer.objects.filter(created_at__lt=Now() - KeptAnswer.KEPT),
        "created_at",
    ),
)
