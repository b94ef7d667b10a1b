"""What each message asks of the operations, and each step writes of one: compiled once (console.web.prepared)."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Count, F, Min
from django.db.models.functions import Now

from console.operations.leases import is_due, is_held, lease, lease_end
from console.web.prepared import ANOTHER_KEY, KEY, NUMBER, TEXT, Prepared, PreparedUpdate


def _all() -> Any:
    """Return all operations, as an OperationQuerySet: its module imports this one."""
    return apps.get_model("operations", "Operation")._default_manager.all()


def _mine(pk: UUID, fence: int) -> Any:
    return _all().filter(pk=pk, fence=fence, state="running")


# Whether any operation is due.
DUE: Prepared[tuple[UUID]] = Prepared(lambda: _all().due().values_list("pk")[:1], made_of=lease)
# Of each organisation: its limit, how many are at work, and when the first of those that are due became so.
TURNS_NOW: Prepared[tuple[Any, ...]] = Prepared(
    lambda: (
        _all()
        .unfinished()
        .values_list("organisation", "organisation__operations_at_once")
        .annotate(busy=Count("pk", filter=is_held()), oldest=Min("due_at", filter=is_due()))
    ),
    made_of=lease,
)
THROTTLED: Prepared[tuple[UUID]] = Prepared(lambda: _all().unfinished().filter(throttled=True).values_list("pk")[:1])
# The operation of that key, if it is due; and if it is that organisation's.
CLAIMABLE: Prepared[Any] = Prepared(lambda pk: _all().claimable().filter(pk=pk), KEY, made_of=lease)
CLAIMABLE_OF: Prepared[Any] = Prepared(
    lambda pk, whose: _all().claimable().filter(pk=pk, organisation=whose), KEY, ANOTHER_KEY, made_of=lease
)
AT_WORK_OF: Prepared[tuple[UUID]] = Prepared(
    lambda whose: _all().at_work().filter(organisation=whose).values_list("pk"), KEY, made_of=lease
)
# Take the lease of an operation that is still as it was read: of its key, fence and wish to cancel.
TAKE = PreparedUpdate(
    lambda pk, fence, cancel: _all().due().filter(pk=pk, fence=fence, cancel=cancel),
    *(KEY, NUMBER, TEXT),
    changes=lambda: {
        "state": "running",
        "fence": F("fence") + 1,
        "due_at": lease_end(),
        "throttled": False,
        "updated_at": Now(),
    },
    given=("worker",),
    made_of=lease,
)


@cache
def written(given: tuple[str, ...], *, seen: bool, over: bool) -> PreparedUpdate:
    """Return the update of these fields by which whoever holds an operation, of its key and fence, renews the lease.

    Where it was `seen` whether somebody wants to cancel it, it is of that value, too, and changes nothing when that is
    another by now. `over` writes down when it has ended.
    """
    return PreparedUpdate(
        (lambda pk, fence, cancel: _mine(pk, fence).filter(cancel=cancel)) if seen else _mine,
        *((KEY, NUMBER, TEXT) if seen else (KEY, NUMBER)),
        changes=lambda: {"due_at": lease_end(), "updated_at": Now(), **({"finished_at": Now()} if over else {})},
        given=given,
        made_of=lease,
    )
