"""What holds now, compared with the alerts that are open: one pass opens, changes, closes and has it told.

It goes by what is there and not by what happens, so a crash at any point loses nothing: the next pass finds the same.
All that a pass changes of an organisation, with the messages that it makes of it, is one transaction, in which the
organisation's row of settings is locked: of two workers the second finds nothing left to do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from console.accounts.models import Organisation
from console.alerts import conditions
from console.alerts.conditions import Condition, Found, Organisations
from console.alerts.deliveries import send_soon
from console.alerts.messages import Item, Message
from console.alerts.models import (
    TITLE,
    WORDS,
    Alert,
    AlertEvent,
    AlertSettings,
    Channel,
    Delivery,
    MaintenanceWindow,
)
from console.clouds import foreign

log = logging.getLogger(__name__)

COPIED = ("rule", "severity", "weight", "title", "words", "advice", "url", "group", "cluster_name")
Kind = AlertEvent.Kind


@dataclass
class State:
    """What decides in an organisation what is told, beside its alerts."""

    now: datetime
    repeat: timedelta
    windows: Sequence[MaintenanceWindow] = ()
    has_channel: bool = False

    def is_muted(self, alert: Alert) -> bool:
        """Return whether nobody wants to be told of it now."""
        if alert.silenced_until and alert.silenced_until > self.now:
            return True
        return any(one.cluster is None or one.cluster == alert.cluster for one in self.windows)

    def to_tell(self, alert: Alert) -> str:
        """Return what is to be told of the alert now, as messages.EVENTS has it; "" for nothing."""
        if not self.has_channel or self.is_muted(alert):
            return ""
        if alert.closed_at:
            return "closed" if alert.told_weight else ""
        if not alert.told_weight:
            return "opened"
        if alert.weight != alert.told_weight:
            return "worse" if alert.weight > alert.told_weight else "better"
        if alert.silenced_until:  # it is over, and what was silenced is not
            return "repeated"
        late = self.repeat and alert.told_at and alert.told_at + self.repeat <= self.now
        return "repeated" if late and not alert.acknowledged_at else ""


def evaluate(organisations: Organisations = None) -> bool:
    """Bring the alerts of these organisations (None: all) up to date; False when not all could be looked at."""
    found = conditions.find(organisations)
    complete = not found.failed
    for pk in _with_changes(found, organisations):
        try:
            settle(pk)
        except Exception:
            log.exception("The alerts of organisation %s could not be brought up to date.", pk)
            complete = False
    return complete


def _with_changes(found: Found, organisations: Organisations) -> list[UUID]:
    """Return the organisations in which anything is to be done: seen without a lock, for most passes find nothing."""
    rows = Alert.objects.pending()
    states = _states(organisations)
    if organisations is not None:
        rows = rows.filter(organisation__in=organisations)
    changed, known = set[UUID](), set[tuple[UUID, str]]()
    for alert in rows:
        whose = alert.organisation_id
        holds = found.conditions.get((whose, alert.key))
        if alert.closed_at is None:
            known.add((whose, alert.key))
            if (holds is None and alert.rule not in found.failed) or (holds and _differs(alert, holds)):
                changed.add(whose)
        state = states.get(whose)
        if state is None or state.to_tell(alert) or (alert.closed_at and not state.has_channel):
            changed.add(whose)
    changed |= {whose for whose, key in found.conditions if (whose, key) not in known}
    return sorted(changed)


def _states(organisations: Organisations) -> dict[UUID, State]:
    now = timezone.now()
    where: dict[str, Any] = {} if organisations is None else {"organisation__in": organisations}
    states = {
        whose: State(now, timedelta(hours=hours))
        for whose, hours in AlertSettings.objects.filter(**where).values_list("organisation", "repeat_hours")
    }
    windows = MaintenanceWindow.objects.filter(**where, starts_at__lte=now, ends_at__gt=now)
    for window in windows:
        if window.organisation_id in states:
            states[window.organisation_id].windows = [*states[window.organisation_id].windows, window]
    for whose in Channel.objects.active().filter(**where).values_list("organisation", flat=True).distinct().order_by():
        if whose in states:
            states[whose].has_channel = True
    return states


def _fields(condition: Condition) -> dict[str, Any]:
    return {
        "rule": condition.rule,
        "severity": str(condition.severity),
        "weight": condition.weight,
        "title": foreign.text(condition.title, TITLE),
        "words": foreign.text(condition.words, WORDS),
        "advice": foreign.text(condition.advice, WORDS),
        "url": condition.url[:300],
        "group": (condition.group or condition.kept_key)[: conditions.KEY],
        "cluster_name": condition.cluster_name[:60],
    }


def _differs(alert: Alert, condition: Condition) -> bool:
    return any(getattr(alert, name) != value for name, value in _fields(condition).items())


@dataclass
class Pass:
    """One pass over an organisation's alerts, in a transaction that has its lock."""

    organisation: Organisation
    state: State
    alerts: list[Alert]
    events: list[AlertEvent] = field(default_factory=list)
    opened: list[Alert] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)

    def note(self, alert: Alert, kind: str, words: str = "") -> None:
        """Add a line to the alert's story."""
        self.touched.add(alert.pk)
        self.events.append(AlertEvent(alert=alert, kind=kind, at=self.state.now, words=words[:300]))

    def compare(self, found: Found) -> None:
        """Open what holds and is not open, change what is, and close what no longer holds."""
        still = {one.key: one for one in self.alerts if one.closed_at is None}
        for (_, key), condition in found.conditions.items():
            if alert := still.get(key):
                self._change(alert, condition)
            else:
                self._open(key, condition)
        held = {key for _, key in found.conditions}
        over = [one for key, one in still.items() if key not in held and one.rule not in found.failed]
        gone = _gone(over)
        for alert in over:
            alert.closed_at = alert.changed_at = self.state.now
            alert.closed_why = "What it is about is gone." if alert.pk in gone else "It no longer holds."
            self.note(alert, Kind.CLOSED, alert.closed_why)

    def _open(self, key: str, condition: Condition) -> None:
        alert = Alert(
            organisation=self.organisation,
            key=key,
            subject_kind=condition.subject_kind,
            subject_id=condition.subject_id,
            cluster=condition.cluster,
            created_at=self.state.now,
            changed_at=self.state.now,
            **_fields(condition),
        )
        self.opened.append(alert)
        self.alerts.append(alert)
        self.note(alert, Kind.OPENED, alert.title)

    def _change(self, alert: Alert, condition: Condition) -> None:
        if not _differs(alert, condition):
            return
        before = alert.weight
        for name, value in _fields(condition).items():
            setattr(alert, name, value)
        alert.changed_at = self.state.now
        self.touched.add(alert.pk)
        if alert.weight != before:
            self.note(alert, Kind.WORSE if alert.weight > before else Kind.BETTER, alert.title)
        if alert.weight > before and alert.acknowledged_at:  # that was about something less bad
            alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_by_name = None, None, ""
            self.note(alert, Kind.UNACKNOWLEDGED, "It got worse.")

    def tell(self, channels: Sequence[Channel]) -> list[Delivery]:
        """Return the messages that are to be sent, one for each channel, whatever number of alerts it is of."""
        told: list[tuple[Alert, str, int]] = []
        for alert in self.alerts:
            if event := self.state.to_tell(alert):
                told.append((alert, event, alert.told_weight))
            elif alert.closed_at and not self.state.has_channel:
                alert.told_weight = 0
                self.touched.add(alert.pk)
        for alert, event, _ in told:
            if event in {"repeated", "opened"}:
                self.note(alert, Kind.REPEATED if event == "repeated" else Kind.TOLD)
            alert.told_weight = 0 if alert.closed_at else alert.weight
            alert.told_at = self.state.now
            if alert.silenced_until and alert.silenced_until <= self.state.now:
                alert.silenced_until = None
            self.touched.add(alert.pk)
        found: list[Delivery] = []
        for channel in channels:
            wanted = [(alert, event) for alert, event, before in told if _wants(channel, alert, before)]
            if wanted and channel.has_incidents:
                found += incidents(channel, self.organisation, wanted, self.alerts)
            elif wanted:
                items = [item(alert, event) for alert, event in wanted]
                found.append(delivery(channel, Message.of(self.organisation.name, items)))
        return found


