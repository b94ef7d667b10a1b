"""What this app tells the others: how long its rows stay, which of them name people, and rules that are no other's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Count
from django.db.models.functions import Now
from django.urls import reverse

from console.accounts.models import Invitation
from console.accounts.personal_data import KEPT, Kept
from console.alerts import conditions
from console.alerts.conditions import Condition, Organisations, Severity
from console.alerts.models import Alert, AlertEvent, Delivery, MaintenanceWindow
from console.operations import housekeeping
from console.operations.housekeeping import Rule
from console.operations.models import ManagedResource, Operation

A_YEAR = timedelta(days=365)
NEAR = 0.9  # of a limit

KEPT.append(Kept("alerts acknowledged", "alerts.Alert", "acknowledged_by", ("acknowledged_at", "acknowledged_why")))
KEPT.append(Kept("alerts silenced", "alerts.Alert", "silenced_by", ("silenced_until", "silenced_why")))
KEPT.append(Kept("events of alerts", "alerts.AlertEvent", "by", ("at", "kind", "words")))
KEPT.append(Kept("alert channels made", "alerts.Channel", "by", ("created_at", "kind", "name")))
KEPT.append(
    Kept("maintenance windows", "alerts.MaintenanceWindow", "by", ("created_at", "starts_at", "ends_at", "why"))
)

housekeeping.register(
    Rule(
        Alert._meta.db_table,
        "a year after they closed",
        lambda: Alert.objects.filter(closed_at__lt=Now() - A_YEAR),
        "created_at",
    ),
    Rule(
        AlertEvent._meta.db_table,
        "as long as the alert; those of an open one, a year",
        lambda: AlertEvent.objects.filter(at__lt=Now() - A_YEAR).exclude(kind=AlertEvent.Kind.OPENED),
        "at",
    ),
    Rule(
        Delivery._meta.db_table,
        "90 days",
        lambda: Delivery.objects.filter(created_at__lt=Now() - timedelta(days=90)).exclude(state="waiting"),
        "created_at",
    ),
    Rule(
        MaintenanceWindow._meta.db_table,
        "a year after their end",
        lambda: MaintenanceWindow.objects.filter(ends_at__lt=Now() - A_YEAR),
        "created_at",
    ),
)


def of(organisations: Organisations, field: str = "organisation__in") -> dict[str, Any]:
    """Return the filter that leaves the rows of these organisations."""
    return {} if organisations is None else {field: organisations}


def near(limit: str, used: int, most: int, organisation: UUID, *, name: str, url: str) -> Condition | None:
    """Return that so many of at most so many are used, where that is near; None where it is not."""
    if not most or used < NEAR * most:
        return None
    full = used >= most
    return Condition(
        organisation=organisation,
        key=f"limit:{limit}",
        rule="limit",
        severity=Severity.WARNING,
        level=int(full),
        title=f"{used:,} of {most:,} {name} are used",
        words="No more can be made." if full else "Soon no more can be made.",
        advice="Delete what nobody needs, or ask support to raise the limit.",
        url=url,
    )


def failed_tasks(organisations: Organisations) -> Iterable[Condition]:
    """Yield each resource whose last task has failed: a query for each kind of resource."""
    for model in apps.get_models():
        if not issubclass(model, ManagedResource):
            continue
        rows = model._default_manager.filter(**of(organisations), operation__state=Operation.State.FAILED)
        for one in rows.select_related("operation"):
            last: Operation = one.operation  # type: ignore[assignment]  # the filter has asked for one
            kind = str(model._meta.verbose_name)
            is_cluster = kind == "cluster"
            yield Condition(
                organisation=one.organisation_id,
                key=f"task:{one.pk}:{last.pk}",
                rule="task",
                severity=Severity.WARNING,
                title=f"{last.title} failed: {one.name}",
                words=last.error,
                advice="Open the task: it says what to do. Then try again.",
                url=reverse("tasks:detail", args=[last.pk]),
                subject_kind=model._meta.label_lower,
                subject_id=str(one.pk),
                cluster=one.pk if is_cluster else None,
                cluster_name=one.name if is_cluster else "",
            )


def open_invitations(organisations: Organisations) -> Iterable[Condition]:
    """Yield the organisations that have nearly as many open invitations as they may."""
    rows = Invitation.objects.filter(**of(organisations), expires_at__gt=Now())
    counted = rows.values_list("organisation", "organisation__invitations_at_most").annotate(number=Count("pk"))
    for pk, most, number in counted.order_by():
        if found := near("invitations", number, most, pk, name="open invitations", url=reverse("organisation:members")):
            yield found


conditions.register(conditions.Rule("task", "A task failed", failed_tasks))
conditions.extend("limit", "A limit is near", open_invitations)
