"""What people enter: when a cluster's databases alarm."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from clusters.models import Cluster

UNITS = {"minutes": 1, "hours": 60, "days": 24 * 60}


class AlarmForm(forms.ModelForm):  # type: ignore[type-arg]
    """How old the newest restorable moment may be, and how long ago a restore may have been proved."""

    rpo = forms.IntegerField(label=gettext_lazy("The newest moment is older than (RPO)"), required=False, min_value=1)
    rpo_unit = forms.ChoiceField(label=gettext_lazy("Unit"), choices=[(one, one) for one in UNITS], required=False)

    field_order = ("rpo", "rpo_unit", "proof_days")

    class Meta:
        model = Cluster
        fields = ["proof_days"]
        labels = {"proof_days": gettext_lazy("No restore was proved for so many days")}

    def __init__(self, data: Any = None, *, instance: Cluster) -> None:
        minutes = instance.rpo_minutes
        unit = next((one for one in reversed(UNITS) if minutes and minutes % UNITS[one] == 0), "hours")
        given = {"rpo": minutes // UNITS[unit] if minutes else None, "rpo_unit": unit}
        super().__init__(data, instance=instance, initial=given)

    def clean(self) -> dict[str, Any]:
        """Return it with the RPO in minutes as the cluster has it; None where nothing is set."""
        data = super().clean() or {}
        rpo, unit = data.get("rpo"), data.get("rpo_unit") or "minutes"
        data["rpo_minutes"] = rpo * UNITS[unit] if rpo and unit in UNITS else None
        field = Cluster._meta.get_field("rpo_minutes")
        try:
            field.run_validators(data["rpo_minutes"])
        except ValidationError:
            self.add_error(
                "rpo", gettext("Give at least 5 minutes, since nodes report so often, and at most 366 days.")
            )
        return data
