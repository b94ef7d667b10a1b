"""The forms of recovering deleted backups; their field names are a contract."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from clusters.models import Repository
from clusters.pgbackrest.grammar import Unfit, key_part
from clusters.recovery import moments
from clusters.recovery.rescue import Place, last_seen_whole, places, window
from console.cloud_accounts.forms import SecretField
from stores.models import Store

HOURS = ((1, "1 hour"), (4, "4 hours"), (24, "1 day"), (72, "3 days"), (168, "7 days"))


class RescueForm(forms.Form):
    """Of what, and the time before the loss."""

    stanza = forms.ChoiceField(
        label=gettext_lazy("Database"),
        error_messages={"invalid_choice": gettext_lazy("This is not in the repository.")},
    )
    at = forms.CharField(
        label=gettext_lazy("The time before the loss"),
        max_length=40,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )
    zone = forms.CharField(label=gettext_lazy("Its time zone, such as UTC"), max_length=60)
    offset = forms.CharField(
        label=gettext_lazy("Which of the two"), max_length=10, required=False, widget=forms.RadioSelect
    )

    def __init__(self, data: Any, *, repository: Repository, store: Store) -> None:
        self.places = {one.key: one for one in places(repository)}
        self.store = store
        self.seen = last_seen_whole(repository)
        suggested = self.seen or timezone.now()
        super().__init__(data, initial={"at": f"{suggested:{moments.WALL}}", "zone": "UTC"})
        if data is None:  # scripts show it on the reader's own clock
            self.fields["at"].widget.attrs |= {"data-suggested": suggested.isoformat(), "data-shown-in": "id_zone"}
        self.fields["stanza"].choices = [(key, str(one)) for key, one in self.places.items()]  # type: ignore[attr-defined]

    def clean_stanza(self) -> Place:
        """Return the stanza with what is known of it."""
        return self.places[self.cleaned_data["stanza"]]

    def clean(self) -> dict[str, Any]:
        """Put zone and time together, and look whether the store still has what there was then."""
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            data["at"] = moments.moment(data["at"], data["zone"], data["offset"])
        except moments.Unclear as unclear:
            self.fields["offset"].widget.choices = unclear.choices  # type: ignore[attr-defined]
            self.add_error(unclear.field, str(unclear))
            return data
        since, now = window(self.store)
        if not since <= data["at"] <= now:
            first, last = (moments.shown(one, data["zone"]) for one in (since, now))
            self.add_error(
                "at",
                gettext(
                    "The store keeps what was deleted for {versions_days} days: choose a time between "
                    "{first} and {last} ({data})."
                ).format(versions_days=self.store.versions_days, first=first, last=last, data=data["zone"]),
            )
        return data


class IdentityForm(forms.Form):
    """For how long an identity reads; and its key, where the server makes none."""

    hours = forms.TypedChoiceField(label=gettext_lazy("Ends after"), choices=HOURS, coerce=int, initial=24)
    access_key_id = forms.CharField(label=gettext_lazy("Access Key ID"), max_length=128)
    secret_access_key = SecretField(label=gettext_lazy("Secret Access Key"))

    def __init__(self, data: Any, *, takes_key: bool) -> None:
        super().__init__(data)
        if not takes_key:
            del self.fields["access_key_id"], self.fields["secret_access_key"]

    def clean(self) -> dict[str, Any]:
        """Refuse a key that would not be one value in pgBackRest's file."""
        data = super().clean() or {}
        for name in ("access_key_id", "secret_access_key"):
            try:
                key_part(data[name]) if name in data else None
            except Unfit as error:
                self.add_error(name, str(error))
        return data

    @property
    def keys(self) -> dict[str, str]:
        """Return the key that was entered."""
        return {name: value for name, value in self.cleaned_data.items() if name != "hours"}
