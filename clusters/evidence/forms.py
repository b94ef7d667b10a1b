"""Of what and for which days evidence is asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from clusters.models import Cluster
from console.accounts.models import Membership
from console.web.natural import Natural

LONGEST = timedelta(days=731)  # two years
USUAL = timedelta(days=91)  # a quarter
DATE = forms.DateInput(attrs={"type": "date"})
NO_DATE = "Enter a day, such as 2026-11-29."


class ClusterField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A cluster by its ID; what is no ID is no cluster, and is refused in the same words."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except forms.ValidationError as error:
            raise forms.ValidationError(self.error_messages["invalid_choice"], code="invalid_choice") from error


class EvidenceForm(forms.Form):
    """A period, with a cluster or without; what is not given is the last quarter of the whole organisation."""

    cluster = ClusterField(
        Cluster.objects.none(),
        required=False,
        empty_label=gettext_lazy("All clusters"),
        error_messages={"invalid_choice": gettext_lazy("Choose one of the clusters, or all of them.")},
    )

    def __init__(self, given: QueryDict, *, membership: Membership) -> None:
        today = timezone.now().date()
        usual = {"from": str(today - USUAL), "to": str(today), "cluster": ""}
        super().__init__({name: given.get(name) or value for name, value in usual.items()})
        self.fields["from"] = forms.DateField(
            label=gettext("From (UTC)"), widget=DATE, error_messages={"invalid": NO_DATE}
        )
        self.fields["to"] = forms.DateField(
            label=gettext("To (UTC, included)"), widget=DATE, error_messages={"invalid": NO_DATE}
        )
        self.fields["cluster"].queryset = Cluster.objects.visible_to(membership).order_by(Natural("name"))  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins, that is not over yet, or that is too long."""
        data: dict[str, Any] = super().clean() or {}
        since, until = data.get("from"), data.get("to")
        if since and since > timezone.now().date():
            self.add_error("from", gettext("This day is still to come. Enter today or an earlier day."))
        elif since and until and until < since:
            self.add_error(
                "to", gettext("The period ends before it begins. Enter the day on which it begins, or a later one.")
            )
        elif since and until and until - since > LONGEST:
            self.add_error(
                "from", gettext("Two years at most. Enter {until} or a later day.").format(until=until - LONGEST)
            )
        return data

    @property
    def since(self) -> datetime:
        """Return the beginning of the first day."""
        return _midnight(self.cleaned_data["from"])

    @property
    def until(self) -> datetime:
        """Return the end of the last day, or now where that is earlier."""
        last: date = self.cleaned_data["to"]
        now = timezone.now()
        return now if last >= now.date() else _midnight(last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
