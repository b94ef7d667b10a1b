"""What the console keeps about a person, for that person: a table of what of which rows, which other apps add to.

No secret is in it, and nothing of an organisation's business or of other people: what somebody did to what is in the
organisation's own audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.utils import timezone

from console.accounts.models import User

ROWS_AT_MOST = 10_000  # of a kind, the newest


@dataclass(frozen=True)
class Kept:
    """A kind of rows about people: which model's, how they name the person, and which fields the person is told.

    The first of the fields sorts them; `by` is a lookup, `own` the attribute of the person that it finds.
    """

    title: str
    model: str
    by: str
    fields: tuple[str, ...]
    own: str = "pk"


_PERSON = (
    "username",
    "email",
    "first_name",
    "last_name",
    "last_login",
    "is_active",
    "is_staff",
    "is_superuser",
    "language",
)
KEPT = [
    Kept("person", "accounts.User", "pk", ("date_joined", *_PERSON)),
    Kept("groups", "accounts.User_groups", "user", ("group__name",)),
    Kept("permissions", "accounts.User_user_permissions", "user", ("permission__codename",)),
    Kept("memberships", "accounts.Membership", "user", ("created_at", "organisation__name", "role")),
    Kept(
        "invitations to you",
        "accounts.Invitation",
        "email__iexact",
        ("created_at", "organisation__name", "role", "expires_at"),
        own="email",
    ),
    Kept("invitations by you", "accounts.Invitation", "by", ("created_at", "organisation__name", "role")),
    Kept("addresses", "account.EmailAddress", "user", ("email", "verified", "primary")),
    Kept("second factors", "mfa.Authenticator", "user", ("created_at", "type", "last_used_at")),
    Kept(
        "company sign-ins",
        "socialaccount.SocialAccount",
        "user",
        ("date_joined", "provider", "uid", "last_login", "extra_data"),
    ),
    Kept("sessions", "usersessions.UserSession", "user", ("created_at", "ip", "user_agent", "last_seen_at")),
    Kept("changes as support", "admin.LogEntry", "user", ("action_time", "action_flag", "content_type__model")),
]


def personal_data(person: User) -> dict[str, Any]:
    """Return all that is kept about the person, by kind; of each the newest first, and how many more there are."""
    found: dict[str, Any] = {"made_at": timezone.now(), "kinds": {}}
    for kind in KEPT:
        rows = apps.get_model(kind.model)._default_manager.filter(**{kind.by: getattr(person, kind.own) or None})
        told = list(rows.values(*kind.fields).order_by(f"-{kind.fields[0]}")[:ROWS_AT_MOST])
        more = rows.count() - len(told) if len(told) == ROWS_AT_MOST else 0
        found["kinds"][kind.title] = {"rows": told, "more": more}
    return found
