"""Whom alerts are told: channels, tests of them, what was sent. What is secret of a channel is never shown again."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Query
from pydantic import Field

from console.accounts.permissions import Permission
from console.alerts import actions
from console.alerts.channel_views import TOLD
from console.alerts.forms import FORMS, LONGEST_URL, tells_of
from console.alerts.models import Channel, Delivery
from console.api.alert_calls import refused
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, changes, creates, does, reads, removes
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Page, Shape
from console.api.shown import moment

OF_A_KIND = ("events", "address", "url", "token", "key", "region")  # fields that some kinds of channels have
EVENTS = "Of webhook, what it is sent beside alerts: tasks, changes. Changes are the audit log's, and need see_audit."


class AlertChannel(Shape):
    """A way to tell somebody of alerts."""

    id: UUID
    kind: str
    name: str
    to: Annotated[str, Field(description="Where it leads, without what opens anything.")]
    at_least: str
    rules: Annotated[list[str], Field(description="Kinds of alerts that it tells of; none: all.")]
    events: Annotated[list[str], Field(description="What a webhook is sent beside alerts: tasks, changes.")]
    is_on: bool
    why_off: str
    confirmed_at: Annotated[datetime | None, Field(description="An e-mail address gets nothing before.")]
    failing_since: datetime | None
    created_at: datetime


class NewAlertChannel(AlertChannel):
    """A channel that was added, with what is shown of it this one time."""

    secret: Annotated[str, Field(description="With which a webhook's messages are signed (Standard Webhooks).")]
    note: Annotated[str, Field(description="What is still to be done.")]


def _channel(request: CallRequest, pk: UUID) -> Channel:
    rows = Channel.objects.visible_to(request.membership).select_related("organisation")
    channel: Channel = get_object_or_404(rows, pk=pk)
    return channel


def _shown(row: Channel) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "name": row.name,
        "to": row.shown,
        "at_least": row.at_least,
        "rules": row.rules,
        "events": row.news,
        "is_on": row.disabled_at is None,
        "why_off": row.disabled_why,
        "confirmed_at": moment(row.confirmed_at),
        "failing_since": moment(row.failing_since),
        "created_at": moment(row.created_at),
    }


@reads("/alert-channels", Permission.SEE_STORES, Page[AlertChannel], asked=ListQuery)
def list_alert_channels(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the channels, newest first."""
    return answered(page(Channel.objects.visible_to(request.membership).defer("secrets"), asked, _shown))


