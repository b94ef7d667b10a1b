"""What is done with a store: verified, repaired, accepted as it is, tried again, cancelled; what that would mean."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Schema
from pydantic import ConfigDict, Field

from console.accounts.permissions import Permission
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, does, reads
from console.api.idempotency import once
from console.api.problems import Problem
from console.api.reading import of_form
from console.api.shapes import Shape
from console.api.shown import moment
from console.api.writing import begun
from console.cloud_accounts.actions import users_of
from console.operations.actions import NotNow, cancel, retry
from stores import actions, drift
from stores.control_status import ControlStatus, agreed
from stores.forms import ProtectionForm
from stores.models import Store

CHANGED = "What was found has changed since it was read. Read it again (GET …/drift), then decide."


class Accepted(Shape):
    by: str
    at: datetime


class Control(Shape):
    """One thing that a bucket should have, and what it has."""

    name: Annotated[str, Field(description="Which the calls that accept or reconsider it name.")]
    label: str
    bucket: str
    state: Annotated[str, Field(description="ok, off, gone or unseen.")]
    wanted: str
    found: str
    since: datetime | None
    is_drift: Annotated[bool, Field(description="It differs, and nobody has accepted that.")]
    accepted: Accepted | None
    seen: Annotated[str, Field(description="What was found, as a digest: what is accepted is what was read.")]


class Drift(Shape):
    """What both buckets of a store should have, and what they had when they were looked at last."""

    store_id: UUID
    state: str
    checked_at: datetime | None
    is_awaited: Annotated[bool, Field(description="Somebody has asked for a look, and it is not over.")]
    error: Annotated[str, Field(description="Why the last look failed; empty: it did not.")]
    seen: Annotated[str, Field(description="All that differs, as a digest: what a repair is agreed to by.")]
    controls: list[Control]


def _store(request: CallRequest, pk: UUID) -> Store:
    store: Store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    return store


def _drift(store: Store) -> dict[str, Any]:
    report = getattr(store, "drift_report", None)
    return {
        "store_id": str(store.pk),
        "state": store.state,
        "checked_at": moment(report.read_at) if report else None,
        "is_awaited": bool(report and report.is_awaited),
        "error": report.error if report else "",
        "seen": agreed(report.drift if report else []),
        "controls": [_control(one) for one in (report.lines if report else [])],
    }


def _control(one: ControlStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.label,
        "bucket": one.bucket,
        "state": one.state,
        "wanted": one.wanted_words,
        "found": one.words,
        "since": moment(one.since_at),
        "is_drift": one.is_drift,
        "accepted": {"by": one.accepted["by"], "at": one.accepted["at"]} if one.accepted else None,
        "seen": one.seen,
    }


@reads("/stores/{uuid:pk}/drift", Permission.SEE_STORES, Drift)
def get_store_drift(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show what both buckets should have and what they had: what a repair would change, before it is asked for."""
    return answered(_drift(_store(request, pk)))


@does("/stores/{uuid:pk}/verify", Permission.MANAGE_STORES, Drift, status=202)
@once
def verify_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Have both buckets looked at now; what is found stands at Location."""
    try:
        actions.verify(_store(request, pk))
    except NotNow as error:
        raise Problem(409, str(error)) from error
    return answered(_drift(_store(request, pk)), status=202, location=f"/api/v1/stores/{pk}/drift")


class Repair(Body):
    """What was read before the repair is asked for."""

    model_config = sent(seen="b1946ac92492d234")

    seen: Annotated[str, Field(description="`seen` of the drift that was read.")]


@does("/stores/{uuid:pk}/repair", Permission.MANAGE_STORES, shapes.Store, status=202)
@once
def repair_store(request: CallRequest, pk: UUID, asked: Repair) -> HttpResponse:
    """Begin to bring both buckets back to what they should be; 409 when something else differs than was read."""
    store = _store(request, pk)
    try:
        actions.repair(store, by=request.person, seen=asked.seen)
    except NotNow as error:
        raise Problem(409, str(error)) from error
    except drift.Changed as error:
        raise Problem(409, CHANGED) from error
    return begun(request, store)


class Acceptance(Body):
    """Which control, and what was read of it."""

    model_config = sent(control="backup.versioning", seen="b1946ac92492d234")

    control: Annotated[str, Field(description="Its `name`.")]
    seen: Annotated[str, Field(description="Its `seen`.")]


@does("/stores/{uuid:pk}/accept", Permission.MANAGE_STORES, Drift)
@once
def accept_store_drift(request: CallRequest, pk: UUID, asked: Acceptance) -> HttpResponse:
    """Accept what was found of one control as meant; 409 when something else was found since it was read."""
    try:
        actions.accept(_store(request, pk), name=asked.control, seen=asked.seen, by=request.membership)
    except drift.Changed as error:
        raise Problem(409, CHANGED) from error
    return answered(_drift(_store(request, pk)))


class Reconsideration(Body):
    """Which control."""

    model_config = sent(control="backup.versioning")

    control: Annotated[str, Field(description="Its `name`.")]


@does("/stores/{uuid:pk}/reconsider", Permission.MANAGE_STORES, Drift)
@once
def reconsider_store_drift(request: CallRequest, pk: UUID, asked: Reconsideration) -> HttpResponse:
    """Take back that what was found of one control was accepted."""
    try:
        actions.reconsider(_store(request, pk), name=asked.control, by=request.membership)
    except drift.Changed as error:
        raise Problem(409, CHANGED) from error
    return answered(_drift(_store(request, pk)))


@does("/stores/{uuid:pk}/retry", Permission.MANAGE_STORES, shapes.Store, status=202)
@once
def retry_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Try again what failed."""
    return _again(request, pk, retry)


