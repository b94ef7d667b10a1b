"""Restored from a Copy: what differs between this console and what is there, and what is done about each of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.operations import holding
from console.operations.actions import NotNow
from console.operations.models import Operation
from console.restoration import actions, findings
from console.restoration.forms import NodeFileForm
from console.restoration.models import Restoration
from console.web.pages import announced, dialog_done, dialog_form, fragment_or_page, posted

CHANGED = "restoration-changed"


@require_GET
@require_permission(Permission.SEE_STORES)
def restoration_detail(request: MemberRequest) -> HttpResponse:
    """Show what was found; polls while workers look."""
    rows = Restoration.objects.visible_to(request.membership)
    current = rows.open().first()
    found = findings.of(current, request.membership) if current else None
    last = None if current else rows.select_related("ended_by").order_by("-ended_at").first()
    context = {"found": found, "current": current, "last": last, "busy": bool(found and found.is_busy)}
    return fragment_or_page(request, "restoration/detail.html", "found", context)


@require_POST
@require_permission(Permission.SEE_STORES)
def look(request: MemberRequest) -> HttpResponse:
    """Have everything looked at again."""
    actions.look_again(_open(request).organisation)
    return _changed(request, "Everything is looked at again.")


@require_POST
@require_permission(Permission.MANAGE_STORES)
def settle(request: MemberRequest) -> HttpResponse:
    """Leave one thing as it is."""
    key, may = request.POST.get("key", ""), request.membership.may[Permission.MANAGE_MEMBERS]
    try:
        title = actions.settle_found(_open(request), key, request.membership, may_members=may, by=request.user)
    except actions.NotTheirs as error:
        raise PermissionDenied(str(error)) from error
    if title is None:
        messages.error(request, gettext("That has changed meanwhile. Look at the page again."))
        return _changed(request)
    return _changed(request, f"Settled: {title}.")


@require_POST
@require_permission(Permission.MANAGE_STORES)
def go_on(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Let a task go on that was held back."""
    return _decided(request, pk, holding.go_on, "goes on")


@require_POST
@require_permission(Permission.MANAGE_STORES)
def give_up(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End a task that was held back, where it is."""
    return _decided(request, pk, holding.give_up, "was given up")


def _decided(request: MemberRequest, pk: UUID, decide: Callable[..., None], words: str) -> HttpResponse:
    """Decide what becomes of a task that was held back, and say so."""
    operation = _held(request, pk)
    try:
        decide(operation, by=request.user)
    except NotNow as error:
        messages.error(request, str(error))
        return _changed(request)
    return _changed(request, f"{operation.title}: {operation.subject_name} {words}.")


@sensitive_post_parameters("text")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def node_file(request: MemberRequest) -> HttpResponse:
    """Take a node's pgbackrest.conf, and have a worker try what its passphrases open."""
    restoration = _open(request)
    form = NodeFileForm(posted(request), member=request.membership)
    if form.is_bound and form.is_valid():
        data = form.cleaned_data
        actions.give_file(
            restoration,
            data["cloud_account"],
            form.given,
            text=data["text"],
            name=data["name"],
            by=request.user,
        )
        message = gettext("The file of {node} of {cluster} is being looked at.").format(
            node=form.given.node, cluster=form.given.cluster
        )
        return dialog_done(request, reverse("restoration:detail"), CHANGED, message=message)
    return dialog_form(request, "restoration/node_file.html", {"form": form})


@require_POST
@require_permission(Permission.MANAGE_STORES)
def end(request: MemberRequest) -> HttpResponse:
    """End the comparison, when all is settled."""
    try:
        actions.end(_open(request), request.membership, by=request.user)
    except actions.NotSettled as error:
        messages.error(request, str(error))
        return _changed(request)
    return announced(
        request, reverse("stores:list"), CHANGED, message=gettext("The comparison has ended. Everything goes on.")
    )


def _open(request: MemberRequest) -> Restoration:
    rows = Restoration.objects.visible_to(request.membership).open()
    restoration: Restoration | None = rows.select_related("organisation").first()
    if restoration is None:
        raise Http404
    return restoration


def _held(request: MemberRequest, pk: UUID) -> Operation:
    _open(request)
    operation: Operation = get_object_or_404(Operation.objects.visible_to(request.membership), pk=pk)
    return operation


def _changed(request: MemberRequest, message: str = "") -> HttpResponse:
    return announced(request, reverse("restoration:detail"), CHANGED, message=message)