def _wants(channel: Channel, alert: Alert, told_weight: int) -> bool:
    """Return whether the channel tells of the alert, or has told of it while it was worse."""
    was_critical = told_weight >= 20
    return channel.wants(alert) or (was_critical and (not channel.rules or alert.rule in channel.rules))


def _gone(alerts: Iterable[Alert]) -> set[UUID]:
    """Return those whose subject is no longer there: a query for each kind of subject."""
    by_kind: dict[str, list[Alert]] = {}
    for alert in alerts:
        if alert.subject_kind and alert.subject_id:
            by_kind.setdefault(alert.subject_kind, []).append(alert)
    gone = set()
    for kind, ones in by_kind.items():
        try:
            rows = apps.get_model(kind)._default_manager.filter(pk__in={one.subject_id for one in ones})
            there = {str(pk) for pk in rows.values_list("pk", flat=True)}
        except (LookupError, ValueError, ValidationError):  # of a release that had such a model
            continue
        gone |= {one.pk for one in ones if one.subject_id not in there}
    return gone


def item(alert: Alert, event: str) -> Item:
    """Return the alert as messages tell it."""
    return Item(
        id=str(alert.pk),
        event=event,
        rule=alert.rule,
        severity=alert.severity,
        title=alert.title,
        words=alert.words,
        advice=alert.advice,
        url=alert.get_absolute_url(),
        key=alert.key,
        cluster=alert.cluster_name,
        subject_kind=alert.subject_kind,
        subject_id=alert.subject_id,
        opened_at=alert.created_at.isoformat(),
        closed_at=alert.closed_at.isoformat() if alert.closed_at else "",
    )


