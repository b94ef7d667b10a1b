"""The forms of alerts, their channels and windows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from console.accounts.addresses import normalised
from console.alerts import sending
from console.alerts.conditions import Severity, clusters_of, rule_choices
from console.alerts.formats import split_topic
from console.alerts.models import Channel
from console.clouds import foreign
from console.web.forms import NameField

LONGEST_URL = 1000
LONGEST_SILENCE = timedelta(days=90)
OFF = {"autocomplete": "off"}
URL_WIDGET = forms.TextInput(attrs={**OFF, "inputmode": "url", "spellcheck": "false"})
TIME = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M")
TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]


class LineField(forms.CharField):
    """A line for others to read, without what breaks a line or turns it."""

    def to_python(self, value: Any) -> str:
        """Return the line, cleaned."""
        return foreign.text(super().to_python(value))


def _why(*, required: bool) -> forms.CharField:
    return LineField(
        label=gettext_lazy("Why"),
        max_length=300,
        required=required,
        widget=forms.TextInput(attrs=OFF),
        error_messages={"required": gettext_lazy("Say why, for whoever looks at it next.")},
    )


class AlertFilter(forms.Form):
    """Which alerts the page shows; nothing given means all."""

    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        choices=[("", gettext_lazy("Any")), ("open", gettext_lazy("Open")), ("closed", gettext_lazy("Closed"))],
        required=False,
    )
    severity = forms.ChoiceField(
        label=gettext_lazy("Severity"), choices=[("", gettext_lazy("Any")), *Severity.choices], required=False
    )
    rule = forms.ChoiceField(label=gettext_lazy("Kind"), required=False)
    cluster = forms.ChoiceField(label=gettext_lazy("Cluster"), required=False)

    def __init__(self, data: Any, *, organisation: UUID) -> None:
        super().__init__(data)
        self.fields["rule"].choices = [("", gettext("Any")), *rule_choices()]  # type: ignore[attr-defined]
        known = clusters_of(organisation)
        self.fields["cluster"].choices = [("", gettext("Any")), *((str(pk), name) for pk, name in known.items())]  # type: ignore[attr-defined]


class WhyForm(forms.Form):
    """Why somebody does something."""

    why = _why(required=False)


class SilenceForm(forms.Form):
    """Until when nobody is told, and why."""

    until = forms.DateTimeField(label=gettext_lazy("Until (UTC)"), widget=TIME, input_formats=TIMES)
    why = _why(required=True)

    def clean_until(self) -> datetime:
        """Return the time; refuse one that is over, or too far off."""
        until: datetime = self.cleaned_data["until"]
        now = timezone.now()
        if until <= now:
            raise forms.ValidationError(gettext("This time is over. Choose one to come."))
        if until > now + LONGEST_SILENCE:
            raise forms.ValidationError(
                gettext("At most {days} days: what is silent for longer is forgotten.").format(
                    days=LONGEST_SILENCE.days
                )
            )
        return until


class WindowForm(forms.Form):
    """When nobody is told of alerts, of what, and why."""

    cluster = forms.ChoiceField(label=gettext_lazy("Cluster"), required=False)
    starts_at = forms.DateTimeField(label=gettext_lazy("From (UTC)"), widget=TIME, input_formats=TIMES)
    ends_at = forms.DateTimeField(label=gettext_lazy("To (UTC)"), widget=TIME, input_formats=TIMES)
    why = _why(required=True)

    def __init__(self, data: Any = None, *, organisation: UUID, **options: Any) -> None:
        super().__init__(data, **options)
        known = clusters_of(organisation)
        choices = [("", gettext("All clusters, and all else")), *((str(pk), name) for pk, name in known.items())]
        self.fields["cluster"].choices = choices  # type: ignore[attr-defined]

    def clean_cluster(self) -> UUID | None:
        """Return the cluster's ID; None for all."""
        return UUID(self.cleaned_data["cluster"]) if self.cleaned_data["cluster"] else None

    def clean(self) -> dict[str, Any]:
        """Refuse a window that is over, ends before it begins, or lasts too long."""
        given = super().clean() or self.cleaned_data
        starts, ends = given.get("starts_at"), given.get("ends_at")
        if starts and ends:
            if ends <= starts:
                self.add_error("ends_at", gettext("It has to end after its start."))
            elif ends <= timezone.now():
                self.add_error("ends_at", gettext("This time is over. Choose one to come."))
            elif ends - starts > LONGEST_SILENCE:
                self.add_error("ends_at", gettext("At most {days} days.").format(days=LONGEST_SILENCE.days))
        return given


