"""Support's one search: whatever the Django admin knows, found by any ID, name, ARN or request ID."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from console.accounts.models import Organisation, User
from console.operations.models import Heartbeat, Operation
from console.support.attention import attention
from console.web.pages import searched

AT_MOST = 10  # of each kind; the rest is in the list of its kind
WHOSE = ("organisation", "cluster", "cloud_account", "store", "repository", "node")  # what leads to an organisation


@dataclass(frozen=True)
class Found:
    """One thing that was found: what it is, whose, in which state, and its page."""

    kind: str
    name: str
    organisation: str
    state: str
    url: str


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """Show the admin's front page, and who works: first of all what keeps work from being done, and what to do."""
    heard = list(Heartbeat.objects.heard())
    there = {one.kind for one in heard if not one.is_silent}
    context: dict[str, Any] = {
        "attention": attention(request),
        "processes": heard,
        "no_beat": Heartbeat.Kind.BEAT not in there,
        "no_worker": Heartbeat.Kind.WORKER not in there,
        "unfinished": Operation.objects.unfinished().count(),
        "waiting": next((one.waiting for one in heard if one.kind == Heartbeat.Kind.BEAT and not one.is_silent), {}),
    }
    return admin.site.index(request, extra_context=context)


@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """Show what each kind's own search finds, of the kinds that the member of staff may see."""
    query = searched(request)
    found: list[Found] = []
    more: list[tuple[str, str]] = []
    for model in apps.get_models() if query else []:
        rows = _found_of(model, request, query)
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if len(rows) > AT_MOST:
            more.append((f"All {model._meta.verbose_name_plural}", reverse(f"{base}_changelist", query={"q": query})))
        found += [
            Found(
                kind=str(model._meta.verbose_name),
                name=str(row),
                organisation=_whose(row),
                state=_state(row),
                url=reverse(f"{base}_change", args=[row.pk]),
            )
            for row in rows[:AT_MOST]
        ]
    context = {**admin.site.each_context(request), "title": "Find", "query": query, "found": found, "more": more}
    return render(request, "admin/find.html", context)


def _found_of(model: type[Model], request: HttpRequest, query: str) -> list[Model]:
    """Return the rows that the kind's own search finds, one more than are shown; none where it may not be seen."""
    if not admin.site.is_registered(model):
        return []
    kind = admin.site.get_model_admin(model)
    if not kind.get_search_fields(request) or not kind.has_view_permission(request):
        return []
    rows: dict[Any, Model] = {}
    for name in sorted({name_of(query), query}):
        matching, _ = kind.get_search_results(request, kind.get_queryset(request), name)
        rows |= {row.pk: row for row in matching.distinct()[: AT_MOST + 1]}
    return list(rows.values())


def name_of(query: str) -> str:
    """Return the name in an ARN, a resource ID or a URI, such as the bucket's or the role's, and an ID as written."""
    if query.startswith("gs://"):
        return query.removeprefix("gs://").partition("/")[0]
    if query.lower().startswith("/subscriptions/"):  # the name stands after the kind, whatever lies below
        parts = query.split("/")
        return parts[8] if len(parts) > 8 else parts[-1]
    if not query.startswith("arn:"):
        with suppress(ValueError):
            return str(UUID(query))
        return query
    last = query.split(":", 5)[-1]
    kind, _, rest = last.partition("/")
    return rest.rsplit("/", 1)[-1] if kind in {"role", "user", "instance-profile"} else kind


def _whose(row: Any) -> str:
    if isinstance(row, Organisation):
        return str(row)
    if isinstance(row, User):
        return ", ".join(str(one) for one in row.organisations.all())
    way = next((getattr(row, name, None) for name in WHOSE if getattr(row, name, None)), None)
    return _whose(way) if way else ""


def _state(row: Any) -> str:
    for name in ("state", "outcome", "edition"):
        if hasattr(row, f"get_{name}_display"):
            return str(getattr(row, f"get_{name}_display")())
    return ""