@does("/stores/{uuid:pk}/cancel", Permission.MANAGE_STORES, shapes.Store, status=202)
@once
def cancel_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Cancel the deletion of a store, as long as that can be done: the task undoes what it has done."""
    return _again(request, pk, cancel)


def _again(request: CallRequest, pk: UUID, do: Any) -> HttpResponse:
    store = _store(request, pk)
    try:
        do(store, by=request.person)
    except NotNow as error:
        raise Problem(409, str(error)) from error
    return begun(request, store)


# What a deletion would meet, and what protection costs


class Contents(Shape):
    """What the backup bucket holds, as far as it was counted."""

    exists: bool
    is_empty: bool
    objects: int
    older_versions: int
    delete_markers: int
    unfinished_uploads: int
    bytes: int
    is_more: Annotated[bool, Field(description="There is more than was counted.")]
    locked_until: str


class DeletionPreview(Shape):
    """What keeps a store from being deleted, or would be lost with it."""

    store_id: UUID
    used_by: list[str]
    counted_at: datetime | None
    is_awaited: Annotated[bool, Field(description="A worker counts: ask again in some seconds.")]
    error: str
    contents: Contents | None


@reads("/stores/{uuid:pk}/deletion-preview", Permission.MANAGE_STORES, DeletionPreview)
def preview_store_deletion(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show what a store holds and what uses it: counted by a worker, anew when the last count is a minute old."""
    store = _store(request, pk)
    found = actions.count(store)
    held = found.contents
    shown = held and {
        "exists": held.exists,
        "is_empty": held.is_empty,
        "objects": held.objects,
        "older_versions": held.older,
        "delete_markers": held.markers,
        "unfinished_uploads": held.uploads,
        "bytes": held.size,
        "is_more": held.more or held.more_uploads,
        "locked_until": held.locked_until,
    }
    return answered(
        {
            "store_id": str(store.pk),
            "used_by": [str(one) for one in users_of(store)],
            "counted_at": moment(found.read_at),
            "is_awaited": found.is_awaited,
            "error": found.error,
            "contents": shown,
        }
    )


class Days(Schema):
    model_config = ConfigDict(extra="forbid")

    versions_days: Annotated[str, Field(max_length=20, description="Days that deleted files are kept.")]
    retention_days: Annotated[str, Field(max_length=20, description="Days that backups are kept.")]
    lock_days: Annotated[str, Field(max_length=20, description="Days that Object Lock holds what is written.")] = ""


class ProtectionCost(Shape):
    """What a protected store of these days promises and costs."""

    in_use_days: int
    held_days: Annotated[int, Field(description="After so many days at most a file is gone.")]
    window_days: Annotated[int, Field(description="For so long what somebody with the nodes' keys deletes is kept.")]
    overhead_percent: int
    is_covered: Annotated[bool, Field(description="Each file is locked as long as a backup needs it.")]
    deletable_on: str
    empty_on: str


@reads("/stores/protection", Permission.SEE_STORES, ProtectionCost, asked=Days)
def calculate_protection(request: CallRequest, asked: Query[Days]) -> HttpResponse:
    """Say what a protected store of these days promises and costs; nothing is changed."""
    form = ProtectionForm(asked.dict())
    found = form.protection()
    if found is None:
        for name in ("versions_days", "retention_days"):
            if name not in form.errors and not form.cleaned_data.get(name):
                form.add_error(name, "Say for how many days.")
        raise of_form(form)
    today = timezone.localdate()
    return answered(
        {
            "in_use_days": found.in_use,
            "held_days": found.held,
            "window_days": found.window,
            "overhead_percent": found.overhead,
            "is_covered": found.covers,
            "deletable_on": str(found.deletable(today)),
            "empty_on": str(found.empty(today)),
        }
    )
