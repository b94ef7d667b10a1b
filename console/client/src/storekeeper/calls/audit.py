"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import OMIT, Core, File, Omit
from .shapes import (
    AuditEvent,
)


class AuditCalls(Core):
    """The calls of audit."""

    def list_audit_events(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        who: str | Omit = OMIT,
        action: str | Omit = OMIT,
        subject: str | Omit = OMIT,
        outcome: str | Omit = OMIT,
        since: str | Omit = OMIT,
        until: str | Omit = OMIT,
    ) -> Iterator[AuditEvent]:
        """List who did what, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        subject: An ID, or the beginning of a name.
        outcome: As on the page.
        since: A day (UTC), such as 2026-11-30.
        until: A day (UTC), such as 2026-11-30.
        """
        return self.rows("list_audit_events", {"limit": limit, "cursor": cursor, "who": who, "action": action, "subject": subject, "outcome": outcome, "since": since, "until": until})

    def export_audit_events(
        self,
        *,
        who: str | Omit = OMIT,
        action: str | Omit = OMIT,
        subject: str | Omit = OMIT,
        outcome: str | Omit = OMIT,
        since: str | Omit = OMIT,
        until: str | Omit = OMIT,
    ) -> File:
        """Hand out the events that the filter names as CSV; who takes the log away is in the log.

        subject: An ID, or the beginning of a name.
        outcome: As on the page.
        since: A day (UTC), such as 2026-11-30.
        until: A day (UTC), such as 2026-11-30.
        """
        return self.file("export_audit_events", {"who": who, "action": action, "subject": subject, "outcome": outcome, "since": since, "until": until})
