"""Preflight: what the console may do in a linked account, as a table and, for a store to be created, as a notice."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.cloud_accounts import actions
from console.cloud_accounts.models import CloudAccount
from console.cloud_accounts.preflight import chosen_region, found, found_where_used
from console.web.pages import announced, fragment_or_page


def _account(request: MemberRequest, pk: UUID | str) -> CloudAccount:
    account: CloudAccount = get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=pk)
    return account


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def preflight_table(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show every line of an account; what nobody has looked up yet is asked for by the page itself."""
    account = _account(request, pk)
    preflight = found_where_used(account)
    context = {"account": account, "preflight": preflight, "busy": preflight.is_awaited}
    response = fragment_or_page(request, "cloud_accounts/preflight_table.html", "table", context)
    if request.htmx.trigger == "stores-preflight-poll" and not preflight.is_awaited:
        trigger_client_event(response, "accounts-changed")  # what the account's heading says of it may be another now
    return response


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def preflight_notice(request: MemberRequest) -> HttpResponse:
    """Show what would break in ?cloud_account= and ?region=, in a line or a notice; nothing while none is chosen."""
    try:
        pk = UUID(request.GET.get("cloud_account", ""))
    except ValueError:
        return fragment_or_page(request, "cloud_accounts/preflight_notice.html", "notice", {})
    account = _account(request, pk)
    region = chosen_region(account, request.GET.get("region", ""))
    if not region and not account.cloud.storage.one_region:  # not chosen yet, or still being typed
        return fragment_or_page(request, "cloud_accounts/preflight_notice.html", "notice", {})
    preflight = found(account)
    never = preflight.wanted_at is None and preflight.tried_at is None
    context = {
        "account": account,
        "region": region,
        "preflight": preflight.within([region]) if region else preflight,
        # Once for each region: what failed is tried again by the reader, or in its time.
        "unasked": never or not (preflight.knows(region) or region in preflight.chosen),
        "known": preflight.read_at is not None and preflight.knows(region),
    }
    return fragment_or_page(request, "cloud_accounts/preflight_notice.html", "notice", context)


@require_POST
@require_permission(Permission.MANAGE_ACCOUNTS)
def preflight_check(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Have the account looked at now, and the region of it that is named, if it has it."""
    account = _account(request, pk)
    actions.check_account(account, region=chosen_region(account, request.POST.get("region", "")))
    return announced(request, account.get_absolute_url(), "preflight-changed")
