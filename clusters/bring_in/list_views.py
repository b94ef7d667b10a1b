"""Lists of repositories: ask for one, show what a worker has found of each, and add what was seen."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from clusters.bring_in import taking
from clusters.bring_in.lists import ListForm
from clusters.models import Bringing
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import announced, dialog_form, fragment_or_page
from stores.models import Store

FOUND = "bringings-changed"


@sensitive_post_parameters("lines")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in_list(request: MemberRequest) -> HttpResponse:
    """Ask for a list of repositories, and have all of them looked at; or none, if anything in the list is wrong."""
    data = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = ListForm(*data, membership=request.membership)
    if form.is_bound and form.is_valid():
        wishes = [(one.account, one.entered()) for one in form.reader.wishes]
        try:
            batch = taking.begin_list(request.membership, wishes, by=request.user)
        except taking.TooMany as error:
            form.add_error(None, str(error))
        else:
            url = reverse("clusters:bring_in_found", args=[batch])
            return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    return dialog_form(request, "clusters/bring_in_list.html", {"form": form, "lists": _lists(request)})


def _lists(request: MemberRequest) -> list[dict[str, Any]]:
    """Return the lists that are still kept, the newest first: key, names of its clusters, and since when."""
    rows = Bringing.objects.visible_to(request.membership).filter(batch__isnull=False).order_by("pk")
    found: dict[UUID, dict[str, Any]] = {}
    for row in rows.select_related("cluster").only("batch", "begun_at", "entered", "cluster__name"):
        one = found.setdefault(row.batch, {"batch": row.batch, "at": row.begun_at, "names": []})
        one["names"].append(_name(row))
    return sorted(found.values(), key=lambda one: one["at"], reverse=True)


def _name(row: Bringing) -> str:
    return row.cluster.name if row.cluster else row.entered.get("name", "")


def _rows(request: MemberRequest, batch: UUID) -> QuerySet[Bringing]:
    """Return what is left of the list, in its order; raises Http404 where that is nothing."""
    rows = Bringing.objects.visible_to(request.membership).filter(batch=batch).select_related("cluster").order_by("pk")
    if not rows:
        raise Http404
    return rows


@require_GET
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in_found(request: MemberRequest, batch: UUID) -> HttpResponse:
    """Show what was found of each, and offer to add them."""
    rows = _rows(request, batch)
    stores = {str(one.pk): one.name for one in Store.objects.visible_to(request.membership).only("pk", "name")}
    shown = [_shown(row, stores) for row in rows]
    context = {
        "batch": batch,
        "rows": shown,
        "seen": [taking.seen_of(row.content) for row in rows if row.is_ready],
        "refused": any(row.error and not row.is_waiting for row in rows),
        "busy": any(row.is_waiting for row in rows),
    }
    return fragment_or_page(request, "clusters/bring_in_found.html", "found", context)


def _shown(row: Bringing, stores: dict[str, str]) -> dict[str, Any]:
    """Return a line for the page; no secret is in it."""
    found = []
    for number, infos in (row.content or {}).get("opened", {}).items():
        store = stores.get(row.content["stores"][number], "")
        there = [(name, info) for name, info in infos.items() if info]
        found.append({"repository": f"repo{number}", "store": store, "stanzas": there})
    machines = 1 + len(row.entered.get("machines", ()))
    return {"row": row, "name": _name(row), "machines": machines, "found": found}


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in_add(request: MemberRequest, batch: UUID) -> HttpResponse:
    """Have those added of which the page showed what was found."""
    taken, left = taking.agree(_rows(request, batch), request.POST.get("seen", "").split(","))
    for one in left[:5]:
        messages.error(request, f"{one}: {taking.CHANGED}")
    message = gettext("{taken} being added: each is read once more, and only watched.").format(taken=len(taken))
    return announced(request, reverse("clusters:bring_in_found", args=[batch]), FOUND, message=message)


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in_look(request: MemberRequest, batch: UUID) -> HttpResponse:
    """Have a worker look again at those that were refused."""
    taking.look_again(_rows(request, batch))
    return announced(request, reverse("clusters:bring_in_found", args=[batch]), FOUND)


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in_forget(request: MemberRequest, batch: UUID) -> HttpResponse:
    """Forget the list with what was entered; clusters that came of it stay."""
    _rows(request, batch).delete()
    messages.success(request, gettext("The list is forgotten. Nothing was changed in any store."))
    url = reverse("clusters:list")
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
