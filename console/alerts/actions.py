"""What people do with alerts and channels, each written down in the audit log; and the nudge from those who judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import Organisation, User
from console.alerts import sending
from console.alerts.conditions import clusters_of
from console.alerts.deliveries import send_soon
from console.alerts.evaluation import delivery, incidents
from console.alerts.messages import Item, Message
from console.alerts.models import (
    A_DAY,
    ASK_AGAIN,
    BOTH_SECRETS,
    CONFIRM_WITHIN,
    LINKS_A_DAY,
    Alert,
    AlertEvent,
    AlertSettings,
    Channel,
    Delivery,
    MaintenanceWindow,
    new_secret,
)
from console.web import language

Kind = AlertEvent.Kind


class Refused(Exception):
    """A rule forbids it; the message says which one, and what to do. `field` is the form's, or ""."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def nudge(organisation: UUID) -> None:
    """Have the organisation's alerts brought up to date by a worker after the commit: something has changed there."""

    def send() -> None:
        current_app.send_task("console.alerts.tasks.evaluate_one", (str(organisation),))

    transaction.on_commit(send, robust=True)  # the sweep comes within a minute in any case


# Alerts


@transaction.atomic
def acknowledge(alert: Alert, *, why: str, by: User | None) -> None:
    """Say that somebody is at it: it is not told again, until it gets worse. Raises Refused."""
    AlertSettings.lock(alert.organisation_id)
    now = timezone.now()
    rows = Alert.objects.filter(pk=alert.pk, closed_at=None)
    said = {"acknowledged_by": by, "acknowledged_by_name": activity.name_of(by), "acknowledged_why": why}
    if not rows.update(acknowledged_at=now, **said):
        raise Refused(gettext("It is closed already: there is nothing to acknowledge."))
    _note(alert, Kind.ACKNOWLEDGED, why, by)
    activity.record("Acknowledged an alert", alert, organisation=alert.organisation, by=by, after={"why": why})
    alert.refresh_from_db()
    _tell_incidents(alert)


@transaction.atomic
def unacknowledge(alert: Alert, *, by: User | None) -> None:
    """Take the acknowledgement back: it is told again when its time comes. Raises Refused."""
    AlertSettings.lock(alert.organisation_id)
    rows = Alert.objects.filter(pk=alert.pk, closed_at=None).exclude(acknowledged_at=None)
    if not rows.update(acknowledged_at=None, acknowledged_by=None, acknowledged_by_name="", acknowledged_why=""):
        raise Refused(gettext("It is not acknowledged any more."))
    _note(alert, Kind.UNACKNOWLEDGED, "", by)
    activity.record("Took an acknowledgement back", alert, organisation=alert.organisation, by=by)


@transaction.atomic
def silence(alert: Alert, *, until: datetime, why: str, by: User | None) -> None:
    """Have nobody told of it until then; if it still holds then, it is told again. Raises Refused."""
    AlertSettings.lock(alert.organisation_id)
    said = {"silenced_by": by, "silenced_by_name": activity.name_of(by), "silenced_why": why}
    if not Alert.objects.filter(pk=alert.pk, closed_at=None).update(silenced_until=until, **said):
        raise Refused(gettext("It is closed already: nobody is told of it any more."))
    _note(alert, Kind.SILENCED, f"until {until:%Y-%m-%d %H:%M} UTC: {why}", by)
    after = {"until": until.isoformat(), "why": why}
    activity.record("Silenced an alert", alert, organisation=alert.organisation, by=by, after=after)


@transaction.atomic
def unsilence(alert: Alert, *, by: User | None) -> None:
    """Have people told of it again, from now on. Raises Refused."""
    AlertSettings.lock(alert.organisation_id)
    rows = Alert.objects.filter(pk=alert.pk).exclude(silenced_until=None)
    if not rows.update(silenced_until=None, silenced_by=None, silenced_by_name="", silenced_why=""):
        raise Refused(gettext("It is not silenced any more."))
    _note(alert, Kind.UNSILENCED, "", by)
    activity.record("Ended the silence of an alert", alert, organisation=alert.organisation, by=by)
    nudge(alert.organisation_id)


def _note(alert: Alert, kind: str, words: str, by: User | None) -> None:
    AlertEvent.objects.create(alert=alert, kind=kind, words=words[:300], by=by, by_name=activity.name_of(by))