class TellsOf(forms.Form):
    """Which alerts a channel tells of."""

    name = NameField(widget=forms.TextInput(attrs=OFF), error_messages={"required": gettext_lazy("Give it a name.")})
    at_least = forms.ChoiceField(
        label=gettext_lazy("Tells of"),
        choices=[
            ("warning", gettext_lazy("Warnings and what is critical")),
            ("critical", gettext_lazy("What is critical only")),
        ],
        initial="warning",
    )
    rules = forms.MultipleChoiceField(label=gettext_lazy("Kinds"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["rules"].choices = rule_choices()  # type: ignore[attr-defined]


class Told(TellsOf):
    """Which alerts a webhook tells of, and what it is sent beside them."""

    events = forms.MultipleChoiceField(
        label=gettext_lazy("Beside alerts"),
        choices=[
            ("tasks", gettext_lazy("Tasks: that one has begun, is done or has failed")),
            ("changes", gettext_lazy("Changes: each event of the audit log, with who did it")),
        ],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


def tells_of(kind: str) -> type[TellsOf]:
    """Return the form that changes a channel of this kind."""
    return Told if kind == Channel.Kind.WEBHOOK else TellsOf


def _url(label: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=LONGEST_URL,
        widget=URL_WIDGET,
        error_messages={"required": gettext_lazy("Enter the address, beginning with https://.")},
    )


class ChannelForm(TellsOf):
    """A new channel; `FIELDS` are those of its kind."""

    kind: str = ""
    FIELDS: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """Return what is kept encrypted."""
        return {name: str(self.cleaned_data.get(name) or "") for name in self.FIELDS}

    def clean_url(self) -> str:
        """Return the address, if something may be sent there at all."""
        url = str(self.cleaned_data["url"])
        if why := sending.refusal(url):
            raise forms.ValidationError(why)
        return url


class EmailForm(ChannelForm):
    kind, FIELDS = Channel.Kind.EMAIL, ("address",)
    address = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs=OFF),
        error_messages={"required": gettext_lazy("Enter an e-mail address.")},
    )
    field_order: Sequence[str] = ("name", "address")

    def clean_address(self) -> str:
        """Return the address as it is kept."""
        try:
            return normalised(self.cleaned_data["address"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


class URLForm(ChannelForm):
    FIELDS: tuple[str, ...] = ("url",)
    url = _url("Address")
    field_order: Sequence[str] = ("name", "url")


class WebhookForm(Told, URLForm):
    kind = Channel.Kind.WEBHOOK


class SlackForm(URLForm):
    kind = Channel.Kind.SLACK


class TeamsForm(URLForm):
    kind = Channel.Kind.TEAMS


class NtfyForm(URLForm):
    kind, FIELDS = Channel.Kind.NTFY, ("url", "token")
    url = _url("Address of the topic")
    token = forms.CharField(
        label=gettext_lazy("Access token, if it asks for one"),
        max_length=200,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    field_order: Sequence[str] = ("name", "url", "token")

    def clean_url(self) -> str:
        """Return the address; it has to name a topic."""
        url = super().clean_url()
        try:
            split_topic(url)
        except ValueError as error:
            raise forms.ValidationError(gettext("Add the topic, as in https://ntfy.example.org/backups.")) from error
        return url

    def clean_token(self) -> str:
        """Return the token; refuse what cannot stand in a header."""
        return _key(self.cleaned_data["token"]) if self.cleaned_data["token"] else ""


class KeyForm(ChannelForm):
    FIELDS = ("key", "region")
    key = forms.CharField(
        label=gettext_lazy("Key"),
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Enter the key.")},
    )
    region = forms.ChoiceField(
        label=gettext_lazy("Service region"),
        choices=[("us", gettext_lazy("United States")), ("eu", gettext_lazy("European Union"))],
    )
    field_order: Sequence[str] = ("name", "key", "region")

    def clean_key(self) -> str:
        """Return the key; refuse what cannot stand in a header."""
        return _key(self.cleaned_data["key"])


class PagerDutyForm(KeyForm):
    kind = Channel.Kind.PAGERDUTY


class OpsgenieForm(KeyForm):
    kind = Channel.Kind.OPSGENIE


def _key(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise forms.ValidationError(gettext("A key has letters, digits and signs of ASCII only, and no spaces."))
    return text


FORMS: dict[str, type[ChannelForm]] = {
    str(form.kind): form
    for form in (EmailForm, WebhookForm, SlackForm, TeamsForm, PagerDutyForm, OpsgenieForm, NtfyForm)
}


class RepeatForm(forms.Form):
    """After how many hours an open alert is told again."""

    hours = forms.IntegerField(label=gettext_lazy("Hours"), min_value=0, max_value=24 * 31)


class DeadmanForm(forms.Form):
    """Which address is asked while the console works, and how often; none: the switch is taken away."""

    url = forms.CharField(label=gettext_lazy("Address"), max_length=LONGEST_URL, required=False, widget=URL_WIDGET)
    minutes = forms.TypedChoiceField(
        label=gettext_lazy("Every"),
        choices=[
            (1, gettext_lazy("minute")),
            (5, gettext_lazy("5 minutes")),
            (15, gettext_lazy("15 minutes")),
            (60, gettext_lazy("hour")),
        ],
        coerce=int,
    )

    def clean_url(self) -> str:
        """Return the address, if anything may be sent there at all."""
        url = str(self.cleaned_data["url"])
        if url and (why := sending.refusal(url)):
            raise forms.ValidationError(why)
        return url
