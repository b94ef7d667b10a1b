"""Verbs for the subjects' own actions: begin a piece of work."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import User
from console.operations import compiled, registry
from console.operations.engine import record_of
from console.operations.messages import BACKGROUND, PEOPLE
from console.operations.models import ManagedResource, Operation
from console.operations.snapshots import Snapshot, SnapshotQuerySet
from console.operations.tasks import run_operation, send_reading
from console.release import VERSION
from console.restoration import models as restoration


class NotNow(Exception):
    """The verb is not allowed in the state that the subject has; the message says which."""


def begin(subject: ManagedResource, verb: str, *, by: User | None, is_whole: bool = True) -> Operation:
    """Write down the operation and the subject's new state together, and send it to the workers after the commit.

    Raises NotNow, with nothing changed, when the state does not allow the verb, another operation is at work, or what
    it would work in is not to be used. Where it is not the `is_whole` of it, but the end of a transaction that what is
    raised here ends, it needs no savepoint of its own.
    """
    is_new = subject.operation_id is None  # type: ignore[attr-defined]
    if why := subject.blocked or restoration.refusal(subject.organisation_id, verb, is_new=is_new):
        raise NotNow(why)
    work, transition = registry.find(subject.kind(), verb), subject.VERBS[verb]
    try:
        with transaction.atomic(savepoint=is_whole):
            operation = Operation.objects.create(
                organisation=subject.organisation,
                subject_kind=subject.kind(),
                subject_id=subject.pk,
                subject_name=subject.name,
                subject_state_before=subject.state,
                verb=verb,
                title=work.title,
                steps=record_of(work.plan(subject)),
                release=VERSION,
                requested_by=by,
            )
            moved = (
                type(subject)
                ._default_manager.filter(Q(state__in=transition.start) | Q(operation=None), pk=subject.pk)
                .update(state=transition.running, operation=operation)
            )
            if not moved:
                raise NotNow(
                    gettext("{subject} cannot do this now: its state has changed. Reload the page.").format(
                        subject=subject.name
                    )
                )

            activity.record(
                work.title,
                subject,
                organisation=operation.organisation,
                by=by,
                outcome=activity.Outcome.BEGUN,
                after={"operation": str(operation.pk)},
            )

            def send() -> None:
                run_operation.delay(str(operation.pk))

            # As delay_on_commit, but a broker that is down must not fail the request: the sweep will find the row.
            transaction.on_commit(send, robust=True)
    except IntegrityError as error:  # one_unfinished_operation_per_subject
        raise NotNow(
            gettext("Another task is working on {subject}. Wait until it ends.").format(subject=subject.name)
        ) from error
    subject.state, subject.operation = transition.running, operation
    return operation


def retry(subject: ManagedResource, *, by: User | None) -> Operation:
    """Begin again what failed; raises NotNow when nothing did.

    What failed while it was being cancelled is cancelled again: nobody wants it done any more.
    """
    last = subject.operation
    if not subject.can_retry or last is None:
        raise NotNow(gettext("{subject} has no failed task to try again.").format(subject=subject.name))
    with transaction.atomic():
        operation = begin(subject, last.verb, by=by)
        if last.cancel == Operation.Cancel.WANTED:
            Operation.objects.filter(pk=operation.pk).update(subject_state_before=last.subject_state_before)
            cancel(subject, by=by)
    return operation


def cancel(subject: ManagedResource, *, by: User | None) -> None:
    """Undo the subject's unfinished operation; raises NotNow when there is none, or it cannot be undone."""
    operation = subject.operation
    if subject.too_late_to_cancel:
        raise NotNow(subject.too_late_to_cancel)
    if operation is None or registry.find(subject.kind(), operation.verb).undo is None:
        raise NotNow(gettext("Nothing is working on {subject} that could be cancelled.").format(subject=subject.name))
    if not Operation.objects.cancel(operation.pk, by=by):
        raise NotNow(gettext("{title} has ended, or is being cancelled already.").format(title=operation.title))
    activity.record(
        "Asked to cancel a task",
        subject,
        organisation=operation.organisation,
        by=by,
        after={"operation": str(operation.pk), "task": operation.title},
    )

    def send() -> None:
        run_operation.delay(str(operation.pk))

    transaction.on_commit(send, robust=True)  # the sweep finds what is due and was not sent


def release(operation: Operation) -> None:
    """Take the lease from the worker that holds the operation, for another to go on when it would have run out.

    Raises NotNow when nobody holds it, or another worker than the one that was seen.
    """
    if not Operation.objects.release(operation.pk, fence=operation.fence):
        raise NotNow(
            gettext("{title} is not held any more by the worker that was shown. Look who has it now.").format(
                title=operation.title
            )
        )


def ask(snapshots: SnapshotQuerySet, *, waits: bool = True) -> None:
    """Have these read anew, now; `waits` says whether somebody waits for it, or it may wait for who does."""
    keys = list(snapshots.values_list("pk", flat=True))
    snapshots.wanted()
    ask_for(snapshots.model, keys, waits=waits)


def ask_for(model: type[Snapshot], keys: Sequence[int], *, waits: bool) -> None:
    """Send what is wanted already, as its rows say, to the workers after the commit."""

    def send() -> None:
        if not waits and compiled.DUE.first():
            return  # the sweep finds it when there is less to do
        for pk in keys:
            send_reading(model.LABEL, pk, queue=PEOPLE if waits else BACKGROUND)

    transaction.on_commit(send, robust=True)
