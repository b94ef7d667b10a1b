"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Core, Omit


class Alert(TypedDict):
    id: str
    rule: str
    severity: str
    state: str
    title: str
    words: str
    advice: str
    cluster_id: str | None
    cluster: str
    subject_kind: str
    subject_id: str
    created_at: str
    changed_at: str
    closed_at: str | None
    closed_why: str
    acknowledged_at: str | None
    acknowledged_by: str
    silenced_until: str | None


class AlertsCalls(Core):
    """The calls of alerts."""

    def list_alerts(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        state: str | Omit = OMIT,
        severity: str | Omit = OMIT,
        rule: str | Omit = OMIT,
        cluster: str | Omit = OMIT,
    ) -> Iterator[Alert]:
        """List the alerts, open and closed, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        state: As on the page.
        severity: As on the page.
        rule: As on the page.
        cluster: A cluster's ID.
        """
        return self.rows("list_alerts", {"limit": limit, "cursor": cursor, "state": state, "severity": severity, "rule": rule, "cluster": cluster})

    def get_alert(
        self,
        pk: str,
    ) -> Alert:
        """Show one alert."""
        found: Alert = self.row("get_alert", {"pk": pk})
        return found

    def acknowledge_alert(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
        why: str | Omit = OMIT,
    ) -> Alert:
        """Say that somebody is at it: it is not told again, unless it gets worse.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Alert = self.row("acknowledge_alert", {"pk": pk, "idempotency_key": idempotency_key, "why": why})
        return found

    def silence_alert(
        self,
        pk: str,
        *,
        until: str,
        why: str,
        idempotency_key: str | Omit = OMIT,
    ) -> Alert:
        """Have nobody told of it for a while, at most 90 days.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Alert = self.row("silence_alert", {"pk": pk, "idempotency_key": idempotency_key, "until": until, "why": why})
        return found

    def unacknowledge_alert(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Alert:
        """Take the acknowledgement back.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Alert = self.row("unacknowledge_alert", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def unsilence_alert(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Alert:
        """End the silence.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Alert = self.row("unsilence_alert", {"pk": pk, "idempotency_key": idempotency_key})
        return found
