"""What is done with alerts, and when nobody is told of them: acknowledged, silenced, maintenance windows, settings."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query
from pydantic import Field, StrictInt

from console.accounts.permissions import Permission
from console.alerts import actions, conditions
from console.alerts.forms import DeadmanForm, RepeatForm, SilenceForm, WhyForm, WindowForm
from console.alerts.models import Alert, AlertSettings, MaintenanceWindow
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.bodies import Body, Moment, sent, typed
from console.api.calls import answered, changes, creates, does, reads, sets
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Page, Shape
from console.api.shown import moment


def refused(error: actions.Refused) -> Problem:
    """Return the refusal of what a rule of the alerts forbids."""
    field = {"cluster": "cluster_id"}.get(error.field, error.field)
    return fields([(f"/{field}", str(error))]) if field else Problem(409, str(error))


# One alert


def _alert(request: CallRequest, pk: UUID) -> Alert:
    mine = Alert.objects.visible_to(request.membership).select_related("organisation")
    alert: Alert = get_object_or_404(mine, pk=pk)
    return alert


def _done(request: CallRequest, pk: UUID, do: Callable[..., None], form: Any = None) -> HttpResponse:
    alert = _alert(request, pk)
    if form and not form.is_valid():
        raise of_form(form)
    try:
        do(alert, **(form.cleaned_data if form else {}), by=request.person)
    except actions.Refused as error:
        raise refused(error) from error
    return answered(shown.alert(_alert(request, pk)))


class Why(Body):
    """Why, for whoever looks at it next."""

    model_config = sent(why="The disk is being replaced.")

    why: str = ""


@does("/alerts/{uuid:pk}/acknowledge", Permission.MANAGE_ALERTS, shapes.Alert)
@once
def acknowledge_alert(request: CallRequest, pk: UUID, asked: Why) -> HttpResponse:
    """Say that somebody is at it: it is not told again, unless it gets worse."""
    return _done(request, pk, actions.acknowledge, WhyForm(asked.dict()))


@does("/alerts/{uuid:pk}/unacknowledge", Permission.MANAGE_ALERTS, shapes.Alert)
@once
def unacknowledge_alert(request: CallRequest, pk: UUID) -> HttpResponse:
    """Take the acknowledgement back."""
    return _done(request, pk, actions.unacknowledge)


class Silence(Body):
    """Until when nobody is told, and why."""

    model_config = sent(until="2026-12-01T06:00:00Z", why="The machine is being moved.")

    until: Moment
    why: str


@does("/alerts/{uuid:pk}/silence", Permission.MANAGE_ALERTS, shapes.Alert)
@once
def silence_alert(request: CallRequest, pk: UUID, asked: Silence) -> HttpResponse:
    """Have nobody told of it for a while, at most 90 days."""
    return _done(request, pk, actions.silence, SilenceForm({"until": typed(asked.until), "why": asked.why}))


@does("/alerts/{uuid:pk}/unsilence", Permission.MANAGE_ALERTS, shapes.Alert)
@once
def unsilence_alert(request: CallRequest, pk: UUID) -> HttpResponse:
    """End the silence."""
    return _done(request, pk, actions.unsilence)


class AlertRule(Shape):
    """A kind of alert."""

    key: str
    label: str


class AlertRules(Shape):
    items: list[AlertRule]


@reads("/alert-rules", Permission.SEE_STORES, AlertRules)
def list_alert_rules(request: CallRequest) -> HttpResponse:
    """List the kinds of alerts that channels can choose from."""
    return answered({"items": [{"key": key, "label": label} for key, label in conditions.rule_choices()]})


# Maintenance windows


class Window(Shape):
    """A time in which nobody is told of alerts."""

    id: UUID
    cluster_id: UUID | None
    cluster: str
    starts_at: datetime
    ends_at: datetime
    why: str
    by: str


def _window(row: MaintenanceWindow) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "cluster_id": str(row.cluster) if row.cluster else None,
        "cluster": row.cluster_name,
        "starts_at": moment(row.starts_at),
        "ends_at": moment(row.ends_at),
        "why": row.why,
        "by": row.by_name,
    }


@reads("/maintenance-windows", Permission.SEE_STORES, Page[Window], asked=ListQuery)
def list_maintenance_windows(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the maintenance windows that are on or to come, by their start."""
    rows = MaintenanceWindow.objects.visible_to(request.membership).filter(ends_at__gt=timezone.now())
    return answered(page(rows, asked, _window, order=("starts_at", "pk")))