def delivery(channel: Channel, message: Message, kind: str = "alerts") -> Delivery:
    """Return the message to the channel, not yet kept."""
    return Delivery(
        organisation_id=channel.organisation_id,
        channel=channel,
        kind=message.action or kind,
        group=message.group,
        subject=message.subject[:TITLE],
        content=message.as_json(),
    )


def incidents(
    channel: Channel, organisation: Organisation, told: Sequence[tuple[Alert, str]], alerts: Iterable[Alert]
) -> list[Delivery]:
    """Return what the other side's incidents become: one for each group, resolved when the last of it is closed."""
    by_group: dict[str, list[tuple[Alert, str]]] = {}
    for alert, event in told:
        by_group.setdefault(alert.group, []).append((alert, event))
    still: dict[str, list[Alert]] = {}
    for alert in alerts:
        if alert.closed_at is None and alert.told_weight and channel.wants(alert):
            still.setdefault(alert.group, []).append(alert)
    found = []
    for group, ones in by_group.items():
        left = still.get(group, [])
        action = "trigger" if left else "resolve"
        if left and all(one.acknowledged_at for one in left):
            action = "acknowledge"
        news: Mapping[UUID, str] = {alert.pk: event for alert, event in ones}
        items = [item(one, news.get(one.pk, "repeated")) for one in left] or [item(*one) for one in ones]
        # The other side knows it by the group; two organisations, or two stores that follow each other, never share.
        message = Message.of(organisation.name, items, group=f"{organisation.pk} {group}", action=action)
        found.append(delivery(channel, message))
    return found


@transaction.atomic
def settle(pk: UUID) -> None:
    """Bring one organisation's alerts up to date, and write down what is to be sent."""
    organisation = Organisation.objects.get(pk=pk)
    AlertSettings.lock(pk)  # whoever comes second waits here
    found = conditions.find([pk])
    state = _states([pk])[pk]
    here = Pass(organisation, state, list(Alert.objects.filter(organisation=pk).pending().order_by("created_at")))
    here.compare(found)
    sent = here.tell(list(Channel.objects.filter(organisation=pk).active()) if state.has_channel else [])
    Alert.objects.bulk_create(here.opened)
    new = {one.pk for one in here.opened}
    changed = [one for one in here.alerts if one.pk in here.touched and one.pk not in new]
    fields = ["changed_at", "closed_at", "closed_why", "told_weight", "told_at", "silenced_until"]
    acknowledged = ["acknowledged_at", "acknowledged_by", "acknowledged_by_name"]
    Alert.objects.bulk_update(changed, [*COPIED, *fields, *acknowledged], batch_size=200)
    AlertEvent.objects.bulk_create(here.events, batch_size=500)
    Delivery.objects.bulk_create(sent)
    send_soon([one.pk for one in sent])
