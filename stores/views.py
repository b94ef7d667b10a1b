"""Backup Stores: the list, the dialogs, one store."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from console.accounts.access import MemberRequest, require_permission
from console.accounts.models import Membership, User
from console.accounts.permissions import Permission
from console.cloud_accounts.actions import InUse, users_of
from console.cloud_accounts.models import CloudAccount
from console.cloud_accounts.views import provider_tiles
from console.operations import outcomes
from console.operations.actions import NotNow, cancel
from console.operations.views import try_again
from console.web.lists import TABLE_ROWS, is_table, keep_view, listed
from console.web.pages import dialog_done, dialog_form, fragment_or_page, posted
from console.web.prepared import KEY, Prepared
from stores import actions, listing, panes
from stores.forms import NAME_TAKEN, DeleteForm, ProtectionForm, StoreForm, only_provider
from stores.models import RetainedLogs, Store
from stores.unmanaged import account_scans

PANES = 12  # on a page, in two columns
RETAINED = 100  # the newest retained logs


def _logs_of(organisation: UUID) -> QuerySet[RetainedLogs]:
    mine = RetainedLogs.objects.visible_to(Membership(organisation_id=organisation))
    return mine.select_related("cloud_account")[:RETAINED]


_retained: Prepared[RetainedLogs] = Prepared(_logs_of, KEY)


@require_GET
@require_permission(Permission.SEE_STORES)
def store_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's stores, newest first: searched, filtered and sorted as stores.listing has it."""
    as_table, path = is_table(request), reverse("stores:list")
    page = listing.page(request.membership, request.GET, path=path, size=TABLE_ROWS if as_table else PANES)
    for store in [] if as_table else page.items:
        store.texts, store.is_plain = panes.texts(store, request.membership), panes.is_plain(store)
    is_first = not page.asked.is_filtered and page.asked.number == 1
    context = {
        "retained": _retained.all(request.membership.organisation_id) if is_first else [],
        "page": page,
        "as_table": as_table,
        "as_view": reverse("stores:view"),
        "list_url": path,
        "busy": any(store.is_watched for store in page.items),
        # Stands beside the panes, which polls renew without it.
        "unmanaged": []
        if request.htmx
        else [account_scan for account_scan in account_scans(request.membership) if account_scan.unmanaged],
        # Only an empty list needs to know what the next step is.
        "has_accounts": not is_first
        or bool(page.items)
        or CloudAccount.objects.visible_to(request.membership).exists(),
    }
    return listed(request, "stores/list.html", page, context, target="stores-list", rows="panes")


@require_POST
@require_permission(Permission.SEE_STORES)
def store_list_view(request: MemberRequest) -> HttpResponse:
    """Keep whether lists are tables or panes, for the person."""
    return keep_view(request, reverse("stores:list"))


