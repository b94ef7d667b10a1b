"""Asynchronous work on any subject: one row per piece of work, which is at once its lease, its record and its report.

Every change to a running operation is a conditional UPDATE that names the fence of the worker's claim: no lock is held
over a network call, a worker that lost its lease changes nothing, and the row count is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from django.conf import settings
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When, Window
from django.db.models.functions import Now, RowNumber
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import Organisation, OwnedQuerySet, User
from console.operations import compiled
from console.operations.chores import Chore
from console.operations.heartbeats import Heartbeat, no_worker
from console.operations.leases import HELD_BACK, is_due, is_held, lease_end
from console.operations.rate_slots import LONG_AGO, RateSlot
from console.web.addresses import address
from console.web.validators import NameField

__all__ = ["LONG_AGO", "Chore", "Heartbeat", "ManagedResource", "Operation", "RateSlot", "Transition"]

Record = dict[str, Any]  # one step: key, title, stage, point_of_no_return, state, started, finished, note

TURNS = 200  # as many are looked at together; whoever ends one looks again

Knows = Callable[[str, str], bool]  # of a kind of subject and a verb: whether this release has a plan for that

SOON = timedelta(seconds=10)  # in which a worker takes what is due, if there is one at all


def _everything(kind: str, verb: str) -> bool:
    return True


class OperationQuerySet(OwnedQuerySet):
    def unfinished(self) -> Self:
        """Return the operations that still have something to do."""
        return self.filter(state__in=Operation.UNFINISHED)

    def due(self, *, grace: float = 0) -> Self:
        """Return the unfinished operations that nobody holds; those that wait, only `grace` seconds after their time.

        A lease that ran out needs no grace: nobody has sent a message for it.
        """
        return self.unfinished().filter(is_due(grace))

    def at_work(self) -> Self:
        """Return the operations that a worker holds."""
        return self.filter(is_held())

    def in_turn(self, *, grace: float = 0) -> list[UUID]:
        """Return the due operations that may begin now, in the order of their turns, as IDs.

        The organisation that has the fewest at work comes first, so that hundreds of one tenant do not stand before the
        only one of another, and none comes beyond its limit. Of its own, what was begun before comes first.
        """
        held, due = is_held(), is_due(grace)
        ranks = [When(held, then=0), When(~due, then=3), When(fence__gt=0, then=1)]
        rank = Case(*ranks, default=Value(2))
        place = Window(RowNumber(), partition_by=F("organisation"), order_by=[rank, F("due_at").asc()])
        turns = self.unfinished().annotate(turn=Case(When(due, then=place)))
        allowed = turns.filter(turn__lte=F("organisation__operations_at_once"))
        return list(allowed.order_by("turn", rank, "due_at").values_list("pk", flat=True)[:TURNS])

    def claim(self, pk: UUID, worker: str, *, knows: Knows = _everything) -> Operation | None:
        """Take the lease of a due operation; None when it is finished, held by another, not yet due or beyond a limit.

        Leases go by the database's clock alone, because two workers' clocks may differ. What a worker does not know,
        because a newer release has begun it, is left to those that do.
        """
        found = compiled.CLAIMABLE.first(pk)
        return self._take(found, worker) if found and knows(found.subject_kind, found.verb) else None

    def claimable(self) -> Self:
        """Return what is due, as whoever takes it needs it: its end is noted with these people."""
        return self.due().select_related("organisation", "requested_by", "cancelled_by").annotate(claimed_at=Now())

    def _take(self, operation: Operation, worker: str) -> Operation | None:
        """Take the lease of one that was read just now; None when somebody has changed it since, or at a limit."""
        whose = operation.organisation_id
        with transaction.atomic():
            # Of two workers that claim for one organisation, the second waits here and counts the first one's.
            limit = Organisation.locked(whose).operations_at_once
            if len(compiled.AT_WORK_OF.all(whose)) >= limit:
                return None
            asked = monotonic()
            taken = compiled.TAKE(operation.pk, operation.fence, operation.cancel, worker=worker)
        if not taken:
            return None
        operation.state, operation.throttled, operation.worker = Operation.State.RUNNING, False, worker
        operation.fence, operation.held_until = operation.fence + 1, asked + settings.LEASE_SECONDS
        return operation

    def claim_next(self, worker: str, *, sent_for: UUID, knows: Knows = _everything) -> Operation | None:
        """Take the lease of the operation whose turn it is; None when no operation may begin now.

        Of its organisation's, that is the one that the message was sent for, if it is due. When none may begin, this
        one is put off: whoever makes place calls for it.
        """
        now = compiled.TURNS_NOW.all()
        turns = [(busy, oldest, whose) for whose, most, busy, oldest in now if oldest and busy < most]
        for _, _, organisation in sorted(turns):
            for operation in self._in_turn_of(organisation, sent_for):
                if knows(operation.subject_kind, operation.verb) and (taken := self._take(operation, worker)):
                    return taken
        self.due().filter(pk=sent_for).update(throttled=True)
        return None

    def _in_turn_of(self, organisation: UUID, sent_for: UUID) -> Iterator[Operation]:
        """Yield the organisation's due operations in the order of their turns, some more than once.

        Nearly always the first one is taken: only when another worker was quicker, or does not know it, are there more.
        """
        yield from compiled.CLAIMABLE_OF.all(sent_for, organisation)
        rank = Case(When(fence__gt=0, then=1), default=2)
        ranked = self.claimable().filter(organisation=organisation).order_by(rank, "due_at")
        yield from ranked[:1]
        yield from ranked[:TURNS]

    def throttled(self) -> list[UUID]:
        """Return whose turn it is, when there are operations whose message came before there was a place for them."""
        return self.in_turn()[:1] if compiled.THROTTLED.first() else []

    def release(self, pk: UUID, *, fence: int) -> bool:
        """Take the lease of that fence from its holder, who can neither write nor renew from now on.

        The operation is free when the lease would have run out: until then a step may be in the middle of a call.
        """
        held = self.at_work().filter(pk=pk, fence=fence)
        return bool(held.update(fence=F("fence") + 1, worker="", updated_at=Now()))

    def cancel(self, pk: UUID, *, by: User | None) -> bool:
        """Note that somebody wants the operation undone, and say whether that was noted now.

        Whoever is at it sees that before the next stage; one that waits to try again is due at once.
        """
        due_at = Case(When(state=Operation.State.WAITING, then=Now()), default=F("due_at"))
        wanted = {"cancel": Operation.Cancel.WANTED, "cancelled_by": by, "updated_at": Now()}
        waits = {"due_at": due_at, "retries": 0, "retrying_since": None, "retry_note": ""}
        return bool(self.unfinished().filter(pk=pk, cancel="").update(**wanted, **waits))


class Operation(models.Model):
    """One verb on one subject, with the record of its steps. The pages call it a task."""

    class State(models.TextChoices):
        WAITING = "waiting", gettext_lazy("Waiting")
        RUNNING = "running", gettext_lazy("Running")
        DONE = "done", gettext_lazy("Done")
        FAILED = "failed", gettext_lazy("Failed")
        REFUSED = "refused", gettext_lazy("Refused")
        CANCELLED = "cancelled", gettext_lazy("Cancelled")

    class Cancel(models.TextChoices):
        WANTED = "wanted", gettext_lazy("Wanted")
        TOO_LATE = "too late", gettext_lazy("Too late")

    UNFINISHED: ClassVar = (State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    subject_kind = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    subject_name = models.CharField(max_length=100)
    subject_state_before = models.CharField(max_length=20, blank=True)  # where a refused operation returns to
    verb = models.CharField(max_length=20)
    title = models.CharField(gettext_lazy("name"), max_length=100)
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    steps = models.JSONField(default=list)
    error = models.TextField(blank=True)
    details = models.JSONField(default=dict)  # of the error: action, statement, request_id, code, commands
    cancel = models.CharField(max_length=10, choices=Cancel, blank=True)
    cancelled_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    retry_note = models.TextField(blank=True)
    retries = models.PositiveIntegerField(default=0)  # in a row, without a finished step between
    retrying_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())  # nobody but the holder of the fence may touch it before
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)
    release = models.CharField(max_length=40, blank=True, default="", db_default="")  # whose plan the steps are of
    throttled = models.BooleanField(default=False)  # its message came when its organisation was at its limit
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True)

    # Only what claim() returns has these: by the database's clock, and by this process's own, which nobody sets.
    claimed_at: datetime
    held_until: float

    objects = OperationQuerySet.as_manager()

    class Meta:
        permissions = [("act_on_operation", "Can try again, release and cancel an operation")]
        constraints = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_id"],
                condition=Q(state__in=("waiting", "running")),
                name="one_unfinished_operation_per_subject",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("waiting", "running"), finished_at=None)
                | Q(state__in=("done", "failed", "refused", "cancelled"), finished_at__isnull=False),
                name="a_finished_operation_says_when",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("failed", "refused")) | ~Q(error=""),
                name="a_failed_operation_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(state="cancelled") | Q(cancel="wanted"),
                name="a_cancelled_operation_was_to_be_cancelled",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="operations_page_by_page"),
            models.Index(fields=["subject_id", "-created_at"], name="operations_of_a_subject"),
            # The sweep looks at the few unfinished ones among the many that are history.
            models.Index(fields=["due_at"], condition=Q(state__in=("waiting", "running")), name="operations_due"),
        ]

    def __str__(self) -> str:
        return f"{self.title}: {self.subject_name}"

    def get_absolute_url(self) -> str:
        return address("tasks:detail", self.pk)

    @property
    def is_unfinished(self) -> bool:
        """Return whether there is still something to do."""
        return self.state in self.UNFINISHED

    @property
    def is_being_cancelled(self) -> bool:
        """Return whether what it has done is being undone, or will be before anything else."""
        return self.is_unfinished and self.cancel == self.Cancel.WANTED

    @property
    def cancel_note(self) -> str:
        """Return what became of the wish to cancel it, where its state alone does not say that."""
        if self.is_being_cancelled:
            return gettext("Being cancelled: what was done is put back.")
        if self.cancel == self.Cancel.WANTED and self.state == self.State.FAILED:
            return gettext("This happened while it was being cancelled.")
        if self.cancel and self.is_unfinished:
            return gettext("It is too late to cancel this: it goes on to its end.")
        if self.cancel and self.state == self.State.DONE:
            return gettext("It was too late to cancel this.")
        return ""

    @property
    def waits_for(self) -> str:
        """Return what it waits for, in words; nothing while a worker is at it, or when it has ended."""
        now = timezone.now()
        if not self.is_unfinished or (self.state == self.State.RUNNING and self.due_at > now):
            return ""
        if self.state == self.State.RUNNING:
            return self.nobody_works or gettext("Its worker is gone. Another one goes on within seconds.")
        if self.due_at > now:
            return gettext("Held back.") if self.due_at == HELD_BACK else gettext("Waits to try again by itself.")
        at_work = Operation.objects.at_work().filter(organisation=self.organisation_id).count()
        if at_work >= self.organisation.operations_at_once:
            return gettext("Waits for its turn: {at_work} other tasks are at work, as many as may be at once.").format(
                at_work=at_work
            )
        return self.nobody_works or gettext("Waits for a free worker.")

    @property
    def nobody_works(self) -> str:
        """Return in words that no worker is there for it; nothing while it does not wait, or only just began to."""
        overdue = self.is_unfinished and self.due_at < timezone.now() - SOON
        return no_worker() if overdue else ""

    @property
    def is_past_return(self) -> bool:
        """Return whether something is done that nothing undoes."""
        return any(step.get("point_of_no_return") and step["state"] == "done" for step in self.steps)

    @property
    def progress(self) -> int:
        """Return the share of finished steps in per cent."""
        if self.state == self.State.DONE:
            return 100
        done = sum(step["state"] == "done" for step in self.steps)
        return round(100 * done / len(self.steps)) if self.steps else 0

    @property
    def timeline(self) -> list[Record]:
        """Return the steps for a page: title, state, seconds it took (or None), note."""
        return [{**step, "seconds": _seconds(step)} for step in self.steps]

    def is_held(self) -> bool:
        """Return whether the lease has certainly not run out, without asking the database."""
        return monotonic() < self.held_until

    # What the holder of the fence may do; each answers whether it still held it.

    def record(self, steps: Sequence[Record], *, unless_cancelled: bool = False) -> bool:
        """Write the steps down and renew the lease."""
        return self._write(unless_cancelled=unless_cancelled, steps=list(steps), release=self.release)

    def renew(self) -> bool:
        """Renew the lease while a step takes its time."""
        return self._write()

    def postpone(self, seconds: float, note: str, *, trouble: bool = True) -> bool:
        """Hand the operation back until `seconds` from now; `note` says why, to whoever looks at the page.

        Only trouble counts as a try.
        """
        tried: dict[str, Any] = {"retries": self.retries + 1, "retrying_since": self.retrying_since or Now()}
        return self._write(
            unless_cancelled=True,
            state=self.State.WAITING,
            due_at=Now() + timedelta(seconds=seconds),
            retry_note=note,
            steps=self.steps,
            **(tried if trouble else {}),
        )

    def hand_back(self) -> bool:
        """Let another worker go on at once; what was retried, and for how long, stays as it is."""
        return self._write(state=self.State.WAITING, due_at=Now(), steps=self.steps)

    def go_on(self) -> bool:
        """Note that it is too late to cancel."""
        return self._write(cancel=self.Cancel.TOO_LATE, steps=self.steps)

    def finish(self, state: str, error: str = "", details: dict[str, str] | None = None) -> bool:
        """End the operation; call it in the transaction that changes the subject."""
        return self._write(
            # What failed half-way is undone if somebody wants that; other ends leave nothing to undo.
            unless_cancelled=state == self.State.FAILED,
            state=state,
            error=error,
            details=details or {},
            steps=self.steps,
            retry_note="",
            over=True,
        )

    def _write(self, *, unless_cancelled: bool = False, over: bool = False, **values: Any) -> bool:
        asked = monotonic()
        seen = (self.cancel,) if unless_cancelled else ()  # by this worker, when it took it
        if any(hasattr(value, "resolve_expression") for value in values.values()):
            mine = Operation.objects.filter(pk=self.pk, fence=self.fence, state=self.State.RUNNING)
            mine = mine.filter(cancel=self.cancel) if unless_cancelled else mine
            held = mine.update(**{"due_at": lease_end(), "updated_at": Now(), **values})
        else:
            write = compiled.written(tuple(values), seen=unless_cancelled, over=over)
            held = write(self.pk, self.fence, *seen, **values)
        if held:
            self.held_until = asked + settings.LEASE_SECONDS
            for name, value in values.items():
                if not hasattr(value, "resolve_expression"):
                    setattr(self, name, value)
        return bool(held)


def _seconds(step: Record) -> float | None:
    started, finished = (parse_datetime(step[key]) if step.get(key) else None for key in ("started", "finished"))
    return (finished - started).total_seconds() if started and finished else None


@dataclass(frozen=True)
class Transition:
    """What a verb does to the state of its subject; `done=None` says that the subject is gone."""

    start: tuple[str, ...]
    running: str
    done: str | None
    failed: str


class ManagedResourceQuerySet(OwnedQuerySet):
    SEARCHED: ClassVar[tuple[str, ...]] = ("name",)

    def search(self, text: str) -> Self:
        """Return the rows whose name, ID or whatever else is searched holds the text."""
        return self.filter(self.holding(text)) if text else self

    def holding(self, text: str) -> Q:
        """Return the condition of `search`."""
        found = Q(id__icontains=text) | Q(id__icontains=text.replace("-", ""))  # SQLite keeps UUIDs without dashes
        for field in self.SEARCHED:
            found |= Q(**{f"{field}__icontains": text})
        return found


LOST = gettext_lazy("Backups gone")


class ManagedResource(models.Model):
    """Something that operations work on: its states and verbs are a table, its last operation is its story."""

    VERBS: ClassVar[dict[str, Transition]]

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="%(class)ss")
    name = NameField(max_length=60)
    state = models.CharField(max_length=20)
    operation = models.ForeignKey(Operation, models.PROTECT, null=True, editable=False, related_name="+")
    created_at = models.DateTimeField(gettext_lazy("created"), default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    @classmethod
    def kind(cls) -> str:
        """Return the word under which operations know this model."""
        return cls._meta.model_name or ""

    @property
    def is_busy(self) -> bool:
        """Return whether it has an unfinished operation."""
        return any(self.state == verb.running for verb in self.VERBS.values())

    @property
    def has_loss(self) -> bool:
        """Return whether something that it kept is gone."""
        return False

    @property
    def shown_state(self) -> str:
        """Return the state as pages colour it: a loss is as bad as a failure, and shows while nothing works on it."""
        return "failed" if self.has_loss and not self.is_busy else self.state

    @property
    def shown_words(self) -> str:
        """Return the state in words."""
        return str(LOST) if self.shown_state != self.state else self.get_state_display()  # type: ignore[attr-defined,no-any-return]

    def may(self, verb: str) -> bool:
        """Return whether the verb is allowed in the present state."""
        return self.state in self.VERBS[verb].start

    @property
    def blocked(self) -> str:
        """Return why no work may begin on it, and what to do, whatever its state allows; nothing when it may."""
        return ""

    @property
    def can_delete(self) -> bool:
        """Return whether deleting it is offered."""
        return self.may("delete")

    @property
    def too_late_to_cancel(self) -> str:
        """Return why what is at work cannot be cancelled any more; nothing when that is not known."""
        return ""

    @property
    def can_retry(self) -> bool:
        """Return whether Try again is offered: the last operation failed, and the subject is still waiting for it."""
        last = self.operation
        return last is not None and last.state == Operation.State.FAILED and self.state == self.VERBS[last.verb].failed
