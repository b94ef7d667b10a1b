"""What needs support's attention on the front page: worst first, with the list of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from console.alerts.models import Alert, Channel
from console.cloud_accounts.models import CloudAccount
from console.operations.models import Operation
from stores.models import State, Store

LATELY = timedelta(days=1)  # what failed before is known, or is an alert
TOO_LONG = timedelta(hours=1)  # that a task tries again


@dataclass(frozen=True)
class Attention:
    """How many rows of a kind need attention, of how many organisations, and the admin's list of exactly these."""

    count: int
    words: str
    organisations: int
    url: str


def attention(request: HttpRequest) -> list[Attention]:
    """Return what is to be looked at, of the kinds that the member of staff may see: one query for each line."""
    now = timezone.now()
    lines: tuple[tuple[type[Model], dict[str, Any], str, str], ...] = (
        (Alert, {"closed_at__isnull": True, "severity__exact": "critical"}, "critical alert", "open"),
        (CloudAccount, {"verify_error__gt": ""}, "cloud account", "with a failed verification"),
        (
            Operation,
            {"state__in": "failed,refused", "finished_at__gte": f"{now - LATELY:%Y-%m-%dT%H:%M:%S%z}"},
            "task",
            "failed or refused in the last 24 hours",
        ),
        (
            Operation,
            {"state__in": "waiting,running", "retrying_since__lt": f"{now - TOO_LONG:%Y-%m-%dT%H:%M:%S%z}"},
            "task",
            "trying again for more than an hour",
        ),
        (Store, {"state__in": f"{State.FAILED},{State.DEGRADED}"}, "backup store", "failed or degraded"),
        (Channel, {"failing_since__isnull": False}, "alert channel", "that cannot be reached"),
    )
    found = [_line(*line) for line in lines if admin.site.get_model_admin(line[0]).has_view_permission(request)]
    return [one for one in found if one.count]


def _line(model: type[Model], asked: dict[str, Any], noun: str, rest: str) -> Attention:
    given = {name: value.split(",") if name.endswith("__in") else value for name, value in asked.items()}
    told = model._default_manager.filter(**given).aggregate(
        rows=Count("pk"), organisations=Count("organisation", distinct=True)
    )
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=asked)
    return Attention(told["rows"], f"{noun}{'' if told['rows'] == 1 else 's'} {rest}", told["organisations"], url)
