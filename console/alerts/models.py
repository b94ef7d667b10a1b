"""Alerts, whom they are told, what was sent, and when nobody wants to be told."""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Organisation, OwnedQuerySet, User
from console.alerts.conditions import Severity
from console.web.validators import NameField

BOTH_SECRETS = timedelta(hours=24)  # in which a webhook is signed with a replaced secret, too
CONFIRM_WITHIN = timedelta(days=7)
ASK_AGAIN = timedelta(minutes=10)  # after the last link to an address
A_DAY = timedelta(days=1)
LINKS_A_DAY = 20  # of an organisation: anybody's address may be entered
TITLE, WORDS, PERSON = 200, 2000, 150  # characters
NEWS = {"tasks": "task", "changes": "change"}  # what a webhook may be sent beside alerts, and its kind of message


def new_secret() -> str:
    """Return a secret for Standard Webhooks: 256 random bits."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


class AlertQuerySet(OwnedQuerySet):
    def open(self) -> Self:
        """Return those that hold."""
        return self.filter(closed_at=None)

    def pending(self) -> Self:
        """Return those that hold, and those whose end nobody has been told yet: what a pass looks at."""
        return self.filter(Q(closed_at=None) | Q(told_weight__gt=0))


class Alert(models.Model):
    """Something that somebody must know of, from when it began to hold until it no longer did.

    Its subject is named by copies, since it may be deleted: that closes the alert.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=200)
    group = models.CharField(max_length=200)
    rule = models.CharField(max_length=50)
    severity = models.CharField(max_length=10, choices=Severity)
    weight = models.PositiveSmallIntegerField()  # how bad it is, as Condition.weight
    title = models.CharField(max_length=TITLE)
    words = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    subject_kind = models.CharField(max_length=50, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    cluster = models.UUIDField(null=True)
    cluster_name = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(gettext_lazy("opened"), default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    closed_why = models.CharField(max_length=200, blank=True)
    # What was told of it last: its weight then, 0 for nothing, or that it is over; and when.
    told_weight = models.PositiveSmallIntegerField(default=0)
    told_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    acknowledged_by_name = models.CharField(max_length=PERSON, blank=True)
    acknowledged_why = models.CharField(max_length=300, blank=True)
    silenced_until = models.DateTimeField(null=True)
    silenced_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    silenced_by_name = models.CharField(max_length=PERSON, blank=True)
    silenced_why = models.CharField(max_length=300, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "key"], condition=Q(closed_at=None), name="one_open_alert_per_key"
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="an_alert_has_a_known_severity"),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="alerts_page_by_page"),
            models.Index(fields=["organisation", "rule", "-created_at", "-id"], name="alerts_of_a_rule"),
            models.Index(fields=["organisation", "cluster", "-created_at", "-id"], name="alerts_of_a_cluster"),
            models.Index(fields=["organisation", "severity", "-created_at", "-id"], name="alerts_of_a_severity"),
            # Each pass looks at the few that hold among the many that are history.
            models.Index(
                fields=["organisation"],
                condition=Q(closed_at=None) | Q(told_weight__gt=0),
                name="alerts_pending",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("alerts:detail", args=[self.pk])

    @property
    def is_open(self) -> bool:
        """Return whether it holds."""
        return self.closed_at is None

    @property
    def is_silenced(self) -> bool:
        """Return whether somebody has silenced it until later."""
        return self.silenced_until is not None and self.silenced_until > timezone.now()

    @property
    def state(self) -> str:
        """Return what it is now, in a word."""
        if not self.is_open:
            return "Closed"
        if self.is_silenced:
            return "Silenced"
        return "Acknowledged" if self.acknowledged_at else "Open"

    @property
    def css(self) -> str:
        """Return the class of its badge."""
        if not self.is_open:
            return "done"
        return "failed" if self.severity == Severity.CRITICAL else "degraded"


class AlertEvent(models.Model):
    """One line of an alert's story."""

    class Kind(models.TextChoices):
        OPENED = "opened", gettext_lazy("Opened")
        WORSE = "worse", gettext_lazy("Got worse")
        BETTER = "better", gettext_lazy("Got better")
        TOLD = "told", gettext_lazy("Told")
        REPEATED = "repeated", gettext_lazy("Told again")
        ACKNOWLEDGED = "acknowledged", gettext_lazy("Acknowledged")
        UNACKNOWLEDGED = "unacknowledged", gettext_lazy("Acknowledgement taken back")
        SILENCED = "silenced", gettext_lazy("Silenced")
        UNSILENCED = "unsilenced", gettext_lazy("No longer silenced")
        CLOSED = "closed", gettext_lazy("Closed")

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20, choices=Kind)
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=PERSON, blank=True)  # "": the console
    words = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.alert}"