class NewWindow(Body):
    """When nobody is told of alerts, of which cluster (none: of any), and why."""

    model_config = sent(starts_at="2026-12-01T02:00:00Z", ends_at="2026-12-01T06:00:00Z", why="PostgreSQL is upgraded.")

    cluster_id: UUID | None = None
    starts_at: Moment
    ends_at: Moment
    why: str


@creates("/maintenance-windows", Permission.MANAGE_ALERTS, Window, status=201)
@once
def plan_maintenance_window(request: CallRequest, asked: NewWindow) -> HttpResponse:
    """Plan a maintenance window."""
    organisation = request.membership.organisation
    given = {
        "cluster": str(asked.cluster_id or ""),
        "starts_at": typed(asked.starts_at),
        "ends_at": typed(asked.ends_at),
        "why": asked.why,
    }
    form = WindowForm(given, organisation=organisation.pk)
    if not form.is_valid():
        raise of_form(form, {"cluster": "cluster_id"})
    try:
        made = actions.add_window(organisation, **form.cleaned_data, by=request.person)
    except actions.Refused as error:
        raise refused(error) from error
    return answered(_window(made), status=201, location="/api/v1/maintenance-windows")


@does("/maintenance-windows/{uuid:pk}/end", Permission.MANAGE_ALERTS, Window)
@once
def end_maintenance_window(request: CallRequest, pk: UUID) -> HttpResponse:
    """End a maintenance window now, or drop one that has not begun; what is still open is told."""
    rows = MaintenanceWindow.objects.visible_to(request.membership).select_related("organisation")
    window = get_object_or_404(rows, pk=pk)
    try:
        actions.end_window(window, by=request.person)
    except actions.Refused as error:
        raise refused(error) from error
    window.refresh_from_db()
    return answered(_window(window))


# Settings


class DeadmansSwitch(Shape):
    """The address that is asked while the console works: whoever misses that knows that it does not."""

    to: Annotated[str, Field(description="Its host; empty: there is none.")]
    minutes: int
    asked_at: datetime | None
    status: int | None
    answer: str


class ToldAgain(Shape):
    """How alerts are told."""

    repeat_hours: Annotated[int, Field(description="After so many hours an open alert is told again; 0: never.")]
    dead_mans_switch: DeadmansSwitch


def _settings(request: CallRequest) -> dict[str, Any]:
    mine = AlertSettings.objects.visible_to(request.membership).first() or AlertSettings()
    return {
        "repeat_hours": mine.repeat_hours,
        "dead_mans_switch": {
            "to": mine.deadman_shown,
            "minutes": mine.deadman_minutes,
            "asked_at": moment(mine.pinged_at),
            "status": mine.ping_status,
            "answer": mine.ping_answer,
        },
    }


@reads("/alert-settings", Permission.SEE_STORES, ToldAgain)
def get_alert_settings(request: CallRequest) -> HttpResponse:
    """Show after how long alerts are repeated, and the dead man's switch."""
    return answered(_settings(request))


class Repeat(Body):
    """After how many hours an open alert is told again."""

    model_config = sent(repeat_hours=24)

    repeat_hours: StrictInt


@changes("/alert-settings", Permission.MANAGE_ALERTS, ToldAgain)
def change_alert_settings(request: CallRequest, asked: Repeat) -> HttpResponse:
    """Choose after how many hours an open alert is told again; 0: never."""
    form = RepeatForm({"hours": asked.repeat_hours})
    if not form.is_valid():
        raise of_form(form, {"hours": "repeat_hours"})
    actions.change_repeat(request.membership.organisation, hours=form.cleaned_data["hours"], by=request.person)
    return answered(_settings(request))


class NewDeadmansSwitch(Body):
    """Which address is asked, and how often."""

    model_config = sent(longest=1000, url="https://hc.example.com/ping/1234", minutes=5)

    url: Annotated[str, Field(description="It is never shown again; empty: the switch is taken away.")]
    minutes: Annotated[StrictInt, Field(description="1, 5, 15 or 60.")] = 5


@sets("/alert-settings/dead-mans-switch", Permission.MANAGE_ALERTS, ToldAgain)
def set_dead_mans_switch(request: CallRequest, asked: NewDeadmansSwitch) -> HttpResponse:
    """Set the address that is asked while the console works, or take it away."""
    form = DeadmanForm(asked.dict())
    if not form.is_valid():
        raise of_form(form)
    actions.set_deadman(request.membership.organisation, **form.cleaned_data, by=request.person)
    return answered(_settings(request))
