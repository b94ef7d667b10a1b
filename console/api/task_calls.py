"""Tasks: the list, and one of them, for whose end a client can wait."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

import threading
import time
from typing import Annotated
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from console.accounts.permissions import Permission
from console.api import following, shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, reads
from console.api.lists import Searched, page
from console.api.problems import fields
from console.operations.models import Operation
from console.web import database

LONGEST_WAIT = 30  # seconds
LOOK_EACH = 0.5  # seconds
# Who waits takes a thread of this process, of which most are for those who do not.
WAITERS = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


class TaskList(Searched):
    state: Annotated[str, Field(description="waiting, running, done, failed, refused or cancelled.")] = ""
    subject_kind: Annotated[str, Field(max_length=20, description="store or cluster.")] = ""
    subject_id: UUID | None = None


@reads("/tasks", Permission.SEE_STORES, shapes.Page[shapes.Task], asked=TaskList)
def list_tasks(request: CallRequest, asked: Query[TaskList]) -> HttpResponse:
    """List the tasks, newest first; those of a row that is deleted, too."""
    rows = Operation.objects.visible_to(request.membership).select_related("requested_by")
    if query := asked.q.strip():
        rows = rows.filter(Q(subject_name__icontains=query) | Q(title__icontains=query))
    if asked.state:
        if asked.state not in Operation.State.values:
            raise fields([("/state", f"Choose one of {', '.join(Operation.State.values)}.")])
        rows = rows.filter(state=asked.state)
    if asked.subject_kind:
        rows = rows.filter(subject_kind=asked.subject_kind)
    if asked.subject_id:
        rows = rows.filter(subject_id=asked.subject_id)
    return answered(page(rows, asked, shown.task))


class Wait(Schema):
    model_config = ConfigDict(extra="forbid")

    wait: Annotated[
        int,
        Field(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the end."),
    ] = 0


@reads("/tasks/{uuid:pk}", Permission.SEE_STORES, shapes.Task, asked=Wait)
def get_task(request: CallRequest, pk: UUID, asked: Query[Wait]) -> HttpResponse:
    """Show one task; with ?wait= as soon as it has ended, or when so many seconds are over."""
    rows = Operation.objects.visible_to(request.membership).select_related("requested_by")
    found = get_object_or_404(rows, pk=pk)
    if found.is_unfinished and asked.wait and _waited(pk, asked.wait):
        found = get_object_or_404(rows, pk=pk)
    return answered(shown.task(found))


def _waited(pk: UUID, seconds: float) -> bool:
    """Wait until the task has ended, or so long; without a connection to the database between two looks.

    Returns whether anybody waited: where too many do already, the answer comes at once.
    """
    if not WAITERS.acquire(blocking=False):
        return False
    try:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            database.give_back()
            time.sleep(min(LOOK_EACH, left))
            if not Operation.objects.unfinished().filter(pk=pk).exists():
                break
    finally:
        WAITERS.release()
    return True


@reads("/tasks/{uuid:pk}/events", Permission.SEE_STORES, shapes.Task)
def follow_task(request: CallRequest, pk: UUID) -> HttpResponse:
    """Tell of each change of a task as it comes, as server-sent events, until it has ended, or five minutes are over.

    The data of each event is the task. Who comes again with Last-Event-ID is told what is new; 204 says that all is
    told. Where too many are told already, the answer ends after the first event, and the client comes again.
    """
    rows = Operation.objects.visible_to(request.membership).select_related("requested_by")
    key, text, is_over = following.event(get_object_or_404(rows, pk=pk))
    is_known = request.headers.get("Last-Event-ID", "") == key
    if is_over and is_known:
        return HttpResponse(status=204)
    # identity: what is sent later is not compressed with what is sent now.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    if not is_over:
        headers[following.FOLLOW] = f"{pk} {request.token.pk} {key}"
    return HttpResponse(b"" if is_known else text, content_type="text/event-stream", headers=headers)
