"""What both buckets should have and what they have: looking now, repairing, and accepting what was meant."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.clouds.naming import lower_first
from console.operations import outcomes
from console.operations.actions import NotNow
from console.web.pages import dialog_done, dialog_form, outcome, posted
from console.web.retold import retold
from stores import actions, drift
from stores.control_status import agreed
from stores.forms import RepairForm
from stores.models import Store

CHANGED = gettext_lazy("What was found has changed since this was shown. Look at it again, then decide.")


def _store(request: MemberRequest, pk: UUID) -> Store:
    store: Store = get_object_or_404(Store.objects.visible_to(request.membership).with_story(), pk=pk)
    return store


@require_POST
@require_permission(Permission.MANAGE_STORES)
def store_verify(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Have both buckets looked at now."""
    store = _store(request, pk)
    try:
        actions.verify(store)
    except NotNow as error:
        messages.error(request, retold(error))
        return dialog_done(request, store.get_absolute_url(), "stores-changed")
    follow, message = (
        reverse("stores:verified", args=[store.pk]),
        gettext("{store} is being checked.").format(store=store.name),
    )
    return dialog_done(request, store.get_absolute_url(), "stores-changed", message=message, follow=follow)


@require_GET
@require_permission(Permission.SEE_STORES)
def store_verified(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Tell a message that follows a check what it found."""
    store = _store(request, pk)
    report = getattr(store, "drift_report", None)
    url = store.get_absolute_url()
    if report is None or report.is_awaited:
        return outcome(request, url, text="", level="")
    if report.error:
        return outcome(
            request,
            url,
            text=gettext("{store} could not be checked: {error}").format(store=store.name, error=report.error),
            level="error",
        )
    level = "success" if report.is_as_wanted else "warning"
    return outcome(
        request,
        url,
        text=gettext("{store}: {summary}, just now.").format(store=store.name, summary=report.summary),
        level=level,
    )


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def store_repair(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show what would be changed, and change that when it is agreed to."""
    store = _store(request, pk)
    form = RepairForm(posted(request))
    if form.is_bound and form.is_valid():
        try:
            actions.repair(store, by=request.user, seen=form.cleaned_data["seen"])
        except NotNow as refused:
            form.add_error(None, retold(refused))
        except drift.Changed:
            form.add_error(None, CHANGED)
        else:
            follow, message = (
                outcomes.address(store.operation),
                gettext("{store} is being repaired.").format(store=store.name),
            )
            return dialog_done(request, store.get_absolute_url(), "stores-changed", message=message, follow=follow)
    found = store.drift_report.drift if hasattr(store, "drift_report") else []
    context = {"store": store, "form": form, "drift": found, "seen": agreed(found)}
    return dialog_form(request, "stores/repair.html", context)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def store_accept(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Accept what was found of one control."""
    store = _store(request, pk)
    name, seen = request.POST.get("control", ""), request.POST.get("seen", "")
    try:
        line = actions.accept(store, name=name, seen=seen, by=request.membership)
    except drift.Changed:
        messages.error(request, CHANGED)
        return dialog_done(request, store.get_absolute_url(), "stores-changed")
    message = gettext("Accepted: {lower_first} of the {bucket_words}.").format(
        lower_first=lower_first(line.label), bucket_words=line.bucket_words
    )
    return dialog_done(request, store.get_absolute_url(), "stores-changed", message=message)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def store_reconsider(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Take back that something was accepted."""
    store = _store(request, pk)
    try:
        actions.reconsider(store, name=request.POST.get("control", ""), by=request.membership)
    except drift.Changed:
        messages.error(request, CHANGED)
    return dialog_done(request, store.get_absolute_url(), "stores-changed")