def _tell_incidents(alert: Alert) -> None:
    """Have the other side's incident acknowledged when all of it is."""
    rows = list(Alert.objects.open().filter(organisation=alert.organisation_id, group=alert.group))
    if not alert.told_weight or any(one.acknowledged_at is None for one in rows):
        return
    found: list[Delivery] = []
    for channel in Channel.objects.active().filter(organisation=alert.organisation_id):
        if channel.has_incidents and channel.wants(alert):
            found += incidents(channel, alert.organisation, [(alert, "acknowledged")], rows)
    Delivery.objects.bulk_create(found)
    send_soon([one.pk for one in found])


# Channels


def add_channel(
    organisation: Organisation,
    *,
    kind: str,
    name: str,
    values: dict[str, str],
    at_least: str,
    rules: Sequence[str],
    events: Sequence[str] = (),
    by: User | None,
) -> Channel:
    """Add a channel. A webhook gets a secret; an e-mail address is told nothing before confirm(). Raises Refused."""
    if kind == Channel.Kind.EMAIL and not settings.EMAIL_HOST:
        raise Refused(gettext("This console sends no e-mail: whoever runs it has not set EMAIL_HOST."), "address")
    held = {key: value for key, value in values.items() if value}
    if kind == Channel.Kind.WEBHOOK:
        held["secret"] = new_secret()
    channel = Channel(
        organisation=organisation,
        kind=kind,
        name=name,
        shown=shown(kind, held),
        secrets=held,
        at_least=at_least,
        rules=list(rules),
        events=list(events) or None,
        by=by,
        confirmed_at=None if kind == Channel.Kind.EMAIL else timezone.now(),
    )
    try:
        with transaction.atomic():
            Organisation.locked(organisation.pk)
            if Channel.objects.filter(organisation=organisation).count() >= Channel.AT_MOST:
                raise Refused(
                    gettext("There are {at_most} channels, and no more may be. Delete one first.").format(
                        at_most=Channel.AT_MOST
                    )
                )
            channel.save(force_insert=True)
            after = {"kind": kind, "to": channel.shown, **({"events": channel.news} if channel.news else {})}
            activity.record("Added an alert channel", channel, organisation=organisation, by=by, after=after)
    except IntegrityError as error:
        raise Refused(gettext("A channel has this name already. Choose another one."), "name") from error
    nudge(organisation.pk)
    return channel


def shown(kind: str, held: dict[str, str]) -> str:
    """Return where a channel leads, with nothing in it that opens anything: of an address its host alone."""
    if kind == Channel.Kind.EMAIL:
        return held["address"]
    if "url" in held:
        return urlsplit(held["url"]).netloc[:254]
    with language.in_english():  # it is kept
        return f"{Channel.Kind(kind).label}, {held.get('region') or 'us'}"


@transaction.atomic
def change_channel(
    channel: Channel,
    *,
    name: str,
    at_least: str,
    rules: Sequence[str],
    events: Sequence[str] = (),
    by: User | None,
) -> None:
    """Have the channel tell of something else, or call it something else. Raises Refused."""
    before = {"name": channel.name, "at_least": channel.at_least, "rules": channel.rules, "events": channel.news}
    after = {"name": name, "at_least": at_least, "rules": list(rules), "events": list(events)}
    try:
        with transaction.atomic():
            Channel.objects.filter(pk=channel.pk).update(**{**after, "events": after["events"] or None})
    except IntegrityError as error:
        raise Refused(gettext("A channel has this name already. Choose another one."), "name") from error
    activity.record(
        "Changed an alert channel", channel, organisation=channel.organisation, by=by, before=before, after=after
    )


@transaction.atomic
def delete_channel(channel: Channel, *, by: User | None) -> None:
    """Delete the channel, with what was sent to it."""
    before = {"kind": channel.kind, "to": channel.shown}
    activity.record("Deleted an alert channel", channel, organisation=channel.organisation, by=by, before=before)
    channel.delete()


@transaction.atomic
def switch_channel(channel: Channel, *, on: bool, by: User | None) -> None:
    """Turn it on or off."""
    now = None if on else timezone.now()
    why = "" if on else f"Turned off by {activity.name_of(by)}."
    Channel.objects.filter(pk=channel.pk).update(disabled_at=now, disabled_why=why[:300], failing_since=None)
    action = "Turned an alert channel on" if on else "Turned an alert channel off"
    activity.record(action, channel, organisation=channel.organisation, by=by)
    if on:
        nudge(channel.organisation_id)