class ChannelQuerySet(OwnedQuerySet):
    def active(self) -> Self:
        """Return those that are told of alerts."""
        return self.filter(disabled_at=None).exclude(confirmed_at=None)


class Channel(models.Model):
    """A way to tell somebody: an address, or a service with its key. What is secret of it is never shown again."""

    class Kind(models.TextChoices):
        EMAIL = "email", gettext_lazy("E-mail")
        WEBHOOK = "webhook", gettext_lazy("Webhook")
        SLACK = "slack", gettext_lazy("Slack")
        TEAMS = "teams", gettext_lazy("Microsoft Teams")
        PAGERDUTY = "pagerduty", gettext_lazy("PagerDuty")
        OPSGENIE = "opsgenie", gettext_lazy("Opsgenie")
        NTFY = "ntfy", gettext_lazy("ntfy")

    AT_MOST: ClassVar = 20  # of an organisation

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="alert_channels")
    kind = models.CharField(max_length=20, choices=Kind)
    name = NameField(max_length=60)
    shown = models.CharField(max_length=254)  # where it leads, as far as everybody may know
    # By kind: address; url, secret, former_secret, former_until; key, region; url, token
    secrets = EncryptedJSONField(default=dict)
    at_least = models.CharField(gettext_lazy("tells of"), max_length=10, choices=Severity, default=Severity.WARNING)
    rules: Any = models.JSONField(default=list)  # keys of those that it tells of; none: all
    events: Any = models.JSONField(null=True)  # of a webhook: NEWS that it is sent beside alerts; null: none
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # An e-mail address gets nothing until whoever reads it has said yes; others are confirmed from the beginning.
    confirmed_at = models.DateTimeField(null=True)
    token_sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    asked_at = models.DateTimeField(null=True)  # when the link with that token was sent; null: none is good
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.CharField(max_length=300, blank=True)
    failing_since = models.DateTimeField(null=True)  # since the last success, if the last try failed

    objects = ChannelQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_channel_name_per_organisation"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["email", "webhook", "slack", "teams", "pagerduty", "opsgenie", "ntfy"],
                ),
                name="a_channel_is_of_a_known_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        """Return whether it is told of alerts."""
        return self.disabled_at is None and self.confirmed_at is not None

    @property
    def has_incidents(self) -> bool:
        """Return whether the other side keeps incidents, which are opened, acknowledged and resolved there."""
        return self.kind in {self.Kind.PAGERDUTY, self.Kind.OPSGENIE}

    @property
    def news(self) -> list[str]:
        """Return which of NEWS it is sent beside alerts."""
        return list(self.events or ())

    @property
    def news_words(self) -> str:
        """Return that in words; "" for nothing."""
        return " and ".join(name for name in NEWS if name in self.news)

    def wants(self, alert: Alert) -> bool:
        """Return whether it tells of such an alert."""
        right = self.at_least == Severity.WARNING or alert.severity == Severity.CRITICAL
        return right and (not self.rules or alert.rule in self.rules)

    @property
    def signing_secrets(self) -> list[str]:
        """Return what a webhook is signed with, the newest first; a replaced secret for a day."""
        former, until = self.secrets.get("former_secret", ""), self.secrets.get("former_until", "")
        both = bool(former and until) and datetime.fromisoformat(until) > timezone.now()
        return [self.secrets.get("secret", ""), *([former] if both else [])]


class DeliveryQuerySet(OwnedQuerySet):
    def due(self) -> Self:
        """Return what is to be sent now, and nobody is sending."""
        return self.filter(state=Delivery.State.WAITING, due_at__lte=Now())


class Delivery(models.Model):
    """One message to one channel, with what became of it. Its ID goes along: whoever gets it twice can tell."""

    class State(models.TextChoices):
        WAITING = "waiting", gettext_lazy("Waiting")
        SENT = "sent", gettext_lazy("Sent")
        FAILED = "failed", gettext_lazy("Given up")

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="deliveries")
    # alerts, test, confirm; of NEWS task, change; of incidents trigger, acknowledge, resolve
    kind = models.CharField(max_length=20)
    group = models.CharField(max_length=200, blank=True)  # of incidents and tasks: those of one go in their order
    subject = models.CharField(max_length=TITLE)  # what it says, in a line
    content: Any = models.JSONField(default=dict)  # console.alerts.messages.Message, or News
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())  # nobody sends it before
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)  # of HTTP, or of SMTP
    answer = models.CharField(max_length=300, blank=True)  # the beginning of it, or what kept it from coming

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sent", "failed"]), name="a_delivery_is_in_a_known_state"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="deliveries_page_by_page"),
            models.Index(fields=["channel", "-created_at", "-id"], name="deliveries_of_a_channel"),
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="deliveries_due"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def css(self) -> str:
        """Return the class of its badge."""
        return {"sent": "done", "failed": "failed"}.get(self.state, "running")


class MaintenanceWindow(models.Model):
    """A time in which nobody is told of alerts, of one cluster or of all; what still holds at its end is told then."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="maintenance_windows")
    cluster = models.UUIDField(null=True)  # null: all
    cluster_name = models.CharField(max_length=60, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    why = models.CharField(max_length=300)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=PERSON)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gte=models.F("starts_at")), name="a_maintenance_window_ends_after_its_start"
            )
        ]
        indexes = [models.Index(fields=["organisation", "ends_at"], name="maintenance_windows_to_come")]

    def __str__(self) -> str:
        return self.cluster_name or "All clusters"

    @property
    def is_on(self) -> bool:
        """Return whether it is on now."""
        return self.starts_at <= timezone.now() < self.ends_at


