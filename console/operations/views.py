"""Tasks: what was asked for, what is at work, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.operations import outcomes, registry
from console.operations.actions import NotNow, retry
from console.operations.models import ManagedResource, Operation
from console.web.lists import part_of, plain_filters
from console.web.pages import announced, fragment_or_page, outcome, paginate, searched
from console.web.retold import retold


@require_GET
@require_permission(Permission.SEE_STORES)
def task_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's tasks, newest first, filtered by ?q=, ?kind= and ?state=."""
    tasks = Operation.objects.visible_to(request.membership)
    query, state = searched(request), request.GET.get("state", "")
    if query:
        tasks = tasks.filter(Q(subject_name__icontains=query) | Q(title__icontains=query))
    if state in Operation.State.values:
        tasks = tasks.filter(state=state)
    kind, _, verb = request.GET.get("kind", "").partition(".")
    works = registry.by_kind()
    if kind in works:
        tasks = tasks.filter(subject_kind=kind, **({"verb": verb} if registry.knows(kind, verb) else {}))
    page = paginate(request, tasks.select_related("requested_by"))
    waiting = any(task.state == Operation.State.WAITING for task in page.items)
    nobody = next((task.nobody_works for task in page.items if task.is_unfinished), "")
    context = {
        "nobody": nobody,
        "at_work": Operation.objects.visible_to(request.membership).at_work().count() if waiting else 0,
        "page": page,
        "filters": plain_filters(
            query,
            ("state", gettext("State"), state if state in Operation.State.values else "", Operation.State.choices),
            ("kind", gettext("Kind"), request.GET.get("kind", "") if kind in works else "", _kinds(works)),
        ),
        "rows": list(zip(page.items, _subjects(request, page.items), strict=True)),
        "busy": any(task.is_unfinished for task in page.items),
    }
    return fragment_or_page(request, "operations/task_list.html", part_of(request, "tasks-list", "table"), context)


def _kinds(works: Mapping[str, Sequence[registry.Workflow]]) -> Iterator[tuple[str, str]]:
    for kind, some in works.items():
        yield kind, retold(f"All {kind}s")
        yield from ((f"{kind}.{work.verb}", retold(work.title)) for work in some)


def _subjects(request: MemberRequest, tasks: Sequence[Operation]) -> list[str]:
    """Return the page of each task's subject, "" of one that is gone: one query for each kind of them."""
    keys: dict[str, set[UUID]] = {}
    for task in tasks:
        keys.setdefault(task.subject_kind, set()).add(task.subject_id)
    works = registry.by_kind()
    found = {
        (kind, row.pk): row.get_absolute_url()
        for kind, some in keys.items()
        if kind in works
        for row in works[kind][0].model.objects.visible_to(request.membership).filter(pk__in=some).only("pk")
    }
    return [found.get((task.subject_kind, task.subject_id), "") for task in tasks]


@require_GET
@require_permission(Permission.SEE_STORES)
def task_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one task with its steps, times and error."""
    tasks = Operation.objects.visible_to(request.membership).select_related(
        "requested_by", "cancelled_by", "organisation"
    )
    task = get_object_or_404(tasks, pk=pk)
    context = {"operation": task, "subject": _subjects(request, [task])[0], "busy": task.is_unfinished}
    return fragment_or_page(request, "operations/task_detail.html", "task", context)


@require_GET
@require_permission(Permission.SEE_STORES)
def task_outcome(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Tell a message that follows the task how it ended."""
    task = get_object_or_404(Operation.objects.visible_to(request.membership), pk=pk)
    text, level = outcomes.text(task), outcomes.level(task)
    links = outcomes.links(task, request.membership) if text else []
    return outcome(request, task.get_absolute_url(), text=text, level=level, links=links)


def try_again(request: MemberRequest, resource: ManagedResource, url: str, event: str) -> HttpResponse:
    """Begin again what failed on the resource, announce it, and say why when that cannot be."""
    try:
        task = retry(resource, by=request.user)
    except NotNow as error:
        messages.error(request, str(error))
        return announced(request, url, event)
    return announced(
        request,
        url,
        event,
        message=gettext("Trying again: {resource}.").format(resource=resource.name),
        follow=outcomes.address(task),
    )