@transaction.atomic
def replace_secret(channel: Channel, *, by: User | None) -> str:
    """Give a webhook another secret, and return it, this one time; messages have both signatures for a day."""
    held, fresh = channel.secrets, new_secret()
    until = (timezone.now() + BOTH_SECRETS).isoformat()
    channel.secrets = {**held, "secret": fresh, "former_secret": held.get("secret", ""), "former_until": until}
    channel.save(update_fields=["secrets"])
    activity.record("Replaced the secret of a webhook", channel, organisation=channel.organisation, by=by)
    return fresh


@transaction.atomic
def test_channel(channel: Channel, *, by: User | None) -> Delivery:
    """Send a message that says that it is a test. Raises Refused where the channel is off, or not confirmed.

    One at a time: whoever could ask for thousands would have the workers at nothing else.
    """
    Channel.objects.select_for_update().get(pk=channel.pk)  # of two requests one sees the other's test
    if Delivery.objects.filter(channel=channel, kind="test", state=Delivery.State.WAITING).exists():
        raise Refused(
            gettext("A test is on its way to {channel} already. Wait for what comes of it.").format(
                channel=channel.name
            )
        )
    if not channel.is_active:
        raise Refused(
            gettext("{channel} is off, or its address is not confirmed yet: nothing is sent to it.").format(
                channel=channel.name
            )
        )
    item = Item(
        id=str(uuid4()),
        event="test",
        rule="test",
        severity="warning",
        title="This is a test of Storekeeper's alerts",
        words=f"{activity.name_of(by)} asked for it. Nothing is wrong.",
        key="test",
    )
    incident = {"group": f"test {channel.pk} {item.id}", "action": "trigger"} if channel.has_incidents else {}
    found = delivery(channel, Message.of(channel.organisation.name, [item], **incident))
    found.kind = "test"
    found.save(force_insert=True)
    activity.record("Tested an alert channel", channel, organisation=channel.organisation, by=by)
    send_soon([found.pk])
    return found


# The address of an e-mail channel


