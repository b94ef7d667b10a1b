"""Cloud accounts, as pgEdge's clients link and unlink them: the answer comes when the cloud has said who it is."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

import threading
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from console.accounts.permissions import Permission
from console.api.authentication import CallRequest
from console.api.compatible import shapes, shown
from console.api.compatible.calls import answer, deletes, gone, of_form, reads, writes
from console.api.compatible.clients import description_of
from console.api.problems import Problem
from console.cloud_accounts import actions, attempts
from console.cloud_accounts.forms import LinkForm
from console.cloud_accounts.models import Attempt, CloudAccount
from console.clouds import CLOUDS
from console.clouds.contract import LinkError, PgEdgeNames
from console.web import database

OURS = {shown.cloud(key): key for key in CLOUDS}
WITHIN = 50.0  # seconds: Terraform's provider waits for a minute
LOOK_EACH = 0.25
WAITERS = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


@reads("/cloud-accounts", Permission.SEE_ACCOUNTS, list[shapes.CloudAccount])
def list_cloud_accounts(request: CallRequest) -> HttpResponse:
    """List the linked accounts, all of them."""
    rows = CloudAccount.objects.visible_to(request.membership).order_by("created_at", "pk")
    return answer([shown.account(one) for one in rows.defer("secrets")])


@reads("/cloud-accounts/{uuid:pk}", Permission.SEE_ACCOUNTS, shapes.CloudAccount)
def get_cloud_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one linked account."""
    return answer(shown.account(_account(request, pk)))


def _account(request: CallRequest, pk: UUID) -> CloudAccount:
    found: CloudAccount = get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=pk)
    return found


@reads("/cloud-accounts/{uuid:pk}/regions/{str:region}/availability-zones", Permission.SEE_ACCOUNTS, shapes.Zones)
def list_availability_zones(request: CallRequest, pk: UUID, region: str) -> HttpResponse:
    """Say which zones a region has: the console makes no machines, and knows none."""
    _account(request, pk)
    return answer({"availability_zones": []})


@writes("post", "/cloud-accounts", Permission.MANAGE_ACCOUNTS, shapes.CloudAccount)
def create_cloud_account(request: CallRequest, asked: shapes.NewCloudAccount) -> HttpResponse:
    """Link an account: a worker asks the cloud, and the answer waits for that."""
    membership = request.membership
    provider = OURS.get(asked.type, asked.type)
    said = description_of(asked.description or "")
    known = CLOUDS[provider].pgedge if provider in CLOUDS else PgEdgeNames()
    given = {known.credentials.get(name, name): value for name, value in asked.credentials.items()}
    given |= {"provider": provider, "name": asked.name or _free_name(request, asked.type)}
    given |= {"method": known.method} if known.method else {}
    form = LinkForm(
        given,
        organisation=membership.organisation,
        chosen=provider,
        external_id=actions.external_id(membership),
    )
    if unknown := sorted({*given} - {*form.fields}):
        raise Problem(400, f"credentials: There is no field {unknown[0]} for {asked.type}.")
    if not form.is_valid():
        raise of_form(form, {"provider": "type"})
    entered = form.entered()
    entered["asked"]["provider"] = provider
    account = _linked(request, entered)
    CloudAccount.objects.filter(pk=account.pk).update(description=said or None)
    return answer(shown.account(_account(request, account.pk)))


def _free_name(request: CallRequest, kind: str) -> str:
    taken = {
        name.lower() for name in CloudAccount.objects.visible_to(request.membership).values_list("name", flat=True)
    }
    names = (kind, *(f"{kind}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one.lower() not in taken)[:60]


def _linked(request: CallRequest, entered: dict[str, Any]) -> CloudAccount:
    """Have a worker link the account, and wait for it; raises Problem, with nothing kept, when that does not come."""
    if not WAITERS.acquire(blocking=False):
        raise Problem(409, "Other accounts are being linked at this moment. Try again.")
    try:
        attempt = attempts.begin(request.membership, Attempt.Verb.LINK, entered=entered)
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            found = Attempt.objects.select_related("cloud_account").filter(pk=attempt.pk).first()
            if found is None or found.done_at or found.tried_at:
                break
            database.give_back()
            time.sleep(LOOK_EACH)
    except LinkError as error:
        raise Problem(409 if error.passing else 400, str(error)) from error
    finally:
        WAITERS.release()
    return _ended(attempt.pk)


def _ended(pk: int) -> CloudAccount:
    found = Attempt.objects.select_related("cloud_account").filter(pk=pk).first()
    account: CloudAccount | None = found.cloud_account if found and found.done_at else None
    if account:
        return account
    why = attempts.how_it_ended(found) if found else attempts.GONE
    field = found.details.get("field", "") if found and found.tried_at else ""
    Attempt.objects.filter(pk=pk, done_at=None).delete()  # who comes back later finds nothing, and keeps nothing
    raise Problem(400, f"{field}: {why}" if field else why)


@deletes("/cloud-accounts/{uuid:pk}", Permission.MANAGE_ACCOUNTS)
def delete_cloud_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Unlink an account that nothing uses."""
    try:
        actions.unlink(_account(request, pk), by=request.person)
    except actions.InUse as error:
        raise Problem(400, f"cloud account is in use: {error}. Nothing was changed.") from error
    return gone()