@reads("/alert-channels/{uuid:pk}", Permission.SEE_STORES, AlertChannel)
def get_alert_channel(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one channel."""
    return answered(_shown(_channel(request, pk)))


class ChannelToAdd(Body):
    """A channel to add; what else is needed goes by its kind."""

    model_config = sent(
        longest=LONGEST_URL, kind="webhook", name="on call", url="https://hooks.example.com/storekeeper"
    )

    kind: Annotated[str, Field(description="email, webhook, slack, teams, pagerduty, opsgenie or ntfy.")]
    name: str
    at_least: Annotated[str, Field(description="warning or critical.")] = "warning"
    rules: Annotated[list[str], Field(description="Keys of GET /alert-rules; none: all.", max_length=100)] = []
    events: Annotated[list[str], Field(description=EVENTS, max_length=10)] = []
    address: Annotated[str, Field(description="Of email.")] = ""
    url: Annotated[str, Field(description="Of webhook, slack, teams and ntfy.")] = ""
    token: Annotated[str, Field(description="Of ntfy, where the topic asks for one.")] = ""
    key: Annotated[str, Field(description="Of pagerduty and opsgenie.")] = ""
    region: Annotated[str, Field(description="Of pagerduty and opsgenie: us or eu.")] = ""


@creates("/alert-channels", Permission.MANAGE_ALERTS, NewAlertChannel, status=201)
@once
def add_alert_channel(request: CallRequest, asked: ChannelToAdd) -> HttpResponse:
    """Add a channel; a webhook's secret is shown this one time, an e-mail address is sent a link to confirm it."""
    if asked.kind not in FORMS:
        raise fields([("/kind", f"Choose one of {', '.join(FORMS)}.")])
    form = FORMS[asked.kind]({"region": "us", **{name: value for name, value in asked.dict().items() if value}})
    if wrong := [one for one in OF_A_KIND if getattr(asked, one) and one not in form.fields]:
        raise fields([(f"/{one}", f"A channel of the kind {asked.kind} has none.") for one in wrong])
    if not form.is_valid():
        raise of_form(form)
    _may_hear(request, asked.events)
    given = {name: value for name, value in form.cleaned_data.items() if name in TOLD}
    organisation = request.membership.organisation
    try:
        made = actions.add_channel(organisation, kind=form.kind, values=form.values, **given, by=request.person)
    except actions.Refused as error:
        raise refused(error) from error
    told = {"secret": str(made.secrets.get("secret", "")), "note": _sent(request, made)}
    return answered({**_shown(made), **told}, status=201, location=f"/api/v1/alert-channels/{made.pk}")


def _may_hear(request: CallRequest, events: list[str]) -> None:
    """Raise Problem for changes that whoever asks may not see themselves."""
    if "changes" in events and Permission.SEE_AUDIT not in request.token.may:
        raise Problem(403, "Changes are what the audit log has: a token that has them sent needs see_audit.")


def _sent(request: CallRequest, channel: Channel) -> str:
    """Send the link to an e-mail address; return what came of it."""
    if channel.kind != Channel.Kind.EMAIL:
        return ""
    return actions.send_confirmation(channel, lambda token: _link(request, token))


def _link(request: CallRequest, token: str) -> str:
    return request.build_absolute_uri(reverse("alerts:confirm", args=[token]))


class ChangedChannel(Body):
    """What is to be another; where it leads stays as it is."""

    model_config = sent(at_least="critical", is_on=True)

    name: str | None = None
    at_least: str | None = None
    rules: Annotated[list[str] | None, Field(max_length=100)] = None
    events: Annotated[list[str] | None, Field(description=EVENTS, max_length=10)] = None
    is_on: bool | None = None


@changes("/alert-channels/{uuid:pk}", Permission.MANAGE_ALERTS, AlertChannel)
def change_alert_channel(request: CallRequest, pk: UUID, asked: ChangedChannel) -> HttpResponse:
    """Choose what a channel tells of, its name, and whether it is on."""
    channel = _channel(request, pk)
    given = {name: value for name, value in asked.dict(exclude={"is_on"}).items() if value is not None}
    if given:
        kept = {"name": channel.name, "at_least": channel.at_least, "rules": channel.rules, "events": channel.news}
        form = tells_of(channel.kind)({**kept, **given})
        if given.get("events") and "events" not in form.fields:
            raise fields([("/events", f"A channel of the kind {channel.kind} has none.")])
        if not form.is_valid():
            raise of_form(form)
        _may_hear(request, given.get("events", []))
        try:
            actions.change_channel(channel, **form.cleaned_data, by=request.person)
        except actions.Refused as error:
            raise refused(error) from error
    if asked.is_on is not None:
        actions.switch_channel(channel, on=asked.is_on, by=request.person)
    return answered(_shown(_channel(request, pk)))


@removes("/alert-channels/{uuid:pk}", Permission.MANAGE_ALERTS)
def delete_alert_channel(request: CallRequest, pk: UUID) -> HttpResponse:
    """Delete a channel, with what was sent to it."""
    actions.delete_channel(_channel(request, pk), by=request.person)
    return answered(None, status=204)


class WebhookSecret(Shape):
    """A new secret of a webhook, shown this one time; for a day messages have the signatures of both."""

    secret: str


@does("/alert-channels/{uuid:pk}/secret", Permission.MANAGE_ALERTS, WebhookSecret)
@once
def replace_webhook_secret(request: CallRequest, pk: UUID) -> HttpResponse:
    """Replace a webhook's secret, and show the new one."""
    channel = _channel(request, pk)
    if channel.kind != Channel.Kind.WEBHOOK:
        raise Problem(409, f"{channel.name} is no webhook: it has no secret of this console's.")
    return answered({"secret": actions.replace_secret(channel, by=request.person)})


class Sent(Shape):
    """A message to a channel, and what became of it."""

    id: UUID
    channel_id: UUID
    channel: str
    kind: str
    subject: str
    state: Annotated[str, Field(description="waiting, sent or failed.")]
    tries: int
    created_at: datetime
    tried_at: datetime | None
    sent_at: datetime | None
    status: int | None
    answer: str


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "channel_id": str(row.channel_id),
        "channel": row.channel.name,
        **{name: getattr(row, name) for name in ("kind", "subject", "state", "tries", "status", "answer")},
        **{name: moment(getattr(row, name)) for name in ("created_at", "tried_at", "sent_at")},
    }


@does("/alert-channels/{uuid:pk}/test", Permission.MANAGE_ALERTS, Sent, status=202)
@once
def test_alert_channel(request: CallRequest, pk: UUID) -> HttpResponse:
    """Send a test; what comes of it stands in the list of what was sent, at Location."""
    try:
        found = actions.test_channel(_channel(request, pk), by=request.person)
    except actions.Refused as error:
        raise refused(error) from error
    return answered(_delivery(found), status=202, location=f"/api/v1/alert-deliveries?channel_id={pk}")


class LinkSent(Shape):
    note: str


@does("/alert-channels/{uuid:pk}/link", Permission.MANAGE_ALERTS, LinkSent)
@once
def send_confirmation_link(request: CallRequest, pk: UUID) -> HttpResponse:
    """Send the link again that confirms an e-mail address."""
    channel = _channel(request, pk)
    if channel.kind != Channel.Kind.EMAIL or channel.confirmed_at:
        raise Problem(409, f"{channel.name} has no e-mail address that waits to be confirmed.")
    return answered({"note": _sent(request, channel)})


class DeliveryList(ListQuery):
    channel_id: UUID | None = None


@reads("/alert-deliveries", Permission.SEE_STORES, Page[Sent], asked=DeliveryList)
def list_alert_deliveries(request: CallRequest, asked: Query[DeliveryList]) -> HttpResponse:
    """List what was sent, or is to be, newest first."""
    rows = Delivery.objects.visible_to(request.membership).select_related("channel").defer("channel__secrets")
    if asked.channel_id:
        rows = rows.filter(channel=asked.channel_id)
    return answered(page(rows, asked, _delivery))