@require_GET
@require_permission(Permission.SEE_STORES)
def store_facts(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show the IDs and bucket names of a store, for its pane in the list."""
    stores = Store.objects.visible_to(request.membership).select_related("cloud_account")
    return fragment_or_page(request, "stores/facts.html", "facts", {"store": get_object_or_404(stores, pk=pk)})


@require_GET
@require_permission(Permission.SEE_STORES)
def store_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one store; a page that watched its deletion goes back to the list when it is gone."""
    store = Store.objects.visible_to(request.membership).with_story().filter(pk=pk).first()
    if store is None:
        if not request.htmx:
            raise Http404
        messages.info(request, gettext("The store is gone."))
        return HttpResponseClientRedirect(reverse("stores:list"))
    return fragment_or_page(
        request, "stores/detail.html", "pane", {"store": store, "busy": store.is_watched, "users": users_of(store)}
    )


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def store_create(request: MemberRequest) -> HttpResponse:
    """Create a store: written down at once, made by a worker. Continue expands the dialog, without scripts too."""
    if request.method == "POST" and "continue" not in request.POST:
        form = StoreForm(request.POST, membership=request.membership)
        if form.is_valid() and (store := _created(form, request.user)):
            follow, message = (
                outcomes.address(store.operation),
                gettext("{store} is being created.").format(store=store.name),
            )
            return dialog_done(request, reverse("stores:list"), "stores-changed", message=message, follow=follow)
    else:
        given = (request.POST or request.GET).dict()
        form = StoreForm(membership=request.membership, initial={**only_provider(request.membership), **given})
    form.suggest_name()
    context = {
        "form": form,
        "number": Store.objects.visible_to(request.membership).count(),
        "providers": provider_tiles(form.provider_key),
        "chosen": form.chosen_provider,
        "account": form.account,
        "regions": form.regions(),
        "has_accounts": form.fields["cloud_account"].queryset.exists(),  # type: ignore[attr-defined]
    }
    return dialog_form(request, "stores/create.html", context)


def _created(form: StoreForm, by: User) -> Store | None:
    """Return the store that the form asks for, or say beside its fields why there is none."""
    data = form.cleaned_data
    try:
        return actions.create(
            data["cloud_account"],
            name=data["name"],
            region=data["region"],
            versions_days=data["versions_days"],
            lock_days=data["lock_days"],
            by=by,
        )
    except actions.NameTaken:
        form.add_error("name", NAME_TAKEN)
    except (actions.LimitReached, NotNow) as error:
        form.add_error(None, str(error))
    return None


@require_GET
@require_permission(Permission.SEE_STORES)
def store_calculator(request: MemberRequest) -> HttpResponse:
    """Say what a protected store of these days promises and costs."""
    protection, today = ProtectionForm(request.GET).protection(), timezone.localdate()
    context = {"protection": protection, "today": today}
    if protection:
        context |= {"deletable": protection.deletable(today), "empty": protection.empty(today)}
    return fragment_or_page(request, "stores/calculator.html", "answer", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def store_delete(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Delete a store after its name was typed; the worker refuses it while the store holds data."""
    store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    form = DeleteForm(posted(request), store=store)
    if form.is_bound and form.is_valid():
        try:
            actions.delete(store, keep_logs=form.cleaned_data.get("keep_logs", False), by=request.user)
        except NotNow as error:
            form.add_error(None, str(error))
        except InUse as error:
            form.add_error(
                None,
                gettext("{store} is in use: {error}. Detach it there first; nothing was changed.").format(
                    store=store.name, error=error
                ),
            )
        else:
            follow, message = (
                outcomes.address(store.operation),
                gettext("{store} is being deleted.").format(store=store.name),
            )
            return dialog_done(request, reverse("stores:list"), "stores-changed", message=message, follow=follow)
    return dialog_form(request, "stores/delete.html", {"form": form, **_deletion_preview(store)})


@require_GET
@require_permission(Permission.MANAGE_STORES)
def store_deletion_preview(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show what a store holds, for who thinks of deleting it: counted by a worker, while the page asks again."""
    store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    context = _deletion_preview(store)
    return fragment_or_page(
        request,
        "stores/deletion_preview.html",
        "deletion_preview",
        {**context, "busy": context["deletion_preview"].is_awaited},
    )


def _deletion_preview(store: Store) -> dict[str, Any]:
    return {"store": store, "users": users_of(store), "deletion_preview": actions.count(store)}


@require_POST
@require_permission(Permission.MANAGE_STORES)
def store_cancel(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Cancel the deletion of a store, as long as that can be done."""
    store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    message, follow = gettext("Cancelling the deletion of {store}.").format(store=store.name), ""
    try:
        cancel(store, by=request.user)
        follow = outcomes.address(store.operation)
    except NotNow as error:
        messages.error(request, str(error))
        message = ""
    return dialog_done(request, reverse("stores:list"), "stores-changed", message=message, follow=follow)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def store_retry(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Try again what failed."""
    store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    return try_again(request, store, reverse("stores:list"), "stores-changed")
