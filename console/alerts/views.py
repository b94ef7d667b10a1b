"""Alerts: those that are open, their history, one with its story; acknowledged, silenced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.alerts import actions, conditions, notices
from console.alerts.forms import AlertFilter, SilenceForm, WhyForm
from console.alerts.models import Alert, AlertQuerySet, MaintenanceWindow
from console.web.pages import announced, dialog_done, dialog_form, fragment_or_page, paginate, posted

CHANGED = "alerts-changed"
PAGE_SIZE = 50
SHOWN = 100  # open ones above the history


def _asked_for(form: AlertFilter, alerts: AlertQuerySet) -> AlertQuerySet:
    given = form.cleaned_data
    for field in ("severity", "rule", "cluster"):
        if given[field]:
            alerts = alerts.filter(**{field: given[field]})
    return alerts


@require_GET
@require_permission(Permission.SEE_STORES)
def alert_list(request: MemberRequest) -> HttpResponse:
    """Show the open alerts, the worst first, and the history page by page."""
    form = AlertFilter(request.GET, organisation=request.membership.organisation_id)
    valid, mine = form.is_valid(), Alert.objects.visible_to(request.membership)
    found = _asked_for(form, mine) if valid else mine.none()
    state = form.cleaned_data.get("state", "")
    worst = found.open().order_by("-weight", "created_at", "title", "pk")
    page = paginate(request, found.exclude(closed_at=None), size=PAGE_SIZE) if state != "open" else None
    beyond = request.GET.get("after") or request.GET.get("before")
    context = {
        "form": form,
        "open": list(worst[: SHOWN + 1])[:SHOWN] if state != "closed" and not beyond else [],
        "open_total": worst.count() if state != "closed" and not beyond else 0,
        "page": page,
        "state": state,
        "filtered": any(request.GET.get(name) for name in form.fields),
        "notices": notices.about_channels(request.membership),
        "windows": _on_now(request),
    }
    return fragment_or_page(request, "alerts/list.html", "alerts", context, status=200 if valid else 422)


def _on_now(request: MemberRequest) -> list[MaintenanceWindow]:
    now = timezone.now()
    rows = MaintenanceWindow.objects.visible_to(request.membership).filter(ends_at__gt=now, starts_at__lte=now)
    return list(rows.order_by("ends_at")[:10])


def _alert(request: MemberRequest, pk: UUID) -> Alert:
    alert: Alert = get_object_or_404(Alert.objects.visible_to(request.membership).select_related("organisation"), pk=pk)
    return alert


@require_GET
@require_permission(Permission.SEE_STORES)
def alert_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one alert with its story."""
    alert = _alert(request, pk)
    rule = conditions.rules().get(alert.rule)
    newest = Case(When(closed_at=None, then=0), default=1)
    again = Alert.objects.visible_to(request.membership).filter(key=alert.key).exclude(pk=alert.pk)
    context = {
        "alert": alert,
        "rule": rule.label if rule else alert.rule,
        "events": list(alert.events.order_by("-at", "-pk")[:PAGE_SIZE]),
        "again": list(again.order_by(newest, "-created_at")[:5]),
    }
    return fragment_or_page(request, "alerts/detail.html", "alert", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def alert_acknowledge(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Say that somebody is at it."""
    alert = _alert(request, pk)
    form = WhyForm(posted(request))
    return _done(
        request,
        "alerts/acknowledge.html",
        {"form": form, "alert": alert},
        lambda given: actions.acknowledge(alert, **given, by=request.user),
        gettext("It is acknowledged: it is not told again, unless it gets worse."),
    )


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ALERTS)
def alert_silence(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Have nobody told of it for a while."""
    alert = _alert(request, pk)
    form = SilenceForm(posted(request), initial={"until": timezone.now() + timedelta(hours=4)})
    return _done(
        request,
        "alerts/silence.html",
        {"form": form, "alert": alert},
        lambda given: actions.silence(alert, **given, by=request.user),
        gettext("It is silenced."),
    )


def _done(
    request: MemberRequest, template: str, context: dict[str, Any], do: Callable[[dict[str, Any]], None], message: str
) -> HttpResponse:
    """Do it with what the form has taken, and close the dialog; or show the dialog, with what is wrong."""
    form = context["form"]
    if form.is_bound and form.is_valid():
        try:
            do(form.cleaned_data)
        except actions.Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            return dialog_done(request, context["alert"].get_absolute_url(), CHANGED, message=message)
    return dialog_form(request, template, context)


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def alert_unacknowledge(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Take the acknowledgement back."""
    return _post(request, pk, actions.unacknowledge, gettext("It is not acknowledged any more."))


@require_POST
@require_permission(Permission.MANAGE_ALERTS)
def alert_unsilence(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End the silence."""
    return _post(request, pk, actions.unsilence, gettext("It is told again."))


def _post(request: MemberRequest, pk: UUID, do: Callable[..., None], message: str) -> HttpResponse:
    alert = _alert(request, pk)
    try:
        do(alert, by=request.user)
    except actions.Refused as refusal:
        message = str(refusal)
    return announced(request, alert.get_absolute_url(), CHANGED, message=message)
