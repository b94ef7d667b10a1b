"""The form of an API token."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from console.accounts.member_forms import RoleForm
from console.accounts.models import Membership
from console.accounts.permissions import ROLES, Permission
from console.api.models import SCOPES, Token
from console.web.forms import NameField

PRESETS = {
    "30": gettext_lazy("30 days"),
    "90": gettext_lazy("90 days"),
    "365": gettext_lazy("a year"),
    "": gettext_lazy("another day"),
}
WORDS = {
    Permission.SEE_ACCOUNTS: gettext_lazy("see cloud accounts"),
    Permission.MANAGE_ACCOUNTS: gettext_lazy("link, change and unlink cloud accounts"),
    Permission.SEE_STORES: gettext_lazy("see stores, clusters, backups, alerts and tasks"),
    Permission.MANAGE_STORES: gettext_lazy("create, repair and delete stores"),
    Permission.MANAGE_CLUSTERS: gettext_lazy("create, change and delete clusters"),
    Permission.SEE_SECRETS: gettext_lazy("read secrets: files with keys and passphrases in them"),
    Permission.LET_GO: gettext_lazy("let passphrases go that nothing needs any more"),
    Permission.SEE_MEMBERS: gettext_lazy("see members"),
    Permission.MANAGE_MEMBERS: gettext_lazy("invite and remove members, change their roles"),
    Permission.SEE_AUDIT: gettext_lazy("see the audit log"),
    Permission.MANAGE_ALERTS: gettext_lazy("acknowledge and silence alerts, and say whom they are told"),
}


class ServiceAccountForm(RoleForm):
    """What a service account is called, and what it may."""

    name = NameField(error_messages={"required": gettext_lazy("Give it a name that says what it is for.")})
    field_order = ("name", "role")

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        mine = ROLES[membership.role]
        offered = [(role, said) for role, said in self.fields["role"].choices if ROLES[role] <= mine]  # type: ignore[attr-defined]
        self.fields["role"].choices = offered  # type: ignore[attr-defined]


class TokenForm(forms.Form):
    """What a token is called, what kind it is, what it may, and how long it is good."""

    name = NameField(error_messages={"required": gettext_lazy("Give it a name that says what uses it.")})
    kind = forms.ChoiceField(
        choices=[
            ("token", gettext_lazy("API token: one text, sent with each call")),
            (
                "client",
                gettext_lazy("Client credentials: a client ID and a secret, changed for access tokens of a day"),
            ),
        ],
        widget=forms.RadioSelect,
        initial="token",
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("May"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one.")},
    )
    days = forms.ChoiceField(
        label=gettext_lazy("Good for"), choices=list(PRESETS.items()), initial="90", required=False
    )
    until = forms.DateField(
        label=gettext_lazy("Until (UTC)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=gettext_lazy("With “another day”. At most a year."),
    )

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        allowed = ROLES[membership.role]  # of a service account's token, what stands for its membership
        self.fields["scopes"].choices = [(name, WORDS[one]) for name, one in SCOPES.items() if one in allowed]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Add `expires_at`: the end of the day that was chosen."""
        given = super().clean() or {}
        days, until = given.get("days"), given.get("until")
        if "days" in self.errors or "until" in self.errors:
            return given
        if not days and not until:
            self.add_error("until", gettext("Say until when it is good."))
            return given
        ends = self._ends(days, until)
        now = timezone.now()
        if ends <= now:
            self.add_error("until", gettext("This day is over. Choose one to come."))
        elif ends > now + Token.LONGEST:
            self.add_error("until", gettext("At most a year from now."))
        given["expires_at"] = ends
        return given

    def _ends(self, days: str | None, until: date | None) -> datetime:
        if days:
            return timezone.now() + timedelta(days=int(days))
        assert until is not None
        return timezone.make_aware(datetime.combine(until, time(23, 59, 59)))