@transaction.atomic
def ask_to_confirm(channel: Channel) -> str:
    """Give the channel a new link to confirm its address with, and return the link's token, which is kept nowhere.

    Raises Refused for too many: whoever reads that address has not asked for mail.
    """
    AlertSettings.lock(channel.organisation_id)
    now, mine = timezone.now(), AlertSettings.objects.get(organisation=channel.organisation_id)
    last = Channel.objects.get(pk=channel.pk).asked_at
    if last and last <= now < last + ASK_AGAIN:
        minutes = int(ASK_AGAIN.total_seconds() // 60)
        raise Refused(
            gettext("A link was sent to {shown} less than {minutes} minutes ago. Wait, then send another.").format(
                shown=channel.shown, minutes=minutes
            )
        )
    is_same_day = bool(mine.links_since and mine.links_since <= now < mine.links_since + A_DAY)
    sent = (mine.links or 0) if is_same_day else 0
    if sent >= LINKS_A_DAY:
        raise Refused(
            gettext("{links_a_day} links were sent within a day, and no more may be. Send it tomorrow.").format(
                links_a_day=LINKS_A_DAY
            )
        )
    since = mine.links_since if is_same_day else now
    AlertSettings.objects.filter(pk=mine.pk).update(links=sent + 1, links_since=since)
    token = token_urlsafe(32)
    Channel.objects.filter(pk=channel.pk).update(token_sha256=_digest(token), asked_at=now)
    return token


def send_link(channel: Channel, link: str) -> sending.Answer:
    """Send the link to the address that it is to confirm."""
    text = (
        f"{channel.organisation} wants Storekeeper to send alerts about its database backups to this address.\n\n"
        f"If you want to get them, open this page, and press the button there:\n\n{link}\n\n"
        "If you do not, do nothing: nothing more will come.\n"
    )
    subject = f"Storekeeper: may it send you alerts of {channel.organisation}?".replace("\n", " ").replace("\r", " ")
    answer = sending.mail(str(channel.secrets["address"]), subject, text, uuid4().hex)
    if not answer.is_good:  # another may be sent as soon as that is put right
        Channel.objects.filter(pk=channel.pk).update(asked_at=None)
    return answer


def send_confirmation(channel: Channel, link: Callable[[str], str]) -> str:
    """Send a link that confirms the channel's address, made of its token; return what came of it, in words."""
    try:
        token = ask_to_confirm(channel)
    except Refused as refusal:
        return str(refusal)
    answer = send_link(channel, link(token))
    if answer.is_good:
        return f"A link is on its way to {channel.shown}. It gets alerts once somebody has opened that."
    return f"The link to {channel.shown} could not be sent: {answer.text} Correct that, then send the link again."


def find_channel(token: str) -> Channel | None:
    """Return the channel whose address the token confirms, while it is good."""
    rows = Channel.objects.select_related("organisation").filter(asked_at__gt=timezone.now() - CONFIRM_WITHIN)
    found: Channel | None = rows.filter(token_sha256=_digest(token)).first() if token else None
    return found


@transaction.atomic
def confirm(channel: Channel) -> None:
    """Have the channel told from now on: whoever reads its mail wants that."""
    if Channel.objects.filter(pk=channel.pk).update(confirmed_at=timezone.now(), token_sha256="", asked_at=None):
        organisation = channel.organisation
        activity.record("Confirmed an alert address", channel, organisation=organisation, by=None)
        nudge(channel.organisation_id)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()  # not a password: 256 random bits, which nobody can try


# Windows and settings


@transaction.atomic
def add_window(
    organisation: Organisation,
    *,
    cluster: UUID | None,
    starts_at: datetime,
    ends_at: datetime,
    why: str,
    by: User | None,
) -> MaintenanceWindow:
    """Have nobody told of alerts of the cluster (None: of any) in that time. Raises Refused."""
    known = clusters_of(organisation.pk)
    if cluster is not None and cluster not in known:
        raise Refused(gettext("This cluster is gone. Choose another one."), "cluster")
    window: MaintenanceWindow = MaintenanceWindow.objects.create(
        organisation=organisation,
        cluster=cluster,
        cluster_name=known[cluster] if cluster else "",
        starts_at=starts_at,
        ends_at=ends_at,
        why=why,
        by=by,
        by_name=activity.name_of(by),
    )
    after = {"from": starts_at.isoformat(), "to": ends_at.isoformat(), "why": why}
    activity.record("Planned a maintenance window", window, organisation=organisation, by=by, after=after)
    return window


@transaction.atomic
def end_window(window: MaintenanceWindow, *, by: User | None) -> None:
    """End it now, or drop it before it has begun. Raises Refused when it is over."""
    now = timezone.now()
    if window.ends_at <= now:
        raise Refused(gettext("It is over already."))
    MaintenanceWindow.objects.filter(pk=window.pk).update(ends_at=now, starts_at=min(window.starts_at, now))
    activity.record("Ended a maintenance window", window, organisation=window.organisation, by=by)
    nudge(window.organisation_id)


@transaction.atomic
def change_repeat(organisation: Organisation, *, hours: int, by: User | None) -> None:
    """Have open alerts told again after so many hours; 0: never."""
    row = AlertSettings.of(organisation)
    before, row.repeat_hours = row.repeat_hours, hours
    row.save(update_fields=["repeat_hours"])
    change: dict[str, Any] = {"before": {"repeat_hours": before}, "after": {"repeat_hours": hours}}
    activity.record("Changed when alerts are repeated", organisation, organisation=organisation, by=by, **change)


@transaction.atomic
def set_deadman(organisation: Organisation, *, url: str, minutes: int, by: User | None) -> None:
    """Have the address asked every so many minutes while the console works; "": none."""
    AlertSettings.lock(organisation.pk)  # the whole row is written
    row = AlertSettings.of(organisation)
    row.secrets = {"url": url} if url else {}
    row.deadman_shown = urlsplit(url).netloc[:254] if url else ""
    row.deadman_minutes, row.ping_due_at, row.pinged_at = minutes, None, None
    row.ping_status, row.ping_answer = None, ""
    row.save()
    after = {"to": row.deadman_shown, "minutes": minutes} if url else {}
    action = "Set a dead man's switch" if url else "Took the dead man's switch away"
    activity.record(action, organisation, organisation=organisation, by=by, after=after)
