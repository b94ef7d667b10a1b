"""Tasks: what was asked for, what is at work, and what became of it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.operations.actions import NotNow, retry
from console.operations.models import ManagedResource, Operation
from console.web.pages import announced, fragment_or_page, paginate, searched


@require_GET
@require_permission(Permission.SEE_STORES)
def task_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's tasks, newest first, filtered by ?q= and ?state=."""
    tasks = Operation.objects.visible_to(request.membership)
    query, state = searched(request), request.GET.get("state", "")
    if query:
        tasks = tasks.filter(Q(subject_name__icontains=query) | Q(title__icontains=query))
    if state in Operation.State.values:
        tasks = tasks.filter(state=state)
    page = paginate(request, tasks.select_related("requested_by"))
    waiting = any(task.state == Operation.State.WAITING for task in page.items)
    nobody = next((task.nobody_works for task in page.items if task.is_unfinished), "")
    context = {
        "nobody": nobody,
        "at_work": Operation.objects.visible_to(request.membership).at_work().count() if waiting else 0,
        "page": page,
        "query": query,
        "state": state,
        "states": Operation.State.choices,
        "busy": any(task.is_unfinished for task in page.items),
    }
    return fragment_or_page(request, "operations/task_list.html", "table", context)


@require_GET
@require_permission(Permission.SEE_STORES)
def task_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one task with its steps, times and error."""
    tasks = Operation.objects.visible_to(request.membership).select_related(
        "requested_by", "cancelled_by", "organisation"
    )
    task = get_object_or_404(tasks, pk=pk)
    context = {"operation": task, "busy": task.is_unfinished}
    return fragment_or_page(request, "operations/task_detail.html", "task", context)


def try_again(request: MemberRequest, resource: ManagedResource, url: str, event: str) -> HttpResponse:
    """Begin again what failed on the resource, announce it, and say why when that cannot be."""
    try:
        retry(resource, by=request.user)
    except NotNow as error:
        messages.error(request, str(error))
        return announced(request, url, event)
    return announced(request, url, event, message=f"Trying again: {resource.name}.")
