"""What people and the console do, announced for the audit log.

`console.audit` stands above this app and writes down what is announced here, in the same transaction. Without it
nothing can be done: an action that nobody records raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Model, TextChoices
from django.dispatch import Signal
from django.utils.translation import gettext_lazy

from console.accounts.models import Organisation, User
from console.web import language
from console.web.logs import origin

REFUSALS_AN_HOUR = 60  # of one person that are written down: a script that runs into a wall must not fill the table

happened = Signal()  # with `event`


class Outcome(TextChoices):
    BEGUN = "begun", gettext_lazy("Begun")  # a task, whose end is another event
    DONE = "done", gettext_lazy("Done")
    REFUSED = "refused", gettext_lazy("Refused")  # by a rule, or for want of a permission
    FAILED = "failed", gettext_lazy("Failed")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Who did what, to what, with which outcome; `by` is None for the console itself."""

    action: str
    subject: object
    organisation: Organisation | None
    by: User | None
    outcome: str
    before: dict[str, Any]
    after: dict[str, Any]
    hourly_limit: int = 0  # how many such outcomes of this person an hour are written down; 0: all

    @property
    def subject_kind(self) -> str:
        """Return the model's label, such as "stores.store"; nothing for what is no row."""
        return str(self.subject._meta.label_lower) if isinstance(self.subject, Model) else ""

    @property
    def subject_id(self) -> str:
        """Return the row's key; nothing for what is no row."""
        return str(self.subject.pk) if isinstance(self.subject, Model) else ""


def name_of(by: User | None) -> str:
    """Return how whoever does this is written down: a person's user name, a service account's; "": the console."""
    return by.username if by else origin.get().actor


def record(
    action: str,
    subject: object,
    *,
    organisation: Organisation | None,
    by: User | None,
    outcome: str = Outcome.DONE,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    hourly_limit: int = 0,
) -> None:
    """Have it written down that this person (None: the console) has done this to, or seen this of, the subject.

    `before` and `after` are what changed. Nothing secret goes in.
    """
    event = Event(
        action=action,
        subject=subject,
        organisation=organisation,
        by=by,
        outcome=outcome,
        before=before or {},
        after=after or {},
        hourly_limit=hourly_limit,
    )
    with language.in_english():  # whoever does it: what the subject is called, say
        is_noted = happened.send(sender=None, event=event)
    if not is_noted:
        raise RuntimeError("Nothing records what is done: add console.audit to INSTALLED_APPS.")


def record_of_person(
    person: User | None, action: str, *, by: User | None, subject: object = None, **details: Any
) -> None:
    """Record what concerns a person's sign-in in each organisation of theirs: its owners see who comes in."""
    theirs = list(person.organisations.all()) if person else []
    for organisation in theirs or (None,):
        record(action, subject or person, organisation=organisation, by=by, **details)


def refused(path: str, *, organisation: Organisation | None, by: User | None, why: str) -> None:
    """Record that this person (None: a service account) asked for what is not theirs: the first so many of an hour."""
    record(
        "Was refused",
        path,
        organisation=organisation,
        by=by,
        outcome=Outcome.REFUSED,
        after={"needs": why},
        hourly_limit=REFUSALS_AN_HOUR,
    )
