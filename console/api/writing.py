"""What can be changed: stores are created and deleted, by the actions and the form of the pages."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Schema
from pydantic import ConfigDict

from console.accounts.permissions import Permission
from console.api import shapes, shown
from console.api.authentication import CallRequest
from console.api.calls import answered, creates, deletes
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.api.reading import of_form, stores
from console.cloud_accounts.actions import InUse
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import NotNow
from stores import actions
from stores.forms import NAME_TAKEN, StoreForm
from stores.models import Store

# What the form of the page calls otherwise.
NAMES = {"cloud_account": "cloud_account_id", "provider": "cloud_account_id", "protected": "versions_days"}


def begun(request: CallRequest, store: Store) -> HttpResponse:
    """Answer with the row and where its task is."""
    row = stores(request.membership).get(pk=store.pk)
    return answered(shown.store(row), status=202, location=f"/api/v1/tasks/{row.operation_id}")


@creates("/stores", Permission.MANAGE_STORES, shapes.Store)
@once
def create_store(request: CallRequest, asked: shapes.NewStore) -> HttpResponse:
    """Create a store: written down at once, made by a worker, whose task is at Location."""
    account = CloudAccount.objects.visible_to(request.membership).filter(pk=asked.cloud_account_id).first()
    if account is None:
        raise fields([("/cloud_account_id", "There is no such linked account.")])
    given = {"provider": account.provider_key, "cloud_account": str(account.pk)}
    given |= {"name": asked.name, "region": asked.region}
    given |= {name: str(days) for name in ("versions_days", "lock_days") if (days := getattr(asked, name)) is not None}
    if len(given) > 4:  # either of the two asks for a protected store
        given["protected"] = "on"
    form = StoreForm(given, membership=request.membership)
    if not form.is_valid():
        raise of_form(form, NAMES)
    wanted = {name: form.cleaned_data[name] for name in ("name", "region", "versions_days", "lock_days")}
    try:
        store = actions.create(form.cleaned_data["cloud_account"], **wanted, by=request.person)
    except actions.NameTaken as error:
        raise fields([("/name", NAME_TAKEN)]) from error
    except (actions.LimitReached, NotNow) as error:
        raise Problem(409, str(error)) from error
    return begun(request, store)


class Deletion(Schema):
    model_config = ConfigDict(extra="forbid")

    keep_logs: bool = False


@deletes("/stores/{uuid:pk}", Permission.MANAGE_STORES, shapes.Store, asked=Deletion)
def delete_store(request: CallRequest, pk: UUID, asked: Query[Deletion]) -> HttpResponse:
    """Begin to delete a store: refused while a cluster uses it (409), and by its task while it holds data."""
    store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    try:
        actions.delete(store, keep_logs=asked.keep_logs, by=request.person)
    except NotNow as error:
        raise Problem(409, str(error)) from error
    except InUse as error:
        raise Problem(409, f"{store.name} is in use: {error}. Detach it there first; nothing was changed.") from error
    return begun(request, store)
