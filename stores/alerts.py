"""What of stores is told as alerts."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count
from django.urls import reverse

from console.alerts import conditions
from console.alerts.conditions import Condition, Organisations, Rule, Severity
from console.alerts.upkeep import near, of
from stores.models import State, Store


def drifted(organisations: Organisations) -> Iterable[Condition]:
    """Yield the stores whose buckets differ from what they should be."""
    rows = Store.objects.filter(**of(organisations), state=State.DEGRADED).select_related("drift_report")
    for one in rows:
        found = one.drift_report.drift if hasattr(one, "drift_report") else []
        labels = list(dict.fromkeys(line.label for line in found))
        yield Condition(
            organisation=one.organisation_id,
            key=f"drift:{one.pk}",
            rule="drift",
            severity=Severity.WARNING,
            title=f"{one.name} differs from what it should be",
            words=f"What differs: {', '.join(labels)}." if labels else "",
            advice="Look at what was observed, then repair it, or accept it.",
            url=one.get_absolute_url(),
            subject_kind="stores.store",
            subject_id=str(one.pk),
        )


def nearly_full(organisations: Organisations) -> Iterable[Condition]:
    """Yield the organisations that have nearly as many stores as they may."""
    rows = Store.objects.filter(**of(organisations)).values_list("organisation", "organisation__stores_at_most")
    for pk, most, number in rows.annotate(number=Count("pk")).order_by():
        if found := near("stores", number, most, pk, name="backup stores", url=reverse("stores:list")):
            yield found


conditions.register(Rule("drift", "A store differs from what it should be", drifted))
conditions.extend("limit", "A limit is near", nearly_full)
