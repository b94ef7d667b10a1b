"""Unmanaged Buckets: those that are named like ours and belong to no store; adopted, forgotten, never deleted."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.cloud_accounts.models import CloudAccount
from console.operations import outcomes
from console.operations.actions import NotNow
from console.web.pages import dialog_done, dialog_form, fragment_or_page, posted
from stores import actions, unmanaged
from stores.forms import NAME_TAKEN, AdoptForm
from stores.unmanaged import AccountScan, ExplainedBucket

CHANGED = "unmanaged-changed"


@require_GET
@require_permission(Permission.SEE_STORES)
def unmanaged_list(request: MemberRequest) -> HttpResponse:
    """Show what the last scan of each account found; polls while somebody waits for one."""
    found = unmanaged.account_scans(request.membership)
    context = {
        "account_scans": found,
        "total": sum(len(account_scan.unmanaged) for account_scan in found),
        "busy": any(account_scan.scan and account_scan.scan.is_awaited for account_scan in found),
    }
    return fragment_or_page(request, "stores/unmanaged_list.html", "unmanaged", context)


@require_POST
@require_permission(Permission.SEE_STORES)
def unmanaged_scan(request: MemberRequest, account: UUID) -> HttpResponse:
    """Have one account swept now."""
    accounts = CloudAccount.objects.visible_to(request.membership)
    actions.scan_for_unmanaged(get_object_or_404(accounts, pk=account))
    return dialog_done(request, reverse("stores:unmanaged_list"), CHANGED)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def unmanaged_adopt(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Make the bucket's store a store of the console again."""
    account_scan, explained = _explained(request, account, bucket)
    pair = unmanaged.pair(explained, [*account_scan.unmanaged, *account_scan.forgotten])
    form = AdoptForm(
        posted(request),
        organisation=request.membership.organisation,
        initial={"name": explained.name},
    )
    if form.is_bound and form.is_valid():
        try:
            store = actions.adopt(explained, pair, name=form.cleaned_data["name"], by=request.user)
        except actions.NameTaken:
            form.add_error("name", NAME_TAKEN)
        except (actions.NotAdoptable, actions.LimitReached, NotNow) as error:
            form.add_error(None, str(error))
        else:
            message = gettext("{store} is being taken back; nothing that it holds is changed.").format(store=store.name)
            url, follow = store.get_absolute_url(), outcomes.address(store.operation)
            return dialog_done(request, url, CHANGED, "stores-changed", message=message, follow=follow)
    context = {"form": form, "explained": explained, "pair": pair, "too_many": actions.too_many(explained)}
    return dialog_form(request, "stores/unmanaged_adopt.html", context)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def unmanaged_ignore(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show the bucket no more."""
    _, explained = _explained(request, account, bucket)
    actions.forget(explained, by=request.user)
    message = gettext("{bucket} is no longer listed. It was not deleted.").format(bucket=bucket)
    return dialog_done(request, reverse("stores:unmanaged_list"), CHANGED, message=message)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def unmanaged_list_again(request: MemberRequest, account: UUID, bucket: str) -> HttpResponse:
    """Show the bucket again."""
    _, explained = _explained(request, account, bucket)
    actions.remember(explained, by=request.user)
    return dialog_done(
        request,
        reverse("stores:unmanaged_list"),
        CHANGED,
        message=gettext("{bucket} is listed again.").format(bucket=bucket),
    )


def _explained(request: MemberRequest, account: UUID, bucket: str) -> tuple[AccountScan, ExplainedBucket]:
    for account_scan in unmanaged.account_scans(request.membership, account):
        if explained := account_scan.find(bucket):
            return account_scan, explained
    raise Http404
