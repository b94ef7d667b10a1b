"""What differs after the console was restored from a copy, and what is done about each of it."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from pydantic import Field

from console.accounts.permissions import Permission
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, does, reads
from console.api.idempotency import once
from console.api.problems import Problem
from console.api.reading import of_form
from console.api.shapes import Shape
from console.api.shown import moment
from console.operations import holding
from console.operations.actions import NotNow
from console.operations.models import Operation
from console.restoration import actions, findings
from console.restoration.forms import NodeFileForm
from console.restoration.models import NodeFile, Restoration
from console.restoration.node_file import TEXT_AT_MOST

NONE = "The console is not being compared with what is there: it was not restored from a copy, or that is settled."


class RestorationFinding(Shape):
    """One thing that differs, or is still looked for."""

    key: Annotated[str, Field(description="Which POST /restoration/settle names.")]
    kind: str
    title: str
    text: str
    is_waiting: Annotated[bool, Field(description="A worker looks, or a node has yet to report.")]
    can_be_left: Annotated[bool, Field(description="Somebody may say that it stays as it is.")]
    settled_by: str


class BroughtFile(Shape):
    """A node's file that was brought, and what came of it."""

    node: str
    cluster: str
    at: datetime
    is_awaited: bool
    error: str
    taken_at: datetime | None


class RestorationShown(Shape):
    """What was found since the database was restored from a copy."""

    is_open: bool
    begun_at: datetime | None
    copied_at: datetime | None
    ended_at: datetime | None
    open: list[RestorationFinding]
    settled: list[RestorationFinding]
    nodes_alike: int
    files: list[BroughtFile]


def _finding(one: findings.Finding) -> dict[str, Any]:
    return {
        "key": one.key,
        "kind": one.kind,
        "title": one.title,
        "text": one.text,
        "is_waiting": one.waiting,
        "can_be_left": one.leaves,
        "settled_by": one.settled_by,
    }


def _file(row: NodeFile) -> dict[str, Any]:
    return {
        "node": row.node,
        "cluster": row.cluster_name,
        "at": moment(row.at),
        "is_awaited": row.is_awaited,
        "error": row.error,
        "taken_at": moment(row.taken_at),
    }


def _shown(request: CallRequest) -> dict[str, Any]:
    rows = Restoration.objects.visible_to(request.membership)
    current = rows.open().first()
    last = current or rows.order_by("-ended_at").first()
    found = findings.of(current, request.membership) if current else None
    return {
        "is_open": current is not None,
        "begun_at": moment(last.begun_at) if last else None,
        "copied_at": moment(last.copied_at) if last else None,
        "ended_at": moment(last.ended_at) if last else None,
        "open": [_finding(one) for one in found.open] if found else [],
        "settled": [_finding(one) for one in found.settled] if found else [],
        "nodes_alike": found.nodes_alike if found else 0,
        "files": [_file(one) for one in (found.files if found else ())],
    }


def _open(request: CallRequest) -> Restoration:
    rows = Restoration.objects.visible_to(request.membership).open().select_related("organisation")
    restoration: Restoration | None = rows.first()
    if restoration is None:
        raise Problem(409, NONE)
    return restoration


@reads("/restoration", Permission.SEE_STORES, RestorationShown)
def get_restoration(request: CallRequest) -> HttpResponse:
    """Show what differs from what is there since the console was restored from a copy, if it was."""
    return answered(_shown(request))


@does("/restoration/look", Permission.SEE_STORES, RestorationShown, status=202)
@once
def look_again_after_restoration(request: CallRequest) -> HttpResponse:
    """Have everything looked at again."""
    actions.look_again(_open(request).organisation)
    return answered(_shown(request), status=202, location="/api/v1/restoration")


class Settlement(Body):
    """What is left as it is."""

    model_config = sent(key="members")

    key: str


@does("/restoration/settle", Permission.MANAGE_STORES, RestorationShown)
@once
def settle_restoration_finding(request: CallRequest, asked: Settlement) -> HttpResponse:
    """Leave one thing as it is; who is a member is for a token to say that manages members."""
    restoration = _open(request)
    may_members = Permission.MANAGE_MEMBERS in request.token.may
    try:
        settled = actions.settle_found(
            restoration, asked.key, request.membership, may_members=may_members, by=request.person
        )
    except actions.NotTheirs as error:
        raise Problem(403, str(error), headers={"X-Accepted-Permissions": "manage_members"}) from error
    if settled is None:
        raise Problem(409, "That has changed meanwhile, or cannot be left as it is. Read the list again.")
    return answered(_shown(request))


@does("/restoration/end", Permission.MANAGE_STORES, RestorationShown)
@once
def end_restoration(request: CallRequest) -> HttpResponse:
    """End the comparison, when all is settled (409): what was held back goes on."""
    try:
        actions.end(_open(request), request.membership, by=request.person)
    except actions.NotSettled as error:
        raise Problem(409, str(error)) from error
    return answered(_shown(request))


class NodeFileToBring(Body):
    """A node's pgbackrest.conf, with its report.sh behind it, and in which account its stores are."""

    model_config = sent(
        longest=TEXT_AT_MOST,
        cloud_account_id="7d9b8a52-8a7c-4a51-9c0e-5a1b1f6f6b1e",
        text="# orders, node n1: made by Storekeeper for pgBackRest 2.59.0\n…",
    )

    cloud_account_id: UUID
    text: str
    name: Annotated[str, Field(description="What the cluster is called, where it is not known.")] = ""


@does("/restoration/node-file", Permission.MANAGE_CLUSTERS, BroughtFile, status=202)
@once
def bring_node_file(request: CallRequest, asked: NodeFileToBring) -> HttpResponse:
    """Take a node's file, and have a worker try what its passphrases open; what is found stands at Location."""
    restoration = _open(request)
    given = {"cloud_account": str(asked.cloud_account_id), "text": asked.text, "name": asked.name}
    form = NodeFileForm(given, member=request.membership)
    if not form.is_valid():
        raise of_form(form, {"cloud_account": "cloud_account_id"})
    data = form.cleaned_data
    row = actions.give_file(
        restoration, data["cloud_account"], form.given, text=data["text"], name=data["name"], by=request.person
    )
    row.refresh_from_db()
    return answered(_file(row), status=202, location="/api/v1/restoration")


@does("/restoration/tasks/{uuid:pk}/go-on", Permission.MANAGE_STORES, shapes.Task, status=202)
@once
def let_held_task_go_on(request: CallRequest, pk: UUID) -> HttpResponse:
    """Let a task go on that was held back."""
    return _decided(request, pk, holding.go_on)


@does("/restoration/tasks/{uuid:pk}/give-up", Permission.MANAGE_STORES, shapes.Task, status=202)
@once
def give_held_task_up(request: CallRequest, pk: UUID) -> HttpResponse:
    """End a task that was held back, where it is."""
    return _decided(request, pk, holding.give_up)


def _decided(request: CallRequest, pk: UUID, decide: Callable[..., None]) -> HttpResponse:
    rows = Operation.objects.visible_to(request.membership).select_related("requested_by", "organisation")
    operation = get_object_or_404(rows, pk=pk)
    _open(request)
    try:
        decide(operation, by=request.person)
    except NotNow as error:
        raise Problem(409, str(error)) from error
    return answered(shown.task(rows.get(pk=pk)), status=202, location=f"/api/v1/tasks/{pk}")
