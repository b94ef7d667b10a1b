"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Begun, Core, Omit
from .shapes import (
    Sent,
)


class AlertChannel(TypedDict):
    """A way to tell somebody of alerts."""

    id: str
    kind: str
    name: str
    to: str
    at_least: str
    rules: list[str]
    events: list[str]
    is_on: bool
    why_off: str
    confirmed_at: str | None
    failing_since: str | None
    created_at: str


class LinkSent(TypedDict):
    note: str


class NewAlertChannel(TypedDict):
    """A channel that was added, with what is shown of it this one time."""

    id: str
    kind: str
    name: str
    to: str
    at_least: str
    rules: list[str]
    events: list[str]
    is_on: bool
    why_off: str
    confirmed_at: str | None
    failing_since: str | None
    created_at: str
    secret: str
    note: str


class WebhookSecret(TypedDict):
    """A new secret of a webhook, shown this one time; for a day messages have the signatures of both."""

    secret: str


class AlertChannelsCalls(Core):
    """The calls of alert-channels."""

    def list_alert_channels(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[AlertChannel]:
        """List the channels, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_alert_channels", {"limit": limit, "cursor": cursor})

    def add_alert_channel(
        self,
        *,
        kind: str,
        name: str,
        idempotency_key: str | Omit = OMIT,
        address: str | Omit = OMIT,
        at_least: str | Omit = OMIT,
        events: list[str] | Omit = OMIT,
        key: str | Omit = OMIT,
        region: str | Omit = OMIT,
        rules: list[str] | Omit = OMIT,
        token: str | Omit = OMIT,
        url: str | Omit = OMIT,
    ) -> NewAlertChannel:
        """Add a channel; a webhook's secret is shown this one time, an e-mail address is sent a link to confirm it.

        kind: email, webhook, slack, teams, pagerduty, opsgenie or ntfy.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        address: Of email.
        at_least: warning or critical.
        events: Of webhook, what it is sent beside alerts: tasks, changes. Changes are the audit log's, and
            need see_audit.
        key: Of pagerduty and opsgenie.
        region: Of pagerduty and opsgenie: us or eu.
        rules: Keys of GET /alert-rules; none: all.
        token: Of ntfy, where the topic asks for one.
        url: Of webhook, slack, teams and ntfy.
        """
        found: NewAlertChannel = self.row("add_alert_channel", {"idempotency_key": idempotency_key, "kind": kind, "name": name, "address": address, "at_least": at_least, "events": events, "key": key, "region": region, "rules": rules, "token": token, "url": url})
        return found

    def delete_alert_channel(
        self,
        pk: str,
    ) -> None:
        """Delete a channel, with what was sent to it."""
        self.nothing("delete_alert_channel", {"pk": pk})

    def get_alert_channel(
        self,
        pk: str,
    ) -> AlertChannel:
        """Show one channel."""
        found: AlertChannel = self.row("get_alert_channel", {"pk": pk})
        return found

    def change_alert_channel(
        self,
        pk: str,
        *,
        at_least: str | None | Omit = OMIT,
        events: list[str] | None | Omit = OMIT,
        is_on: bool | None | Omit = OMIT,
        name: str | None | Omit = OMIT,
        rules: list[str] | None | Omit = OMIT,
    ) -> AlertChannel:
        """Choose what a channel tells of, its name, and whether it is on.

        events: Of webhook, what it is sent beside alerts: tasks, changes. Changes are the audit log's, and
            need see_audit.
        """
        found: AlertChannel = self.row("change_alert_channel", {"pk": pk, "at_least": at_least, "events": events, "is_on": is_on, "name": name, "rules": rules})
        return found

    def send_confirmation_link(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> LinkSent:
        """Send the link again that confirms an e-mail address.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: LinkSent = self.row("send_confirmation_link", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def replace_webhook_secret(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> WebhookSecret:
        """Replace a webhook's secret, and show the new one.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: WebhookSecret = self.row("replace_webhook_secret", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def test_alert_channel(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Sent]:
        """Send a test; what comes of it stands in the list of what was sent, at Location.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("test_alert_channel", {"pk": pk, "idempotency_key": idempotency_key})
