"""Operations that were held back: nobody goes on with them until a person says what becomes of them."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import User
from console.operations import registry
from console.operations.actions import NotNow
from console.operations.leases import HELD_BACK
from console.operations.models import Operation, OperationQuerySet
from console.operations.tasks import run_operation

GIVEN_UP = "It was given up after the console was restored from a copy."


def hold_back(operations: OperationQuerySet, why: str) -> int:
    """Have nobody go on with what is unfinished of these, whoever holds it now; return how many that were.

    They are due in the year 9999, so a worker of any version leaves them alone.
    """
    values = {"state": Operation.State.WAITING, "due_at": HELD_BACK, "worker": "", "retry_note": why}
    return operations.unfinished().update(**values, fence=F("fence") + 1, updated_at=Now())


def held_back(operations: OperationQuerySet) -> OperationQuerySet:
    """Return those of them that wait for a person."""
    return operations.unfinished().filter(due_at=HELD_BACK)


def let_all_go_on(operations: OperationQuerySet) -> int:
    """Let all of them go on, as if nobody had held them; return how many that were."""
    return _free(held_back(operations))


def go_on(operation: Operation, *, by: User | None) -> None:
    """Let the operation go on from where it was; raises NotNow when it is not held back any more."""
    with transaction.atomic():
        if not _free(held_back(Operation.objects.filter(pk=operation.pk))):
            raise NotNow(gettext("{title} is not held back any more. Reload the page.").format(title=operation.title))
        _note("Let a task go on", operation, by)

        def send() -> None:
            run_operation.delay(str(operation.pk))

        transaction.on_commit(send, robust=True)  # the sweep finds what is due and was not sent


def give_up(operation: Operation, *, by: User | None) -> None:
    """End the operation where it is, and do nothing more; raises NotNow when it is not held back any more.

    What was to be deleted is as it was before; what was to be made or changed has failed, and can be tried again.
    """
    work = registry.find(operation.subject_kind, operation.verb)
    ends = work.model.VERBS[operation.verb]
    state = operation.subject_state_before if ends.done is None else ends.failed
    values: dict[str, Any] = {"state": Operation.State.FAILED, "error": GIVEN_UP}
    if ends.done is None:
        values = {"state": Operation.State.CANCELLED, "cancel": Operation.Cancel.WANTED, "cancelled_by": by}
    with transaction.atomic():
        mine = held_back(Operation.objects.filter(pk=operation.pk))
        if not mine.update(**values, due_at=Now(), finished_at=Now(), retry_note="", updated_at=Now()):
            raise NotNow(gettext("{title} is not held back any more. Reload the page.").format(title=operation.title))
        work.model.objects.filter(pk=operation.subject_id).update(state=state)
        _note("Gave a task up", operation, by)


def _free(held: QuerySet[Operation]) -> int:
    values = {"due_at": Now(), "retries": 0, "retrying_since": None, "retry_note": ""}
    return held.update(**values, updated_at=Now())


def _note(action: str, operation: Operation, by: User | None) -> None:
    after = {"operation": str(operation.pk), "task": operation.title}
    subject = operation.subject_name
    activity.record(action, subject, organisation=operation.organisation, by=by, after=after)
