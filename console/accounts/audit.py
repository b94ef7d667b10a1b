"""The audit log: who did what, to what, from where, with which outcome. Written here, and nowhere else."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from console.accounts.models import AuditEvent, Organisation, User


@dataclass(frozen=True)
class Origin:
    """Where what happens now was asked for: by a request, or, with nothing set, by the console itself."""

    address: str = ""  # the client's, as the proxies that the operator trusts tell it
    request_id: str = ""


origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is frozen


def note(
    action: str,
    subject: object,
    *,
    organisation: Organisation | None,
    by: User | None,
    outcome: str = AuditEvent.Outcome.DONE,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down that this person (None: the console) has done this to, or seen this of, the subject.

    `before` and `after` are what changed. Nothing secret goes in.
    """
    where = origin.get()
    AuditEvent.objects.create(
        organisation=organisation,
        actor=by,
        actor_name=by.username if by else "",
        action=action,
        subject=str(subject)[:200],
        outcome=outcome,
        before=before or {},
        after=after or {},
        address=where.address,
        request_id=where.request_id,
    )
