"""Unmanaged Buckets: those that are named like ours and belong to no store; adopted, forgotten, never deleted."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, allowed
from console.accounts.models import CloudAccount
from console.accounts.permissions import Permission
from console.operations.actions import NotNow
from console.web import dialog_done, dialog_form, fragment_or_page
from stores import actions, orphans
from stores.forms import NAME_TAKEN, AdoptForm
from stores.orphans import Orphan, Ward

CHANGED = "orphans-changed"


@require_GET
@allowed(Permission.SEE_STORES)
def orphan_list(request: MemberRequest) -> HttpResponse:
    """Show what the last sweep of each account found; polls while somebody waits for one."""
    found = orphans.wards(request.membership)
    context = {
        "wards": found,
        "total": sum(len(ward.orphans) for ward in found),
        "busy": any(ward.sweep and ward.sweep.is_awaited for ward in found),
    }
    return fragment_or_page(request, "stores/orphan_list.html", "orphans", context)


@require_POST
@allowed(Permission.SEE_STORES)
def orphan_look(request: MemberRequest, account: UUID) -> HttpResponse:
    """Have one account swept now."""
    accounts = CloudAccount.objects.visible_to(request.membership)
    actions.look_for_orphans(get_object_or_404(accounts, pk=account))
    return dialog_done(request, reverse("stores:orphan_list"), CHANGED)


@require_http_methods(["GET", "POST"])
@allowed(Permission.MANAGE_STORES)
def orphan_adopt(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Make the bucket's store a store of the console again."""
    ward, orphan = _orphan(request, account, bucket)
    pair = orphans.pair(orphan, [*ward.orphans, *ward.forgotten])
    form = AdoptForm(
        request.POST if request.method == "POST" else None,
        organisation=request.membership.organisation,
        initial={"name": orphan.name},
    )
    if form.is_bound and form.is_valid():
        try:
            store = actions.adopt(orphan, pair, name=form.cleaned_data["name"], by=request.user)
        except actions.NameTaken:
            form.add_error("name", NAME_TAKEN)
        except (actions.NotAdoptable, actions.LimitReached, NotNow) as error:
            form.add_error(None, str(error))
        else:
            message = f"{store.name} is being taken back; nothing that it holds is changed."
            return dialog_done(request, store.get_absolute_url(), CHANGED, "stores-changed", message=message)
    context = {"form": form, "orphan": orphan, "pair": pair, "too_many": actions.TOO_MANY}
    return dialog_form(request, "stores/orphan_adopt.html", context)


@require_POST
@allowed(Permission.MANAGE_STORES)
def orphan_forget(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show the bucket no more."""
    _, orphan = _orphan(request, account, bucket)
    actions.forget(orphan, by=request.user)
    message = f"{bucket} is no longer listed. It was not deleted."
    return dialog_done(request, reverse("stores:orphan_list"), CHANGED, message=message)


@require_POST
@allowed(Permission.MANAGE_STORES)
def orphan_remember(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show the bucket again."""
    _, orphan = _orphan(request, account, bucket)
    actions.remember(orphan, by=request.user)
    return dialog_done(request, reverse("stores:orphan_list"), CHANGED, message=f"{bucket} is listed again.")


def _orphan(request: MemberRequest, account: UUID, bucket: str) -> tuple[Ward, Orphan]:
    for ward in orphans.wards(request.membership, account):
        if orphan := ward.find(bucket):
            return ward, orphan
    raise Http404
