"""Tasks, as pgEdge's clients look for what they have just begun.

Terraform's provider lists the tasks of a subject and takes the newest that is queued or running; the command line takes
the newest that was not there before. Both then ask for it by its ID.
"""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Annotated, Literal
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from ninja import Query
from pydantic import Field

from console.accounts.permissions import Permission
from console.api.authentication import CallRequest
from console.api.compatible import shapes, shown
from console.api.compatible.calls import reads
from console.api.compatible.lists import Slice, part
from console.operations.models import Operation

STATUSES = {
    "queued": Q(state="waiting", fence=0),
    "running": Q(state="running") | Q(state="waiting", fence__gt=0),
    "succeeded": Q(state="done"),
    "failed": Q(state__in=("failed", "refused", "cancelled")),
}
OURS = {theirs: ours for ours, theirs in shown.KINDS.items()}
Name = Annotated[str, Field(max_length=100)]


class TaskList(Slice):
    limit: Annotated[int, Field(ge=1, description="Rows; 100 at most, whatever is asked.")] = 25
    subject_id: UUID | None = None
    subject_kind: Name = ""
    id: UUID | None = None
    name: Name = ""
    status: Literal["queued", "running", "succeeded", "failed"] | None = None


@reads("/tasks", Permission.SEE_STORES, list[shapes.Task], asked=TaskList)
def list_tasks(request: CallRequest, asked: Query[TaskList]) -> HttpResponse:
    """List the tasks, newest first; those of a row that is deleted, too."""
    rows = Operation.objects.visible_to(request.membership).order_by("-created_at", "-pk")
    kind = OURS.get(asked.subject_kind, asked.subject_kind)
    if asked.subject_kind in shown.KINDS:  # as we call it, and they do not
        return part(rows.none(), asked, shown.task)
    given = {"subject_id": asked.subject_id, "subject_kind": kind, "pk": asked.id, "verb": asked.name}
    rows = rows.filter(**{name: value for name, value in given.items() if value})
    if asked.status:
        rows = rows.filter(STATUSES[asked.status])
    seen = bool(asked.subject_id and not asked.id and not asked.status)
    return part(rows, asked, lambda row: shown.task(row, just_begun=seen))
