"""Buckets that are named like ours and belong to no store: looked for, taken back, hidden; never deleted."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query
from pydantic import Field

from console.accounts.permissions import Permission
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, does, reads
from console.api.idempotency import once
from console.api.lists import ListQuery, decode, encode, no_cursor
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Page, Shape
from console.api.shown import moment
from console.api.writing import begun
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import NotNow
from stores import actions, unmanaged
from stores.forms import NAME_TAKEN, AdoptForm
from stores.unmanaged import AccountScan, ExplainedBucket

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BUCKET = "/unmanaged-buckets/{uuid:account}/{bucket}"


class UnmanagedBucket(Shape):
    """A bucket that belongs to no store."""

    cloud_account_id: UUID
    bucket: str
    region: str
    created_at: datetime | None
    what: Annotated[str, Field(description="What it is, in words.")]
    store_id: Annotated[UUID | None, Field(description="Of the store that its tag names.")]
    store: Annotated[str, Field(description="What that store was called, where the console knows it.")]
    is_adoptable: bool
    is_hidden: bool
    delete_commands: Annotated[str, Field(description="With which an administrator deletes it when it is empty.")]


class UnmanagedScan(Shape):
    """What the last look through an account found."""

    cloud_account_id: UUID
    cloud_account: str
    read_at: datetime | None
    is_awaited: bool
    error: str
    buckets: list[UnmanagedBucket]


class UnmanagedList(ListQuery):
    cloud_account_id: UUID | None = None


def _scan(found: AccountScan) -> dict[str, Any]:
    return {
        "cloud_account_id": str(found.account.pk),
        "cloud_account": found.account.name,
        "read_at": moment(found.scan.read_at) if found.scan else None,
        "is_awaited": bool(found.scan and found.scan.is_awaited),
        "error": found.scan.error if found.scan else "",
        "buckets": [_bucket(one) for one in (*found.unmanaged, *found.forgotten)],
    }


def _bucket(one: ExplainedBucket) -> dict[str, Any]:
    owner = unmanaged.store_id(one.bucket)
    return {
        "cloud_account_id": str(one.account.pk),
        "bucket": one.bucket.name,
        "region": one.bucket.region,
        "created_at": moment(one.created),
        "what": one.what,
        "store_id": str(owner) if owner else None,
        "store": one.name,
        "is_adoptable": one.adoptable,
        "is_hidden": one.forgotten is not None,
        "delete_commands": one.removal,
    }


@reads("/unmanaged-buckets", Permission.SEE_STORES, Page[UnmanagedScan], asked=UnmanagedList)
def list_unmanaged_buckets(request: CallRequest, asked: Query[UnmanagedList]) -> HttpResponse:
    """List by account what the last look found that is named like a store's bucket and belongs to none."""
    after = decode(asked.cursor, 2) if asked.cursor else None
    if after and not UUID_TEXT.fullmatch(after[1]):
        raise no_cursor()
    found = unmanaged.account_scans(request.membership, asked.cloud_account_id)
    keyed = [((one.account.name, str(one.account.pk)), one) for one in found]
    keyed.sort(key=lambda one: one[0])
    rows = [one for one in keyed if after is None or list(one[0]) > after]
    items = rows[: asked.limit]
    onwards = encode(items[-1][0]) if len(rows) > asked.limit else None
    return answered({"items": [_scan(one) for _, one in items], "next": onwards})


@does("/unmanaged-buckets/{uuid:account}/look", Permission.SEE_STORES, UnmanagedScan, status=202)
@once
def look_for_unmanaged_buckets(request: CallRequest, account: UUID) -> HttpResponse:
    """Have an account looked through now."""
    actions.scan_for_unmanaged(get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=account))
    [found] = unmanaged.account_scans(request.membership, account)
    return answered(_scan(found), status=202, location=f"/api/v1/unmanaged-buckets?cloud_account_id={account}")


class Adoption(Body):
    """What the store is called: as it was, where nothing else is said."""

    model_config = sent(name="orders")

    name: str = ""


@does(f"{BUCKET}/adopt", Permission.MANAGE_STORES, shapes.Store, status=202)
@once
def adopt_unmanaged_bucket(request: CallRequest, account: UUID, bucket: str, asked: Adoption) -> HttpResponse:
    """Make the bucket's store a store of the console again; nothing that it holds is changed."""
    scan, explained = _explained(request, account, bucket)
    form = AdoptForm({"name": asked.name or explained.name}, organisation=request.membership.organisation)
    if not form.is_valid():
        raise of_form(form)
    pair = unmanaged.pair(explained, [*scan.unmanaged, *scan.forgotten])
    try:
        store = actions.adopt(explained, pair, name=form.cleaned_data["name"], by=request.person)
    except actions.NameTaken as error:
        raise fields([("/name", NAME_TAKEN)]) from error
    except (actions.NotAdoptable, actions.LimitReached, NotNow) as error:
        raise Problem(409, str(error)) from error
    return begun(request, store)


@does(f"{BUCKET}/hide", Permission.MANAGE_STORES, UnmanagedBucket)
@once
def hide_unmanaged_bucket(request: CallRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show the bucket no more on the page; it is not deleted."""
    actions.forget(_explained(request, account, bucket)[1], by=request.person)
    return answered(_bucket(_explained(request, account, bucket)[1]))


@does(f"{BUCKET}/show", Permission.MANAGE_STORES, UnmanagedBucket)
@once
def show_unmanaged_bucket(request: CallRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show a hidden bucket again."""
    actions.remember(_explained(request, account, bucket)[1], by=request.person)
    return answered(_bucket(_explained(request, account, bucket)[1]))


def _explained(request: CallRequest, account: UUID, bucket: str) -> tuple[AccountScan, ExplainedBucket]:
    for scan in unmanaged.account_scans(request.membership, account):
        if explained := scan.find(bucket):
            return scan, explained
    raise Http404
