"""Backup stores, as pgEdge's clients make, watch and delete them."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query

from clusters.models import Attachment
from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.api.authentication import CallRequest
from console.api.compatible import shapes, shown
from console.api.compatible.calls import answer, deletes, gone, of_form, reads, refusing, writes
from console.api.compatible.lists import Listed, listed
from console.api.problems import Problem
from console.cloud_accounts.actions import InUse
from console.cloud_accounts.models import CloudAccount
from console.operations.actions import NotNow
from stores import actions
from stores.forms import NAME_TAKEN, StoreForm
from stores.models import Store, StoreQuerySet

NAMES = {"cloud_account": "cloud_account_id", "provider": "cloud_account_id"}


def stores(membership: Membership) -> StoreQuerySet:
    """Return the organisation's stores with all that is shown of them."""
    attached = Attachment.objects.order_by("repository__number").only("cluster", "store", "state")
    mine: StoreQuerySet = Store.objects.visible_to(membership).select_related("cloud_account", "operation")
    return mine.prefetch_related(Prefetch("attachments", attached))


@reads("/backup-stores", Permission.SEE_STORES, list[shapes.BackupStore], asked=Listed)
def list_backup_stores(request: CallRequest, asked: Query[Listed]) -> HttpResponse:
    """List the stores."""
    return listed(stores(request.membership), asked, shown.store)


@reads("/backup-stores/{uuid:pk}", Permission.SEE_STORES, shapes.BackupStore)
def get_backup_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one store."""
    return answer(shown.store(get_object_or_404(stores(request.membership), pk=pk)))


@writes("post", "/backup-stores", Permission.MANAGE_STORES, shapes.BackupStore)
def create_backup_store(request: CallRequest, asked: shapes.NewBackupStore) -> HttpResponse:
    """Create a store; without a region in the only one that the account has."""
    account = CloudAccount.objects.visible_to(request.membership).filter(pk=asked.cloud_account_id).first()
    if account is None:
        raise Problem(400, "cloud_account_id: There is no such linked account.")
    regions = account.store_regions
    region = asked.region or (regions[0].code if len(regions) == 1 else "")
    given = {"provider": account.provider_key, "cloud_account": str(account.pk), "name": asked.name, "region": region}
    form = StoreForm(given, membership=request.membership)
    if not form.is_valid():
        raise of_form(form, NAMES)
    wanted = {name: form.cleaned_data[name] for name in ("name", "region")}
    try:
        made = actions.create(form.cleaned_data["cloud_account"], **wanted, by=request.person)
    except actions.NameTaken as error:
        raise Problem(400, f"name: {NAME_TAKEN}") from error
    except (actions.LimitReached, NotNow) as error:
        raise Problem(400, str(error)) from error
    return answer(shown.store(stores(request.membership).get(pk=made.pk)))


@deletes("/backup-stores/{uuid:pk}", Permission.MANAGE_STORES)
def delete_backup_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Begin to delete a store: its task fails, with the reason, while the bucket holds anything."""
    found: Store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    try:
        with refusing(found):
            actions.delete(found, by=request.person)
    except InUse as error:
        raise Problem(400, f"backup store is in use by clusters: {error}. Nothing was changed.") from error
    return gone()