class AlertSettings(models.Model):
    """What an organisation has chosen for its alerts; also the row that whoever evaluates them locks."""

    organisation = models.OneToOneField(Organisation, models.CASCADE, related_name="alert_settings")
    # After how many hours an alert that nobody has acknowledged is told again; 0: never.
    repeat_hours = models.PositiveSmallIntegerField(default=24, validators=[MaxValueValidator(24 * 31)])
    secrets = EncryptedJSONField(default=dict)  # url: of the dead man's switch
    deadman_shown = models.CharField(max_length=254, blank=True)  # its host; "": there is none
    deadman_minutes = models.PositiveSmallIntegerField(default=5)
    pinged_at = models.DateTimeField(null=True)  # the last try
    ping_due_at = models.DateTimeField(null=True)  # null: at once
    ping_status = models.PositiveSmallIntegerField(null=True)
    ping_answer = models.CharField(max_length=300, blank=True)
    # How many links were sent to addresses within a day, and since when: also to those of channels that are gone.
    links = models.PositiveSmallIntegerField(null=True)
    links_since = models.DateTimeField(null=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "alert settings"

    def __str__(self) -> str:
        return f"alert settings of {self.organisation}"

    @classmethod
    def lock(cls, organisation: UUID) -> None:
        """Have whoever changes alerts of the organisation wait until the commit: a pass writes whole rows."""
        cls.objects.get_or_create(organisation_id=organisation)
        cls.objects.select_for_update().get(organisation=organisation)

    @classmethod
    def of(cls, organisation: Organisation) -> AlertSettings:
        """Return the organisation's, made when there are none yet."""
        return cls.objects.get_or_create(organisation=organisation)[0]
